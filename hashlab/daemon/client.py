"""The client of the lab's background process. Imports next to nothing, so that it starts fast."""

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
# A new server reports on this descriptor that it listens.
READY_FD = 3
STANDARD = (0, 1, 2)
# The kernel's answer about the process at the other end, on Linux and on macOS (SOL_LOCAL is 0):
# level, option, size of the answer. Its second word of 4 bytes is the user's id.
PEER = ((socket.SOL_SOCKET, "SO_PEERCRED", 12), (0, "LOCAL_PEERCRED", 76))
# The longest request, in bytes.
REQUEST_LIMIT = 1 << 20
# A server answers a request at once; if it does not, it is stopped or hangs.
ANSWER_SECONDS = 5.0
# How long a new server may take until it listens, and an old one until it has ended.
STARTING_SECONDS = 10.0
ENDING_SECONDS = 10.0
GONE, INTERRUPTED = 4, 130
# The kinds of requests: a run of a command; a refresh of `hashlab watch`, which shows its result
# itself; to read the events of the lab; to publish those of a run elsewhere; to end.
RUN, ROUND, EVENTS, PUBLISH, STOP = "run", "round", "events", "publish", "stop"
# Why a server refuses: its code is older than the client's, so it ends; it is busy; the client's
# code is older than the server's; it does not answer.
ENDING, BUSY, OLDER, SILENT = "ending", "busy", "older", "silent"

Socket = socket.socket


def ask(command: str, values: Mapping[str, object]) -> int | None:
    """Let the lab's background process run a command. ``values``: the parsed command line.

    Returns the exit code; None if no process runs it, and the caller runs it itself.
    """
    try:
        folder = chosen(str(values["lab"]), os.getcwd())
    except OSError:
        return None  # the current folder was removed
    answer = answer_to(folder, RUN, command, values)
    if "gone" in answer:
        # Not the folder: its name may contain control characters of a terminal.
        log = os.path.join(STATE, LOG)
        sys.stderr.write(f"the lab's background process is gone: {log}\nNext: run it again\n")
        return GONE
    return int(answer["code"]) if "code" in answer else None


def is_off() -> bool:
    """True if the user does not want a background process."""
    return os.environ.get(SWITCH, "").lower() in OFF


def usable(folder: str | None) -> bool:
    """True if the lab in ``folder`` may have a background process."""
    return (
        not is_off()
        and folder is not None
        and kind(os.path.join(folder, STATE)) == stat.S_IFDIR
        and not distrusted(folder)
    )


def answer_to(
    folder: str | None, request: str, command: str, values: Mapping[str, object]
) -> Mapping[str, Any]:
    """Hand a command over to the lab's background process; start one if none runs.

    Returns its answer: ``code`` and perhaps more. ``refused``: why it does not run the command;
    ``gone``: it ended in the middle of the command. An answer without any of these means that there
    is no process.
    """
    if folder is None or not usable(folder):
        return {}
    _open_standard()
    state = os.path.join(folder, STATE)
    answer: Mapping[str, Any] = {}
    for _ in range(2):
        sock = connected(state) or (connected(state) if start(folder, state) else None)
        if sock is None:
            return {}
        with sock:
            answer = _converse(sock, _request(request, command, values, folder))
            if answer.get("refused") == SILENT:
                sys.stderr.write("the lab's background process does not answer: not used\n")
            if answer.get("refused") != ENDING:
                return answer
            wait_for_end(sock)
    return answer


def stop(folder: str) -> None:
    """End the lab's background process, if there is one, and wait until it is gone; a run that it
    carries out ends first.
    """
    state = os.path.join(folder, STATE)
    sock = connected(state)
    if sock is None:
        return
    with sock, suppress(OSError):
        os.unlink(os.path.join(state, SOCKET))
        send(sock, body({"kind": STOP}))
        wait_for_end(sock)


def wait_for_end(sock: socket.socket) -> None:
    """Wait until the process at the other end ends, which closes the connection."""
    sock.settimeout(ENDING_SECONDS)
    with suppress(OSError):
        while sock.recv(1024):
            pass


def _open_standard() -> None:
    """Open the standard streams that are closed, so that no other file takes their numbers."""
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


_own_code: list[str] = []


def own_code() -> str:
    """Return the fingerprint of the code that this process runs: that of its first call."""
    if not _own_code:
        _own_code.append(fingerprint())
    return _own_code[0]


def fingerprint() -> str:
    """Return a text that differs between versions of this installation's code, within 1 ms."""
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


def connected(state: str) -> socket.socket | None:
    """Return a connection to the server, or None if none listens. A process of another user would
    receive this user's environment: it is sent nothing.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(ANSWER_SECONDS)  # one that is stopped lets no more than 128 connect
    try:
        with inside(state):
            found = os.lstat(SOCKET)
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
                sock.connect(SOCKET)
                if _user_behind(sock) == os.geteuid():
                    return sock
    except OSError:
        pass  # nobody listens
    sock.close()
    return None


def _user_behind(sock: socket.socket) -> int | None:
    """Return the user of the process at the other end, as the kernel knows it; None if it cannot
    tell.
    """
    for level, name, size in PEER:
        option = getattr(socket, name, None)
        if option is not None:
            return int.from_bytes(sock.getsockopt(level, option, size)[4:8], sys.byteorder)
    return None


def start(folder: str, state: str) -> bool:
    """Start a server and wait until it listens; return False if it does not."""
    ready, ready_end = os.pipe()
    log = None
    try:
        log = open_file(os.path.join(state, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.posix_spawn(
            sys.executable,
            # -P: the current folder may have files that are named like Python's modules.
            [sys.executable, "-P", "-m", "hashlab.daemon", folder],
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ready_end, READY_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
        )
    except OSError:
        os.close(ready)
        return False
    finally:
        os.close(ready_end)
        if log is not None:
            os.close(log)
    with os.fdopen(ready, "rb", buffering=0) as stream:
        listens, _, _ = select.select([stream], [], [], STARTING_SECONDS)
        return bool(listens) and stream.read(1) == b"."


def _converse(sock: socket.socket, request: Mapping[str, object]) -> Mapping[str, Any]:
    """Hand over the terminal and wait for the end. Ctrl-C is passed on, a second one leaves."""
    content = body(request)
    if len(content) > REQUEST_LIMIT:
        return {"refused": "too large"}
    begun: list[bool] = []
    try:
        with _passing_signals(sock, begun):
            send(sock, content)
            for line in sock.makefile():
                answer: Mapping[str, Any] = json.loads(line)
                if "give" in answer:
                    # Not before: a server that hangs would keep them open, a pipe too.
                    socket.send_fds(sock, [b"."], STANDARD)
                elif "begun" in answer:
                    begun.append(True)
                    sock.settimeout(None)
                else:
                    return answer
    except TimeoutError:
        return {"refused": SILENT}
    except (OSError, ValueError):
        pass  # the server is gone
    return {"gone": True} if begun else {"refused": ENDING}


def _request(
    request: str, command: str, values: Mapping[str, object], folder: str
) -> Mapping[str, object]:
    """Return a command, with everything that the daemon takes over from its client."""
    mask = os.umask(0o077)
    os.umask(mask)
    return {
        "kind": request,
        "pid": os.getpid(),
        "command": command,
        "values": values,
        "folder": folder,
        "code": own_code(),
        "cwd": os.getcwd(),
        "umask": mask,
        "environ": dict(os.environ),
        "streams": [
            [stream.encoding, stream.errors] if stream else ["utf-8", "replace"]
            for stream in (sys.stdout, sys.stderr)
        ],
    }


def body(request: Mapping[str, object]) -> bytes:
    """Return a request as it is sent."""
    return json.dumps(request).encode()


def send(sock: socket.socket, content: bytes) -> None:
    """Send a request: its length in 4 bytes, then the JSON."""
    sock.sendall(len(content).to_bytes(4, "big") + content)


@contextmanager
def _passing_signals(sock: socket.socket, begun: Sequence[bool]) -> Iterator[None]:
    """Pass signals on: the server has the terminal, but does not get its signals.

    Raises KeyboardInterrupt at the second signal, and at the first while nothing has begun: the
    server interrupts a run whose client has left.
    """
    passed: list[int] = []

    def pass_on(number: int, _: object) -> None:
        if passed or not begun:
            raise KeyboardInterrupt
        passed.append(number)
        with suppress(OSError):
            sock.send(b"!")

    numbers = (signal.SIGINT, signal.SIGTERM)
    # A shell lets its background jobs ignore signals; those stay ignored.
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
