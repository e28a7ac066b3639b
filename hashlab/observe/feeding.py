"""The log store of a lab: how it is started, and what feeds it while it answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hashlab.documents.status import MachineState
from hashlab.drivers.logstore import HttpLogStore, log_store_answers, log_store_process
from hashlab.drivers.storeprocess import StoreProcess
from hashlab.errors import LaptopError
from hashlab.logs.feeding import Feed, SavedPlace
from hashlab.observe.keeping import Kept, Threads, log
from hashlab.observe.marks import Marks
from hashlab.observe.saying import Sayings
from hashlab.phases.changes import note_machine
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.protocols import StoreAddress
from hashlab.state.files import is_folder, remove_tree

STORE, PLACES = "store", "places"
PORT = 9428


def keep_logs(world: World, program: Path, sayings: Sayings) -> Kept:
    """Return the log store as a store to keep."""
    folder = world.state.observe
    # With the data, all memory of what they contained is gone.
    if not is_folder(folder / STORE):
        remove_tree(folder / PLACES)
    saved = {name: SavedPlace(folder / PLACES / f"{name}.json") for name in world.machine_names()}

    def start(address: StoreAddress) -> StoreProcess:
        settings = world.lab.observe
        return log_store_process(
            program, folder=folder, address=address, days=settings.days, disk=settings.disk
        )

    def works(address: StoreAddress, cancel: CancelToken) -> list[Callable[[], None]]:
        feeds = [
            Feed(
                world,
                name,
                HttpLogStore(address),
                saved=saved[name],
                report=partial(sayings.machine, name),
                came=partial(_machine_came, world, name),
                cancel=cancel,
            )
            for name in world.machine_names()
        ]
        marks = Marks(world, HttpLogStore(address), log=log, cancel=cancel)
        return [*(feed.run for feed in feeds), marks.run]

    return Kept(
        name="logs",
        port=PORT,
        start=start,
        answers=log_store_answers,
        using=lambda address: Threads(lambda cancel: works(address, cancel)),
    )


def _machine_came(world: World, name: str, state: MachineState) -> None:
    """Record that a machine went away or came back."""
    try:
        note_machine(world, name, state)
    except LaptopError as error:
        log(f"what happened to machine {name} could not be recorded: {error.what}")
