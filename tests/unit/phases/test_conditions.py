"""A wait for health that cannot come is said before the service that waits is started."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, connected, go, run

from hashlab.config.model import Dependency, Healthcheck
from hashlab.errors import LabError
from hashlab.phases.conditions import check_conditions
from hashlab.run import workflows


def waiting(outside: Outside, check: Healthcheck | None) -> tuple[str, str, str]:
    """Let the second service of the lab wait for the health of the first; returns the first's
    name, machine and image.
    """
    first, second, *rest = outside.lab.services
    first = replace(first, healthcheck=check, depends_on=())
    second = replace(second, depends_on=(Dependency(first.name, "service_healthy"),))
    outside.lab = replace(outside.lab, services=(first, second, *rest))
    return first.name, first.machine, first.image


@pytest.mark.parametrize("check", [None, Healthcheck(interval=5.0)])
def test_a_service_without_a_check_cannot_be_waited_for(
    outside: Outside, check: Healthcheck | None
) -> None:
    name, machine, image = waiting(outside, check)
    go(outside, workflows.INIT_BOX)
    error = run(outside, workflows.DEV).error
    assert isinstance(error, LabError)
    assert f"service '{name}' can never be healthy" in error.what
    assert image in error.what
    assert error.where == machine
    assert "service_started" in error.next_step
    created = [call for call in outside.faults.calls if call.name.endswith(".create")]
    assert not [call for call in created if call.words[1].startswith(f"{outside.lab.name}-")]


def test_the_check_of_an_image_counts(outside: Outside) -> None:
    _, machine, image = waiting(outside, None)
    go(outside, workflows.INIT_BOX)
    world = connected_to(outside)
    world.link(machine).engine.checked_images = {image}  # type: ignore[attr-defined]
    check_conditions(world, machine)


def test_images_are_not_asked_where_the_file_has_the_check(outside: Outside) -> None:
    _, machine, _ = waiting(outside, Healthcheck(test=("CMD", "true")))
    go(outside, workflows.INIT_BOX)
    world = connected_to(outside)
    check_conditions(world, machine)
    assert not [call for call in outside.faults.calls if call.name.endswith("health_checked")]


def connected_to(outside: Outside):  # type: ignore[no-untyped-def]
    run(outside, workflows.DEV)
    return connected(outside)
