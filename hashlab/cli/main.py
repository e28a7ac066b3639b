"""The console script ``hashlab``: one command line, from its words to an exit code.

A command that the lab's background process may run is handed over to it; what does the work is
imported only if it runs here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from hashlab import __version__
from hashlab.cli.parser import parse
from hashlab.commands import FILE, JSON, PROFILE, VERSION, Command, Misuse
from hashlab.daemon import client
from hashlab.state.labfolder import FILES_VARIABLE, SEPARATOR_VARIABLE, STDIN, named_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION_WORDS = (f"--{VERSION.name}", f"-{VERSION.short}")
# The exit code that a shell reports for a program whose reader closed the pipe.
BROKEN_PIPE = 141


def main() -> None:
    """Run the command line of this process; ends with SystemExit."""
    argv = sys.argv[1:]
    if argv and argv[0] in VERSION_WORDS:
        sys.stdout.write(f"hashlab {__version__}\n")
        sys.exit(0)
    try:
        sys.exit(run(*parse(argv)))
    except Misuse as wrong:
        sys.exit(refuse(wrong, argv))


def run(command: Command, values: Mapping[str, object]) -> int:
    """Run a command, in the lab's background process if that may and does; return its exit code."""
    os.environ.update(selection(values))
    try:
        if _reads_stdin(values) and (failed := _save_stdin(values)):
            return failed
        warm = command.warm and not values.get(command.lasting)
        code = client.ask(command.name, values) if warm else None
        return command.execute(values) if code is None else code
    except KeyboardInterrupt:  # outside of what a run guards
        return client.INTERRUPTED
    except BrokenPipeError:  # the reader of stdout, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def selection(values: Mapping[str, object]) -> dict[str, str]:
    """Return Compose's own variables for --file and --profile, which so win over the environment.

    The background process and watch read the lab with the variables of this process.
    """
    variables: dict[str, str] = {}
    if files := values.get(FILE.key):
        # pathlib takes as long to import as the rest of a warm command's start.
        paths = [path if path == STDIN else os.path.abspath(path) for path in _texts(files)]  # noqa: PTH100
        variables[FILES_VARIABLE] = os.pathsep.join(paths)
        variables[SEPARATOR_VARIABLE] = os.pathsep
    if profiles := values.get(PROFILE.key):
        variables["COMPOSE_PROFILES"] = ",".join(_texts(profiles))
    return variables


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()


def _reads_stdin(values: Mapping[str, object]) -> bool:
    """True if a Compose file of this command is standard input."""
    return FILE.key in values and STDIN in named_files(os.environ)


def _save_stdin(values: Mapping[str, Any]) -> int:
    """Keep the Compose file on standard input, because a run reads it more than once. Return 0, or
    the exit code of a failure.
    """
    from pathlib import Path

    from hashlab.errors import HashlabError
    from hashlab.run.execution import Options, fail
    from hashlab.run.labs import save_typed

    try:
        save_typed(Path(values["lab"]) if values["lab"] else None, sys.stdin.buffer.read())
    except HashlabError as error:
        return fail(error, Options(json=values.get(JSON.key, False)))
    return 0


def refuse(wrong: Misuse, argv: Sequence[str]) -> int:
    """Report a command line that makes no sense, as every failure is reported."""
    from hashlab.errors import UsageError
    from hashlab.run.execution import Options, fail

    json = f"--{JSON.name}" in argv or f"-{JSON.short}" in argv
    return fail(UsageError(wrong.what, next_step=wrong.next_step), Options(json=json))
