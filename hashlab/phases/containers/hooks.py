"""Runs the lifecycle hooks of a service in its container: after its start, before its stop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from hashlab.config.model import Hook, Lab, Service
from hashlab.errors import LabError
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.protocols import ContainerState, Engine


def after_start(engine: Engine, container: str, service: Service) -> None:
    """Run the ``post_start`` hooks. If one fails, the container is stopped, so that the next run
    starts it and its hooks again. Raises LabError.
    """
    try:
        _run(engine, container, service, "post_start", service.post_start)
    except LabError:
        state = engine.container(container)
        if state is not None:
            engine.stop(container, timeout=state.grace)
        raise


def before_stop(engine: Engine, container: ContainerState, lab: Lab) -> None:
    """Run the ``pre_stop`` hooks of the service that a container belongs to, as the Compose file
    has them now. Raises LabError; the container still runs then.
    """
    name = container.labels.get(SERVICE_LABEL)
    service = next((each for each in lab.services if each.name == name), None)
    if service is not None and container.state == "running":
        _run(engine, container.id, service, "pre_stop", service.pre_stop)


def after_edit(engine: Engine, container: str, service: Service, paths: Collection[str]) -> None:
    """Run the ``exec`` of each watch rule that copied or deleted one of these paths in the
    container. Raises LabError.
    """
    for rule in service.copied:
        if rule.exec and any(PurePosixPath(path).is_relative_to(rule.target) for path in paths):
            _run(engine, container, service, "develop.watch.exec", [rule.exec])


def _run(
    engine: Engine, container: str, service: Service, kind: str, hooks: Sequence[Hook]
) -> None:
    for hook in hooks:
        done = engine.execute(
            container,
            hook.command,
            user=hook.user,
            privileged=hook.privileged,
            folder=hook.working_dir,
            environment=dict(hook.environment),
        )
        if done.code != 0:
            raise LabError(
                f"the {kind} hook {' '.join(hook.command)} of {service.name} ended with exit code "
                f"{done.code}",
                where=service.machine,
                output=done.stdout + done.stderr,
                next_step=f"correct it in the Compose file: services.{service.name}.{kind}",
            )
