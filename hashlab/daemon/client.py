"""Asks the lab's daemon to run a command. Imports next to nothing: that is its point."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from hashlab.state.labfolder import chosen
from hashlab.state.ownership import distrusted
from hashlab.state.private import STATE, inside, kind, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SWITCH = "HASHLAB_DAEMON"
OFF = ("0", "no", "off", "false")
SOCKET = "daemon.sock"
LOG = "daemon.log"
# Where a new daemon says that it listens.
READY_FD = 3
STANDARD = (0, 1, 2)
# How the kernel tells whose process is at the other end, on Linux and on macOS (SOL_LOCAL is 0):
# level, option, size of the answer. Its second word of 4 bytes is the user's id.
PEER = ((socket.SOL_SOCKET, "SO_PEERCRED", 12), (0, "LOCAL_PEERCRED", 76))
# The longest request that is sent and taken, in bytes.
REQUEST_LIMIT = 1 << 20
# A daemon answers a request at once; one that does not is stopped, or hangs.
ANSWER_SECONDS = 5.0
# How long a new daemon may take until it listens, and an old one until it has ended.
STARTING_SECONDS = 10.0
ENDING_SECONDS = 10.0
LOST, INTERRUPTED = 4, 130
# Why a daemon does not carry out a command: it ends, for it is older than this code; it is at work;
# it does not answer.
ENDING, BUSY, SILENT = "ending", "busy", "silent"


def ask(command: str, values: Mapping[str, object]) -> int | None:
    """Let the lab's daemon run a command, starting one if need be; ``values``: what was typed.

    Returns its exit code; None if no daemon runs it, and the caller does it itself.
    """
    folder = _folder(str(values["lab"]))
    if folder is None:
        return None
    _open_standard()
    state = os.path.join(folder, STATE)
    for _ in range(2):
        wire = _connected(state) or (_connected(state) if _start(folder, state) else None)
        if wire is None:
            return None
        with wire:
            answer = _converse(wire, _request(command, values, folder))
            if "code" in answer:
                return int(answer["code"])
            if answer.get("refused") == SILENT:
                sys.stderr.write("the lab's background process does not answer: not used\n")
            if answer.get("refused") != ENDING:
                return None
            _wait_for_end(wire)
    return None


def _folder(lab: str) -> str | None:
    """The folder of the lab whose daemon may be asked; ``lab``: value of --lab."""
    if os.environ.get(SWITCH, "").lower() in OFF:
        return None
    try:
        folder = chosen(lab, os.getcwd())
    except OSError:
        return None  # the current folder was removed
    if folder is None or kind(os.path.join(folder, STATE)) != stat.S_IFDIR or distrusted(folder):
        return None
    return folder


def stop(folder: str) -> None:
    """End the lab's daemon, if there is one, and wait until it is gone; one that is at work ends
    after it.
    """
    state = os.path.join(folder, STATE)
    wire = _connected(state)
    if wire is None:
        return
    with wire, suppress(OSError):
        os.unlink(os.path.join(state, SOCKET))
        _send(wire, _body({"stop": True}))
        _wait_for_end(wire)


def _wait_for_end(wire: socket.socket) -> None:
    """The wire ends with the process at its other end."""
    wire.settimeout(ENDING_SECONDS)
    with suppress(OSError):
        while wire.recv(1024):
            pass


def _open_standard() -> None:
    """Where one of the three streams is closed, the next file opened would be taken for it."""
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def fingerprint() -> str:
    """Tells this installation's code from an older one of it, in a millisecond."""
    newest = 0
    count = 0
    folder = os.path.dirname(os.path.dirname(__file__))
    for entry in _code_files(folder):
        newest = max(newest, entry.stat().st_mtime_ns)
        count += 1
    return f"{sys.executable} {folder} {count} {newest}"


def _code_files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _code_files(entry.path)
            elif entry.name.endswith((".py", ".sh")):
                yield entry


def _connected(state: str) -> socket.socket | None:
    """A wire to the daemon; None when none listens. What another user listens with would work as
    that user, and receive this one's environment: nothing is sent to it.
    """
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(ANSWER_SECONDS)  # one that is stopped lets no more than 128 connect
    try:
        with inside(state):
            found = os.lstat(SOCKET)
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
                wire.connect(SOCKET)
                if _user_behind(wire) == os.geteuid():
                    return wire
    except OSError:
        pass  # nobody listens
    wire.close()
    return None


def _user_behind(wire: socket.socket) -> int | None:
    """The user of the process at the other end, as the kernel knows it; None if it cannot tell."""
    for level, name, size in PEER:
        option = getattr(socket, name, None)
        if option is not None:
            return int.from_bytes(wire.getsockopt(level, option, size)[4:8], sys.byteorder)
    return None


def _start(folder: str, state: str) -> bool:
    """Start a daemon and wait until it listens; False when it does not come to that."""
    ready, told = os.pipe()
    log = None
    try:
        log = open_file(os.path.join(state, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.posix_spawn(
            sys.executable,
            # -P: the folder one stands in may have files named like Python's modules.
            [sys.executable, "-P", "-m", "hashlab.daemon", folder],
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, told, READY_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
        )
    except OSError:
        os.close(ready)
        return False
    finally:
        os.close(told)
        if log is not None:
            os.close(log)
    with os.fdopen(ready, "rb", buffering=0) as stream:
        listens, _, _ = select.select([stream], [], [], STARTING_SECONDS)
        return bool(listens) and stream.read(1) == b"."


def _converse(wire: socket.socket, request: Mapping[str, object]) -> Mapping[str, Any]:
    """Hand over the terminal, wait for the end; Ctrl-C is passed on, and a second one leaves."""
    body = _body(request)
    if len(body) > REQUEST_LIMIT:
        return {"refused": "too large"}
    begun: list[bool] = []
    try:
        with _passed_on(wire, begun):
            _send(wire, body)
            for line in wire.makefile():
                answer: Mapping[str, Any] = json.loads(line)
                if "give" in answer:
                    # Not sooner: what a daemon that hangs was sent would stay open, a pipe too.
                    socket.send_fds(wire, [b"."], STANDARD)
                elif "begun" in answer:
                    begun.append(True)
                    wire.settimeout(None)
                else:
                    return answer
    except TimeoutError:
        return {"refused": SILENT}
    except (OSError, ValueError):
        pass  # it is gone
    if not begun:
        return {"refused": ENDING}
    # Not the folder: its name may hold what a terminal obeys.
    log = os.path.join(STATE, LOG)
    sys.stderr.write(f"the lab's background process is gone: {log}\nNext: run it again\n")
    return {"code": LOST}


def _request(command: str, values: Mapping[str, object], folder: str) -> Mapping[str, object]:
    """A command, and all that the daemon takes over from its client."""
    mask = os.umask(0o077)
    os.umask(mask)
    return {
        "command": command,
        "values": values,
        "folder": folder,
        "code": fingerprint(),
        "cwd": os.getcwd(),
        "umask": mask,
        "environ": dict(os.environ),
        "streams": [
            [stream.encoding, stream.errors] if stream else ["utf-8", "replace"]
            for stream in (sys.stdout, sys.stderr)
        ],
    }


def _body(request: Mapping[str, object]) -> bytes:
    return json.dumps(request).encode()


def _send(wire: socket.socket, body: bytes) -> None:
    wire.sendall(len(body).to_bytes(4, "big") + body)


@contextmanager
def _passed_on(wire: socket.socket, begun: Sequence[bool]) -> Iterator[None]:
    """The daemon has the terminal, but not its signals. Raises KeyboardInterrupt at the second
    signal, and at the first while nothing has begun: the daemon interrupts a run whose client left.
    """
    passed: list[int] = []

    def tell(number: int, _: object) -> None:
        if passed or not begun:
            raise KeyboardInterrupt
        passed.append(number)
        with suppress(OSError):
            wire.send(b"!")

    numbers = (signal.SIGINT, signal.SIGTERM)
    # A shell has those ignored that are not for what it runs in the background.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, tell) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
