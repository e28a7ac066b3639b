"""Entry point of the console script: the daemon where that is enough, else Invoke's tasks."""

from __future__ import annotations

import sys

from hashlab.daemon import client


def main() -> None:
    """Run one command line; ends with SystemExit."""
    try:
        _main(sys.argv[1:])
    except KeyboardInterrupt:  # outside of what a run guards
        sys.exit(client.INTERRUPTED)


def _main(words: list[str]) -> None:
    code = client.ask(words) if words and words[0] in client.COMMANDS else None
    if code is not None:
        sys.exit(code)
    from hashlab.tasks import run  # noqa: PLC0415 - it takes ten times as long as the above

    run()
