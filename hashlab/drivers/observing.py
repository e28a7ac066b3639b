"""The process that runs a lab's stores and feeds them: started, observed and ended from others."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from hashlab.drivers.logstore import HttpLogStore
from hashlab.errors import LaptopError, tail
from hashlab.protocols import LogStore, Observation, StoreAddress, StoreState
from hashlab.protocols.observing import PASSWORD, USER
from hashlab.state.files import explained, is_locked, make_folder, read_json, read_text
from hashlab.state.private import open_file

# Names in the folder `observe` of the lab's state.
LOCK, STATE, LOG = "lock", "state.json", "log"
STARTING_SECONDS = 30.0
ENDING_SECONDS = 40.0
POLL_SECONDS = 0.02


class ObserverProcess:
    """protocols.Observer. ``folder``: the lab's; ``observe``: that of the state."""

    def __init__(self, folder: Path, *, provider: str, observe: Path) -> None:
        self._folder, self._provider, self._observe = folder, provider, observe

    def observation(self) -> Observation | None:
        """See protocols.Observer."""
        if not self._runs():
            return None
        saved = read_json(self._observe / STATE)
        try:
            if saved["pid"] != self._pid():
                raise ValueError("it was written by an earlier process")
            stores = {
                str(name): StoreState(self._address(state["port"]), str(state["why"]))
                for name, state in saved["stores"].items()
            }
            machines = {str(name): str(why) for name, why in saved["machines"].items()}
            return Observation(str(saved["settings"]), stores, machines)
        except (AttributeError, KeyError, TypeError, ValueError):
            return Observation("", {}, {})

    def start(self) -> Observation:
        """See protocols.Observer."""
        if (found := self.observation()) is not None and found.answers:
            return found
        make_folder(self._observe)
        with explained(self._observe / LOG):
            log = open_file(str(self._observe / LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            pid = os.posix_spawn(
                sys.executable,
                # -P: the current folder may have files that are named like Python's modules.
                [sys.executable, "-P", "-m", "hashlab.observe", str(self._folder), self._provider],
                os.environ,
                setsid=True,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
            )
        except OSError as error:
            raise LaptopError(f"the stores cannot be started: {error}") from error
        finally:
            os.close(log)
        return self._started(pid)

    def _started(self, pid: int) -> Observation:
        """Wait until the stores answer. Raises LaptopError with the end of the log."""
        deadline = time.monotonic() + STARTING_SECONDS
        while True:
            found = self.observation()
            if found is not None and found.answers:
                return found
            # Of several that are started at once, all but one end.
            if found is None and os.waitpid(pid, os.WNOHANG)[0]:
                why = "the process ended"
                break
            if time.monotonic() > deadline:
                silent = found.stores.values() if found else ()
                why = "; ".join(each.why for each in silent if each.why) or "the process hangs"
                break
            time.sleep(POLL_SECONDS)
        raise LaptopError(
            f"what the lab logs and uses is not stored: {why}",
            where=str(self._observe / LOG),
            output=tail(read_text(self._observe / LOG) or ""),
            next_step="hashlab doctor, or set logs and metrics to false under [observe]",
        )

    def stop(self) -> None:
        """See protocols.Observer."""
        deadline = time.monotonic() + ENDING_SECONDS
        number = signal.SIGTERM
        while self._runs():
            self._signal(number)
            if time.monotonic() > deadline:
                number = signal.SIGKILL
            time.sleep(POLL_SECONDS)

    def store(self, address: StoreAddress) -> LogStore:
        """See protocols.Observer."""
        return HttpLogStore(address)

    def _runs(self) -> bool:
        """Return whether a process holds the lock."""
        try:
            lock = open_file(str(self._observe / LOCK), os.O_RDONLY)
        except OSError:
            return False
        try:
            return is_locked(lock)
        finally:
            os.close(lock)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the process that holds the lock."""
        if pid := self._pid():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pid(self) -> int:
        """Return the number of the process that has held the lock last; 0 if it is not known."""
        text = (read_text(self._observe / LOCK) or "").strip()
        return int(text) if text.isdecimal() else 0

    def _address(self, port: int | None) -> StoreAddress | None:
        password = read_text(self._observe / PASSWORD)
        if not isinstance(port, int) or not password:
            return None
        return StoreAddress(port, USER, password)
