"""Which requests a daemon carries out, and which it leaves to the client, who can explain them."""

from __future__ import annotations

import json

import pytest

from hashlab.cli.parser import parse
from hashlab.commands import NAMES, load
from hashlab.daemon import client
from hashlab.daemon.listener import Unintelligible, understood
from hashlab.daemon.server import Refused, _command

WARM = [name for name in NAMES if load(name).warm]
REST = {
    "kind": client.RUN,
    "pid": 1,
    "folder": "/labs/small",
    "code": "1",
    "cwd": "/",
    "umask": 0o022,
    "environ": {},
    "streams": [["utf-8", "strict"], ["utf-8", "strict"]],
}


def asked(command: str, values: object) -> str:
    """The command that a daemon runs for a request that came over a socket."""
    sent = json.loads(json.dumps({**REST, "command": command, "values": values}))
    return _command(understood(sent)).name


@pytest.mark.parametrize("name", WARM)
def test_each_warm_command_is_carried_out_as_it_was_typed(name: str) -> None:
    command, values = parse([name, *("first" for _ in load(name).arguments), "--json"])
    assert asked(command.name, values) == name


@pytest.mark.parametrize("name", sorted({*NAMES} - {*WARM}))
def test_a_command_that_makes_or_removes_a_lab_is_left_to_the_client(name: str) -> None:
    values = {parameter.key: parameter.default for parameter in load(name).parameters}
    with pytest.raises(Refused):
        asked(name, values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"lab": "", "provider": ""},
        {"lab": "", "provider": "", "json": "yes"},
        {"lab": "", "provider": [], "json": False},
        {"lab": "", "provider": "", "json": False, "verbose": True},
    ],
)
def test_values_that_the_command_does_not_have_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(Refused):
        asked("status", values)


@pytest.mark.parametrize("values", [None, [], {"lab": 1}, {"lab": "\0"}, {"lab": ["a", 1]}])
def test_values_of_an_impossible_type_are_refused(values: object) -> None:
    with pytest.raises(Unintelligible):
        asked("status", values)


def test_a_command_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused):
        asked("statsu", {})
