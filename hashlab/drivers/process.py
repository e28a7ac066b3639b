"""Run commands on the laptop: keep both streams, limit the time, kill the whole process group."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from hashlab.drivers.environment import tool_environment, user_environment
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed
from hashlab.state.files import UNFINISHED, is_file, names, read_text, remove, write_text

KILL_AFTER_SECONDS = 5.0
DRAIN_SECONDS = 2.0
ORPHAN_POLL_SECONDS = 0.05
# Characters of each stream that are kept, the last ones. A longer line is read in pieces.
OUTPUT_LIMIT = 16_000_000
LINE_LIMIT = 1_000_000
# Of a stream: bytes that are read at once, and lines of its errors that are kept.
STREAM_CHUNK = 1 << 16
ERROR_LINES = 20


class ProcessRunner:
    """Runs commands in sessions of their own, so that Ctrl-C reaches only hashlab, which then ends
    them in order.

    ``children`` is a folder with a file for each running command, so that the next run can end what
    a killed one left behind.
    """

    def __init__(self, *, children: Path) -> None:
        self._children = children

    def end_orphans(self) -> list[str]:
        """End commands that a killed run left running; return them. Call it while holding the lab's
        lock.
        """
        ended = []
        for name in names(self._children):
            record = self._children / name
            # Other programs leave files everywhere, such as .DS_Store.
            if not (is_file(record) and (name.isdecimal() or name.endswith(UNFINISHED))):
                continue
            started, *command = _lines(record) or [""]
            if name.isdecimal() and started and _started(int(name)) == started:
                _end_group(int(name))
                ended.append(" ".join(command))
            remove(record)
        return ended

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
        users: bool = False,
    ) -> Completed:
        """See protocols.Runner."""
        cancel.check()
        base = user_environment(os.environ) if users else tool_environment(os.environ)
        process = self._start(command, cwd, {**base, **(env or {})}, stdin)
        outputs = (_Output(), _Output())
        readers = [
            threading.Thread(target=_drain, args=(stream, output, on_line), daemon=True)
            for stream, output in zip((process.stdout, process.stderr), outputs, strict=True)
        ]
        for reader in readers:
            reader.start()
        try:
            with self._recorded(process, command), _ending(process):
                with cancel.calling(lambda: _signal(process, signal.SIGTERM)):
                    try:
                        code = process.wait(timeout)
                    except subprocess.TimeoutExpired:
                        raise LabError(
                            f"{command[0]} did not finish within {timeout:g} s",
                            where=" ".join(command),
                            output=outputs[0].text() + outputs[1].text(),
                        ) from None
                cancel.check()
        finally:
            _close(process, readers)
        return Completed(code, outputs[0].text(), outputs[1].text())

    def stream(
        self,
        command: Sequence[str],
        *,
        cancel: CancelToken,
        on_lines: Callable[[Sequence[bytes]], None],
    ) -> Completed:
        """See protocols.StreamingRunner."""
        cancel.check()
        with _explained(command):
            process = subprocess.Popen(
                list(command),
                env=tool_environment(os.environ),
                stdin=subprocess.PIPE,  # closed by the kernel when this process is killed
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        errors: deque[bytes] = deque(maxlen=ERROR_LINES)
        reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reader.start()
        with process, cancel.calling(lambda: _signal(process, signal.SIGTERM)):
            try:
                _pass_on(cast(IO[bytes], process.stdout), on_lines)
                code = process.wait()
            finally:
                if process.poll() is None:
                    _signal(process, signal.SIGTERM)
                reader.join()
        cancel.check()
        return Completed(code, "", b"".join(errors).decode(errors="replace"))

    @contextmanager
    def _recorded(self, process: subprocess.Popen[str], command: Sequence[str]) -> Iterator[None]:
        record = self._children / str(process.pid)
        # The file is only needed if this run is killed, and destroy must work while the disk is
        # full.
        with suppress(LaptopError):
            write_text(record, f"{_started(process.pid)}\n{command[0]}\n")
        try:
            yield
        finally:
            with suppress(LaptopError):
                remove(record)

    def _start(
        self,
        command: Sequence[str],
        cwd: Path | None,
        env: Mapping[str, str],
        stdin: str,
    ) -> subprocess.Popen[str]:
        with _explained(command):
            return subprocess.Popen(
                list(command),
                cwd=cwd,
                env=env,
                stdin=_readable(stdin) if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )


@contextmanager
def _explained(command: Sequence[str]) -> Iterator[None]:
    """Report a command that cannot be started. Raises LaptopError."""
    try:
        yield
    except FileNotFoundError:
        raise LaptopError(f"command not found: {command[0]}", next_step="hashlab doctor") from None
    except PermissionError:
        raise LaptopError(f"not executable: {command[0]}") from None


def _pass_on(stream: IO[bytes], on_lines: Callable[[Sequence[bytes]], None]) -> None:
    """Pass on whole lines as they arrive, several at once where they do. A last line without its
    end was cut off, and is dropped.
    """
    begun = b""
    while chunk := os.read(stream.fileno(), STREAM_CHUNK):
        *lines, begun = (begun + chunk).split(b"\n")
        if lines:
            on_lines(lines)
        if len(begun) > OUTPUT_LIMIT:
            raise LabError(f"it printed a line of more than {OUTPUT_LIMIT // 1_000_000} MB")


def _lines(record: Path) -> list[str]:
    """Return the lines of a record; none if it is damaged."""
    try:
        return (read_text(record) or "").splitlines()
    except LaptopError:
        return []


def _readable(text: str) -> IO[bytes]:
    """Return an unnamed file that contains ``text``, so that no thread must write while others
    read.
    """
    stream = TemporaryFile()  # noqa: SIM115 - closed once the command has it
    # Bytes that are not UTF-8, such as those of a key, come as surrogates.
    stream.write(text.encode(errors="surrogateescape"))
    stream.seek(0)
    return stream


class _Output:
    """The last characters of a command's output. An endless output would be too large to keep."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)
        self._size += len(line)
        while self._size > OUTPUT_LIMIT:
            self._size -= len(self._lines.popleft())

    def text(self) -> str:
        """Return the text that was kept."""
        return "".join(tuple(self._lines))


def _drain(stream: IO[str], output: _Output, on_line: Callable[[str], None] | None) -> None:
    while line := stream.readline(LINE_LIMIT):
        output.add(line)
        if on_line:
            on_line(line.rstrip("\n"))


def _close(process: subprocess.Popen[str], readers: Sequence[threading.Thread]) -> None:
    """Read the pipes to their ends and close them.

    A child that outlives the command (a build daemon) may keep them open. Its output is not wanted,
    and closing would wait for it.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    for stream, reader in zip((process.stdout, process.stderr), readers, strict=True):
        reader.join(max(0.0, deadline - time.monotonic()))
        if stream is not None and not reader.is_alive():
            stream.close()


def _started(pid: int) -> str:
    """Return when a process started, as text that distinguishes it from a later process with the
    same id; "" if it has ended.

    Read from Linux's /proc where it exists, because starting ``ps`` costs 20 ms.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _end_group(pid: int) -> None:
    """End a process group that is not our child: SIGTERM, then SIGKILL after a while."""
    deadline = time.monotonic() + KILL_AFTER_SECONDS
    number = signal.SIGTERM
    while _started(pid):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(ORPHAN_POLL_SECONDS)


def _signal(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _lives(process: subprocess.Popen[str]) -> bool:
    """Return whether any process of the group is still running.

    In containers the first process may be slow to collect dead processes, and the kernel then still
    counts them. /proc shows which are dead.
    """
    if process.poll() is None:
        return True
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    groups = [_group(stat) for stat in Path("/proc").glob("[0-9]*/stat")]
    return process.pid in groups if groups else True


def _group(stat: Path) -> int:
    """Return the process group of a running process; 0 for a dead one."""
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(group)


class _ending:
    """Leaves no process of the group behind if the block fails.

    Processes that a successful command leaves running (a build daemon) are wanted.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        _signal(self._process, signal.SIGTERM)
        deadline = time.monotonic() + KILL_AFTER_SECONDS
        while _lives(self._process) and time.monotonic() < deadline:
            time.sleep(ORPHAN_POLL_SECONDS)
        _signal(self._process, signal.SIGKILL)
        self._process.wait()
