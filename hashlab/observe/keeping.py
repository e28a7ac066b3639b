"""Runs one store, and again when it ends; lets others use it while it answers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from hashlab.drivers.storeprocess import StoreProcess
from hashlab.errors import LaptopError
from hashlab.observe.saying import Sayings
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import StoreAddress
from hashlab.protocols.observing import USER

STARTING_SECONDS = 20.0
POLL_SECONDS = 0.02
# Seconds between two looks at the store's process.
LOOK_SECONDS = 0.2
# After a failure of the store, it is started again after a second, then after twice as long, …
LONGEST_PAUSE = 30.0
# A store that ran for so long has not failed to start.
STEADY_SECONDS = 60.0


@dataclass(frozen=True)
class Kept:
    """A store to keep running. ``port``: its usual one, which is taken if it is free; ``using``:
    what works with the store while it answers.
    """

    name: str
    port: int
    start: Callable[[StoreAddress], StoreProcess]
    answers: Callable[[StoreAddress], bool]
    using: Callable[[StoreAddress], AbstractContextManager[None]]


class Keeper:
    """Keeps one store running until it is cancelled. ``error``: why it gave up, a bug."""

    def __init__(
        self, world: World, kept: Kept, *, password: str, sayings: Sayings, cancel: CancelToken
    ) -> None:
        self._world, self._kept, self._password = world, kept, password
        self._sayings, self._cancel = sayings, cancel
        self._port = kept.port
        self.error: Exception | None = None

    def run(self) -> None:
        """Run the store again and again; it is the thread's target."""
        try:
            self._keep()
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001 - raised again where it is looked at
            self.error = error

    def _keep(self) -> None:
        pause = 1.0
        while True:
            began = time.monotonic()
            try:
                self._run_store()
                why = "the store ended by itself, and is started again"
            except LaptopError as error:
                why = str(error)
            log(f"{self._kept.name}: {why}")
            self._sayings.store_failed(self._kept.name, why)
            pause = 1.0 if time.monotonic() - began > STEADY_SECONDS else pause
            self._cancel.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _run_store(self) -> None:
        """Run the store to its end. Raises LaptopError, Cancelled."""
        if not self._world.port_is_free(self._port):
            self._port = self._world.free_port()
        address = StoreAddress(self._port, USER, self._password)
        store = self._kept.start(address)
        try:
            self._await(store, address)
            log(f"{self._kept.name}: the store is process {store.pid} at port {address.port}")
            self._sayings.store_answers(self._kept.name, address.port)
            with self._kept.using(address):
                while not store.ended:
                    self._cancel.wait(LOOK_SECONDS)
        finally:
            store.stop()

    def _await(self, store: StoreProcess, address: StoreAddress) -> None:
        """Wait until the store answers. Raises LaptopError."""
        deadline = time.monotonic() + STARTING_SECONDS
        while not self._kept.answers(address) or store.ended:
            if store.ended or time.monotonic() > deadline:
                # Perhaps another program has taken the port.
                self._port = self._world.free_port()
                raise LaptopError("the store does not start")
            self._cancel.wait(POLL_SECONDS)


class Threads(AbstractContextManager[None]):
    """Runs functions in threads during a block. Each gets a token that is cancelled at its end."""

    def __init__(self, works: Callable[[CancelToken], list[Callable[[], None]]]) -> None:
        self._works, self._cancel = works, CancelToken()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> None:
        for work in self._works(self._cancel):
            thread = threading.Thread(target=work, daemon=True)
            self._threads.append(thread)
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._cancel.cancel()
        for thread in self._threads:
            thread.join()


def log(text: str) -> None:
    """Write a line into the log of this process."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
    sys.stderr.flush()
