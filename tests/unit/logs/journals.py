"""Lines as programs/read-journal.sh prints them, and a machine's journal that can be cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from fakes import Outside

from hashlab.logs.entries import Entry
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed

NOON = 1_795_939_200.0
CUT = Completed(255, "", "Connection closed by remote host\n")
DONE = Completed(0, "", "")


def entry(text: str, at: float = 0.0, *, container: str = "small-site-1", **more: object) -> Entry:
    """Return an entry of a service's container, so many seconds after NOON."""
    service = container.split("-")[1] if container else ""
    values = {"service": service, "build": "b1", "unit": "docker", "priority": 6, **more}
    return Entry(f"c{at}{text[:9]}", NOON + at, container, text=text, **values)  # type: ignore[arg-type]


def line(text: str, number: int, *, container: str = "small-site-1", **more: object) -> bytes:
    """Return entry ``number`` of a journal, so many seconds after NOON, as journalctl prints it."""
    fields: dict[str, object] = {
        "__CURSOR": f"c{number}",
        "__REALTIME_TIMESTAMP": str(int((NOON + number) * 1e6)),
        "MESSAGE": text,
        "PRIORITY": "6",
        "_SYSTEMD_UNIT": "docker.service",
    }
    if container:
        fields |= {"CONTAINER_NAME": container, "HASHLAB_SERVICE": container.split("-")[1]}
        fields |= {"HASHLAB_BUILD": "b1"}
    return json.dumps({**fields, **more}).encode()


def begin(last: str = "-", *, driver: str = "journald", clock: float = NOON) -> bytes:
    """Return the first line; ``last``: the cursor of the last entry that exists."""
    time = 0 if last == "-" else int((NOON + int(last[1:])) * 1e6)
    return f"#begin {driver} {clock:.0f} {last} {time}".encode()


Session = Sequence[bytes | Completed | Callable[[], None]]


class Journals:
    """The machines' journals: each connection to a machine prints its next session.

    A session is lines, then how the connection ends; without an end it stays until the reader
    cancels. A function in it is called where it stands.
    """

    def __init__(self, outside: Outside, **sessions: Sequence[Session]) -> None:
        self.commands: dict[str, list[str]] = {name: [] for name in sessions}
        self._sessions = {name: list(each) for name, each in sessions.items()}
        outside.runner.prepare_stream("ssh", streaming=self._stream)

    def _stream(
        self,
        words: Sequence[str],
        on_lines: Callable[[Sequence[bytes]], None],
        cancel: CancelToken,
    ) -> Completed:
        machine, command = words[-2:]
        self.commands[machine].append(command)
        for step in self._sessions[machine].pop(0):
            if isinstance(step, Completed):
                return step
            step() if callable(step) else on_lines([step])
        cancel.wait(20)
        raise AssertionError("nobody cancelled the reader")
