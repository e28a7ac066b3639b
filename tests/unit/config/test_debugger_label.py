"""The label hashlab.debug: three words that say how to debug a service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashlab.config.model import Debugger, Lab
from hashlab.errors import ConfigError

TOML = '[lab]\nname = "small"\n'
COMPOSE = """\
services:
  api:
    image: api
    labels:
      hashlab.debug: "{label}"
    volumes: ["./code:/srv/code:ro"]
    develop:
      watch:
        - {{ path: ./pages, target: /srv/pages, action: sync }}
"""


@pytest.fixture
def labelled(load: Callable[..., Lab], tmp_path: Path) -> Callable[[str], Debugger | None]:
    """Return the debugger of a service with this label."""

    def read(label: str) -> Debugger | None:
        files = {"code/app/main.py": "", "pages/index.js": "", "java/Main.java": ""}
        lab = load(toml=TOML, compose=COMPOSE.format(label=label), files=files)
        return lab.service("api").debugger

    return read


def relative(debugger: Debugger | None) -> tuple[str, int, str, str]:
    assert debugger is not None
    return debugger.kind, debugger.port, debugger.sources.name, debugger.inside


def test_a_jvm_needs_no_folder_in_the_container(labelled: Any) -> None:
    assert relative(labelled("jdwp 5005 ./java")) == ("jdwp", 5005, "java", "")


def test_the_folder_in_the_container_is_found_by_mount_and_watch_rule(labelled: Any) -> None:
    assert relative(labelled("debugpy 5678 code/app"))[-1] == "/srv/code/app"
    assert relative(labelled("inspector 9229 ./pages"))[-1] == "/srv/pages"


def test_the_folder_in_the_container_can_be_written(labelled: Any) -> None:
    assert relative(labelled("delve 2345 ./java:/src")) == ("delve", 2345, "java", "/src")


@pytest.mark.parametrize(
    ("label", "message", "hint"),
    [
        ("jdwp 5005", "needs three words", "jdwp 5005 ./src"),
        ("jdpw 5005 ./java", "unknown debugger 'jdpw'", "'jdwp'"),
        ("jdwp 0 ./java", "'0' is not a valid port number", "1 to 65535"),
        ("jdwp http ./java", "'http' is not a valid port number", "1 to 65535"),
        ("jdwp 5005 ./jaava", "the folder './jaava'", "Create it"),
        ("delve 2345 ./java", "does not say where the container has", "delve 2345 ./java:/FOLDER"),
        ("delve 2345 ./java:src", "does not say where the container has", "./java:/FOLDER"),
    ],
)
def test_a_label_that_cannot_be_used_is_explained(
    labelled: Any, label: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        labelled(label)
    [problem] = caught.value.problems
    assert message in problem.message
    assert hint in problem.hint
    assert problem.line == 4


def test_a_label_file_may_have_it(load: Callable[..., Lab]) -> None:
    lab = load(
        toml=TOML,
        compose="services:\n  api: {image: x, label_file: labels.env}\n",
        files={"labels.env": "hashlab.debug=jdwp 5005 ./java\n", "java/Main.java": ""},
    )
    assert relative(lab.service("api").debugger) == ("jdwp", 5005, "java", "")
