"""A service runs twice behind a front: no refresh and no end of a replica loses a request."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labkit import LabFolder, copy_example, daemons_of, rows

pytestmark = pytest.mark.slow  # a lab of its own, under load

PER_SECOND = 25
# More than all tests of this module need, so that a client that is left alone ends.
MOST_REQUESTS = 5000
GREETER = """\
    volumes: ["./greeter:/app:ro"]
    expose: ["8000"]
    deploy:
      replicas: 2
      placement: { preferences: [{ spread: node.id }] }
      update_config: { failure_action: rollback }
"""


class Client:
    """Asks for a page at a steady rate, and never again for the same."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Ask once."""
        try:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                answer.read()
        except (OSError, urllib.error.URLError) as error:
            with self._lock:
                self.failed.append(f"{time.strftime('%T')} {error}")
        else:
            with self._lock:
                self.answered += 1


@contextmanager
def steady(url: str) -> Iterator[Client]:
    """Send requests during the block, and fail if one of them failed."""
    client, ended = Client(url), threading.Event()
    asking: list[threading.Thread] = []

    def send() -> None:
        started = time.monotonic()
        for number in range(MOST_REQUESTS):
            if ended.wait(max(0.0, started + number / PER_SECOND - time.monotonic())):
                break
            thread = threading.Thread(target=client.ask)
            thread.start()
            asking.append(thread)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield client
    finally:
        ended.set()
        for thread in (sender, *asking):
            thread.join()
    assert client.failed == []
    assert client.answered > PER_SECOND


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[LabFolder]:
    """The small example with its greeter on both machines, behind a front on the first."""
    lab = copy_example("hello", tmp_path_factory.mktemp("labs") / "hello", provider)
    lab.edit("compose.yaml", '    volumes: ["./greeter:/app:ro"]\n', GREETER)
    toml = lab.folder / "hashlab.toml"
    front = '\n[services.greeter]\nfront = { machine = "front" }\n'
    toml.write_text(toml.read_text() + front)
    try:
        lab.run("dev").ok()
        yield lab
    finally:
        lab.run("destroy").ok()
        assert daemons_of(lab) == []


@pytest.fixture
def url(lab: LabFolder) -> str:
    """The page that the greeter answers, through nginx and the front."""
    return f"{lab.status()['urls']['web']}/greeting"


def edited(lab: LabFolder, text: str) -> None:
    """Change the program of the greeter."""
    path = lab.folder / "greeter/greeter.py"
    path.write_text(re.sub(r'"GREETING", ".*?"', f'"GREETING", "{text}"', path.read_text()))


def replicas(lab: LabFolder) -> dict[str, tuple[str, bool]]:
    """The state of each replica, and whether it runs what was built."""
    return {
        service["name"]: (service["state"], service["build"] == service["running_build"])
        for service in lab.status()["services"]
        if service["name"] in ("greeter.front", "greeter.back")
    }


def test_refreshes_and_a_restart_lose_no_request(lab: LabFolder, url: str) -> None:
    with steady(url):
        for number in range(2):
            edited(lab, f"refresh {number}")
            document = lab.json("refresh")
            changed = {
                row["service"] for row in rows(document, "container") if row["status"] == "ok"
            }
            assert changed == {"greeter.front", "greeter.back"}
        lab.run("restart", "greeter").ok()


def test_a_replica_that_is_killed_loses_no_read(lab: LabFolder, url: str) -> None:
    with steady(url) as client:
        for machine in ("back", "front"):
            before = client.answered
            lab.on(machine, f"docker kill hello-greeter.{machine}-1")
            while client.answered < before + 2 * PER_SECOND and not client.failed:
                time.sleep(0.1)
            lab.run("refresh").ok()


def test_a_build_that_does_not_get_healthy_is_taken_back(lab: LabFolder, url: str) -> None:
    path = lab.folder / "greeter/greeter.py"
    sound = path.read_text()
    with steady(url):
        path.write_text("raise SystemExit('this build is broken')\n")
        done = lab.run("refresh")
        assert done.code == 4
        assert "runs its previous build" in done.stdout
        assert "this build is broken" in done.stdout
        # One was put back, the other was not touched.
        assert set(replicas(lab)) == {"greeter.front", "greeter.back"}
        while (states := {state for state, _ in replicas(lab).values()}) != {"running"}:
            assert states <= {"running", "starting"}
    assert [same for _, same in replicas(lab).values()] == [False, False]
    path.write_text(sound)
    lab.run("refresh").ok()
    assert [same for _, same in replicas(lab).values()] == [True, True]


def test_a_machine_that_leaves_is_drained_first(lab: LabFolder, url: str, tmp_path: Path) -> None:
    toml = lab.folder / "hashlab.toml"
    whole = toml.read_text()
    machine = re.search(r"\[machines\.back\].*?\n\n", whole, re.DOTALL)
    assert machine is not None
    with steady(url):
        toml.write_text(whole.replace(machine[0], ""))
        lab.run("dev").ok()
    status = lab.status()
    assert [each["name"] for each in status["machines"]] == ["front"]
    assert [s["replica"] for s in status["services"] if s["name"] == "greeter.front"] == [1, 2]
