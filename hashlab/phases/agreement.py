"""The rights on the laptop that a person gave services of the lab: to become root, to use keys."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.config.model import RootAccess
from hashlab.phases.world import World
from hashlab.state.files import read_json, write_json


def asked(world: World) -> tuple[RootAccess, ...]:
    """Return the rights that the lab's files ask for. Root on a virtual machine is not on the
    laptop.
    """
    lab = world.lab
    return (*(lab.root_access if world.provider.shares_kernel else ()), *lab.agent_access)


def is_agreed(world: World) -> bool:
    """True if a person gave exactly these rights."""
    rights = asked(world)
    return not rights or bool(read_json(world.state.consent) == _content(rights))


def agree(world: World) -> None:
    """Save that a person gave these rights."""
    write_json(world.state.consent, _content(asked(world)))


def _content(rights: Sequence[RootAccess]) -> list[list[str]]:
    """Return the list as it is saved. Lines are not in it: they change with other edits."""
    return sorted([each.service, each.reason] for each in rights)
