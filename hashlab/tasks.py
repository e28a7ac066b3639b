"""Invoke's tasks, made from the table of commands: ``inv dev`` is ``hashlab dev``.

A user's own tasks.py needs two lines: a comment, and ``from hashlab.tasks import namespace``.
"""

from __future__ import annotations

import sys
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.parser.argument import Argument as Parsed
from invoke.tasks import Task

from hashlab.cli.main import refuse, run
from hashlab.commands import NAMES, Argument, Command, Misuse, Option, load

# Invoke has its own help, and shells complete `hashlab`.
WITHOUT_TASK = ("help", "completion")


class CommandTask(Task[Any]):
    """One command as a task."""

    def __init__(self, command: Command, name: str) -> None:
        def body(context: Context, **values: Any) -> None:
            if context.config.run.dry:
                wrong = Misuse("hashlab has no dry run", f"inv {command.name}, without --dry")
                sys.exit(refuse(wrong, sys.argv))
            sys.exit(run(command, {**values, **_tuples(command, values)}))

        body.__doc__ = f"{command.summary}\n\n{command.text}"
        super().__init__(body, name=name)
        self._command = command

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Parsed]:
        """See Task. Only a word that must be there is positional: Invoke knows no others."""
        return [_parsed(parameter) for parameter in self._command.parameters]


def _tuples(command: Command, values: dict[str, Any]) -> dict[str, Any]:
    return {p.key: tuple(values[p.key]) for p in command.parameters if p.default == ()}


def _parsed(parameter: Argument | Option) -> Parsed:
    """A parameter in Invoke's form."""
    short = [parameter.short] if isinstance(parameter, Option) and parameter.short else []
    positional = isinstance(parameter, Argument) and parameter.required
    kind = list if parameter.default == () else type(parameter.default)
    return Parsed(
        names=(parameter.name, *short),
        # An argument that is its own alias sends Invoke round in circles.
        attr_name=parameter.key if parameter.key != parameter.name else None,
        help=parameter.help,
        kind=kind,
        default=None if positional else [] if kind is list else parameter.default,
        positional=positional,
    )


def _collection() -> Collection:
    """All commands; ``hashlab box export`` is the task ``box.export``."""
    made = Collection()
    groups = {name.split()[0] for name in NAMES if " " in name}
    for name in NAMES:
        first, _, second = name.partition(" ")
        if name in WITHOUT_TASK:
            continue
        if first not in groups:
            made.add_task(CommandTask(load(name), name))
        elif second:
            made.collections[first].add_task(CommandTask(load(name), second))
        else:
            group = Collection(first)
            group.add_task(CommandTask(load(name), "list"), default=True)
            made.add_collection(group)
    return made


namespace = _collection()
