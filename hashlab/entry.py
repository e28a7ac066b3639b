"""Entry point of the console script: the daemon where that is enough, else Invoke's tasks."""

from __future__ import annotations

import os
import sys

from hashlab import client
from hashlab.labfolder import named_by


def main() -> None:
    """Run one command line; ends with SystemExit."""
    words = sys.argv[1:]
    if words and words[0] in client.COMMANDS:
        folder = named_by(words, os.getcwd())  # noqa: PTH109 - pathlib would double the start
        code = client.ask(words, folder) if folder else None
        if code is not None:
            sys.exit(code)
    from hashlab.tasks import run  # noqa: PLC0415 - it takes ten times as long as the above

    run()
