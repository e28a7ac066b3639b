"""Lines in the order of time; stack traces and long lines in one piece."""

from __future__ import annotations

import pytest
from journals import entry

from hashlab.logs.entries import Entry
from hashlab.logs.gathering import HOLD_SECONDS, MOST_LINES, MOST_SECONDS, Gathering, Joiner

JAVA = """2026-11-29 ERROR c.e.Users - cannot save
java.lang.IllegalStateException: no database
	at com.example.Users.save(Users.java:10)
	at java.base/java.lang.Thread.run(Thread.java:840)
	Suppressed: java.io.IOException: also
Caused by: org.postgresql.util.PSQLException: refused
	... 12 more"""
PYTHON = """Traceback (most recent call last):
  File "app.py", line 3, in <module>
    main()
    ~~~~^^
ValueError: boom"""
GO = """panic: runtime error: index out of range

goroutine 1 [running]:
main.work(...)
	/src/main.go:7
main.main()
	/src/main.go:12 +0x1d
exit status 2"""
NODE = """TypeError: x is not a function
    at Object.<anonymous> (/app/x.js:1:1)
    at node:internal/main:1:1 {
  code: 1
}"""


def messages(*entries: tuple[str, Entry]) -> list[str]:
    """Return the messages of entries that arrive together."""
    gathering = Gathering(Joiner())
    for machine, each in entries:
        gathering.add(machine, each, 0.0)
    return [each.line.message for each in gathering.rest()]


@pytest.mark.parametrize("trace", [JAVA, PYTHON, GO, NODE], ids=["java", "python", "go", "node"])
def test_a_stack_trace_stays_together_among_lines_of_others(trace: str) -> None:
    gathering = Gathering(Joiner())
    texts = ["before", *trace.split("\n"), "after"]
    for number, text in enumerate(texts):
        at = number * 0.001
        gathering.add("web", entry(text, at), at)
        gathering.add("web", entry("other", at, container="small-queue-1"), at)
    lines = [each.line for each in gathering.rest()]
    own = [line for line in lines if line.service == "site"]
    assert [line.message for line in own] == ["before", trace, "after"]
    assert own[1].level in ("error", "fatal")


def test_lines_of_two_machines_come_in_the_order_of_time() -> None:
    late, early = entry("late", 2.0), entry("early", 1.0)
    assert messages(("web", late), ("broker", early)) == ["early", "late"]


def test_a_line_is_held_until_its_trace_can_have_arrived() -> None:
    gathering = Gathering(Joiner())
    gathering.add("web", entry("ERROR"), 5.0)
    assert list(gathering.ready(5.0 + HOLD_SECONDS / 2)) == []
    assert gathering.due == 5.0 + HOLD_SECONDS
    assert [each.line.message for each in gathering.ready(5.0 + HOLD_SECONDS)] == ["ERROR"]
    assert gathering.due is None


def test_a_program_that_prints_more_than_can_be_read_holds_nobody_up() -> None:
    """Its lines are older and older when they arrive, so each is sorted before those of others."""
    gathering = Gathering(Joiner())
    gathering.add("web", entry("of others", 1000.0, container="small-queue-1"), 0.0)
    shown: list[str] = []
    for number in range(100):
        now = number * HOLD_SECONDS / 10
        gathering.add("web", entry(f"flood {number}", now), now)
        shown += [each.line.message for each in gathering.ready(now)]
    assert "of others" in shown
    assert shown[0] == "flood 0"
    floods = [
        each for each in (*shown, *(rest.line.message for rest in gathering.rest())) if "fl" in each
    ]
    assert floods == [f"flood {number}" for number in range(100)]


def test_an_indented_line_long_after_is_a_line_of_its_own() -> None:
    gathering = Gathering(Joiner())
    gathering.add("web", entry("first"), 0.0)
    gathering.add("web", entry("  second", 1.0), HOLD_SECONDS * 2)
    assert [each.line.message for each in gathering.rest()] == ["first", "  second"]


def test_a_program_that_indents_all_lines_holds_nobody_up() -> None:
    gathering = Gathering(Joiner())
    shown, now = 0, 0.0
    while now < MOST_SECONDS * 2:
        gathering.add("web", entry("  x", now), now)
        shown += len(list(gathering.ready(now)))
        now += HOLD_SECONDS / 2
    assert shown > 0
    for _ in range(MOST_LINES + 1):
        gathering.add("web", entry("  y", now), now)
    assert max(each.line.message.count("\n") for each in gathering.rest()) == MOST_LINES - 1


def test_a_line_that_the_engine_cut_is_whole_again() -> None:
    parts = [entry("a" * 16384, n, part=True) for n in (0, 1)] + [entry("end", 2)]
    assert messages(*(("web", part) for part in parts)) == ["a" * 32768 + "end"]


def test_parts_of_two_containers_are_not_mixed_up() -> None:
    other = "small-queue-1"
    assert messages(
        ("web", entry("a1", 0, part=True)),
        ("web", entry("b1", 1, part=True, container=other)),
        ("web", entry("a2", 2)),
        ("web", entry("b2", 3, container=other)),
    ) == ["a1a2", "b1b2"]


def test_a_units_priority_is_its_level_and_a_containers_is_not() -> None:
    gathering = Gathering(Joiner())
    gathering.add("web", entry("plain", 0, priority=3), 0.0)
    gathering.add("web", entry("plain", 1, container="", priority=4), 0.0)
    container, unit = (each.line for each in gathering.rest())
    assert (container.level, container.unit, container.replica) == (None, None, 1)
    assert (unit.level, unit.unit, unit.service, unit.replica) == ("warn", "docker", None, None)
