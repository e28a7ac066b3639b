"""`hashlab help [COMMAND]`: the help of hashlab and of each command, made from the table."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from hashlab import __version__
from hashlab.commands import (
    COMMON,
    GROUPS,
    HELP,
    NAMES,
    VERSION,
    Argument,
    Command,
    Option,
    load,
    unknown,
)
from hashlab.config import providers

COMMAND = Command(
    "Show the help of hashlab or of a command.",
    text="The same as --help behind a command.",
    examples=[("Show the options of dev", "hashlab help dev")],
    exits=(0, 2),
    arguments=[Argument("command", "The command.", complete="command", many=True)],
    common=(),
)
SLOGAN = "Your Compose file on three real machines, and back in seconds."
FIRST_STEPS = (
    ("Check what this laptop lacks", "hashlab doctor"),
    ("Build the box, boot the lab, start its services", "hashlab dev"),
    ("After an edit", "hashlab refresh"),
)
MEANINGS = {
    0: "success",
    2: "your files or the command line are wrong",
    3: "the laptop lacks something",
    4: "something in the lab failed",
    5: "another run holds the lab",
    130: "interrupted",
}
WIDEST = 100
INDENT = "  "

Row = tuple[str, str]


def run(command: Sequence[str]) -> int:
    """Print the help of a command, or that of hashlab."""
    name = " ".join(command)
    if name and name not in NAMES:
        what = f"hashlab has no command {name!r}"
        raise unknown(what, name, NAMES, typed="hashlab help ", help="hashlab help")
    show(name)
    return 0


def show(name: str = "") -> None:
    """Print the help of the command of this name on stdout; "" is hashlab itself."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = command_help(load(name), width) if name else overview(width)
    for line in text.splitlines():
        title = bold and line and not line.startswith(" ") and line in TITLES
        sys.stdout.write(f"\x1b[1m{line}\x1b[0m\n" if title else f"{line}\n")


def overview(width: int) -> str:
    """The help of hashlab: all commands in groups, the common options, first steps."""
    column = max(map(len, NAMES))
    groups = [
        (group, _rows([(name, load(name).summary) for name in names], width, column))
        for group, names in GROUPS.items()
    ]
    common = _rows([_option_row(option) for option in (*COMMON, HELP, VERSION)], width)
    return _page(
        [
            ("", [SLOGAN]),
            ("Usage", [f"{INDENT}hashlab COMMAND [OPTIONS]"]),
            *groups,
            ("Options of most commands", common),
            ("First steps", _examples(FIRST_STEPS, width)),
            ("", [f"hashlab {__version__}. For one command's options: hashlab help COMMAND"]),
        ]
    )


def command_help(command: Command, width: int) -> str:
    """The help of one command."""
    sub = [name for name in NAMES if name.startswith(f"{command.name} ")]
    common = [option for option in command.options if option not in command.own_options]
    arguments = [(a.usage.strip("[]"), parameter_help(a)) for a in command.arguments]
    exits = [(str(code), MEANINGS[code]) for code in command.exits]
    return _page(
        [
            ("", textwrap.wrap(command.summary, width)),
            ("", textwrap.wrap(command.text, width)),
            ("Usage", _usage(command, sub)),
            ("Commands", _rows([(name, load(name).summary) for name in sub], width)),
            ("Arguments", _rows(arguments, width)),
            ("Options", _rows([_option_row(o) for o in command.own_options], width)),
            ("Common options", _rows([_option_row(o) for o in (*common, HELP)], width)),
            ("Examples", _examples(command.examples, width)),
            ("Exit codes", _rows(exits, width)),
        ]
    )


TITLES = {
    *GROUPS,
    *("Usage", "Options of most commands", "First steps", "Commands", "Arguments", "Options"),
    *("Common options", "Examples", "Exit codes"),
}


def usage(command: Command) -> str:
    """The command as it is typed. Behind an argument that takes everything are no options."""
    words, options = [argument.usage for argument in command.arguments], ["[OPTIONS]"]
    raw = any(argument.raw for argument in command.arguments)
    return " ".join(["hashlab", command.name, *(options + words if raw else words + options)])


def _usage(command: Command, sub: Sequence[str]) -> list[str]:
    lines = [f"{INDENT}{usage(command)}"]
    return [*lines, f"{INDENT}hashlab {command.name} COMMAND [OPTIONS]"] if sub else lines


def _page(sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Join sections, those without lines left out."""
    blocks = [
        "\n".join([*([title] if title else []), *lines]) for title, lines in sections if lines
    ]
    return "\n\n".join(blocks)


def parameter_help(parameter: Argument | Option) -> str:
    """The help of an argument or option, with its choices."""
    choices = choices_of(parameter)
    named = not choices or all(choice in parameter.help for choice in choices)
    return parameter.help if named else f"{parameter.help} One of: {', '.join(choices)}."


def choices_of(parameter: Argument | Option) -> Sequence[str]:
    """The values that an argument or option may have; none if they are not known beforehand."""
    if parameter.complete == "provider":
        return (providers.AUTO, *providers.PROVIDERS)
    return parameter.choices


def _option_row(option: Option) -> Row:
    short = f"-{option.short}, " if option.short else "    "
    return short + option.usage, parameter_help(option)


def _rows(rows: Sequence[Row], width: int, column: int = 0) -> list[str]:
    """Two columns; the second is wrapped."""
    column = max([column, *(len(left) for left, _ in rows)]) if rows else 0
    first = len(INDENT) + column + 2
    lines = []
    for left, right in rows:
        start = f"{INDENT}{left:{column}}  "
        lines += textwrap.wrap(
            right,
            max(width, first + 20),
            initial_indent=start,
            subsequent_indent=" " * first,
            break_on_hyphens=False,
        )
    return lines


def _examples(examples: Sequence[Row], width: int) -> list[str]:
    lines = []
    for comment, line in examples:
        lines += [f"{INDENT}# {comment}", f"{INDENT}$ {line}"]
    return lines
