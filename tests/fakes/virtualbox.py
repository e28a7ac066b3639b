"""A laptop whose VirtualBox is in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fakes.vboxmanage import FakeVirtualBox
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed


class VirtualBoxRunner:
    """protocols.Runner with a FakeVirtualBox and SSH ports of machines; refuses other commands."""

    def __init__(self, virtualbox: FakeVirtualBox) -> None:
        self.virtualbox = virtualbox
        self.ran: list[tuple[str, ...]] = []
        # Output of ssh-keyscan, by port.
        self.shown: dict[int, str] = {}

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
        users: bool = False,
    ) -> Completed:
        self.ran.append(tuple(command))
        if command[0] == "VBoxManage":
            return Completed(*self.virtualbox.run(command[1:]))
        assert list(command[:4]) == ["ssh-keyscan", "-t", "ed25519", "-p"], command
        assert command[5:] == ["127.0.0.1"], command
        return Completed(0, self.shown.get(int(command[4]), ""), "# 127.0.0.1 SSH-2.0\n")

    def end_orphans(self) -> list[str]:
        return []
