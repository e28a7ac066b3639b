"""Which words a daemon carries out, and which it leaves to the client, who can explain them."""

from __future__ import annotations

import pytest

from hashlab.daemon.server import Refused, _parsed, client

FOLDER = "/labs/small"


def parsed(*words: str) -> tuple[str, str, bool, bool]:
    found = _parsed(words, cwd="/labs", folder=FOLDER)
    return found.command, found.provider, found.json, found.verbose


@pytest.mark.parametrize("command", client.COMMANDS)
def test_each_command_a_client_asks_for_is_understood(command: str) -> None:
    name = ["first"] if command in client.NAMING else []
    assert parsed(command, *name) == (command, "", False, False)
    assert parsed(command, *name, "--json") == (command, "", True, False)
    assert parsed(command, "--json", *name) == (command, "", True, False)


@pytest.mark.parametrize("words", [["first"], ["--json", "first"], ["first", "-l", "small"]])
def test_a_command_that_takes_a_name_gets_it(words: list[str]) -> None:
    assert _parsed(["restore", *words], cwd="/labs", folder=FOLDER).name == "first"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["-j", "-v"], ("", True, True)),
        (["-jv"], ("", True, True)),
        (["--verbose", "--provider", "docker"], ("docker", False, True)),
        (["--provider=libvirt"], ("libvirt", False, False)),
        (["-p", "libvirt"], ("libvirt", False, False)),
    ],
)
def test_flags_mean_what_they_mean_without_a_daemon(
    words: list[str], meant: tuple[str, bool, bool]
) -> None:
    assert parsed("refresh", *words) == ("refresh", *meant)


@pytest.mark.parametrize(
    "words",
    [
        ["--lab", "small"],
        ["--lab=small"],
        ["-l", "/labs/small"],
        ["-lsmall"],
        ["--lab", "./small/"],
    ],
)
def test_a_lab_that_is_named_is_the_daemons_own(words: list[str]) -> None:
    assert parsed("status", *words)[0] == "status"


@pytest.mark.parametrize(
    "words",
    [
        ["--lab", "other"],
        ["-lother"],  # the client, who does not know this form, asked the nearest lab
        ["-jlother"],
        ["--lab", "small", "--lab", "other"],
        ["--lab", "/labs"],
    ],
)
def test_another_lab_than_the_daemons_own_is_not_its_business(words: list[str]) -> None:
    with pytest.raises(Refused, match="another lab"):
        parsed("refresh", *words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["destroy"],
        ["dev"],
        ["status", "--verbose"],
        ["refresh", "--help"],
        ["refresh", "-h"],
        ["refresh", "--lab"],
        ["refresh", "--nonsense"],
        ["refresh", "--js"],
        ["refresh", "--json=yes"],
        ["refresh", "verify"],
        ["refresh", ""],
        ["restore"],
        ["restore", "--json"],
        ["restore", "first", "second"],
        ["restore", "--name", "first"],
        ["snapshot", "-x"],
        ["--json"],
    ],
)
def test_words_it_does_not_know_are_left_to_the_client(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refused):
        parsed(*words)
    told = capsys.readouterr()
    assert told.out + told.err == ""
