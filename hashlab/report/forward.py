"""The screen of `hashlab forward`: a line for each port, and what happens to the machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from hashlab.documents import json_text
from hashlab.documents.forward import ForwardedTarget, Forwards
from hashlab.report.terminal import write


class ForwardScreen:
    """Shows the ports of machines as they are ready; as JSON, all of them once the last is ready.

    ``stream`` is for the ports, ``notices`` for what happens to machines and connections.
    """

    def __init__(
        self, document: Forwards, stream: TextIO, *, notices: TextIO, json: bool = False
    ) -> None:
        self._document, self._stream, self._notices = document, stream, notices
        self._json = json
        self._waiting = {each.machine for each in document.ports}
        self._away: set[str] = set()
        self._last = ""

    def ready(self, machine: str) -> None:
        """Show a machine's ports, or that it answers again."""
        if machine in self._away:
            self._away.remove(machine)
            self.notice(f"machine {machine} answers again")
        if machine not in self._waiting:
            return
        self._waiting.remove(machine)
        if not self._json:
            self._show([each for each in self._document.ports if each.machine == machine])
        elif not self._waiting:
            write(self._stream, f"{json_text(self._document)}\n")

    def away(self, machine: str, why: str) -> None:
        """Report that a machine was lost."""
        self._away.add(machine)
        self.notice(f"machine {machine} does not answer ({why}); its ports follow when it does")

    def notice(self, text: str) -> None:
        """Report a sentence; a client that tries again and again does not repeat it."""
        if text != self._last:
            write(self._notices, f"{text}\n")
        self._last = text

    def _show(self, ports: Sequence[ForwardedTarget]) -> None:
        for each in ports:
            write(self._stream, f"{each.service}:{each.port} → {each.address}\n")
