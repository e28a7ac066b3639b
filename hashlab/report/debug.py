"""The screen of `hashlab debug`: the debugger's port, and what editors need to attach to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from hashlab.documents import json_text
from hashlab.documents.debug import DebugSession
from hashlab.report.terminal import write

_BY_HAND = """\
PyCharm, Run > Edit Configurations > Attach to DAP:
    remote address {address}, remote project path {place}
"""


class DebugScreen:
    """Shows a session once its port answers, then what happens to the machine. ``written``: the
    files that have the attach configuration; None: it is printed.
    """

    def __init__(
        self,
        session: DebugSession,
        written: Sequence[str] | None,
        stream: TextIO,
        notices: TextIO,
        *,
        json: bool = False,
    ) -> None:
        self._session, self._written = session, written
        self._stream, self._notices, self._json = stream, notices, json
        self._shown = self._away = False
        self._last = ""

    def ready(self, machine: str) -> None:
        """Show the session, or that its machine answers again."""
        if self._away:
            self._away = False
            self.notice(f"machine {machine} answers again")
        if self._shown:
            return
        self._shown = True
        write(self._stream, f"{json_text(self._session)}\n" if self._json else self._text())

    def away(self, machine: str, why: str) -> None:
        """Report that the machine was lost."""
        self._away = True
        self.notice(f"machine {machine} does not answer ({why}); its port follows when it does")

    def notice(self, text: str) -> None:
        """Report a sentence; an editor that tries again and again does not repeat it."""
        if text != self._last:
            write(self._notices, f"{text}\n")
        self._last = text

    def _text(self) -> str:
        session = self._session
        first = f"{session.service}:{session.port} ({session.debugger}) → {session.address}\n"
        if self._written is not None:
            return first + "".join(f"attach with {file}\n" for file in self._written)
        return f"{first}\n{self._configurations()}"

    def _configurations(self) -> str:
        session = self._session
        entry = json.dumps(session.vscode, indent=4)
        text = f"VS Code, in the configurations of .vscode/launch.json:\n{entry}\n\n"
        if session.intellij:
            file = f".run/hashlab-{session.service}.run.xml"
            return f"{text}IntelliJ, as {file}:\n{session.intellij}"
        mappings = session.vscode.get("pathMappings")
        place = mappings[0]["remoteRoot"] if isinstance(mappings, list) else ""
        return text + _BY_HAND.format(address=session.address, place=place)
