"""Workers: build tools that are started once and read requests as JSON lines from standard
input.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, cast

from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import CancelToken
from hashlab.protocols import BuildAnswer, BuildRequest

END_SECONDS = 5.0
DRAIN_SECONDS = 2.0
LAST_LINES = 20


class ProcessWorkers:
    """protocols.Workers as child processes. They end with this process, because their input
    ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[tuple[object, ...], _Worker] = {}

    def ask(
        self,
        command: Sequence[str],
        requests: Sequence[BuildRequest],
        *,
        cwd: Path,
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None],
    ) -> list[BuildAnswer]:
        """See protocols.Workers."""
        worker = self._worker(tuple(command), cwd)
        with worker.turn, cancel.calling(worker.kill):
            answers = worker.ask(requests, timeout=timeout, on_line=on_line, cancel=cancel)
        cancel.check()
        return answers

    def close(self) -> None:
        """See protocols.Workers."""
        with self._lock:
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.end()

    def _worker(self, command: tuple[str, ...], cwd: Path) -> _Worker:
        """Return the worker of this command; a new one if it has died, or its own files changed."""
        key = (cwd, command)
        version = _version(command, cwd)
        with self._lock:
            worker = self._workers.get(key)
            if worker is not None and worker.alive and worker.version == version:
                return worker
            if worker is not None:
                worker.end()
            self._workers[key] = _Worker(command, cwd, version)
            return self._workers[key]


def _version(command: Sequence[str], cwd: Path) -> tuple[tuple[int, int], ...]:
    """Return a value that changes if files named in the command are replaced."""
    versions = []
    for word in command:
        # Not every word can be a file name: an inline shell script is too long for one.
        with suppress(OSError, ValueError):
            stat = (cwd / word).stat()
            if S_ISREG(stat.st_mode):
                versions.append((stat.st_size, stat.st_mtime_ns))
    return tuple(versions)


class _Worker:
    """One worker process. Its caller holds ``turn``."""

    def __init__(self, command: Sequence[str], cwd: Path, version: object) -> None:
        self.turn = threading.Lock()
        self.version = version
        self._command = command
        self._number = 0
        self._killed = False
        self._printed: list[str] = []
        self._on_line: Callable[[str], None] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._process = _start(command, cwd)
        self._listening = threading.Thread(target=self._read_lines, daemon=True)
        self._listening.start()
        threading.Thread(target=self._read_answers, daemon=True).start()

    @property
    def alive(self) -> bool:
        # A process that was killed a moment ago still looks alive.
        return not self._killed and self._process.poll() is None

    def ask(
        self,
        requests: Sequence[BuildRequest],
        *,
        timeout: float,
        on_line: Callable[[str], None],
        cancel: CancelToken,
    ) -> list[BuildAnswer]:
        first = self._number + 1
        self._number += len(requests)
        self._on_line = on_line
        self._printed.clear()
        lines = [json.dumps({"id": n, **asdict(r)}) + "\n" for n, r in enumerate(requests, first)]
        deadline = time.monotonic() + timeout
        answers: dict[int, BuildAnswer] = {}
        try:
            # A dead worker does not read. That it ended is then reported.
            with suppress(BrokenPipeError):
                _stream(self._process.stdin).write("".join(lines))
                _stream(self._process.stdin).flush()
            while len(answers) < len(requests):
                line = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
                cancel.check()
                if line is None:
                    code = self._ended()
                    self.kill()
                    raise self._failure(f"ended with exit code {code} instead of an answer")
                open_ = [n for n in range(first, first + len(requests)) if n not in answers]
                number, answer = self._understood(line, open_)
                answers[number] = answer
        except queue.Empty:
            self.kill()
            raise self._failure(f"did not answer within {timeout:g} s") from None
        finally:
            self._on_line = None
        return [answers[number] for number in sorted(answers)]

    def _understood(self, line: str, open_: Sequence[int]) -> tuple[int, BuildAnswer]:
        """Return an answer, and the number of the open request that it belongs to."""
        try:
            fields: Any = json.loads(line)
            number = fields["id"]
            if number in open_ and fields["result"] in ("done", "failed", "rebuild"):
                detail, output = str(fields.get("detail", "")), str(fields.get("output", ""))
                return number, BuildAnswer(fields["result"], detail, output)
        except (ValueError, TypeError, KeyError):
            pass
        # Its next line might answer an earlier request.
        self.kill()
        numbers = " or ".join(map(str, open_))
        raise self._failure(f"gave no answer to request {numbers}: {line.strip()[:200]}")

    def _failure(self, what: str) -> LabError:
        # It has ended; its last output explains why.
        self._listening.join(DRAIN_SECONDS)
        return LabError(
            f"the worker {what}",
            where=" ".join(self._command),
            output="".join(self._printed[-LAST_LINES:]),
            next_step="run it again: a new worker is started",
        )

    def kill(self) -> None:
        """End the process and all its children at once."""
        self._killed = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Close its input, after which it ends by itself. It is killed if it does not end."""
        with suppress(BrokenPipeError):
            _stream(self._process.stdin).close()
        self._ended()

    def _ended(self) -> int:
        """Return its exit code. The process is killed if it does not end within END_SECONDS."""
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def _read_answers(self) -> None:
        with _stream(self._process.stdout) as stream:
            for line in stream:
                self._answers.put(line)
        self._answers.put(None)

    def _read_lines(self) -> None:
        with _stream(self._process.stderr) as stream:
            for line in stream:
                self._printed.append(line)
                listener = self._on_line
                if listener is not None:
                    listener(line.rstrip("\n"))


def _stream(stream: IO[str] | None) -> IO[str]:
    """Return one of the three streams, all of which are pipes."""
    return cast(IO[str], stream)


def _start(command: Sequence[str], cwd: Path) -> subprocess.Popen[str]:
    """Start the process in a session of its own: Ctrl-C is for hashlab, which ends it in order."""
    try:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise LaptopError(f"command not found: {command[0]}", next_step="hashlab doctor") from None
    except PermissionError:
        raise LaptopError(f"not executable: {command[0]}") from None
