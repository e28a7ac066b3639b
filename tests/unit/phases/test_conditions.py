"""A wait for health that cannot come is said before the service that waits is started."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from fakes import Outside, change_service, connected, go, run, running

from hashlab.config.model import Dependency, Healthcheck
from hashlab.errors import LabError
from hashlab.phases import images
from hashlab.phases.containers.conditions import check_conditions
from hashlab.phases.world import World
from hashlab.pipeline import Track
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
    assert f"wait forever for service '{name}' to be healthy" in error.what
    assert image in error.what
    assert error.where == machine
    assert "service_started" in error.next_step
    created = [call for call in outside.faults.calls if call.name.endswith(".create")]
    assert not [call for call in created if call.words[1].startswith(f"{outside.lab.name}-")]


def independent(outside: Outside) -> None:
    """Let the service on the other machine wait for nothing."""
    outside.lab = change_service(outside.lab, "site", depends_on=())


def test_it_is_said_before_any_container_starts_on_any_machine(outside: Outside) -> None:
    """Also if the image of the service concerned is on its machine after all others."""
    waiting(outside, None)
    independent(outside)
    go(outside, workflows.INIT_BOX)

    def late(world: World, track: Track, machine: str) -> None:
        deadline = time.monotonic() + 0.5
        while machine == "broker" and time.monotonic() < deadline:
            # Time enough for the other machine to start what nothing holds back.
            assert not containers_of(outside, "web")
            track.cancel.wait(0.01)
        images.bring_images(world, track, machine)

    error = run(
        outside,
        tuple(replace(p, run=late) if p.name == "images" else p for p in workflows.DEV),
    ).error
    assert isinstance(error, LabError) and "to be healthy: neither" in error.what
    assert not containers_of(outside, "web")


def containers_of(outside: Outside, machine: str) -> list[str]:
    """Names, without the sandboxes, which may start at any time."""
    there = outside.machines.get(machine)
    names = [container.name for container in there.engine.all.values()] if there else []
    return sorted(name for name in names if not name.endswith(".sandbox"))


def test_a_machine_that_is_lost_holds_back_no_service_of_another(outside: Outside) -> None:
    for name in ("queue", "migrate"):
        outside.lab = change_service(outside.lab, name, machine="spare")
    independent(outside)
    running(outside).machines["spare"].state = "stopped"
    _, machine, _ = waiting(outside, None)
    assert machine == "spare"
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    run(outside, workflows.REFRESH)
    created = [c.words[1] for c in outside.faults.calls if c.name == "engine.create"]
    assert created == ["small-site-1", "small-site-2"]


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
