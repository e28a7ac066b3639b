"""The Swarm and the stack of a deployment, as a person names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hashlab.errors import UsageError
from hashlab.phases.selfcontained.push import Place
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.protocols import Swarm

# Services are named STACK_SERVICE, and Swarm takes names of 63 characters.
STACK = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Target:
    """The Swarm that gets a stack, and the stack's name and images.

    ``images``: the registry of its images; ``machines``: the Swarm is that of the lab's machines,
    otherwise that of the Docker ``context`` ("": of the user's environment). ``stack``: its name,
    by default the lab's; ``secrets``: a folder of files that replace the lab's secrets; ``dnsrr``:
    the nodes' kernels have no IPVS.
    """

    images: Place
    machines: bool = False
    context: str = ""
    stack: str = ""
    secrets: Path | None = None
    dnsrr: bool = False

    @property
    def place(self) -> str:
        """The Swarm, for people."""
        if self.machines:
            return "the lab's machines"
        return f"Docker context {self.context}" if self.context else "Docker's current engine"

    @property
    def again(self) -> str:
        """The command line that deploys to it."""
        if self.machines:
            return "hashlab deploy --to machines"
        context = f" --context {self.context}" if self.context else ""
        return f"hashlab deploy --to swarm{context}"

    def docker(self, world: World, words: str) -> str:
        """Return the command line that gives ``words`` to Docker's client for this Swarm."""
        if self.machines:
            return f"hashlab ssh {world.machine_names()[0]} --command 'docker {words}'"
        return f"docker {f'--context {self.context} ' if self.context else ''}{words}"

    def stack_of(self, world: World) -> str:
        """Return the name of the stack."""
        return self.stack or world.lab.name

    def swarm(self, world: World, cancel: CancelToken) -> Swarm:
        """Return the Swarm. Nothing is contacted."""
        if self.machines:
            return world.open_swarm(world.link(world.machine_names()[0]).shell, cancel)
        return world.open_swarm(self.context, cancel)


def checked_stack(text: str) -> str:
    """Return the name of a stack that a person types; "" for none. Raises UsageError."""
    if text and not STACK.fullmatch(text):
        raise UsageError(
            f"{text!r} is not a valid name for a stack: use a-z, 0-9, '-' and '_', a letter or "
            "digit first, at most 31 characters",
            next_step="hashlab deploy --to swarm --stack NAME",
        )
    return text
