"""SSH sessions of `hashlab forward` and its relatives: what each machine prints, and their end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from types import ModuleType

import pytest

from fakes.outside import Outside
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed
from hashlab.run.forwarding import Event, Screen


class SshSessions:
    """Stands for ssh: each connection to a machine prints its next session, lines and perhaps how
    it ends. When none is left, the person presses Ctrl-C.
    """

    def __init__(
        self, outside: Outside, monkeypatch: pytest.MonkeyPatch, module: ModuleType
    ) -> None:
        self.sessions: dict[str, list[Sequence[str | Completed]]] = {}
        self.commands: list[list[str]] = []
        self._shown = module.show
        self._ended: set[str] = set()
        outside.runner.prepare_stream("ssh", streaming=self._stream)
        monkeypatch.setattr(module, "show", self._show)

    def _stream(
        self,
        words: Sequence[str],
        on_lines: Callable[[Sequence[bytes]], None],
        cancel: CancelToken,
    ) -> Completed:
        self.commands.append(list(words))
        for step in self.sessions[words[-2]].pop(0):
            if isinstance(step, Completed):
                return step
            on_lines([step.encode()])
        on_lines([b"#failed 1 end"])
        cancel.wait(20)
        raise AssertionError("nobody cancelled the connection")

    def _show(self, event: Event, screen: Screen) -> None:
        """Interrupt when each machine has reached its last line."""
        if not event.text.endswith(": end"):
            self._shown(event, screen)
            return
        self._ended.add(event.machine)
        if self._ended == self.sessions.keys():
            raise KeyboardInterrupt

    def forwards(self) -> list[str]:
        """Return the first connection's forwards, from the laptop's address to a socket."""
        words = self.commands[0]
        return [words[i + 1] for i, word in enumerate(words) if word == "-L"]

    def arguments(self) -> list[str]:
        """Return the arguments of the first connection's program: CONTAINER PORT ..."""
        return shlex.split(self.commands[0][-1])[7:]
