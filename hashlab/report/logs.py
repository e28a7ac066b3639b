"""Shows the lines of `hashlab logs`: in colour on a terminal, plain into a pipe, raw or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any, Literal, TextIO

from hashlab.documents import to_json
from hashlab.documents.logs import Level, LogLine
from hashlab.report.formats import clean, fitting
from hashlab.report.terminal import console, is_rich, write

LogStyle = Literal["text", "raw", "json"]
Paint = Callable[[str, str], str]

SERVICE_COLOURS = (
    *("cyan", "green", "magenta", "blue"),
    *("bright_cyan", "bright_green", "bright_magenta", "bright_blue"),
)
LEVEL_COLOURS: Mapping[Level | None, str] = {
    "trace": "dim",
    "debug": "dim",
    "warn": "yellow",
    "error": "red",
    "fatal": "bold red",
}
# Keys of JSON lines: the message, a stack trace, and what the line shows already.
MESSAGE_KEYS = ("message", "msg", "event", "@message", "short_message")
TRACE_KEYS = ("stack_trace", "stacktrace", "stack", "exception", "exc_info", "full_message")
SHOWN_KEYS = frozenset(
    (
        *("time", "timestamp", "@timestamp", "ts", "@version"),
        *("level", "severity", "lvl", "loglevel", "log.level", "levelname"),
    )
)


class LogScreen:
    """Writes log lines to ``stream``, and what happened to machines to ``notices``.

    ``replicas``: how many each service has; those of one that has several are numbered. A raw line
    is unchanged in a pipe or a file; on a terminal it could move the cursor or change the title.
    ``turn`` is held while something is written.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        notices: TextIO,
        replicas: Mapping[str, int],
        style: LogStyle,
        turn: AbstractContextManager[object] | None = None,
        today: Callable[[], date] = date.today,
    ) -> None:
        self._stream, self._notices, self._today = stream, notices, today
        self._replicas = replicas
        self._turn = turn or nullcontext()
        self._places = {name: place for place, name in enumerate(replicas)}
        self._width = max((len(name) + 2 * (n > 1) for name, n in replicas.items()), default=0)
        self._paint = _painter(stream) if style == "text" and is_rich(stream) else _unpainted
        self._label = lru_cache(self._label_of)
        self._text = {"text": self._for_people, "raw": self._raw, "json": _as_json}[style]

    def show(self, lines: Sequence[LogLine]) -> None:
        """Write lines. Raises BrokenPipeError if their reader is gone."""
        text = "".join(map(self._text, lines))
        with self._turn:
            self._stream.write(text)
            self._stream.flush()

    def notice(self, text: str) -> None:
        """Report what happened to a machine."""
        with self._turn:
            write(self._notices, f"{text}\n")

    def _raw(self, line: LogLine) -> str:
        if not self._stream.isatty():
            return f"{line.message}\n"
        return "".join(f"{clean(each)}\n" for each in line.message.split("\n"))

    def _for_people(self, line: LogLine) -> str:
        second = int(line.time)
        shown = f"{_second(second, self._today())}.{round((line.time - second) * 1e6) // 1000:03d}"
        label = self._label(line.service, line.replica, line.machine, line.unit)
        colour = LEVEL_COLOURS.get(line.level, "")
        texts = [clean(each) for each in readable(line.message).split("\n")]
        first = f"{self._paint(shown, 'dim')} {label} {self._paint(texts[0], colour)}\n"
        blank = " " * len(shown)
        rest = (f"{blank} {label} {self._paint(text, colour)}\n" for text in texts[1:])
        return fitting("".join((first, *rest)), self._stream.encoding)

    def _label_of(
        self, service: str | None, replica: int | None, machine: str, unit: str | None
    ) -> str:
        """Return a line's service or unit in the width of the longest name, and a bar."""
        if service is None:
            name = f"{machine} {unit or ''}".rstrip()
        elif self._replicas.get(service, 1) > 1:
            name = f"{service}-{replica}"
        else:
            name = service
        place = self._places.get(service or "", len(name))
        colour = SERVICE_COLOURS[place % len(SERVICE_COLOURS)]
        return self._paint(f"{clean(name):<{self._width}} |", colour)


@lru_cache
def _second(unix: int, today: date) -> str:
    """Return a second in the laptop's zone, with its date if it is not today. Of 10,000 lines a
    second, all but the first find it here.
    """
    moment = datetime.fromtimestamp(unix)
    shown = f"{moment:%H:%M:%S}"
    return shown if moment.date() == today else f"{moment:%Y-%m-%d} {shown}"


def _as_json(line: LogLine) -> str:
    return f"{json.dumps(to_json(line))}\n"


def readable(message: str) -> str:
    """Return a JSON line as its message and its other fields; any other message unchanged."""
    if not message.startswith("{"):
        return message
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        return message
    if not isinstance(fields, dict):
        return message
    text = next((key for key in MESSAGE_KEYS if isinstance(fields.get(key), str)), "")
    level = next((str(fields[key]) for key in ("level", "severity") if key in fields), "")
    traces = [key for key in TRACE_KEYS if isinstance(fields.get(key), str)]
    others = [
        f"{key}={_value(value)}"
        for key, value in fields.items()
        if key not in SHOWN_KEYS and key != text and key not in traces
    ]
    line = " ".join(part for part in (level.upper(), fields.get(text, ""), *others) if part)
    return "\n".join((line, *(fields[key].rstrip("\n") for key in traces)))


def _value(value: Any) -> str:
    if isinstance(value, str) and value and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _unpainted(text: str, style: str) -> str:
    return text


def _painter(stream: TextIO) -> Paint:
    """Return a function that paints text in the colours that the terminal has. rich is asked once
    for each style: to lay out each line would take ten times as long as all the rest.
    """
    terminal = console(stream)

    @cache
    def around(style: str) -> tuple[str, str]:
        with terminal.capture() as captured:
            terminal.print("x", style=style, end="")
        before, _, after = captured.get().partition("x")
        return before, after

    def paint(text: str, style: str) -> str:
        before, after = around(style) if style else ("", "")
        return f"{before}{text}{after}"

    return paint
