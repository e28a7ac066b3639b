"""A stack on the machines of the small lab, and steady requests while it changes."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from labkit import LabFolder

# One request at a time to 127.0.0.1, this often, and no longer than that.
EVERY_SECONDS = 0.02
AT_MOST_SECONDS = 120
# Two replicas, so that one serves while the other is replaced; nginx keeps an address for a second.
ROLLING = """\
    deploy: { replicas: 2, update_config: { delay: 2s } }
    secrets: [password]
    configs: [settings]
    environment:
"""
FILES = """\
secrets: { password: { file: ./password } }
configs: { settings: { file: ./settings } }
"""


@dataclass
class Load:
    """Answers by version, and failures, of requests that were sent in a steady row."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextmanager
def steady(url: str) -> Iterator[Load]:
    """Ask an address without a pause during the block."""
    load, ended = Load(), threading.Event()

    def ask() -> None:
        deadline = time.monotonic() + AT_MOST_SECONDS
        while not ended.wait(EVERY_SECONDS) and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    load.answers[json.loads(answer.read())["greeting"]] += 1
            except (OSError, ValueError) as error:
                load.failures.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield load
    finally:
        ended.set()
        thread.join()


@contextmanager
def rolling(lab: LabFolder) -> Iterator[None]:
    """Give the greeter two replicas, a secret and a config, and the stack its ports; put everything
    back afterwards.
    """
    lab.run("dev").ok()
    lab.run("down").ok()
    names = ("compose.yaml", "greeter/greeter.py")
    before = {name: (lab.folder / name).read_text(encoding="utf-8") for name in names}
    compose = before["compose.yaml"].replace("    environment:\n", ROLLING) + FILES
    (lab.folder / "compose.yaml").write_text(compose, encoding="utf-8")
    (lab.folder / "password").write_text("one", encoding="utf-8")
    (lab.folder / "settings").write_text("red", encoding="utf-8")
    shown = 'open("/run/secrets/password").read() + " " + open("/settings").read()'
    lab.edit("greeter/greeter.py", 'os.environ.get("GREETING", "?")', f'"v1 " + {shown}')
    try:
        yield
    finally:
        lab.run("deploy", "--to", "machines", "--remove").ok()
        for name, text in before.items():
            (lab.folder / name).write_text(text, encoding="utf-8")
        lab.run("dev").ok()
