"""Asks once before services get rights on the laptop: to become root, or to use keys in a build.

Root on a container machine can become root on the laptop. The answer counts for exactly the list
that was shown; hashlab.toml can give it too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from hashlab.config.model import RootAccess
from hashlab.errors import Interrupted, UsageError
from hashlab.phases.agreement import agree, asked, is_agreed
from hashlab.phases.world import World
from hashlab.run.asking import confirmed, has_terminal


def check_consent(world: World, *, yes: bool) -> None:
    """Return if each service may have the rights that the Compose file gives it; else ask.

    ``yes``: the answer was typed with the command. Raises Interrupted after a no, and UsageError,
    which names what to write, if no person can be asked.
    """
    if is_agreed(world):
        return
    keys = world.lab.agent_access
    root = [each for each in asked(world) if each not in keys]
    if not yes and not has_terminal():
        raise _unasked(root, keys)
    if not yes and not confirmed(_question(root, keys)):
        instead = "; for virtual machines: --provider libvirt" if root else ""
        raise Interrupted(
            "not confirmed: nothing was started", next_step=f"remove these lines{instead}"
        )
    agree(world)


def _unasked(root: Sequence[RootAccess], keys: Sequence[RootAccess]) -> UsageError:
    what = [
        *(
            ["could become root on this laptop, because its machines are containers"]
            if root
            else []
        ),
        *(["would use your SSH keys in builds"] if keys else []),
    ]
    lines = {"privileged": root, "ssh_agent": keys}
    written = " and ".join(
        f"{key} = {json.dumps(list(dict.fromkeys(each.service for each in given)))}"
        for key, given in lines.items()
        if given
    )
    machines = ". On virtual machines they are root there only" if root else ""
    return UsageError(
        f"services of this lab {' and '.join(what)}",
        output="\n".join(map(_line, (*root, *keys))),
        next_step=f"if they may, write under [lab] of hashlab.toml: {written}, or type "
        f"hashlab dev --yes{machines}",
    )


def _question(root: Sequence[RootAccess], keys: Sequence[RootAccess]) -> str:
    parts = []
    if root:
        text = "The machines are containers, so these services could become root on this laptop:"
        parts.append("\n".join([text, *(f"  {_line(each)}" for each in root), "Start them?"]))
    if keys:
        text = "These builds run programs that can sign in with your keys:"
        parts.append("\n".join([text, *(f"  {_line(each)}" for each in keys), "Build them?"]))
    return "\n".join(parts)


def _line(each: RootAccess) -> str:
    return f"{each.file}:{each.line}: {each.service} {each.reason}"
