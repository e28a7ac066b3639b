"""Checks that a service others wait for can become healthy: its image may have no health check."""

from __future__ import annotations

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError
from hashlab.phases.world import World


def machines_to_check(lab: Lab) -> set[str]:
    """Return the machines whose images ``check_conditions`` must ask."""
    return {service.machine for service in lab.services if _asks_image(lab, service)}


def check_conditions(world: World, machine: str) -> None:
    """Raise LabError if others wait for a service of the machine to be healthy, but neither the
    file nor its image, which is on the machine by now, has a health check.
    """
    asked = [s for s in world.services_on(machine) if _asks_image(world.lab, s)]
    if not asked:
        return
    images = sorted({service.image for service in asked})
    checked = world.link(machine).engine.health_checked(images)
    for service in asked:
        if service.image not in checked:
            waiting = ", ".join(_waiting(world.lab, service))
            raise LabError(
                f"{waiting} would wait forever for service '{service.name}' to be healthy: neither "
                f"the file nor the image {service.image} has a health check",
                where=machine,
                next_step=f"give '{service.name}' a healthcheck, or write "
                "condition: service_started",
            )


def _asks_image(lab: Lab, service: Service) -> bool:
    written = service.healthcheck is not None and bool(service.healthcheck.test)
    return not written and bool(_waiting(lab, service))


def _waiting(lab: Lab, service: Service) -> list[str]:
    """Return the services that wait until this one is healthy."""
    return [
        other.name
        for other in lab.services
        for dependency in other.depends_on
        if (dependency.service, dependency.condition) == (service.name, "service_healthy")
    ]
