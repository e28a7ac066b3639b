"""The table of commands: complete, free of clashes, and the same in all that is made from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import hashlab.commands
from hashlab import commands, tasks
from hashlab.commands import FILE, HELP, NAMES, PROFILE, PROVIDER, VERSION, Command, Option, load
from hashlab.commands.help import MEANINGS, command_help, overview
from hashlab.errors import ExitCode
from hashlab.report.budget import RECORDED

COMMANDS = [load(name) for name in NAMES]
OPTIONS = [option for command in COMMANDS for option in (*command.options, HELP, VERSION)]
ROOT = Path(__file__).parents[3]


def test_each_module_of_the_folder_is_a_command_of_the_table() -> None:
    files = Path(hashlab.commands.__file__).parent.glob("[!_]*.py")
    assert {f"hashlab.commands.{path.stem}" for path in files} == {
        *map(commands.module_name, NAMES)
    }


def test_each_command_that_reads_a_lab_for_a_provider_takes_compose_files_too() -> None:
    for name in NAMES:
        options = load(name).options
        assert (PROVIDER in options) == (FILE in options) == (PROFILE in options), name


def test_a_short_option_means_the_same_in_all_commands() -> None:
    meanings = {(option.short, option.name) for option in OPTIONS if option.short}
    assert len({short for short, _ in meanings}) == len(meanings)
    assert [name for short, name in meanings if short == "f"] == ["follow"]


def test_options_of_one_name_take_the_same_values_in_all_commands() -> None:
    def form(option: Option) -> tuple[object, ...]:
        return option.name, option.value, option.choices, option.complete, option.many

    assert len({form(option) for option in OPTIONS}) == len({option.name for option in OPTIONS})


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_each_command_has_help_an_example_and_known_exit_codes(command: Command) -> None:
    assert len(command.summary) <= 61  # in one line of 80 columns, behind the longest name
    assert command.summary.endswith(".")
    assert any(f"hashlab {command.name}" in line for _, line in command.examples)
    assert {*command.exits} <= {int(code) for code in ExitCode}
    assert {*command.exits} <= {*MEANINGS}
    keys = [parameter.key for parameter in command.parameters]
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize("width", [80, 100])
def test_help_keeps_within_the_width_of_the_terminal(width: int) -> None:
    pages = [overview(width), *(command_help(command, width) for command in COMMANDS)]
    prose = [
        line
        for page in pages
        for line in page.splitlines()
        if not line.startswith(("  # ", "  $ ", "  hashlab "))
        and "hashlab help COMMAND" not in line
    ]
    widest = max(prose, key=len)
    assert len(widest) <= width, widest


def test_help_of_hashlab_names_every_command_and_common_option_once() -> None:
    lines = [line.split("  ")[1] for line in overview(80).splitlines() if line.startswith("  ")]
    assert [name for name in NAMES if lines.count(name) != 1] == []
    for option in (*commands.COMMON, HELP, VERSION):
        assert overview(80).count(f"--{option.name}") == 1


def test_invoke_has_each_command_as_a_task() -> None:
    names = {alias for name, more in tasks.namespace.task_names.items() for alias in (name, *more)}
    expected = {name.replace(" ", ".") for name in NAMES} - {*tasks.WITHOUT_TASK}
    assert expected <= names


def test_each_command_with_a_record_can_be_typed() -> None:
    for record, typed in RECORDED.items():
        words = [word for word in typed.split() if word.islower() and not word.startswith("-")]
        assert " ".join(words) in NAMES, record


def make_commands() -> ModuleType:
    path = ROOT / "docs/reference/make_commands.py"
    spec = importlib.util.spec_from_file_location("make_commands", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_and_readme_list_the_commands_of_the_table() -> None:
    made = make_commands()
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run: inv docs-commands"
    text = made.README.read_text(encoding="utf-8")
    assert made.LIST.search(text)
    assert text == made.readme(text), "run: inv docs-commands"
