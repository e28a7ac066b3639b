"""Runs the log store of one lab, and again when it ends; feeds it while it runs."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hashlab.documents.status import MachineState
from hashlab.drivers.logstore import HttpLogStore, StoreProcess
from hashlab.drivers.observing import LOCK, STATE
from hashlab.errors import LaptopError
from hashlab.logs.feeding import Feed, SavedPlace
from hashlab.observe.marks import Marks
from hashlab.observe.saying import Sayings
from hashlab.phases.changes import note_machine
from hashlab.phases.connect import is_located, renew_ssh_files
from hashlab.phases.log_store import log_store
from hashlab.phases.observe import settings_of
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import StoreAddress
from hashlab.protocols.observing import PASSWORD, USER
from hashlab.run.labs import read_folder
from hashlab.run.wiring import make_world
from hashlab.state.files import explained, is_folder, read_text, remove_tree, write_text
from hashlab.state.private import open_file

STORE, PLACES = "store", "places"
# The store's usual port, which is taken if it is free.
PORT = 9428
STARTING_SECONDS = 20.0
POLL_SECONDS = 0.02
# Seconds between two looks at the store's process, and at the folder that ties this one to its lab.
LOOK_SECONDS = 0.2
# After a failure of the store, it is started again after a second, then after twice as long, …
LONGEST_PAUSE = 30.0
# A store that ran for so long has not failed to start.
STEADY_SECONDS = 60.0
# Without any machine that answers, nothing new comes; `dev` and `logs` start the store again.
ALONE_SECONDS = 1800.0
LOCK_SECONDS = 2.0


def collect(folder: Path, provider: str) -> None:
    """Run the log store of a lab until SIGTERM, until its folder is gone, or until no machine has
    answered for long. Only one process does so; another one ends at once.
    """
    cancel = CancelToken()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=cancel.cancel).start())
    world = make_world(read_folder(folder, provider))
    with _locked(world.state.observe / LOCK) as lock:
        if lock is None:
            return
        with suppress(OSError):
            os.ftruncate(sys.stderr.fileno(), 0)  # the log of the previous process
        collector = Collector(world, cancel)
        try:
            collector.run(lambda: _is_same(lock, world.state.observe / LOCK))
        except Cancelled:
            return
        finally:
            world.close()


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Hold the lock, which says that this process runs; yield None if another one does.

    Others test the lock for a moment, so it is tried for a while.
    """
    with explained(path):
        lock = open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield None
                    return
                time.sleep(POLL_SECONDS)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _is_same(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.lstat())
    except OSError:
        return False


class Collector:
    """Keeps the store running, and a feed for each machine while it runs."""

    def __init__(self, world: World, cancel: CancelToken) -> None:
        self._world, self._cancel = world, cancel
        self._folder = world.state.observe
        self._program = log_store(world.environ)
        names = world.machine_names()
        self._sayings = Sayings(self._folder / STATE, settings_of(world), names)
        # With the data, all memory of what they contained is gone.
        if not is_folder(self._folder / STORE):
            remove_tree(self._folder / PLACES)
        self._saved = {name: SavedPlace(self._folder / PLACES / f"{name}.json") for name in names}
        self._password = _password(self._folder / PASSWORD)
        self._port = PORT
        if any(is_located(world, name) for name in names):
            renew_ssh_files(world)

    def run(self, wanted: Callable[[], bool]) -> None:
        """Run the store again and again. Raises Cancelled. ``wanted``: the lab is still there."""
        pause = 1.0
        while wanted():
            began = time.monotonic()
            try:
                why = self._run_store(wanted)
            except LaptopError as error:
                why = str(error)
            if not why:
                return
            _log(why)
            self._sayings.store_failed(why)
            pause = 1.0 if time.monotonic() - began > STEADY_SECONDS else pause
            self._cancel.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _run_store(self, wanted: Callable[[], bool]) -> str:
        """Run the store to its end; return why it ended, "" if it is not wanted any more."""
        if not self._world.port_is_free(self._port):
            self._port = self._world.free_port()
        address = StoreAddress(self._port, USER, self._password)
        settings = self._world.lab.observe
        store = StoreProcess(
            self._program,
            folder=self._folder,
            address=address,
            days=settings.days,
            disk=settings.disk,
        )
        try:
            self._await(store, address)
            _log(f"the store is process {store.pid} at port {address.port}")
            self._sayings.store_answers(address.port)
            with self._feeding(address):
                while not store.ended:
                    if not wanted() or self._sayings.alone_seconds > ALONE_SECONDS:
                        return ""
                    self._cancel.wait(LOOK_SECONDS)
            return "the store ended by itself, and is started again"
        finally:
            store.stop()

    def _await(self, store: StoreProcess, address: StoreAddress) -> None:
        """Wait until the store answers. Raises LaptopError."""
        deadline = time.monotonic() + STARTING_SECONDS
        while not store.answers(address):
            if store.ended or time.monotonic() > deadline:
                # Perhaps another program has taken the port.
                self._port = self._world.free_port()
                raise LaptopError("the store does not start")
            self._cancel.wait(POLL_SECONDS)

    @contextmanager
    def _feeding(self, address: StoreAddress) -> Iterator[None]:
        """Feed the store from all machines during the block."""
        cancel = CancelToken()
        feeds = [self._feed(name, address, cancel) for name in self._world.machine_names()]
        marks = Marks(self._world, HttpLogStore(address), log=_log, cancel=cancel)
        work = [*(feed.run for feed in feeds), marks.run]
        threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            cancel.cancel()
            for thread in threads:
                thread.join()

    def _feed(self, name: str, address: StoreAddress, cancel: CancelToken) -> Feed:
        return Feed(
            self._world,
            name,
            HttpLogStore(address),
            saved=self._saved[name],
            report=lambda why: self._sayings.machine(name, why),
            came=lambda state: self._machine_came(name, state),
            cancel=cancel,
        )

    def _machine_came(self, name: str, state: MachineState) -> None:
        """Record that a machine went away or came back."""
        try:
            note_machine(self._world, name, state)
        except LaptopError as error:
            _log(f"what happened to machine {name} could not be recorded: {error.what}")


def _password(path: Path) -> str:
    """Return the store's password; make one the first time."""
    if (known := (read_text(path) or "").strip()) != "":
        return known
    made = secrets.token_urlsafe(24)
    write_text(path, made, lasting=True)
    return made


def _log(text: str) -> None:
    """Write a line into the log of this process."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")
    sys.stderr.flush()
