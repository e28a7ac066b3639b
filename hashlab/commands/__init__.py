"""The table of commands: their order and groups here, each in a module of its own.

``hashlab box export`` is ``hashlab/commands/box_export.py``: its ``COMMAND`` declares the words,
help and exit codes, its ``run`` does the work. The command line, the warm process, Invoke's tasks,
completion and docs/reference/commands.md are made from these declarations, so a module here imports
what does the work only in ``run``. The classes are plain ones: to define a dataclass takes longer
than all the rest of a warm command's start.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

# Importing it from typing would take as long as the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hashlab.run.wiring import Warm

GROUPS = {
    "Set up a lab": ("init", "init-box", "dev", "suspend", "resume", "halt", "destroy", "doctor"),
    "Work on it": ("refresh", "watch", "intercept", "seed", "verify"),
    "Look at it": (
        "status",
        "top",
        "ui",
        "events",
        "logs",
        "config",
        "report",
        "ssh",
        "forward",
        "open",
        "debug",
    ),
    "As under Compose": (
        "up",
        "down",
        "ps",
        "exec",
        "run",
        "cp",
        "stop",
        "start",
        "restart",
        "scale",
        "build",
        "pull",
    ),
    "Save and go back": ("snapshot", "restore", "snapshots", "snapshots prune"),
    "Take it elsewhere": ("images", "images prune", "push", "export", "deploy", "pipeline"),
    "Share the box": ("box", "box export", "box import", "box prune"),
    "More": ("completion", "help"),
}
NAMES = tuple(name for group in GROUPS.values() for name in group)


class Argument:
    """A word that follows a command. ``choices`` are offered by completion, and checked where the
    value is used; ``complete`` is "machine", "service", "snapshot", "provider", "command", "file"
    or "folder".

    ``many``: it takes all words that are left, as a tuple; such an argument may be left out.
    ``raw``: it takes everything behind the argument before it, options too.
    """

    def __init__(
        self,
        name: str,
        help: str,
        *,
        choices: Sequence[str] = (),
        complete: str = "",
        required: bool = True,
        many: bool = False,
        raw: bool = False,
    ) -> None:
        self.name, self.help, self.raw = name, help, raw
        self.choices, self.complete = tuple(choices), complete
        self.required, self.many = required and not many, many
        self.key = name.replace("-", "_")
        self.default: object = () if many else ""

    @property
    def usage(self) -> str:
        """The argument as it is shown in a line of usage."""
        shown = f"{self.name.upper()}..." if self.many else self.name.upper()
        return shown if self.required else f"[{shown}]"


class Option:
    """An option; ``value`` is what its value is called in help, and "" for a flag.

    ``short`` means the same option in all commands. ``many``: it may be given several times; its
    value is a tuple. ``key``: name of the parameter of ``run``, if the option's name cannot be one.
    """

    def __init__(
        self,
        name: str,
        help: str,
        *,
        short: str = "",
        value: str = "",
        choices: Sequence[str] = (),
        complete: str = "",
        many: bool = False,
        key: str = "",
    ) -> None:
        self.name, self.help, self.short, self.value = name, help, short, value
        self.choices, self.complete, self.many = tuple(choices), complete, many
        self.key = key or name.replace("-", "_")
        self.default: object = () if many else "" if value else False

    @property
    def usage(self) -> str:
        """The option with its value, as it is shown in help."""
        return f"--{self.name} {self.value}" if self.value else f"--{self.name}"


LAB = Option(
    "lab",
    "Folder of the lab, by default the nearest with a hashlab.toml, else with a Compose file.",
    short="l",
    value="FOLDER",
    complete="folder",
)
PROVIDER = Option(
    "provider",
    "Where machines come from, instead of lab.provider in hashlab.toml; virtualbox and hosts are "
    "experimental.",
    short="p",
    value="NAME",
    complete="provider",
)
FILE = Option(
    "file",
    "Compose file, instead of lab.compose in hashlab.toml; a later one overrides an earlier one.",
    value="FILE",
    complete="file",
    many=True,
)
PROFILE = Option(
    "profile",
    "Profile of the Compose file whose services are started, instead of COMPOSE_PROFILES.",
    value="NAME",
    many=True,
)
JSON = Option(
    "json",
    "Print one JSON document on stdout, all else on stderr.",
    short="j",
)
VERBOSE = Option("verbose", "Show the output of the tools that hashlab runs.", short="v")
HELP = Option("help", "Show help.", short="h")
VERSION = Option("version", "Show the version of hashlab.", short="V")
# Options of each command that reads the lab's files; of nearly every command. Help describes them
# once.
READING = (LAB, FILE, PROFILE, PROVIDER)
COMMON = (*READING, JSON, VERBOSE)

# Exit codes: of a run of phases; of a command that only reads.
RUN_EXITS = (0, 2, 3, 4, 5, 130)
READ_EXITS = (0, 2, 3, 130)


class Command:
    """One command. ``text`` is a paragraph for its own help, ``examples`` are pairs of a comment
    and a command line, ``exits`` its exit codes. ``warm``: the lab's background process may run it,
    but not with the option ``lasting``, which lets it run until Ctrl-C.
    ``compose``: how it differs from Compose's command of this name.
    """

    name = ""

    def __init__(
        self,
        summary: str,
        *,
        text: str,
        examples: Sequence[tuple[str, str]],
        exits: Sequence[int],
        arguments: Sequence[Argument] = (),
        options: Sequence[Option] = (),
        common: Sequence[Option] = COMMON,
        warm: bool = False,
        lasting: str = "",
        compose: str = "",
    ) -> None:
        self.summary, self.compose, self.text, self.examples = (
            summary,
            compose,
            text,
            tuple(examples),
        )
        self.arguments, self.own_options = tuple(arguments), tuple(options)
        self.options = (*self.own_options, *common)
        self.exits, self.warm, self.lasting = tuple(exits), warm, lasting

    @property
    def parameters(self) -> tuple[Argument | Option, ...]:
        """Its arguments and options."""
        return (*self.arguments, *self.options)

    def accepts(self, values: Mapping[str, object]) -> bool:
        """True if ``values`` has exactly this command's parameters, each of its type."""
        defaults = {parameter.key: parameter.default for parameter in self.parameters}
        return values.keys() == defaults.keys() and all(
            type(values[key]) is type(default) for key, default in defaults.items()
        )

    def execute(
        self, values: Mapping[str, Any], *, folder: str | None = None, warm: Warm | None = None
    ) -> int:
        """Run it in this process and return its exit code.

        ``values``: what was typed, by key. ``folder``: the lab, if that is known. ``warm``: what
        earlier runs of this process have kept.
        """
        run = sys.modules[module_name(self.name)].run
        common = {option.key for option in COMMON}
        rest = {p.key: values[p.key] for p in self.parameters if p.key not in common}
        if LAB not in self.options:
            return int(run(**rest))
        from pathlib import Path

        from hashlab.run.execution import Options

        lab = folder or values["lab"]
        options = Options(
            Path(lab) if lab else None,
            values["provider"] or None,
            values.get("json", False),
            values.get("verbose", False),
            warm=warm,
        )
        return int(run(options, **rest))


class Misuse(Exception):
    """A command line that makes no sense: what is wrong, and what to type. It stands for
    ``hashlab.errors.UsageError``, which takes longer to import than a warm command's client.
    """

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.what, self.next_step = what, next_step


def unknown(what: str, word: str, known: Sequence[str], *, typed: str, help: str) -> Misuse:
    """The Misuse for a word that is not one of ``known``. ``typed``: what is typed before such a
    word; ``help``: what to type if no known word is similar.
    """
    from difflib import get_close_matches

    bare = {each.lstrip("-"): each for each in known}  # dashes would make all options alike
    close = get_close_matches(word.lstrip("-"), bare, n=1)
    return Misuse(what, f"did you mean: {typed}{bare[close[0]]}" if close else help)


def module_name(name: str) -> str:
    """The module of a command: ``box export`` is in ``hashlab.commands.box_export``."""
    return f"{__name__}.{name.replace(' ', '_').replace('-', '_')}"


def load(name: str) -> Command:
    """The command of this name, which is one of NAMES; it imports that one's module only."""
    module = module_name(name)
    __import__(module)
    command: Command = sys.modules[module].COMMAND
    command.name = name
    return command
