"""The server: keeps a lab's connections, build workers and Python itself warm.

One process for each lab. It carries out one run at a time, in the main thread and on the terminal
of its client; any number of readers receive the events of the lab beside it. It ends with the lab,
or half an hour after its last client, and is started by hashlab.daemon.client.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hashlab.commands import NAMES, Command, load
from hashlab.daemon import client
from hashlab.daemon.listener import (
    Listener,
    Request,
    Unintelligible,
    answer,
    close,
    descriptors,
    listening,
    only_one,
    received,
    understood,
)
from hashlab.daemon.stream import Stream
from hashlab.daemon.turns import Busy, Job, Occupied, Turns
from hashlab.errors import ExitCode
from hashlab.run.events import Ending, Event, Restarting, RunEnded, RunStarted, event_of
from hashlab.run.execution import Options, fail
from hashlab.run.lock import holder_text, locked
from hashlab.run.wiring import Warm
from hashlab.state.files import StateFolder
from hashlab.state.private import STATE
from hashlab.watch.refreshing import COMMAND as REFRESH
from hashlab.watch.refreshing import error_json, round_trip

IDLE_SECONDS = 1800.0
CHECK_SECONDS = 15.0
LOCK = "daemon.lock"
BUG = 1
# The longest event that is taken from another process, in bytes; a record is much smaller.
EVENT_LIMIT = 1 << 24


class Refused(Exception):
    """A refusal: the client runs the command itself, or asks another server."""


def serve(
    folder: Path,
    *,
    ready: Callable[[], None],
    idle: float = IDLE_SECONDS,
    check: float = CHECK_SECONDS,
) -> None:
    """Serve one lab until it is gone, no client needs the server, or a client ends it.

    ``ready`` is called once it listens. ``idle``: it ends so many seconds after its last client;
    ``check``: seconds between two checks that the lab still exists.
    """
    state = folder / STATE
    with only_one(state / LOCK) as alone:
        if not alone:
            return
        server = Server()
        listener = Listener(listening(state), state / client.SOCKET, server.handle)
        ready()
        _log(f"process {os.getpid()} listens")
        reason = "it was asked to"
        try:
            reason = server.run(listener, idle=idle, check=check)
        finally:
            _log(f"it ends: {reason}")
            listener.close()
            server.close(reason)


def _log(text: str) -> None:
    """Write a line into the log, which never contains what a command printed or read."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
    sys.stderr.flush()


class Server:
    """Answers each client in a thread of its own; the main thread carries out the runs."""

    def __init__(self) -> None:
        self._stream = Stream()
        self._turns = Turns()
        self._warm = Warm(self._publish)
        self._code = client.own_code()
        self._client = os.getpid()
        self._running = False
        self._publishers = 0
        self._lock = threading.Lock()
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)

    def run(self, listener: Listener, *, idle: float, check: float) -> str:
        """Carry out one run after another; return the reason why this ends."""
        last = time.monotonic()
        while listener.reachable:
            job = self._turns.next(min(check, idle))
            if job is not None:
                try:
                    self._carry_out(job)
                finally:
                    self._turns.free()
            elif self._turns.ending and not (self._turns.restarting and self._publishers):
                return self._turns.ending
            if job is not None or self._stream.readers or self._publishers:
                last = time.monotonic()
            elif time.monotonic() - last >= idle:
                return "no client has needed it for long"
        return "its socket was removed"

    def close(self, reason: str) -> None:
        """Inform the readers, and end what was kept warm."""
        restarting = self._turns.restarting
        self._stream.close(Restarting(reason) if restarting else Ending(reason))
        self._warm.close()

    def _interrupt(self, number: int, _: object) -> None:
        """Interrupt the run; between two runs, a request to terminate ends this process."""
        if self._running:
            raise KeyboardInterrupt
        if number == signal.SIGTERM:
            sys.exit(0)

    def _publish(self, event: Event) -> None:
        """Publish an event of a run in this process."""
        if isinstance(event, RunStarted | RunEnded):
            event = replace(event, client=self._client)
        self._stream.publish(event)

    def handle(self, sock: socket.socket) -> None:
        """Answer one client. Its errors affect no other client."""
        try:
            self._handle(sock, received(sock))
        except OSError:
            sock.close()
        except (Refused, Unintelligible) as refusal:
            with suppress(OSError):
                answer(sock, refused=str(refusal))
            if str(refusal) == client.ENDING:
                _keep(sock)
            else:
                sock.close()

    def _handle(self, sock: socket.socket, value: Mapping[str, Any]) -> None:
        kind = value.get("kind")
        if kind == client.STOP:
            _keep(sock)
            self._turns.end("a client ended it", restart=False)
            return
        if kind == client.PUBLISH:
            self._take_events(sock)
            return
        if value.get("code") != self._code:
            self._check_code()
        if kind == client.EVENTS:
            answer(sock, reading=True)
            self._stream.add(sock)
        else:
            self._take_run(sock, understood(value))

    def _check_code(self) -> None:
        """Decide about a client whose code differs: it waits for the end of this process if that
        is the older one and no run goes on. Raises Refused.
        """
        if client.fingerprint() == self._code:
            raise Refused(client.OLDER)
        if not self._turns.end("hashlab's code has changed", restart=True):
            raise Refused(client.BUSY if self._publishers else client.ENDING)

    def _take_events(self, sock: socket.socket) -> None:
        """Publish the events of a run in another process, until it hangs up."""
        with self._lock:
            self._publishers += 1
        runs: dict[str, RunStarted] = {}
        try:
            sock.settimeout(None)
            for event in _events_from(sock):
                if isinstance(event, RunStarted):
                    runs[event.run] = event
                elif isinstance(event, RunEnded):
                    runs.pop(event.run, None)
                self._stream.publish(event)
        finally:
            for run in runs.values():  # its process was killed
                self._stream.publish(RunEnded(run.run, run.command, run.pid, run.client, None))
            with self._lock:
                self._publishers -= 1
            self._turns.wake()
            sock.close()

    def _take_run(self, sock: socket.socket, request: Request) -> None:
        """Hand a run over to the main thread; report at once if another run holds the lock."""
        command = _command(request)
        locks = ExitCode.LOCKED in command.exits
        job = Job(sock, request, command, descriptors(sock), locks=locks)
        try:
            self._turns.take(job)
        except Occupied as occupied:
            with sock:
                _report_locked(job, occupied.job)
        except Busy as busy:
            close(job.fds)
            raise Refused(client.ENDING if busy.ending else client.BUSY) from None

    def _carry_out(self, job: Job) -> None:
        """Carry out a run and send its exit code. A client that left is not a failure."""
        self._client = job.request.pid
        with job.sock, suppress(OSError):
            try:
                with _as_client(job.request, job.fds):
                    job.sock.settimeout(None)
                    answer(job.sock, begun=True)
                    result, bug = self._run(job)
            except Refused as refusal:
                answer(job.sock, refused=str(refusal))
                return
            _log(f"{job.command.name}: {result['code']}")
            if bug:  # the warm state may be inconsistent
                self._turns.end(f"{job.command.name} met a bug: {bug}", restart=True)
            self._turns.over()
            answer(job.sock, **result)

    def _run(self, job: Job) -> tuple[dict[str, Any], str]:
        """Return the answer, and the name of an error that is a bug; its traceback is shown."""
        try:
            self._running = True
            with _interruptible(job.sock, self._turns.over):
                try:
                    return self._execute(job), ""
                finally:
                    self._running = False
        except KeyboardInterrupt:
            return {"code": int(ExitCode.INTERRUPTED)}, ""
        except SystemExit as ended:
            return {"code": ended.code if isinstance(ended.code, int) else BUG}, ""
        except Exception as error:  # noqa: BLE001 - it is shown, and this process ends
            with suppress(OSError):
                traceback.print_exc()
            return {"code": BUG}, type(error).__name__
        finally:
            self._running = False

    def _execute(self, job: Job) -> dict[str, Any]:
        request = job.request
        if request.kind == client.ROUND:
            return round_trip(_options(request, self._warm))
        code = job.command.execute(request.values, folder=request.folder, warm=self._warm)
        return {"code": code}


def _options(request: Request, warm: Warm) -> Options:
    values = request.values
    return Options(
        Path(request.folder),
        str(values["provider"]) or None,
        bool(values["json"]),
        bool(values["verbose"]),
        warm=warm,
    )


def _events_from(sock: socket.socket) -> Iterator[Event]:
    """Yield the events that a process sends, until it hangs up or sends anything else."""
    with suppress(OSError, ValueError, RecursionError), sock.makefile("rb") as stream:
        while line := stream.readline(EVENT_LIMIT):
            event = event_of(json.loads(line))
            if event is not None:
                yield event


def _report_locked(job: Job, holder: Job) -> None:
    """Print the usual message on the client's terminal, and end it with the usual exit code."""
    path = StateFolder(Path(job.request.folder) / STATE, "").lock
    error = locked(path, holder_text(holder.command.name, holder.pid, holder.since))
    try:
        if job.request.kind == client.RUN:
            out, err = (
                _stream(fd, *stream)
                for fd, stream in zip(job.fds[1:], job.request.streams, strict=True)
            )
            with suppress(OSError), out, err:
                options = Options(json=bool(job.request.values.get("json")))
                fail(error, options, out=out, err=err)
        answer(job.sock, code=int(error.exit_code), error=error_json(error))
    finally:
        close(job.fds)


def _command(request: Request) -> Command:
    """Return the command that a client asks for. Raises Refused for one that no server runs."""
    command = load(request.command) if request.command in NAMES else None
    if command is None or not command.warm or not command.accepts(request.values):
        raise Refused("unknown command")
    if request.values.get(command.lasting):
        raise Refused("it would last")
    if request.kind != client.RUN and (request.kind, command.name) != (client.ROUND, REFRESH):
        raise Refused("unknown kind of request")
    return command


@contextmanager
def _as_client(request: Request, fds: Sequence[int]) -> Iterator[None]:
    """Take over the client's terminal, folder and environment. Raises Refused if that is not
    possible; then nothing has changed.
    """
    with ExitStack() as own:
        own.callback(close, fds)
        try:
            _take_over(own, request, fds)
        except OSError as error:
            raise Refused(f"cannot take over the client's place: {error}") from error
        yield


def _keep(sock: socket.socket) -> None:
    """Let a connection end with this process, which its client waits for. Python would close it a
    moment before.
    """
    sock.detach()


def _take_over(own: ExitStack, request: Request, fds: Sequence[int]) -> None:
    kept = [(_kept(own, standard), standard) for standard in client.STANDARD]
    for descriptor, standard in kept:
        own.callback(os.dup2, descriptor, standard)
    own.callback(os.chdir, "/")
    own.callback(os.umask, os.umask(request.umask))
    own.callback(_set_environ, dict(os.environ))
    own.callback(_use_streams, sys.stdin, sys.stdout, sys.stderr)
    for given, standard in zip(fds, client.STANDARD, strict=True):
        os.dup2(given, standard)
    out, err = request.streams
    # The old one may hold what the previous person typed ahead.
    sys.stdin = _stream(0, "utf-8", "replace", mode="r")
    sys.stdout = _stream(1, *out)
    sys.stderr = _stream(2, *err)
    _set_environ(request.environ)
    os.chdir(request.cwd)


def _kept(own: ExitStack, standard: int) -> int:
    descriptor = os.dup(standard)
    own.callback(os.close, descriptor)
    return descriptor


def _use_streams(*own: Any) -> None:
    """Use the server's own stdin, stdout and stderr again."""
    for stream in {sys.stdin, sys.stdout, sys.stderr} - set(own):
        with suppress(OSError):  # its reader is gone
            stream.close()
    sys.stdin, sys.stdout, sys.stderr = own


def _stream(descriptor: int, encoding: str, errors: str, *, mode: str = "w") -> Any:
    return open(descriptor, mode, 1, encoding, errors, closefd=False)


def _set_environ(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


@contextmanager
def _interruptible(sock: socket.socket, cancelled: Callable[[], None]) -> Iterator[None]:
    """Interrupt the run, as Ctrl-C does, if the client sends something or leaves; call
    ``cancelled`` before.
    """
    over = threading.Event()
    main = threading.main_thread().ident or 0

    def listen() -> None:
        with suppress(OSError):
            while not over.is_set():
                received = sock.recv(1)
                if not over.is_set():
                    cancelled()
                    signal.pthread_kill(main, signal.SIGINT)
                if not received:
                    return

    thread = threading.Thread(target=listen, daemon=True)
    try:
        thread.start()
        yield
    finally:
        over.set()
        # This wakes the thread; the answer can still be sent.
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RD)
        thread.join()


def main() -> None:
    """Entry point of ``python -m hashlab.daemon FOLDER``."""
    # A long-lived process must not keep files of its first client open (a pipe, a lock).
    os.closerange(client.READY_FD + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    serve(Path(sys.argv[1]), ready=_ready)


def _ready() -> None:
    os.ftruncate(2, 0)  # the log of the previous server
    os.write(client.READY_FD, b".")
    os.close(client.READY_FD)
