"""Runs the ``pre_start`` steps of a service, each to its end, before its container starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hashlab.config.model import Healthcheck, InitStep, Lab, Service
from hashlab.errors import LabError
from hashlab.phases.containers.body import SERVICE_LABEL, container_body
from hashlab.pipeline import Track
from hashlab.protocols import Engine

POLL_SECONDS = 0.1
TAIL_LINES = 50


@dataclass(frozen=True)
class Place:
    """The neighbours of a service's container: the id of the container whose network it has, and
    those of the containers of other services with which it shares something else, by service.
    """

    holder: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)


def run_steps(lab: Lab, engine: Engine, service: Service, place: Place, track: Track) -> None:
    """Run the steps in their order. Each has the network and the named mounts of the service's
    container, which was created. Raises LabError, with the end of the output, if one fails.
    """
    for number, step in enumerate(service.pre_start):
        track.detail(f"pre_start {' '.join(step.command)}")
        name = f"{lab.name}-{service.name}-pre_start-{number}"
        made = engine.create(name, step_body(lab, service, step, place))
        try:
            engine.start(made)
            code = _await_end(engine, made, service.machine, track)
            output = engine.logs(made, lines=TAIL_LINES) if code else ""
        finally:
            engine.remove(made)
        if code:
            raise LabError(
                f"the pre_start step {' '.join(step.command)} of {service.name} ended with exit "
                f"code {code}, so {service.name} was not started",
                where=service.machine,
                output=output,
                next_step=f"correct it in the Compose file: services.{service.name}.pre_start",
            )


def step_body(lab: Lab, service: Service, step: InitStep, place: Place) -> dict[str, Any]:
    """Return the create request of a step. What it does not say is as in the service. Pure."""
    own = replace(
        service,
        image=step.image or service.image,
        command=step.command,
        user=step.user or service.user,
        working_dir=step.working_dir or service.working_dir,
        environment=tuple({**dict(service.environment), **dict(step.environment)}.items()),
        privileged=step.privileged or service.privileged,
        healthcheck=Healthcheck(test=("NONE",)),
        restart="no",
    )
    body = container_body(lab, own, holder=place.holder, owners=place.owners)
    labels = {key: value for key, value in body["Labels"].items() if key != SERVICE_LABEL}
    host: dict[str, Any] = body["HostConfig"]
    # An anonymous volume belongs to one container. The engine refuses `VolumesFrom` of a container
    # with a tmpfs.
    mounts = [mount for mount in host["Mounts"] if mount["Type"] != "volume" or "Source" in mount]
    return {**body, "Labels": labels, "HostConfig": {**host, "Mounts": mounts}}


def _await_end(engine: Engine, container: str, machine: str, track: Track) -> int:
    """Wait until a container ends; return its exit code."""
    while (state := engine.container(container)) is not None:
        if state.state in ("exited", "dead"):
            return state.exit_code
        track.cancel.wait(POLL_SECONDS)
    raise LabError("the container of a pre_start step was removed", where=machine)
