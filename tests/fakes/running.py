"""Run workflows on fakes as a command does, but without the lock, the record and the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from fakes.outside import Outside, Silent, track_of
from hashlab.phases.boxes.registry import MANIFEST, boxes_folder, recipe_manifest
from hashlab.phases.connect import reconnect
from hashlab.phases.images import INPUTS_LABEL, PULLED
from hashlab.phases.world import World
from hashlab.pipeline import (
    CancelToken,
    Node,
    Part,
    Phase,
    Row,
    RunResult,
    Track,
    run_graph,
    run_workflow,
)
from hashlab.run import workflows
from hashlab.state.files import write_json

Workflow = Sequence[Phase[World]]


def run(outside: Outside, workflow: Workflow, world: World | None = None) -> RunResult:
    """Run once. Expected failures are in the result, notes in ``world``."""
    world = world or outside.world()
    result = run_workflow(
        workflow, world, machines=world.machine_names(), listener=Silent(), cancel=CancelToken()
    )
    world.close()
    return result


def go(outside: Outside, *several: Workflow) -> RunResult:
    """Run workflows that must succeed; return the last result. Only its calls are recorded."""
    for workflow in several:
        outside.faults.calls.clear()
        result = run(outside, workflow)
        assert result.error is None, str(result.error)
    return result


def running(outside: Outside) -> Outside:
    """Return a running lab."""
    register_box(outside)
    go(outside, workflows.DEV)
    outside.faults.calls.clear()
    return outside


def register_box(outside: Outside) -> None:
    """Register a box as init-box does, without the time it takes."""
    box = recipe_manifest(outside.world())
    images = {
        name: {} if inputs == PULLED else {INPUTS_LABEL: inputs}
        for name, inputs in box.images.items()
    }
    outside.laptop.images.update({outside.lab.box.base: {}, **images})
    outside.systems.add(box.recipe)
    outside.stores[box.recipe] = images
    name = box.name.replace("/", "-VAGRANTSLASH-")
    folder = boxes_folder(outside.environ) / name / box.version / box.provider
    write_json(folder / MANIFEST, {**asdict(box), "images": dict(box.images)})


def connected(outside: Outside) -> World:
    """Return a new world on a running lab, with links to every machine and the images hashed."""
    world = outside.world()
    with track_of() as track:
        for name in world.machine_names():
            reconnect(world, track, name)
        for name in ("hash images", "network"):
            carry_out(world, phase_of(workflows.REFRESH, name), track)
    outside.faults.calls.clear()
    return world


def carry_out(world: World, phase: Phase[World], track: Track) -> None:
    """Run one phase of the lab by itself, its parts in order."""

    def node(part: Part[World]) -> Node:
        return Node(lambda: part.run(world, track), part.after, part.after_end)

    parts = phase.parts(world) if phase.parts else {}
    run_graph({key: node(part) for key, part in parts.items()}, track.cancel)
    phase.run(world, track, "")


def phase_of(workflow: Workflow, name: str) -> Phase[World]:
    """Return a phase of a workflow by its name."""
    return next(phase for phase in workflow if phase.name == name)


def rows(result: RunResult, name: str) -> list[Row]:
    """Return the rows of one phase."""
    return [row for row in result.rows if row.name == name]
