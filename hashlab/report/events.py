"""Shows what happened to a lab: a line for each event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TextIO

from hashlab.documents import to_json
from hashlab.documents.events import EventKind, LabEvent
from hashlab.report.formats import Tone
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Lines

TONES: Mapping[EventKind, Tone] = {
    "ended": "bad",
    "restarted": "bad",
    "unhealthy": "bad",
    "away": "bad",
    "firing": "bad",
    "resolved": "good",
    "healthy": "good",
    "back": "good",
}
WORDS: Mapping[EventKind, str] = {
    "changed": "was changed",
    "ended": "ended",
    "restarted": "was restarted",
    "unhealthy": "is unhealthy",
    "healthy": "is healthy",
    "away": "is away",
    "back": "is back",
}
ALERTS: Mapping[EventKind, str] = {"firing": "alert", "resolved": "over: alert"}

# A service that has done its work ends so.
WELL = "exit code 0"


def show_events(events: Sequence[LabEvent], stream: TextIO, *, as_json: bool) -> None:
    """Write events, as JSON one on each line. Raises BrokenPipeError if their reader is gone."""
    if as_json:
        stream.write("".join(f"{json.dumps(to_json(event))}\n" for event in events))
        stream.flush()
    elif events:
        show(events_page(events), stream)


def events_page(events: Sequence[LabEvent]) -> list[Block]:
    """Return the lines of the screen."""
    return [Lines(tuple(map(_line, events)))]


def _line(event: LabEvent) -> Cell:
    moment = datetime.fromtimestamp(event.time)
    well = event.event == "ended" and event.text == WELL
    tone: Tone = "bad" if event.ok is False else TONES.get(event.event, "plain")
    tone = "plain" if well else tone
    return Cell(f"{moment:%Y-%m-%d %H:%M:%S}  {event_text(event)}", tone)


def event_text(event: LabEvent) -> str:
    """Return an event as a sentence. Pure."""
    text = f": {event.text}" if event.text else ""
    if event.event == "run":
        return f"hashlab {event.command} {'done' if event.ok else 'failed'}{text}"
    if event.event in ALERTS:
        return f"{ALERTS[event.event]}{text.removeprefix(':')}"
    if event.service is None:
        return f"machine {event.machine} {WORDS[event.event]}{text}"
    number = f" {event.replica}" if event.replica else ""
    build = f", build {event.build}" if event.build else ""
    return f"{event.service}{number} on {event.machine} {WORDS[event.event]}{build}{text}"
