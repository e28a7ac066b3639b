"""Finds out what happens at the debuggers' ports of containers."""

from __future__ import annotations

from typing import Literal, cast

from hashlab.errors import LabError
from hashlab.phases.programs import DEBUGGERS
from hashlab.protocols import Link

PortState = Literal["attached", "listening", "nothing"]


def port_state(link: Link, pid: int, port: int) -> PortState:
    """Return whether a connection to a port in the network of a process is open ("attached"), and
    if not, whether anything listens there. Raises LabError.
    """
    done = link.shell.run(["sudo", "sh", "-c", DEBUGGERS, "sh", str(pid), str(port)])
    if done.code != 0:
        raise LabError(
            "cannot read the connections of a container", where=link.machine, output=done.stderr
        )
    return cast(PortState, done.stdout.strip())
