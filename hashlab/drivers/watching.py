"""protocols.Watcher on watchfiles, which asks the operating system to tell of changes."""

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

# How often watchfiles looks whether something was told; two such looks are a change's way here.
STEP_MILLISECONDS = 20
# A change is told a moment after it was made. A file's own time is nearer to the truth, unless it
# is that of another day, which some programs set.
RECENT_SECONDS = 1.0
TRIES = 20


class FileWatcher:
    """Two threads, for watchfiles watches deep or flat; both only put into one queue."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[Mapping[Path, float]] = queue.SimpleQueue()
        self._watched: list[_Watched] = []

    def watch(self, folders: Folders) -> None:
        """See protocols.Watcher. The new ones are watched before the old ones are left alone."""
        old, self._watched = self._watched, []
        try:
            for paths, deep in ((folders.deep, True), (folders.flat, False)):
                self._watched += self._begun(paths, deep=deep)
        finally:
            _stop(old)

    def _begun(self, paths: Iterable[Path], *, deep: bool) -> list[_Watched]:
        """Watch those folders that are there. One may go while that begins: then it begins again
        with the others.
        """
        for _ in range(TRIES):
            there = [str(path) for path in sorted(paths) if _is_folder(path)]
            if not there:
                return []
            with suppress(FileNotFoundError):
                return [_Watched(there, self._told, deep=deep)]
        raise LaptopError(
            "the folders of the lab come and go, so they cannot be watched",
            next_step="type hashlab watch again once they stay",
        )

    def saves(self, seconds: float) -> Mapping[Path, float]:
        """See protocols.Watcher."""
        found: dict[Path, float] = {}
        try:
            found.update(self._told.get(timeout=max(seconds, 0.0)))
            while True:
                for path, moment in self._told.get_nowait().items():
                    found.setdefault(path, moment)
        except queue.Empty:
            return found

    def close(self) -> None:
        """See protocols.Watcher."""
        _stop(self._watched)
        self._watched = []


def _stop(several: Iterable[_Watched]) -> None:
    for one in several:
        one.stopping.set()
    for one in several:
        one.join()


class _Watched(threading.Thread):
    """Watches some folders until it is stopped. Once it is made, they are watched."""

    def __init__(
        self, paths: list[str], told: queue.SimpleQueue[Mapping[Path, float]], *, deep: bool
    ) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self._paths, self._told, self._deep = paths, told, deep
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
        """Pass on what is told."""
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
                self._told.put({Path(name): _moment(name, now) for _, name in changes})
        except (OSError, RuntimeError) as failure:  # watchfiles' own errors are RuntimeErrors
            self._failure = failure
        finally:
            self._ready.set()

    def is_set(self) -> bool:
        """Asked by watchfiles, first when it has begun to watch: whether to stop."""
        self._ready.set()
        return self.stopping.is_set()


def advice(failure: str) -> str:
    """Return what to type about a failure of the operating system to watch; "" if nothing helps.

    Linux limits three things: how many folders a user watches, how many programs watch for a user,
    and how many files a process opens. The last two fail in the same words.
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
    with suppress(OSError):  # what may not be read cannot be watched
        return path.is_dir()
    return False


def _may_open_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _moment(name: str, now: float) -> float:
    """When a path was changed, as Unix time: what the file system says, if that is believable."""
    try:
        changed = os.lstat(name).st_ctime
    except OSError:
        return now
    return changed if now - RECENT_SECONDS < changed <= now else now
