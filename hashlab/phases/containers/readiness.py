"""Waits until a container is ready, by its engine's word and by running its health check."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track
from hashlab.protocols import ContainerState, Engine

READY_SECONDS = 180.0
# A container that ran before this run should be healthy, unless its machine has just started.
KEPT_SECONDS = 45.0
POLL_SECONDS = 0.1
# A health check costs the starting machine 0.1 s of a processor: the longer the wait, the rarer
# the checks.
POLL_SHARE = 0.2
# While other services start, an answer takes long because the processors are busy; more checks
# would slow the services that start.
ANSWER_SHARE = 2
ANSWER_SECONDS = 0.3
# Without a health check, a container that ends right after its start looks like one that runs.
SETTLE_SECONDS = 1.0
# A container that its restart policy restarted must run for as long as Docker itself requires of a
# successful start.
RESTARTED_SECONDS = 10.0
# Docker doubles its wait before each restart: this many restarts take half a minute.
RESTARTS = 8
# Docker's default time limit for a health check.
CHECK_SECONDS = 30.0


def is_one_shot(service: Service) -> bool:
    """Return whether Docker does not restart a container that ended with 0 (``restart: "no"``)."""
    return service.restart.partition(":")[0] in ("no", "on-failure")


def is_job(lab: Lab, service: Service, state: ContainerState) -> bool:
    """Return whether a container that ends with 0 may have done its work: other services wait for
    its end, or it has neither a health check nor a published port.
    """
    serves = state.checked or bool(service.ports)
    return is_one_shot(service) and (completes(lab, service) or not serves)


def keeps_ending(state: ContainerState) -> bool:
    """Return whether a running container without a health check was restarted by its policy so
    recently that it may end again. Compares the machine's clock with the laptop's.
    """
    if state.checked or not state.restarts or state.state != "running":
        return False
    try:
        ran = (datetime.now(UTC) - datetime.fromisoformat(state.started_at)).total_seconds()
    except (ValueError, TypeError):
        return True
    return ran < RESTARTED_SECONDS


def wait_ready(
    world: World, service: Service, name: str, step: Track, *, seconds: float | None = None
) -> ContainerState:
    """Wait until a container is ready, and return its state: healthy if it has a health check,
    ended with 0 if others wait for its completion, running for a while otherwise.

    Raises LabError if it cannot get ready, or does not within ``seconds`` (of a machine in a
    container; ``time_factor`` multiplies them).
    """
    engine = world.link(service.machine).engine
    started = time.monotonic()
    steady = _Steady()
    limit = (READY_SECONDS if seconds is None else seconds) * world.provider.time_factor
    while True:
        asked = time.monotonic()
        state = engine.container(name)
        if state is not None and (
            (is_ready(world.lab, service, state) and steady.enough(state, asked))
            or _passes(engine, state, service, step.cancel, world.provider.time_factor)
        ):
            return state
        failure = _failure(world.lab, service, state) or steady.failure(state)
        now = time.monotonic()
        waited = now - started
        if not failure and waited > limit:
            failure = f"not ready after {limit:g} s"
        if failure:
            raise _explain(engine, service, name, state, failure)
        if state is not None:
            step.detail(state.health or state.state)
        step.cancel.wait(pause(waited, now - asked))


def pause(waited: float, answered_in: float) -> float:
    """Return the seconds until the next check, from the whole wait and the last answer's time."""
    slow = min(answered_in * ANSWER_SHARE, ANSWER_SECONDS)
    return max(POLL_SECONDS, waited * POLL_SHARE, slow)


def _passes(
    engine: Engine,
    state: ContainerState,
    service: Service,
    cancel: CancelToken,
    time_factor: float,
) -> bool:
    """Run the service's health check now, and return whether it passes. The engine would wait for
    the check's interval, which suits a running service and not its start.
    """
    check = service.healthcheck
    if check is None or state.state != "running" or state.health != "starting":
        return False
    kind, *argv = check.test or ("NONE",)
    if kind == "NONE":
        return False
    command = ["/bin/sh", "-c", *argv] if kind == "CMD-SHELL" else argv
    passed = threading.Event()
    ended = threading.Event()

    def ask() -> None:
        try:
            if engine.execute(state.id, command).code == 0:
                passed.set()
        except LabError:
            pass  # the container may just have ended: the next poll reads its exit code
        finally:
            ended.set()

    # A check that takes longer than it may has not passed.
    threading.Thread(target=ask, daemon=True).start()
    with cancel.calling(ended.set):
        ended.wait((check.timeout or CHECK_SECONDS) * time_factor)
    return passed.is_set()


def completes(lab: Lab, service: Service) -> bool:
    """Return whether other services wait for this one to end with 0."""
    return any(
        dependency.service == service.name
        and dependency.condition == "service_completed_successfully"
        for other in lab.services
        for dependency in other.depends_on
    )


def is_ready(lab: Lab, service: Service, state: ContainerState) -> bool:
    """Return whether a container is ready according to its engine."""
    if state.state == "exited":
        return state.exit_code == 0 and is_job(lab, service, state)
    running = state.state == "running" and state.health in ("", "healthy")
    return running and not completes(lab, service)


@dataclass
class _Steady:
    """Measures how long a container without a health check has run since its last start."""

    started_at: str = ""
    since: float = 0.0
    restarts: int | None = None

    def enough(self, state: ContainerState, now: float) -> bool:
        """Return whether it has run long enough to count as running. ``now``: monotonic seconds."""
        if state.checked or state.state != "running":
            return True
        if state.started_at != self.started_at:
            self.started_at, self.since = state.started_at, now
        return now - self.since >= (RESTARTED_SECONDS if state.restarts else SETTLE_SECONDS)

    def failure(self, state: ContainerState | None) -> str:
        """Return the failure of a container that keeps ending; "" if it does not."""
        if state is None:
            return ""
        if self.restarts is None:
            self.restarts = state.restarts
        times = state.restarts - self.restarts
        return f"it ends again and again, {times} times by now" if times >= RESTARTS else ""


def _failure(lab: Lab, service: Service, state: ContainerState | None) -> str:
    """Return the reason to stop waiting; "" while there is none."""
    if state is None:
        return "the container is gone"
    if state.state == "dead" or (state.state == "exited" and state.exit_code != 0):
        return f"it ended with exit code {state.exit_code}"
    if state.state == "exited" and not is_job(lab, service, state):
        return "it ended with exit code 0, but is meant to keep running"
    return ""


def _explain(
    engine: Engine, service: Service, name: str, state: ContainerState | None, failure: str
) -> LabError:
    last = f" (last state: {state.state} {state.health})".replace(" )", ")") if state else ""
    return LabError(
        f"service {service.name}: {failure}{last}",
        where=service.machine,
        output=engine.logs(name) if state else "",
        next_step=f"hashlab logs {service.name}",
    )
