"""One `hashlab ui`: serves the page of a lab until Ctrl-C."""

from __future__ import annotations

import os
import select
import sys

from hashlab.documents import to_json
from hashlab.errors import ExitCode, HashlabError, LaptopError, UsageError
from hashlab.phases.snapshots.listing import snapshots_document
from hashlab.report.terminal import write
from hashlab.run.desktop import open_address, opener
from hashlab.run.execution import Options, fail
from hashlab.run.labs import lab_folder, state_of
from hashlab.run.openssh import on_terminal
from hashlab.run.signals import terminating
from hashlab.ui.actions import Actions
from hashlab.ui.collecting import collecting
from hashlab.ui.feed import Feed, Json
from hashlab.ui.guard import CODE_SECONDS
from hashlab.ui.runs import past_run
from hashlab.ui.server import Server, Site

HIGHEST_PORT = 65535
# Between two checks whether a person has pressed Enter.
CHECK_SECONDS = 0.5


def serve_page(options: Options, *, port: str, opens: bool) -> ExitCode:
    """Serve the page until Ctrl-C, which returns OK. ``opens``: open it in the browser."""
    with terminating():
        try:
            # Files that cannot be read are reported here, and not on the page.
            options.world().close()
            server = _listening(options, _port(port))
            try:
                with server.serving(), collecting(options, server.site.feed) as collector:
                    _invite(server, opens=opens)
                    while True:
                        collector.check()
                        _answer_enter(server)
            except KeyboardInterrupt:
                return ExitCode.OK
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except HashlabError as error:
            return fail(error, options)
    return ExitCode.OK


def _listening(options: Options, port: int) -> Server:
    """Return a server on a port of 127.0.0.1; 0: a free one. Raises HashlabError."""
    feed = Feed()
    state = state_of(options.lab)
    actions = Actions(lab_folder(options.lab), options.provider, feed)

    def snapshots(_: str) -> Json:
        try:
            with options.opened() as world:
                found: Json = to_json(snapshots_document(world))
                return found
        except HashlabError as error:
            return {"snapshots": [], "problem": error.what}

    site = Site(
        feed,
        act=actions.start,
        get={"/run": lambda name: past_run(state, name), "/snapshots": snapshots},
    )
    try:
        return Server(site, port)
    except OSError as error:
        raise LaptopError(
            f"port {port} of 127.0.0.1 cannot be used: {error.strerror}",
            next_step="hashlab ui, which takes a free port",
        ) from error


def _port(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= HIGHEST_PORT:
        raise UsageError(f"{text} is not a valid port number", next_step="--port 8800")
    return int(text)


def _invite(server: Server, *, opens: bool) -> None:
    """Print an address, and open it."""
    address = server.address()
    write(sys.stdout, f"{address}\n")
    program = opener(os.environ) if opens and on_terminal() else None
    if program is not None and not open_address(program, address):
        write(sys.stderr, f"{program} is not installed, so no browser was opened\n")
    more = "Enter prints another. " if on_terminal() else ""
    write(
        sys.stderr,
        f"The address lets in one browser, within {CODE_SECONDS / 60:g} minutes. {more}"
        "Ctrl-C ends the page.\n",
    )


def _answer_enter(server: Server) -> None:
    """Print a new address if a person presses Enter within CHECK_SECONDS."""
    ready, _, _ = select.select([sys.stdin] if on_terminal() else [], [], [], CHECK_SECONDS)
    # A job in the background would be stopped if it read from the terminal.
    if ready and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
        if not sys.stdin.readline():
            raise KeyboardInterrupt
        write(sys.stdout, f"{server.address()}\n")
