"""Replaces the replicas of a service one after another, each ready before the next goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.containers.actions import Action
from hashlab.phases.containers.fronts import let_in
from hashlab.phases.containers.readiness import wait_ready
from hashlab.phases.containers.rollback import put_back
from hashlab.phases.world import LOOK_SECONDS, World
from hashlab.pipeline import Track
from hashlab.protocols import ContainerState

# Actions that end a process which may be serving.
ENDING = ("replace", "restart")


@contextmanager
def in_turn(
    world: World, service: Service, action: Action, replica: ContainerState | None, step: Track
) -> Iterator[None]:
    """Hold a place among the replicas that are replaced at once (``update_config``: parallelism)
    during the block, and until the replica is ready, and serves in its front if it has one. A
    replica that does not serve now needs no place.

    Raises LabError if it does not get ready; then the others stay as they are.
    """
    serves = replica is not None and replica.state == "running" and action.kind in ENDING
    at_once = _count(world, service) == 1 or service.parallelism == 0
    if not serves or replica is None or (at_once and not service.rollback):
        yield
        return
    places = _places(world, service)
    while not places.acquire(timeout=LOOK_SECONDS):
        step.detail("waiting for its turn")
        step.cancel.check()
    step.cancel.check()
    with _taken_back(world, service, replica.name, step):
        yield
        wait_ready(world, service, replica.name, step)
        let_in(world, service, [replica.name], step)
    step.cancel.wait(service.update_delay)
    # Not after a failure: the next one would begin before the run is cancelled.
    places.release()


@contextmanager
def _taken_back(world: World, service: Service, container: str, step: Track) -> Iterator[None]:
    """Put a container back to its previous build if the block fails, and its service asks for it.
    The failure says so.
    """
    try:
        yield
    except LabError as error:
        try:
            done = put_back(world, service, container, step)
        except LabError as another:
            error.what = (
                f"{error.what}; its previous build did not get ready either: {another.what}"
            )
        else:
            error.what = f"{error.what}; {done}" if done else error.what
        raise


def _count(world: World, service: Service) -> int:
    """Return the number of replicas of a service on all machines."""
    return sum(each.replicas for each in world.lab.services if each.family == service.family)


def _places(world: World, service: Service) -> threading.Semaphore:
    with world.lock:
        places = world.facts.containers.places
        number = service.parallelism or _count(world, service)
        return places.setdefault(service.family, threading.Semaphore(number))
