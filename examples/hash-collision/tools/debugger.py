#!/usr/bin/env python3
"""Opens a port of the laptop for an IDE, which leads to the debugger's port of a running service.

    debugger.py MACHINE/SERVICE PORT     for example services/user 17000, until Ctrl-C

The lab must have been started with JRE_VARIANT=-debug. A JVM takes one debugger at a time.
"""

from __future__ import annotations

import os
import socket
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import debugport

LAB = Path(__file__).parents[1]
USAGE = 2


def relay(place: str, port: int) -> None:
    """Leads each connection to the JVM, by ``hashlab ssh``. Ends with KeyboardInterrupt."""
    machine, _, service = place.partition("/")
    with (LAB / "hashlab.toml").open("rb") as settings:
        lab = tomllib.load(settings)["lab"]["name"]
    inside = debugport.container_command(lab, service)
    command = ["hashlab", "ssh", machine, "--command", inside, "--lab", str(LAB)]
    with socket.create_server(("127.0.0.1", port)) as server:
        print(f"127.0.0.1:{server.getsockname()[1]} leads to {place}; Ctrl-C ends it", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                child = debugport.spawn(command, connection)
            os.waitpid(child, 0)


def main(words: list[str]) -> int:
    """The exit code."""
    if len(words) != 2 or "/" not in words[0] or not words[1].isdigit():
        print("usage: debugger.py MACHINE/SERVICE PORT", file=sys.stderr)
        return USAGE
    try:
        with suppress(KeyboardInterrupt):
            relay(words[0], int(words[1]))
    except (OSError, OverflowError) as error:
        print(f"debugger: 127.0.0.1:{words[1]}: {error}", file=sys.stderr)
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
