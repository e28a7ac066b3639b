"""The screen of `hashlab intercept`: what leads to the laptop, and what the process there gets."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents import json_text
from hashlab.documents.intercept import InterceptSession
from hashlab.report.terminal import write


class InterceptScreen:
    """Shows a session. With a command its output belongs to that, so people read ``notices``."""

    def __init__(
        self, session: InterceptSession, stream: TextIO, notices: TextIO, *, json: bool = False
    ) -> None:
        self._session = session
        self._stream, self._notices, self._json = stream, notices, json

    def ready(self) -> None:
        """Show what was set up; as JSON on stdout."""
        if self._json:
            write(self._stream, f"{json_text(self._session)}\n")
        else:
            write(self._notices, "".join(f"{line}\n" for line in self._lines()))

    def notice(self, text: str) -> None:
        """Report a sentence."""
        write(self._notices, f"{text}\n")

    def _lines(self) -> list[str]:
        session = self._session
        containers = []
        if len(session.containers) > 1:
            containers = [f"takes the place of {', '.join(session.containers)}"]
        ports = [f"{session.service}:{p.port} of the lab → {p.address}" for p in session.ports]
        reached = [f"{p.name}:{p.port} → {p.address}" for p in session.reached]
        files = [f"{target}: {path}" for target, path in sorted(session.files.items())]
        missing = [f"{target}: on the machine only" for target in session.missing]
        return [
            *containers,
            *ports,
            *reached,
            *self._names(),
            "other users of this laptop can connect to these addresses, too",
            f"variables: {session.environment}",
            *files,
            *missing,
        ]

    def _names(self) -> list[str]:
        """Return by what way a process finds the names of services."""
        session = self._session
        if session.mode == "namespace":
            return [f"names, mode namespace: for a command by {session.enter} COMMAND"]
        if session.mode == "jvm":
            return [f"names, mode jvm: for JVMs by -Djdk.net.hosts.file={session.hosts}"]
        lines = [
            f"names, mode socks: by the proxy socks5h://{session.proxy}, http://{session.proxy}"
        ]
        if session.reached:
            lines.append(f"names for JVMs: by -Djdk.net.hosts.file={session.hosts}")
        return lines
