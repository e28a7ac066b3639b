"""Entry point of the console script: the daemon where that is enough, else Invoke's tasks."""

from __future__ import annotations

import os
import sys

from hashlab import client
from hashlab.labfolder import named_by


def main() -> None:
    """Run one command line; ends with SystemExit."""
    words = sys.argv[1:]
    code = _asked(words) if words and words[0] in client.COMMANDS else None
    if code is not None:
        sys.exit(code)
    from hashlab.tasks import run  # noqa: PLC0415 - it takes ten times as long as the above

    run()


def _asked(words: list[str]) -> int | None:
    """The exit code of the daemon; None where the command is left to this process."""
    try:
        here = os.getcwd()  # noqa: PTH109 - pathlib would double the start
    except OSError:
        return None  # the folder was removed
    folder = named_by(words, here)
    return client.ask(words, folder) if folder else None
