"""Runs the user's own commands: tests of the sources, and those against the running lab."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hashlab.config.model import Step
from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Track

STEP_SECONDS = 600.0
# Maven prints its last one even when it is quiet.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run_step(
    world: World,
    track: Track,
    step: Step | None,
    name: str,
    *,
    next_step: str = "hashlab status shows what runs",
) -> None:
    """Run a command of hashlab.toml; its last line is the row's detail. Raises LabError with
    ``next_step`` if it fails.
    """
    if step is None:
        track.skip(f"hashlab.toml has no [{name}]")
        return
    done = world.runner.run(
        command_of(world, step.command),
        cwd=world.lab.folder,
        env=step_environment(world),
        timeout=STEP_SECONDS * world.provider.time_factor,
        cancel=track.cancel,
        on_line=track.output,
        users=True,
    )
    if done.code != 0:
        raise LabError(
            f"{name} failed with exit code {done.code}",
            where=" ".join(step.command),
            output=done.stdout + done.stderr,
            next_step=next_step,
        )
    lines = [line.strip() for line in COLOUR.sub("", done.stdout).splitlines() if line.strip()]
    track.detail(lines[-1] if lines else "done")


def command_of(world: World, command: Sequence[str]) -> list[str]:
    """Return a user's command with hashlab's own Python in place of ``python`` or ``python3``."""
    first, *rest = command
    return [world.python if first in ("python", "python3") else first, *rest]


def step_environment(world: World) -> dict[str, str]:
    """Return the environment variables that describe the running lab to the user's commands."""
    urls = {
        f"HASHLAB_URL_{name.upper().replace('-', '_')}": url for name, url in world.urls().items()
    }
    time_factor = f"{world.provider.time_factor:g}"
    return {
        "HASHLAB_LAB": world.lab.name,
        "HASHLAB_PATIENCE": time_factor,
        "HASHLAB_SSH_CONFIG": str(world.state.ssh_config),
        **urls,
    }
