"""When is a container ready? What its engine says, and its own health check asked at once."""

from __future__ import annotations

import threading
import time

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
# Docker's own time limit for a health check that names none.
CHECK_SECONDS = 30.0


def is_one_shot(service: Service) -> bool:
    """Whether a container that ended with 0 has done its work (Compose's ``restart: "no"``)."""
    return service.restart.partition(":")[0] in ("no", "on-failure")


def wait_ready(
    world: World, service: Service, name: str, step: Track, *, seconds: float | None = None
) -> None:
    """Wait until a container is what others may rely on: healthy where it has a health check,
    ended with 0 where others wait for its completion, running otherwise.

    Raises LabError when it cannot become that, or is not within ``seconds`` (as on a machine in a
    container).
    """
    ending = completes(world.lab, service)
    engine = world.link(service.machine).engine
    started = time.monotonic()
    limit = (READY_SECONDS if seconds is None else seconds) * world.provider.patience
    while True:
        asked = time.monotonic()
        state = engine.container(name)
        if state is not None and (
            is_ready(state, service, ending)
            or _passes(engine, state, service, step.cancel, world.provider.patience)
        ):
            return
        failure = _failure(state, service, ending)
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
    patience: float,
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
        ended.wait((check.timeout or CHECK_SECONDS) * patience)
    return passed.is_set()


def completes(lab: Lab, service: Service) -> bool:
    """Whether others wait for this service to end well."""
    return any(
        dependency.service == service.name
        and dependency.condition == "service_completed_successfully"
        for other in lab.services
        for dependency in other.depends_on
    )


def is_ready(state: ContainerState, service: Service, ending: bool) -> bool:
    """Whether a container is what others may rely on, as its engine sees it; ``ending``: it is
    meant to complete.
    """
    if state.state == "exited":
        return state.exit_code == 0 and (ending or is_one_shot(service))
    return not ending and state.state == "running" and state.health in ("", "healthy")


def _failure(state: ContainerState | None, service: Service, ending: bool) -> str:
    """Why waiting on makes no sense; "" while it does."""
    if state is None:
        return "the container is gone"
    if state.state == "dead" or (state.state == "exited" and state.exit_code != 0):
        return f"it ended with exit code {state.exit_code}"
    if state.state == "exited" and not ending and not is_one_shot(service):
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
