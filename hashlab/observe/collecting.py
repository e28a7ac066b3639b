"""Keeps the stores of one lab, until it is ended or the lab is gone."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hashlab.drivers.observing import LOCK, STATE
from hashlab.observe.feeding import keep_logs
from hashlab.observe.keeping import LOOK_SECONDS, Keeper, Kept
from hashlab.observe.metering import Metering
from hashlab.observe.saying import Sayings
from hashlab.phases.connect import is_located, renew_ssh_files
from hashlab.phases.observe import settings_of
from hashlab.phases.stores import store_program
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols.observing import PASSWORD
from hashlab.run.labs import read_folder
from hashlab.run.wiring import make_world
from hashlab.state.files import explained, read_text, write_text
from hashlab.state.private import open_file

POLL_SECONDS = 0.02
# Without any machine that answers, nothing new comes; `dev` and `logs` start the stores again.
ALONE_SECONDS = 1800.0
LOCK_SECONDS = 2.0


def collect(folder: Path, provider: str) -> None:
    """Run the stores of a lab until SIGTERM, until its folder is gone, or until no machine has
    answered for long. Only one process does so; another one ends at once. Raises HashlabError.
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
        try:
            _run(world, cancel, lambda: _is_same(lock, world.state.observe / LOCK))
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


def _run(world: World, cancel: CancelToken, wanted: Callable[[], bool]) -> None:
    """Keep the stores that the lab asks for. Raises Cancelled. ``wanted``: the lab is there."""
    names = sorted(world.observed)
    programs = {name: store_program(name, world.environ) for name in names}
    machines = world.machine_names()
    sayings = Sayings(
        world.state.observe / STATE,
        settings_of(world),
        stores=names,
        machines=machines if "logs" in names else (),
    )
    if any(is_located(world, name) for name in machines):
        renew_ssh_files(world)
    password = _password(world.state.observe / PASSWORD)
    with ExitStack() as stack:
        kept: list[Kept] = []
        if "logs" in names:
            kept.append(keep_logs(world, programs["logs"], sayings))
        if "metrics" in names:
            metering = stack.enter_context(Metering(world, password, sayings))
            kept.append(metering.keep(programs["metrics"]))
        ending = CancelToken()
        keepers = [
            Keeper(world, each, password=password, sayings=sayings, cancel=ending) for each in kept
        ]
        _keep(keepers, ending, cancel, lambda: wanted() and sayings.alone_seconds < ALONE_SECONDS)


def _keep(
    keepers: list[Keeper], ending: CancelToken, cancel: CancelToken, wanted: Callable[[], bool]
) -> None:
    """Run the keepers until ``wanted`` says no; then cancel ``ending``, which ends them. Raises
    Cancelled, and a keeper's error.
    """
    threads = [threading.Thread(target=keeper.run, daemon=True) for keeper in keepers]
    for thread in threads:
        thread.start()
    try:
        while wanted():
            for keeper in keepers:
                if keeper.error is not None:
                    raise keeper.error
            cancel.wait(LOOK_SECONDS)
    finally:
        ending.cancel()
        for thread in threads:
            thread.join()


def _password(path: Path) -> str:
    """Return the stores' password; make one the first time."""
    if (known := (read_text(path) or "").strip()) != "":
        return known
    made = secrets.token_urlsafe(24)
    write_text(path, made, lasting=True)
    return made
