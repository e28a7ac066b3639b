"""The screen of `hashlab top`: once into a pipe, and live frames of any size."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from rich.console import Group
from standins import Terminal

from hashlab.documents.alerts import Alert
from hashlab.documents.logs import LogLine
from hashlab.documents.overview import Overview
from hashlab.documents.status import BoxStatus, MachineStatus, ServiceStatus, Status
from hashlab.documents.usage import MachineUsage, ReplicaUsage, Usage
from hashlab.report.formats import share
from hashlab.report.overview import show_overview
from hashlab.report.terminal import console
from hashlab.report.topscreen import KEYS, TopView, frame

NOW = 1_796_000_000.0
EVIL = "a\x1b]0;title\x07b\x1b[2J\x1b[6n[bold red]m[/]\u202e"


def service(name: str, **changes: Any) -> ServiceStatus:
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(ServiceStatus))
    usual = {"machine": "front", "replica": 1, "state": "running", "health": "healthy"}
    built = {"build": "d4fa04c6b812", "running_build": "d4fa04c6b812", "since": NOW - 90}
    return ServiceStatus(**{**nothing, **usual, **built, "name": name, **changes})


def machine(name: str, **changes: Any) -> MachineStatus:
    return MachineStatus(
        **{"name": name, "address": "192.168.60.5", "state": "running", **changes},
        ssh=None,
        recipe=None,
        stale=False,
    )


STATUS = Status(
    lab="hello",
    provider="docker",
    box=BoxStatus("", "", "", registered=True, stale=False),
    machines=(machine("front"), machine("back", state="unreachable")),
    services=(
        service("web"),
        service("api", machine="back", state="ended", exit_code=1, problem="it ended"),
    ),
    urls={},
    notes=(),
)
USAGE = Usage(
    (MachineUsage("front", NOW, 2.0, 0.25, 176_000_000, 537_000_000, 100, 4, 4100.0, None, True),),
    (ReplicaUsage("web", 1, "front", 0.02, 2_700_000, None, None, None),),
)
LOGS = (LogLine(NOW, "front", "web", 1, "b", None, "error", '{"message": "no\\nroom"}'),)


def drawn(view: TopView, width: int = 80, height: int = 24) -> list[str]:
    """The lines of a frame as a terminal gets them."""
    stream = Terminal()
    screen = console(stream)
    screen.size = (width, height)  # type: ignore[assignment]
    screen.print(Group(*frame(view, width, height)), end="")
    text = "".join(part for part in _without_styles(stream.getvalue()))
    return [line.rstrip() for line in text.split("\n")]


def _without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_into_a_pipe_it_is_plain_text_with_all_columns() -> None:
    stream = io.StringIO()
    show_overview(Overview(STATUS, USAGE, LOGS), stream, now=NOW, as_json=False)
    text = stream.getvalue()
    assert "lab hello, provider docker, 1 of 2 machines and 1 of 2 services running" in text
    assert "0.25 of 2" in text
    assert "176 of 537 MB" in text
    assert "4.1 kB/s" in text
    assert "unreachable" in text
    assert "ended (1)" in text
    assert "web | no room" in text


def test_as_json_it_is_one_document() -> None:
    stream = io.StringIO()
    show_overview(Overview(STATUS, USAGE, LOGS), stream, now=NOW, as_json=True)
    document = json.loads(stream.getvalue())
    assert set(document) == {"status", "usage", "logs"}
    assert document["usage"]["services"][0]["memory_bytes"] == 2_700_000


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 12), (200, 50), (30, 8), (10, 4)])
def test_a_frame_fills_the_terminal_exactly(width: int, height: int) -> None:
    view = TopView(NOW, STATUS, USAGE, LOGS * 100, message="done")
    lines = frame(view, width, height)
    assert len(lines) == height
    assert all(line.cell_len <= width + 2 for line in lines)
    assert all("\n" not in line.plain for line in lines)


def test_at_80_columns_all_columns_of_a_machine_are_there() -> None:
    full = replace(USAGE.machines[0], network_sent_bytes_per_second=123_456.0)
    status = replace(STATUS, machines=(machine("front"),))
    lines = drawn(TopView(NOW, status, Usage((full,), USAGE.services), LOGS))
    front = next(line for line in lines if "front    running" in line)
    assert front.split("  ")[-1] == "123.5 kB/s"
    assert lines[-2:] == [KEYS, ""]


def test_a_narrow_terminal_drops_columns_and_not_rows() -> None:
    lines = drawn(TopView(NOW, STATUS, USAGE), width=40)
    assert any("front" in line and "running" in line for line in lines)
    assert not any("kB/s" in line for line in lines)


def test_the_chosen_service_is_marked_and_stays_in_view() -> None:
    many = tuple(service(f"service{n}") for n in range(40))
    lines = drawn(TopView(NOW, replace(STATUS, services=many), USAGE, chosen=33))
    assert next(line for line in lines if line.startswith("▸")).startswith("▸ service33")


def test_alerts_are_shown_above_the_log_lines() -> None:
    alert = Alert("DiskAlmostFull", NOW - 90, "front", None, None, "4 % of the disk is free")
    firing = replace(STATUS, alerts=(alert,))
    told = "DiskAlmostFull: 4 % of the disk is free, for 1 min"
    assert any(told in line for line in drawn(TopView(NOW, firing, USAGE, LOGS)))
    stream = io.StringIO()
    show_overview(Overview(firing, USAGE, LOGS), stream, now=NOW, as_json=False)
    assert told in stream.getvalue()


def test_before_the_first_look_it_says_what_it_does() -> None:
    assert drawn(TopView(NOW))[0].startswith("observing the machines …")


def test_lines_of_one_service_are_named_so() -> None:
    lines = drawn(TopView(NOW, STATUS, USAGE, LOGS, only="web"))
    assert "Logs of web" in lines
    assert any("web | no room" in line for line in lines)


def test_text_from_outside_cannot_make_the_terminal_obey() -> None:
    status = replace(STATUS, lab=EVIL, services=(service(EVIL),), machines=(machine(EVIL),))
    logs = (replace(LOGS[0], message=EVIL, service=EVIL),)
    shown = "\n".join(drawn(TopView(NOW, status, USAGE, logs, message=EVIL, only=EVIL)))
    assert not set(shown) & set("\x1b\x07\u202e")
    assert "[bold red]m[/]" in shown


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [
        (176_000_000, 537_000_000, "176 of 537 MB"),
        (1_240_000_000, 4_000_000_000, "1.2 of 4.0 GB"),
        (100, 500, "100 of 500 B"),
        (999_700, 999_700, "1.0 of 1.0 MB"),
    ],
)
def test_a_share_has_the_unit_of_its_limit(count: int, limit: int, expected: str) -> None:
    assert share(count, limit) == expected
