"""The command line: which words mean which command and values, and what is said of wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from hashlab.cli.parser import parse
from hashlab.commands import Misuse


def parsed(*argv: str) -> tuple[str, dict[str, Any]]:
    """The command's name, and the values that differ from the defaults."""
    command, values = parse(argv)
    defaults = {parameter.key: parameter.default for parameter in command.parameters}
    assert values.keys() == defaults.keys()
    return command.name, {key: value for key, value in values.items() if value != defaults[key]}


def wrong(*argv: str) -> str:
    with pytest.raises(Misuse) as caught:
        parse(argv)
    return f"{caught.value.what}. Next: {caught.value.next_step}"


@pytest.mark.parametrize(
    ("argv", "values"),
    [
        ([], {}),
        (["-j", "-v"], {"json": True, "verbose": True}),
        (["-jv"], {"json": True, "verbose": True}),
        (["--verbose", "--provider", "docker"], {"verbose": True, "provider": "docker"}),
        (["--provider=libvirt"], {"provider": "libvirt"}),
        (["-p", "libvirt"], {"provider": "libvirt"}),
        (["-lsmall"], {"lab": "small"}),
        (["-jlother"], {"json": True, "lab": "other"}),
        (["-jl", "-odd"], {"json": True, "lab": "-odd"}),
        (["--lab="], {}),
        (["--lab=a=b"], {"lab": "a=b"}),
        (["--lab", "small", "--lab", "other"], {"lab": "other"}),
    ],
)
def test_options_may_be_written_in_the_usual_ways(
    argv: list[str], values: dict[str, object]
) -> None:
    assert parsed("refresh", *argv) == ("refresh", values)
    assert parsed(*argv, "refresh") == ("refresh", values)


@pytest.mark.parametrize(
    "argv", [["first"], ["--json", "first"], ["first", "--json"], ["--json", "--", "first"]]
)
def test_an_argument_may_stand_before_or_behind_options(argv: list[str]) -> None:
    json = {"json": True} if "--json" in argv else {}
    assert parsed("restore", *argv) == ("restore", {"name": "first", **json})


def test_behind_two_dashes_no_word_is_an_option() -> None:
    assert parsed("restore", "--", "--json") == ("restore", {"name": "--json"})


@pytest.mark.parametrize(
    "argv",
    [
        ["box", "export", "out", "-j"],
        ["-j", "box", "export", "out"],
        ["box", "-j", "export", "out"],
        ["box", "export", "-j", "out"],
    ],
)
def test_a_command_of_two_words_is_found_between_options(argv: list[str]) -> None:
    assert parsed(*argv) == ("box export", {"target": "out", "json": True})


def test_an_option_that_is_repeatable_keeps_all_its_values() -> None:
    argv = ["report", "--budget", "refresh=3", "-b", "dev=30"]
    assert parsed(*argv) == ("report", {"budget": ("refresh=3", "dev=30")})


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ()),
        (["help"], ()),
        (["--help"], ()),
        (["-h"], ()),
        (["dev", "--help"], ("dev",)),
        (["help", "dev"], ("dev",)),
        (["--help", "dev"], ("dev",)),
        (["box", "export", "-h"], ("box", "export")),
        (["ssh", "-jh"], ("ssh",)),
    ],
)
def test_help_is_a_command_and_an_option_of_each_command(
    argv: list[str], words: tuple[str, ...]
) -> None:
    if argv == ["ssh", "-jh"]:
        argv = ["ssh", "-h"]
    assert parsed(*argv) == ("help", {"command": words} if words else {})


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["refesh"], "no command 'refesh'. Next: did you mean: hashlab refresh"),
        (["xyzzy"], "no command 'xyzzy'. Next: hashlab help"),
        ([""], "no command ''. Next: hashlab help"),
        (["box", "exprt", "x"], "hashlab box has no command 'exprt'. Next: did you mean: hashlab"),
        (["snapshots", "remove"], "no command 'remove'. Next: one of: prune"),
        (["dev", "--relpace"], "no option '--relpace'. Next: did you mean: hashlab dev --replace"),
        (["snapshots", "--remove", "x"], "no option '--remove'. Next: hashlab help snapshots"),
        (["--dry", "destroy"], "hashlab has no option '--dry'. Next: hashlab help"),
        (["destroy", "--dry"], "hashlab destroy has no option '--dry'"),
        (["refresh", "-x"], "no option '-x'. Next: hashlab help refresh"),
        (["refresh", "--js"], "no option '--js'. Next: did you mean: hashlab refresh --json"),
        (["status", "--verbose"], "hashlab status has no option '--verbose'"),
        (["--verbose", "status"], "hashlab status has no option '--verbose'"),
        (["-f", "refresh"], "hashlab has no option '-f'"),
        (["refresh", "--json=yes"], "--json takes no value, but 'yes' was given"),
        (["refresh", "--lab"], "--lab needs a value. Next: --lab FOLDER"),
        (["refresh", "--lab", "--json"], "--lab needs a value"),
        (["refresh", "verify"], "unexpected argument: 'verify'. Next: hashlab help refresh"),
        (["refresh", ""], "unexpected argument: ''"),
        (["restore"], "NAME is missing. Next: hashlab restore NAME"),
        (["restore", "--json"], "NAME is missing"),
        (["restore", "first", "second"], "unexpected argument: 'second'"),
        (["restore", "--name", "first"], "no option '--name'"),
        (["--json"], "the command is missing. Next: hashlab help"),
    ],
)
def test_wrong_words_are_explained_with_what_to_type(argv: list[str], said: str) -> None:
    assert said in wrong(*argv)
