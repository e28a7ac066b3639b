"""protocols.Watcher with watchfiles, which gets notices of changes from the operating system."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from watchfiles import watch

from hashlab.errors import LaptopError
from hashlab.protocols import Folders

# Milliseconds between checks of watchfiles for new notices. A change arrives after two such checks
# at most.
STEP_MILLISECONDS = 20
# A notice arrives a moment after the change. The file's own time is more precise, unless it is far
# in the past, because some programs set it.
RECENT_SECONDS = 1.0
TRIES = 20


class FileWatcher:
    """Uses two threads, because watchfiles watches either deep or flat. Both put changes into one
    queue.
    """

    def __init__(self) -> None:
        self._changes: queue.SimpleQueue[Mapping[Path, float]] = queue.SimpleQueue()
        self._watched: list[_Watched] = []

    def watch(self, folders: Folders) -> None:
        """See protocols.Watcher. The new folders are watched before the old ones are released."""
        old, self._watched = self._watched, []
        try:
            for paths, deep in ((folders.deep, True), (folders.flat, False)):
                self._watched += self._begun(paths, deep=deep)
        finally:
            _stop(old)

    def _begun(self, paths: Iterable[Path], *, deep: bool) -> list[_Watched]:
        """Watch those of the folders that exist. If one vanishes meanwhile, start again with the
        others.
        """
        for _ in range(TRIES):
            existing = [str(path) for path in sorted(paths) if _is_folder(path)]
            if not existing:
                return []
            with suppress(FileNotFoundError):
                return [_Watched(existing, self._changes, deep=deep)]
        raise LaptopError(
            "the folders of the lab appear and vanish, so they cannot be watched",
            next_step="run hashlab watch again once they remain",
        )

    def saves(self, seconds: float) -> Mapping[Path, float]:
        """See protocols.Watcher."""
        changes: dict[Path, float] = {}
        try:
            changes.update(self._changes.get(timeout=max(seconds, 0.0)))
            while True:
                for path, moment in self._changes.get_nowait().items():
                    changes.setdefault(path, moment)
        except queue.Empty:
            return changes

    def wake(self) -> None:
        """See protocols.Watcher."""
        self._changes.put({})

    def close(self) -> None:
        """See protocols.Watcher."""
        _stop(self._watched)
        self._watched = []


def _stop(threads: Iterable[_Watched]) -> None:
    threads = list(threads)
    for thread in threads:
        thread.stopping.set()
    for thread in threads:
        thread.join()


class _Watched(threading.Thread):
    """Watches some folders until it is stopped. Once it is constructed, they are being watched."""

    def __init__(
        self, paths: list[str], changes: queue.SimpleQueue[Mapping[Path, float]], *, deep: bool
    ) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self._paths, self._changes, self._deep = paths, changes, deep
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self.start()
        self._ready.wait()
        if isinstance(self._failure, FileNotFoundError):
            raise self._failure
        if self._failure is not None:
            raise LaptopError(
                f"the files of the lab cannot be watched: {self._failure}",
                next_step=advice(str(self._failure)),
            )

    def run(self) -> None:
        """Put each batch of changes into the queue."""
        try:
            for changes in watch(
                *self._paths,
                watch_filter=None,
                debounce=STEP_MILLISECONDS,
                step=STEP_MILLISECONDS,
                rust_timeout=0,
                stop_event=self,
                recursive=self._deep,
                ignore_permission_denied=True,
            ):
                now = time.time()
                self._changes.put({Path(name): _moment(name, now) for _, name in changes})
        except (OSError, RuntimeError) as failure:  # watchfiles' own errors are RuntimeErrors
            self._failure = failure
        finally:
            self._ready.set()

    def is_set(self) -> bool:
        """Return whether to stop. watchfiles calls this, the first time once it has begun to
        watch.
        """
        self._ready.set()
        return self.stopping.is_set()


def advice(failure: str) -> str:
    """Return the command that fixes a failure of the operating system to watch; "" if none does.

    Linux limits three things: the folders a user watches, the programs that watch for a user, and
    the files a process opens. The last two fail with the same message.
    """
    if "watch limit" in failure or "os error 28" in failure:
        return "raise the limit of watched folders: sysctl fs.inotify.max_user_watches=524288"
    if "os error 24" not in failure:
        return ""
    if _may_open_files():
        return (
            "end programs that watch files (editors, other hashlab watch), or raise the limit of "
            "them: sysctl fs.inotify.max_user_instances=1024"
        )
    return "raise the limit of open files: ulimit -n 4096"


def _is_folder(path: Path) -> bool:
    with suppress(OSError):  # an unreadable folder cannot be watched
        return path.is_dir()
    return False


def _may_open_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _moment(name: str, now: float) -> float:
    """Return the Unix time of a change of a path: the file system's time if it is plausible, else
    ``now``.
    """
    try:
        changed = os.lstat(name).st_ctime
    except OSError:
        return now
    return changed if now - RECENT_SECONDS < changed <= now else now
