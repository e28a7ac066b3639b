"""Keeps a lab's connections, build workers and Python itself warm, and carries out what is asked.

One process for each lab. It listens on a socket in the lab's ``.hashlab`` that only its user may
open, ends with the lab or after half an hour without work, and is started by hashlab.daemon.client.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hashlab.commands import NAMES, Command, load
from hashlab.daemon import client
from hashlab.daemon.listener import (
    Door,
    Request,
    Unintelligible,
    close,
    descriptors,
    listening,
    only_one,
    received,
    tell,
    understood,
)
from hashlab.errors import ExitCode
from hashlab.run import workflows as workflows  # noqa: PLC0414 - what every run needs is warm
from hashlab.run.wiring import Warm
from hashlab.state.private import STATE

IDLE_SECONDS = 1800.0
LOOK_SECONDS = 15.0
LOCK = "daemon.lock"
BUG = 1


class Refused(Exception):
    """The client has to do it itself, or ask another daemon."""


def serve(
    folder: Path,
    *,
    ready: Callable[[], None],
    idle: float = IDLE_SECONDS,
    look: float = LOOK_SECONDS,
) -> None:
    """Listen for one lab until it is gone, nobody asks any more, or somebody ends it.

    ``ready`` is called once it listens. ``idle``, ``look``: seconds without work after which it
    ends, and between two looks whether the lab is still there.
    """
    state = folder / STATE
    with only_one(state / LOCK) as alone:
        if not alone:
            return
        warm = Warm()
        servant = _Servant(warm)
        # What is there now stays: no need to look through it again and again.
        gc.freeze()
        door = Door(listening(state), state / client.SOCKET)
        ready()
        _say(f"process {os.getpid()} listens")
        try:
            _say(f"it ends: {_answer_all(door, servant.answer, idle=idle, look=look)}")
        finally:
            door.close()
            warm.close()


def _say(text: str) -> None:
    """A line for the log. Nothing that a command said or read goes there."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
    sys.stderr.flush()


def _answer_all(
    door: Door, answer: Callable[[socket.socket], str | None], *, idle: float, look: float
) -> str:
    """Answer one client after another; returns why there is an end to it."""
    last = time.monotonic()
    while door.there:
        wire = door.next(min(look, idle))
        if wire is None:
            if time.monotonic() - last >= idle:
                return "nobody asked any more"
            continue
        end = answer(wire)
        if end:
            door.keep(wire)
            return end
        door.leave(wire)
        last = time.monotonic()
    return "its socket was removed"


class _Servant:
    """Carries out one command after another with what the earlier ones have left warm."""

    def __init__(self, warm: Warm) -> None:
        self._warm = warm
        self._code = client.fingerprint()
        self._at_work = False
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, number: int, _: object) -> None:
        """Between two commands there is nothing to interrupt, only this process to end."""
        if self._at_work:
            raise KeyboardInterrupt
        if number == signal.SIGTERM:
            sys.exit(0)

    def answer(self, wire: socket.socket) -> str | None:
        """Carry out what one client asks, and tell its exit code; a client that went away is no
        failure. Returns why this process has to end, if it has to.
        """
        try:
            return self._answer(wire, received(wire))
        except OSError:
            return None
        except (Refused, Unintelligible) as refusal:
            with suppress(OSError):
                tell(wire, refused=str(refusal))
            return None

    def _answer(self, wire: socket.socket, value: Mapping[str, Any]) -> str | None:
        if value.get("stop") is True:
            return "somebody ended it"
        if value.get("code") != self._code:
            tell(wire, refused=client.ENDING)
            return "hashlab's code has changed"
        request = understood(value)
        command = _command(request)
        with _as_client(request, wire):
            wire.settimeout(None)
            tell(wire, begun=True)
            code, bug = self._run(wire, command, request)
        _say(f"{command.name}: {code}")
        # What is warm may be in any state after a bug.
        end = f"{command.name} met a bug: {bug}" if bug else None
        with suppress(OSError):
            tell(wire, code=code)
        return end

    def _run(self, wire: socket.socket, command: Command, request: Request) -> tuple[int, str]:
        """The exit code, and the name of an error that is a bug; its traceback is shown."""
        try:
            self._at_work = True
            with _listening_to(wire):
                try:
                    values = request.values
                    return command.execute(values, folder=request.folder, warm=self._warm), ""
                finally:
                    self._at_work = False
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED, ""
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else BUG, ""
        except Exception as error:  # noqa: BLE001 - it is shown, and this process ends
            with suppress(OSError):
                traceback.print_exc()
            return BUG, type(error).__name__
        finally:
            self._at_work = False


def _command(request: Request) -> Command:
    """The command that a client asks for. Raises Refused for one that no daemon runs."""
    command = load(request.command) if request.command in NAMES else None
    if command is None or not command.warm or not command.accepts(request.values):
        raise Refused("unknown command")
    return command


@contextmanager
def _as_client(request: Request, wire: socket.socket) -> Iterator[None]:
    """Stand where the client stands: its terminal, folder and environment. Raises Refused when
    that is impossible; then nothing has changed.
    """
    with ExitStack() as own:
        fds = descriptors(wire)
        own.callback(close, fds)
        try:
            _stand(own, request, fds)
        except OSError as error:
            raise Refused(f"cannot stand where the client stands: {error}") from error
        yield


def _stand(own: ExitStack, request: Request, fds: Sequence[int]) -> None:
    kept = [(_kept(own, standard), standard) for standard in client.STANDARD]
    for descriptor, standard in kept:
        own.callback(os.dup2, descriptor, standard)
    own.callback(os.chdir, "/")
    own.callback(os.umask, os.umask(request.umask))
    own.callback(_be, dict(os.environ))
    own.callback(_speak_again, sys.stdout, sys.stderr)
    for given, standard in zip(fds, client.STANDARD, strict=True):
        os.dup2(given, standard)
    out, err = request.streams
    sys.stdout = _stream(1, *out)
    sys.stderr = _stream(2, *err)
    _be(request.environ)
    os.chdir(request.cwd)


def _kept(own: ExitStack, standard: int) -> int:
    descriptor = os.dup(standard)
    own.callback(os.close, descriptor)
    return descriptor


def _speak_again(out: Any, err: Any) -> None:
    """Use the daemon's own streams again."""
    for stream in {sys.stdout, sys.stderr} - {out, err}:
        with suppress(OSError):  # whoever read it is gone
            stream.close()
    sys.stdout, sys.stderr = out, err


def _stream(descriptor: int, encoding: str, errors: str) -> Any:
    return open(descriptor, "w", 1, encoding, errors, closefd=False)


def _be(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


@contextmanager
def _listening_to(wire: socket.socket) -> Iterator[None]:
    """Whatever comes from the client now, or its end, interrupts the run as Ctrl-C does."""
    over = threading.Event()
    main = threading.main_thread().ident or 0

    def listen() -> None:
        with suppress(OSError):
            while not over.is_set():
                said = wire.recv(1)
                if not over.is_set():
                    signal.pthread_kill(main, signal.SIGINT)
                if not said:
                    return

    listener = threading.Thread(target=listen, daemon=True)
    try:
        listener.start()
        yield
    finally:
        over.set()
        # Wakes the thread; what is written still goes out.
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RD)
        listener.join()


def main() -> None:
    """Entry point of ``python -m hashlab.daemon FOLDER``."""
    # What whoever started it had open (a pipe, a lock) is not for a process that stays.
    os.closerange(client.READY_FD + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    serve(Path(sys.argv[1]), ready=_ready)


def _ready() -> None:
    os.ftruncate(2, 0)  # the log of the one before
    os.write(client.READY_FD, b".")
    os.close(client.READY_FD)
