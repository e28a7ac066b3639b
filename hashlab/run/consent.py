"""Asks once before services start that would get root on the laptop.

Root on a container machine can become root on the laptop. The answer counts for exactly the list
that was shown; hashlab.toml can give it too.
"""

from __future__ import annotations

import json

from hashlab.config.model import RootAccess
from hashlab.errors import Interrupted, UsageError
from hashlab.phases.world import World
from hashlab.run.asking import confirmed, has_terminal
from hashlab.state.files import read_json, write_json


def check_consent(world: World, *, yes: bool) -> None:
    """Return if each service may have the rights that the Compose file gives it; else ask.

    ``yes``: the answer was typed with the command. Raises Interrupted after a no, and UsageError,
    which names what to write, if no person can be asked.
    """
    asked = world.lab.root_access
    if not asked or not world.provider.shares_kernel or _is_agreed(world, asked):
        return
    text = "\n".join(f"{each.file}:{each.line}: {each.service} {each.reason}" for each in asked)
    names = list(dict.fromkeys(each.service for each in asked))
    line = f"privileged = {json.dumps(names)}"
    if not yes and not has_terminal():
        raise UsageError(
            "services of this lab could become root on this laptop, because its machines are "
            "containers",
            output=text,
            next_step=f"if they may, write under [lab] of hashlab.toml: {line}, or type "
            "hashlab dev --yes. On virtual machines they are root there only",
        )
    if not yes and not confirmed(_question(text)):
        raise Interrupted(
            "not confirmed: nothing was started",
            next_step="remove these lines, or use virtual machines: --provider libvirt",
        )
    write_json(world.state.consent, _content(asked))


def _question(text: str) -> str:
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return (
        "The machines are containers, so these services could become root on this laptop:\n"
        f"{lines}Start them?"
    )


def _is_agreed(world: World, asked: tuple[RootAccess, ...]) -> bool:
    return bool(read_json(world.state.consent) == _content(asked))


def _content(asked: tuple[RootAccess, ...]) -> list[list[str]]:
    """Return the list as it is saved. Lines are not in it: they change with other edits."""
    return sorted([each.service, each.reason] for each in asked)
