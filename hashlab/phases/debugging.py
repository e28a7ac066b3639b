"""The debuggers' ports of containers: their state, and a private way to them for a command."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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


@contextmanager
def private_forward(link: Link, pid: int, port: int) -> Iterator[Path]:
    """Yield a unix socket that leads to a port of loopback in the network of a process, as long as
    the block runs. It is in a folder that only this user may enter.
    """
    target = f"TCP:127.0.0.1:{port},nodelay"
    command = ["sudo", "nsenter", "--target", str(pid), "--net", "socat", "STDIO", target]
    with tempfile.TemporaryDirectory(prefix="hashlab-") as folder:
        path = Path(folder) / "debugger"
        with link.shell.serve(path, command):
            yield path
