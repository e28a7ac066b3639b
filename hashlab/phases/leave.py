"""Phase ``leave``: machines that hashlab.toml no longer has give their data back, and go."""

from __future__ import annotations

from hashlab.errors import LabError
from hashlab.phases.connect import forget_machine, left_machines
from hashlab.phases.kept_data import archive_path, keep_data, load_kept, remove_machine
from hashlab.phases.world import World
from hashlab.pipeline import Track


def some_left(world: World, machine: str = "") -> bool:
    """True if a machine that hashlab made is no longer in hashlab.toml."""
    return world.provider.booting is not None and bool(left_machines(world))


def remove_left(world: World, track: Track, _: str) -> None:
    """Promise: machines that are no longer in hashlab.toml are gone. Their replicas were taken out
    of their fronts before they stopped, and the data of their volumes is on the laptop. A machine
    that does not answer stays, because its data could not be kept.
    """
    gone = [name for name in left_machines(world) if _remove(world, track, name)]
    track.detail(f"{', '.join(gone)} removed" if gone else "they do not answer, and stay")


def refuse_left(world: World, track: Track, _: str) -> None:
    """Promise: no machine is to leave. Raises LabError: while they run, names lead there too."""
    listed = ", ".join(left_machines(world))
    raise LabError(f"{listed}: no longer in hashlab.toml", next_step="hashlab dev removes it")


def left_notes(world: World) -> tuple[str, ...]:
    """Return a note for each machine that is to leave."""
    made = world.provider.booting is not None
    what = "hashlab dev removes it" if made else "to remove the lab there, put it back and destroy"
    return tuple(
        f"machine {name} is no longer in hashlab.toml; {what}" for name in left_machines(world)
    )


def _remove(world: World, track: Track, machine: str) -> bool:
    """Remove one machine, if it answers or does not exist. Return whether it is gone."""
    if world.provider.machines.observe(world.lab, machine) is None:
        forget_machine(world, machine)
        return True
    with track.child("keep", machine=machine) as step:
        try:
            keep_data(world, step, "", machine=machine)
        except LabError as error:
            step.skip(error.what)
            world.facts.machines.links.pop(machine, None)
            world.note(
                f"machine {machine} is no longer in hashlab.toml, and stays with its data, because "
                f"{error.what}. To remove it, put it back, hashlab dev, and try again; to discard "
                "everything: hashlab destroy"
            )
            return False
    kept = load_kept(world.state, machine)
    if kept is not None:
        world.note(
            f"machine {machine} left. The data of {', '.join(kept.volumes)} is in "
            f"{archive_path(world.state, machine)}, for a machine of this name"
        )
    with track.child("remove", machine=machine) as step:
        remove_machine(world, step, "", machine=machine)
        world.booting.forget(machine)
    forget_machine(world, machine)
    return True
