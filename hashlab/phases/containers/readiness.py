"""When is a container ready? What its engine says, and its own health check asked at once."""

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
# One that ran before this run should be well already, unless its machine has just started.
KEPT_SECONDS = 45.0
POLL_SECONDS = 0.1
# Asking costs the machine that is starting, 0.1 s of a processor each time: the longer it takes,
# the rarer it is asked.
POLL_SHARE = 0.2
# Where other services start beside it, an answer takes long because the processors are taken; to
# ask on would take them from those that start.
ANSWER_SHARE = 2
ANSWER_SECONDS = 0.3
# Without a health check, a container that ends right after its start looks like one that runs.
SETTLE_SECONDS = 1.0
# One that its restart policy had to start again must run as long as Docker itself asks of a start
# that went well.
RESTARTED_SECONDS = 10.0
# Docker waits twice as long before each restart: this many take it half a minute.
RESTARTS = 8
# Docker's own time limit for a health check that names none.
CHECK_SECONDS = 30.0


def is_one_shot(service: Service) -> bool:
    """Return whether Docker leaves a container that ended with 0 as it is (``restart: "no"``)."""
    return service.restart.partition(":")[0] in ("no", "on-failure")


def is_job(lab: Lab, service: Service, state: ContainerState) -> bool:
    """Return whether a container may end with 0 and have done its work: others wait for that, or
    nothing about it says that it serves anybody.
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
    """Wait until a container is what others may rely on, and return its state: healthy where it
    has a health check, ended with 0 where others wait for its completion, running for a while
    otherwise.

    Raises LabError when it cannot become that, or is not within ``seconds`` (as on a machine in a
    container).
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
    """Seconds until a service is asked again: it was waited for and has answered in that many."""
    slow = min(answered_in * ANSWER_SHARE, ANSWER_SECONDS)
    return max(POLL_SECONDS, waited * POLL_SHARE, slow)


def _passes(
    engine: Engine,
    state: ContainerState,
    service: Service,
    cancel: CancelToken,
    time_factor: float,
) -> bool:
    """Whether the service's own health check passes at this moment. The engine would look only
    after the check's interval, which is chosen for the long run and not for the start.
    """
    check = service.healthcheck
    if check is None or state.state != "running" or state.health != "starting":
        return False
    kind, *words = check.test or ("NONE",)
    if kind == "NONE":
        return False
    command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
    passed = threading.Event()
    ended = threading.Event()

    def ask() -> None:
        try:
            if engine.execute(state.id, command).code == 0:
                passed.set()
        except LabError:
            pass  # the container may just have ended: the next look tells how
        finally:
            ended.set()

    # A check may hang for longer than it is allowed to; then it has simply not passed.
    threading.Thread(target=ask, daemon=True).start()
    with cancel.calling(ended.set):
        ended.wait((check.timeout or CHECK_SECONDS) * time_factor)
    return passed.is_set()


def completes(lab: Lab, service: Service) -> bool:
    """Whether others wait for this service to end well."""
    return any(
        dependency.service == service.name
        and dependency.condition == "service_completed_successfully"
        for other in lab.services
        for dependency in other.depends_on
    )


def is_ready(lab: Lab, service: Service, state: ContainerState) -> bool:
    """Return whether a container is what others may rely on, as its engine sees it."""
    if state.state == "exited":
        return state.exit_code == 0 and is_job(lab, service, state)
    running = state.state == "running" and state.health in ("", "healthy")
    return running and not completes(lab, service)


@dataclass
class _Steady:
    """For how long a container without a health check has run since it was last started."""

    started_at: str = ""
    since: float = 0.0
    restarts: int | None = None

    def enough(self, state: ContainerState, now: float) -> bool:
        """Return whether it runs for good, as far as that can be seen. ``now``: monotonic."""
        if state.checked or state.state != "running":
            return True
        if state.started_at != self.started_at:
            self.started_at, self.since = state.started_at, now
        return now - self.since >= (RESTARTED_SECONDS if state.restarts else SETTLE_SECONDS)

    def failure(self, state: ContainerState | None) -> str:
        """Return that it ends again and again; "" while it does not."""
        if state is None:
            return ""
        if self.restarts is None:
            self.restarts = state.restarts
        times = state.restarts - self.restarts
        return f"it ends again and again, {times} times by now" if times >= RESTARTS else ""


def _failure(lab: Lab, service: Service, state: ContainerState | None) -> str:
    """Why waiting on makes no sense; "" while it does."""
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
        next_step=f"hashlab ssh {service.machine}, then: docker logs {name}",
    )
