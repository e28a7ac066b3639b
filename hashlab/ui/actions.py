"""Does what the page's buttons say: runs a hashlab command as a person would type it.

Such a run is a process of its own, which takes the lab's lock as any other does, and goes on if the
page's server ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from hashlab.documents.status import Status
from hashlab.errors import UsageError
from hashlab.phases.snapshots.manifests import check_name
from hashlab.ui.feed import Feed

# Only this much of a command's output is read.
MOST_OUTPUT = 1 << 22


@dataclass(frozen=True)
class Action:
    """A command that the page may run. ``takes``: the name that it needs, or ""."""

    command: str
    takes: str = ""


ACTIONS: Mapping[str, Action] = {
    "refresh": Action("refresh"),
    "restart": Action("restart", "service"),
    "snapshot": Action("snapshot", "new snapshot"),
    "restore": Action("restore", "snapshot"),
}


class Actions:
    """Runs the commands of the page on the lab in ``folder``, one at a time, and puts how each
    ended into the feed. ``spawn`` starts a process and returns a function that waits for its end.
    """

    def __init__(
        self,
        folder: Path,
        provider: str | None,
        feed: Feed,
        *,
        spawn: Callable[[Sequence[str], IO[bytes]], Callable[[], int]] | None = None,
    ) -> None:
        self._base = lab_words(folder, provider)
        self._feed = feed
        self._spawn = spawn or start_process
        self._lock = threading.Lock()
        self._current = ""
        self._count = 0

    @property
    def current(self) -> str:
        """Return the command that runs, or ""."""
        return self._current

    def start(self, name: str, value: str) -> str:
        """Start a command; return why it is refused, or "". A run in another process is noticed by
        the command itself.
        """
        action = ACTIONS.get(name)
        if action is None:
            return f"unknown action {name!r}"
        try:
            words = [action.command, *self._words(action, value)]
        except UsageError as wrong:
            return wrong.what
        with self._lock:
            if self._current:
                return f"hashlab {self._current} is still running"
            self._current = " ".join(words)
        threading.Thread(target=self._run, args=(words,), daemon=True).start()
        return ""

    def _words(self, action: Action, value: str) -> list[str]:
        """Return the words behind the command. Raises UsageError for a name that is not one."""
        if not action.takes:
            return []
        if action.takes == "service":
            status: Status | None = self._feed.value("status")
            if status is None or value not in {service.name for service in status.services}:
                raise UsageError(f"unknown service {value!r}")
        else:
            check_name(value)
        return [value]

    def _run(self, words: Sequence[str]) -> None:
        shown = " ".join(words)
        self._feed.put("action", {"command": shown, "running": True})
        command = [sys.executable, "-P", "-m", "hashlab", *words, *self._base, "--json"]
        try:
            with TemporaryFile() as output:
                code = self._spawn(command, output)()
                output.seek(0)
                answer = output.read(MOST_OUTPUT)
            ended = {"code": code, **outcome(code, answer)}
        except OSError as error:
            ended = {"code": 3, "what": f"it cannot be started: {error}", "next_step": ""}
        with self._lock:
            self._current = ""
            self._count += 1
            number = self._count
        self._feed.put("action", {"command": shown, "running": False, "number": number, **ended})


def lab_words(folder: Path, provider: str | None) -> list[str]:
    """Return the options that name the lab to a command."""
    return ["--lab", str(folder), *(["--provider", provider] if provider else [])]


def outcome(code: int, answer: bytes) -> dict[str, Any]:
    """Read the JSON document of a command that ended: what failed, and what to type next."""
    record: Any = None
    with suppress(ValueError):
        record = json.loads(answer)
    error = record.get("error") if isinstance(record, dict) else None
    if code == 0:
        return {"what": "", "next_step": ""}
    if not isinstance(error, dict):
        return {"what": f"it ended with exit code {code}", "next_step": "hashlab events"}
    return {"what": str(error.get("what", "")), "next_step": str(error.get("next_step") or "")}


def start_process(command: Sequence[str], output: IO[bytes]) -> Callable[[], int]:
    """Start a process in a session of its own, because Ctrl-C in this terminal ends only the page.
    Its stdout is ``output``. Raises OSError.
    """
    pid = os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )

    def wait() -> int:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    return wait
