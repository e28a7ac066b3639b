"""protocols.Watcher on watchfiles, which asks the operating system to tell of changes."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from watchfiles import watch

from hashlab.errors import LaptopError
from hashlab.protocols import Folders

# How often watchfiles looks whether something was told; two such looks are a change's way here.
STEP_MILLISECONDS = 20
# A change is told a moment after it was made. A file's own time is nearer to the truth, unless it
# is that of another day, which some programs set.
RECENT_SECONDS = 1.0


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
                if there := [str(path) for path in sorted(paths) if path.is_dir()]:
                    self._watched.append(_Watched(there, self._told, deep=deep))
        finally:
            _stop(old)

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
            return  # one of them went away this moment, which the next look finds
        if self._failure is not None:
            raise LaptopError(
                f"the files of the lab cannot be watched: {self._failure}",
                next_step="raise the limit: sysctl fs.inotify.max_user_watches=524288",
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


def _moment(name: str, now: float) -> float:
    """When a path was changed, as Unix time: what the file system says, if that is believable."""
    try:
        changed = os.lstat(name).st_ctime
    except OSError:
        return now
    return changed if now - RECENT_SECONDS < changed <= now else now
