"""Asks the lab's daemon to carry out a command. Imports next to nothing: that is its point."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

# Commands that a daemon carries out; others boot or remove machines, and are not asked often.
COMMANDS = ("refresh", "verify", "seed", "status")
SWITCH = "HASHLAB_DAEMON"
OFF = ("0", "no", "off", "false")
STATE = ".hashlab"
SOCKET = "daemon.sock"
LOG = "daemon.log"
# Where a new daemon says that it listens.
READY_FD = 3
LOST = 4
# Why a daemon does not carry out a command: it is older than this code, or at work.
OTHER_CODE, BUSY = "other code", "busy"


def ask(words: Sequence[str], folder: str) -> int | None:
    """Let the daemon of the lab in ``folder`` carry out a command, starting one if need be.

    Returns its exit code; None when there is nobody to ask, and the caller does it itself.
    """
    state = os.path.join(folder, STATE)
    if os.environ.get(SWITCH, "").lower() in OFF or not os.path.isdir(state):
        return None
    for _ in range(2):
        wire = _connected(state) or (_connected(state) if _start(folder, state) else None)
        if wire is None:
            return None
        with wire:
            answer = _converse(wire, words, folder)
        if "code" in answer:
            return int(answer["code"])
        if answer.get("refused") != OTHER_CODE:
            return None
    return None


def stop(folder: str) -> None:
    """End the lab's daemon, if there is one, and wait until it is gone."""
    wire = _connected(os.path.join(folder, STATE))
    if wire is None:
        return
    with wire:
        _send(wire, {"stop": True})
        with suppress(OSError):
            while wire.recv(1024):
                pass


def fingerprint() -> str:
    """Tells this installation's code from an older one of it, in a millisecond."""
    newest = 0
    count = 0
    for entry in _python_files(os.path.dirname(__file__)):
        newest = max(newest, entry.stat().st_mtime_ns)
        count += 1
    return f"{sys.executable} {count} {newest}"


def _python_files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _python_files(entry.path)
            elif entry.name.endswith(".py"):
                yield entry


def _connected(state: str) -> socket.socket | None:
    """A wire to the daemon; None when none listens."""
    wire = socket.socket(socket.AF_UNIX)
    try:
        with inside(state):
            wire.connect(SOCKET)
    except OSError:
        wire.close()
        return None
    return wire


@contextmanager
def inside(folder: str) -> Iterator[None]:
    """The path of a socket may have 107 characters only, so it is named from its own folder."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _start(folder: str, state: str) -> bool:
    """Start a daemon and wait until it listens; False when it does not come to that."""
    ready, told = os.pipe()
    log = os.path.join(state, LOG)
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "hashlab.daemon", folder],
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, told, READY_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
    except OSError:
        return False
    finally:
        os.close(told)
    with os.fdopen(ready, "rb") as stream:
        return stream.read(1) == b"."


def _converse(wire: socket.socket, words: Sequence[str], folder: str) -> Mapping[str, Any]:
    """Hand over the terminal, wait for the end; Ctrl-C is passed on."""
    request = {
        "words": list(words),
        "code": fingerprint(),
        "cwd": os.getcwd(),
        "environ": dict(os.environ),
    }
    try:
        _send(wire, request, [0, 1, 2])
        with _passed_on(wire):
            answer = wire.makefile().readline()
    except OSError:
        answer = ""
    if not answer:
        log = os.path.join(folder, STATE, LOG)
        sys.stderr.write(f"the lab's background process is gone: {log}\nNext: run it again\n")
        return {"code": LOST}
    value: Mapping[str, Any] = json.loads(answer)
    return value


def _send(wire: socket.socket, request: Mapping[str, object], fds: Sequence[int] = ()) -> None:
    body = json.dumps(request).encode()
    head = len(body).to_bytes(4, "big")
    if fds:
        socket.send_fds(wire, [head], list(fds))
    else:
        wire.sendall(head)
    wire.sendall(body)


@contextmanager
def _passed_on(wire: socket.socket) -> Iterator[None]:
    """The daemon has the terminal, but not its signals."""

    def tell(*_: object) -> None:
        with suppress(OSError):
            wire.send(b"!")

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
