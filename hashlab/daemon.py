"""Keeps a lab's connections, build workers and Python itself warm, and carries out what is asked.

One process for each lab. It listens on a socket in the lab's ``.hashlab`` that only its user may
open, ends with the lab or after half an hour without work, and is started by hashlab.client.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hashlab import client, commands, workflows
from hashlab.runs import Options, run
from hashlab.wiring import Warm

IDLE_SECONDS = 1800.0
LOOK_SECONDS = 15.0
LOCK = "daemon.lock"
STANDARD = (0, 1, 2)


class Refused(Exception):
    """The client has to do it itself, or ask another daemon."""


def serve(folder: Path) -> None:
    """Listen for one lab until it is gone, nobody asks any more, or somebody ends it."""
    state = folder / client.STATE
    with _only_one(state / LOCK) as alone:
        if not alone:
            return
        listener = _listening(state)
        os.write(client.READY_FD, b".")
        os.close(client.READY_FD)
        warm = Warm()
        code = client.fingerprint()
        # What is there now stays: no need to look through it again and again.
        gc.freeze()
        try:
            _answer_all(listener, state, lambda wire: _answer(wire, folder, warm, code))
        finally:
            warm.close()
            listener.close()


@contextmanager
def _only_one(path: Path) -> Iterator[bool]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _listening(state: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with client.inside(str(state)):
        with suppress(FileNotFoundError):
            Path(client.SOCKET).unlink()
        mask = os.umask(0o177)
        try:
            listener.bind(client.SOCKET)
        finally:
            os.umask(mask)
    listener.listen()
    return listener


class _Ended(Exception):
    """Somebody asked the daemon to end."""


class _Door:
    """Lets one client in at a time, and sends away who comes while one is inside."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._inside: queue.Queue[socket.socket] = queue.Queue()
        self._free = threading.Semaphore()
        threading.Thread(target=self._let_in, daemon=True).start()

    def _let_in(self) -> None:
        with suppress(OSError):  # the listener is closed in the end
            while True:
                wire, _ = self._listener.accept()
                if self._free.acquire(blocking=False):
                    self._inside.put(wire)
                else:
                    _send_away(wire)

    @contextmanager
    def next(self, seconds: float) -> Iterator[socket.socket | None]:
        """The next client; None when none came within ``seconds``."""
        try:
            wire = self._inside.get(timeout=seconds)
        except queue.Empty:
            yield None
            return
        try:
            with wire:
                yield wire
        finally:
            self._free.release()


def _send_away(wire: socket.socket) -> None:
    with suppress(OSError), wire:
        _, fds = _received(wire)
        for descriptor in fds:
            os.close(descriptor)
        _tell(wire, refused=client.BUSY)


def _answer_all(
    listener: socket.socket, state: Path, answer: Callable[[socket.socket], None]
) -> None:
    """Answer one client after another. The socket's file is what ties the daemon to its lab."""
    path = state / client.SOCKET
    own = path.stat().st_ino
    door = _Door(listener)
    last = time.monotonic()
    while time.monotonic() - last < IDLE_SECONDS:
        try:
            if path.stat().st_ino != own:
                return
        except FileNotFoundError:
            return
        with door.next(LOOK_SECONDS) as wire:
            if wire is None:
                continue
            try:
                answer(wire)
            except _Ended:
                break
        last = time.monotonic()
    path.unlink(missing_ok=True)


def _answer(wire: socket.socket, folder: Path, warm: Warm, code: str) -> None:
    """Carry out one request and tell its exit code; a client that went away is no failure."""
    with suppress(OSError):
        request, fds = _received(wire)
        try:
            if request.get("stop"):
                raise _Ended
            if request.get("code") != code:
                _tell(wire, refused=client.OTHER_CODE)
                raise _Ended
            arguments = _parsed(request["words"])
            with _as_client(request, fds), _listening_to(wire):
                ended = _carry_out(arguments, folder, warm)
            _tell(wire, code=int(ended))
        except Refused as refusal:
            _tell(wire, refused=str(refusal))
        finally:
            for descriptor in fds:
                os.close(descriptor)


def _received(wire: socket.socket) -> tuple[Mapping[str, Any], list[int]]:
    head, fds, _, _ = socket.recv_fds(wire, 4, len(STANDARD))
    stream = wire.makefile("rb", buffering=0)
    body = b""
    size = int.from_bytes(head, "big")
    while len(body) < size:
        piece = stream.read(size - len(body))
        if not piece:
            raise ConnectionError("the client went away")
        body += piece
    value: Mapping[str, Any] = json.loads(body)
    return value, list(fds)


def _tell(wire: socket.socket, **answer: object) -> None:
    wire.sendall(json.dumps(answer).encode() + b"\n")


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Understand the words of a command; what is not understood is for the client to explain."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("command", choices=client.COMMANDS)
    parser.add_argument("--lab", "-l", default="")
    parser.add_argument("--provider", "-p", default="")
    parser.add_argument("--json", "-j", action="store_true")
    parser.add_argument("--verbose", "-v", action="store_true")
    arguments = parser.parse_args(list(words))
    if arguments.command == "status" and arguments.verbose:
        raise Refused("unknown words")
    return arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """The client explains it, in its own words."""
        raise Refused(message)


def _carry_out(arguments: argparse.Namespace, folder: Path, warm: Warm) -> int:
    options = Options(
        folder, arguments.provider or None, arguments.json, arguments.verbose, warm=warm
    )
    if arguments.command == "status":
        return commands.status(options)
    workflow = {
        "refresh": workflows.REFRESH,
        "verify": workflows.VERIFY,
        "seed": workflows.SEED,
    }[arguments.command]
    return run(arguments.command, workflow, options)


@contextmanager
def _as_client(request: Mapping[str, Any], fds: Sequence[int]) -> Iterator[None]:
    """Stand where the client stands: its terminal, folder and environment."""
    own = [os.dup(descriptor) for descriptor in STANDARD]
    environ, streams = dict(os.environ), (sys.stdout, sys.stderr)
    try:
        for given, standard in zip(fds, STANDARD, strict=True):
            os.dup2(given, standard)
        sys.stdout = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115 - a descriptor
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115 - a descriptor
        _be(request["environ"])
        os.chdir(request["cwd"])
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # whoever read it is gone
                stream.flush()
        sys.stdout, sys.stderr = streams
        _be(environ)
        os.chdir("/")
        for descriptor, standard in zip(own, STANDARD, strict=True):
            os.dup2(descriptor, standard)
            os.close(descriptor)


def _be(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


@contextmanager
def _listening_to(wire: socket.socket) -> Iterator[None]:
    """Whatever comes from the client now, or its end, interrupts the run as Ctrl-C does."""
    over = threading.Event()

    def listen() -> None:
        with suppress(OSError):
            while not over.is_set():
                said = wire.recv(1)
                if not over.is_set():
                    os.kill(os.getpid(), signal.SIGINT)
                if not said:
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        # Wakes the thread; what is written still goes out.
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RD)
        listener.join()


def main() -> None:
    """Entry point of ``python -m hashlab.daemon FOLDER``."""
    folder = Path(sys.argv[1])
    os.chdir("/")
    # Ctrl-C belongs to a run; between two runs there is nothing to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(folder)


if __name__ == "__main__":
    main()
