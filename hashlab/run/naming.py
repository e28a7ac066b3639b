"""Chooses how a process on the laptop finds the names of a lab's services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from hashlab.documents.intercept import Mode
from hashlab.errors import LaptopError, UsageError
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken

PROBE_SECONDS = 10.0
ALLOW = "allow user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0"


@dataclass(frozen=True)
class Naming:
    """The way that was chosen. ``refused``: why it is not the best one, "" if it was asked for;
    ``proxy_port``: where the proxy of this way listens on 127.0.0.1, 0 before it does.
    """

    mode: Mode
    refused: str = ""
    proxy_port: int = 0

    @property
    def proxy(self) -> bool:
        """True if programs reach the names through a proxy."""
        return self.mode == "socks"

    @property
    def addresses(self) -> bool:
        """True if each service has an address of the laptop. A proxy that was asked for needs
        none; where it stands in for namespaces, JVMs that do not use proxies get them, too.
        """
        return self.mode != "socks" or bool(self.refused)


def choose_naming(world: World, asked: str) -> Naming:
    """Return the way that was asked for, or the best that works here. Raises UsageError for one
    that does not exist, LaptopError for one that does not work.
    """
    if asked and asked not in get_args(Mode):
        raise UsageError(
            f"{asked!r} is not a mode", next_step=f"one of: {', '.join(get_args(Mode))}"
        )
    if asked == "jvm":
        return Naming("jvm")
    if asked == "socks":
        return Naming("socks")
    refused = _namespace_refused(world)
    if refused and asked:
        raise LaptopError(f"no namespace for commands: {refused}", next_step=ALLOW)
    if refused:
        return Naming("socks", refused=refused)
    return Naming("namespace")


def _namespace_refused(world: World) -> str:
    """Return why commands cannot have a namespace of their own; "" if they can."""
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        done = world.runner.run(probe, timeout=PROBE_SECONDS, cancel=CancelToken())
    except LaptopError as error:
        return error.what
    return "" if done.code == 0 else done.stderr.strip() or f"exit code {done.code}"
