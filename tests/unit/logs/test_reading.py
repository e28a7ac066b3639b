"""One `hashlab logs` on fakes: machines merged, followed, lost and found again."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import Outside, running
from journals import CUT, DONE, NOON, Journals, begin, line

from hashlab.errors import LabError
from hashlab.logs import machines
from hashlab.logs.machines import Inbox
from hashlab.logs.reading import reading
from hashlab.logs.selection import Selection
from hashlab.pipeline import Cancelled
from hashlab.protocols import Completed
from hashlab.report import LogScreen
from hashlab.run.openssh import check_machines

QUEUE = "small-queue-1"


class Page(io.StringIO):
    """A pipe whose reader can wait for a text, and can let the program be interrupted there."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.last and self.last in self.getvalue():
            raise KeyboardInterrupt
        return count


@pytest.fixture(autouse=True)
def lab(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    running(outside)
    monkeypatch.setattr(machines, "AGAIN_SECONDS", 0.01)
    yield


def shown(
    outside: Outside, *, until: str = "", names: tuple[str, ...] = ("broker", "web"), **how: Any
) -> tuple[list[str], list[str], list[str]]:
    """Read logs to their end, or until a text is shown; return messages, notices and errors."""
    page, notices = Page(), io.StringIO()
    page.last = until
    screen = LogScreen(page, notices=notices, replicas={"site": 1, "queue": 1}, style="json")
    world = outside.world()
    check_machines(world)
    selection = Selection(names, follow=bool(until), **how)
    with reading(world, selection, screen, now=lambda: NOON) as current:
        try:
            current.past()
            if until:
                current.live()
        except KeyboardInterrupt:
            pass
    messages = [json.loads(each)["message"] for each in page.getvalue().splitlines()]
    return messages, notices.getvalue().splitlines(), [str(error) for error in current.errors]


def test_lines_of_two_machines_are_merged_in_the_order_of_time(outside: Outside) -> None:
    journals = Journals(
        outside,
        broker=[[begin("c3"), line("one", 1), line("three", 3), DONE]],
        web=[[begin("c4"), line("two", 2), line("four", 4), DONE]],
    )
    assert shown(outside) == (["one", "two", "three", "four"], [], [])
    assert " sh past " in journals.commands["web"][0]


def test_only_the_last_lines_of_all_machines_are_shown(outside: Outside) -> None:
    Journals(
        outside,
        broker=[[begin("c3"), line("one", 1), line("three", 3), DONE]],
        web=[[begin("c4"), line("two", 2), line("four", 4), DONE]],
    )
    assert shown(outside, tail=3)[0] == ["two", "three", "four"]


def test_new_lines_follow_the_past(outside: Outside) -> None:
    Journals(
        outside,
        broker=[[begin("c1"), line("old queue", 1), line("new queue", 9)]],
        web=[[begin("c2"), line("old site", 2), line("new site", 10)]],
    )
    messages, notices, errors = shown(outside, until="new site")
    assert messages == ["old queue", "old site", "new queue", "new site"]
    assert (notices, errors) == ([], [])


def test_following_only_new_lines_shows_no_old_ones(outside: Outside) -> None:
    journals = Journals(outside, web=[[begin("c2"), CUT], [begin("c9"), line("new", 9)]])
    assert shown(outside, until="new", tail=0, names=("web",))[0] == ["new"]
    assert "--after-cursor=c2 " in journals.commands["web"][1]


def test_lines_that_come_while_the_reader_starts_are_not_lost(outside: Outside) -> None:
    """At 10,000 lines a second the last line of the start is not among the last 20 any more."""
    journals = Journals(outside, web=[[begin("c1"), line("two", 2), line("three", 3)]])
    assert shown(outside, until="three", tail=1, names=("web",))[0] == ["two", "three"]
    assert " sh follow " in journals.commands["web"][0]
    journals = Journals(outside, web=[[begin("c1"), line("two", 2)]])
    assert shown(outside, until="two", tail=0, names=("web",))[0] == ["two"]
    assert " sh new " in journals.commands["web"][0]


def test_a_line_that_cannot_be_read_is_a_failure_even_when_following(outside: Outside) -> None:
    Journals(outside, web=[[begin("c1"), b"Segmentation fault"]])
    _, _, [error] = shown(outside, until="never", names=("web",))
    assert "Segmentation fault" in error


def test_a_mistake_of_hashlab_ends_the_command(outside: Outside) -> None:
    Journals(outside, web=[])
    with pytest.raises(IndexError):
        shown(outside, until="never", names=("web",))


def test_a_lost_machine_is_followed_again_after_its_last_line(outside: Outside) -> None:
    """The first attempt finds it gone; it is reported once, however long that takes."""
    down = Completed(255, "", "connect to host 127.0.0.1 port 2222: Connection refused\n")

    def stop() -> None:
        outside.machines["web"].state = "stopped"
        threading.Timer(0.1, lambda: setattr(outside.machines["web"], "state", "running")).start()

    journals = Journals(
        outside,
        web=[
            [begin("c1"), line("one", 1), line("two", 2), stop, CUT],
            [down],
            [begin("c3"), line("three", 3)],
        ],
    )
    messages, notices, errors = shown(outside, until="three", names=("web",))
    assert messages == ["one", "two", "three"]
    assert [each.split(" (")[0] for each in notices] == [
        "machine web does not answer",
        "machine web answers again",
    ]
    assert errors == []
    assert "after-cursor=c2" in journals.commands["web"][-1]


def test_a_connection_that_was_only_cut_is_not_reported(outside: Outside) -> None:
    Journals(outside, web=[[begin("c1"), line("one", 1), CUT], [begin("c2"), line("two", 2)]])
    assert shown(outside, until="two", names=("web",)) == (["one", "two"], [], [])


def test_a_machine_that_is_away_at_the_start_does_not_keep_the_others_back(
    outside: Outside,
) -> None:
    outside.machines["broker"].state = "stopped"
    Journals(
        outside,
        broker=[[Completed(255, "", "refused")]],
        web=[[begin(), line("new", 1)]],
    )
    messages, notices, _ = shown(outside, until="new")
    assert messages == ["new"]
    assert notices == [
        "machine broker does not answer (the machine is not up yet); its lines follow when it does"
    ]


def test_without_following_a_machine_that_does_not_answer_is_a_failure(outside: Outside) -> None:
    outside.machines["broker"].state = "stopped"
    Journals(
        outside,
        broker=[[Completed(255, "", "refused")]],
        web=[[begin("c1"), line("one", 1), DONE]],
    )
    messages, notices, [error] = shown(outside)
    assert (messages, notices) == (["one"], [])
    assert error.startswith("broker: the machine is not up yet")


def test_a_journal_that_cannot_be_read_is_a_failure_with_its_reason(outside: Outside) -> None:
    Journals(outside, web=[[begin("c1"), Completed(1, "", "Failed to open journal\n")]])
    _, _, [error] = shown(outside, names=("web",))
    assert "web: Failed to open journal" in error


def test_a_machine_of_an_older_box_says_what_to_type(outside: Outside) -> None:
    Journals(outside, web=[[begin(driver="json-file"), DONE]])
    messages, [notice], _ = shown(outside, names=("web",))
    assert messages == []
    assert "Next: hashlab dev --replace" in notice


def test_a_wrong_clock_is_reported(outside: Outside) -> None:
    Journals(outside, web=[[begin(clock=NOON - 95), DONE]])
    [notice] = shown(outside, names=("web",))[1]
    assert notice.startswith("the clock of machine web is 95 s behind the laptop's")


def test_a_stack_trace_that_arrives_line_by_line_is_one_line(outside: Outside) -> None:
    Journals(
        outside,
        web=[[begin(), line("ERROR no", 1), line("\tat a.B(B.java)", 1), line("end", 2)]],
    )
    assert shown(outside, until="end", names=("web",))[0] == ["ERROR no\n\tat a.B(B.java)", "end"]


def test_a_lab_without_machines_says_how_to_make_them(outside: Outside) -> None:
    outside.machines.clear()
    outside.state.machines.unlink()
    with pytest.raises(LabError, match="no machines") as missing:
        check_machines(outside.world())
    assert missing.value.next_step == "hashlab dev"


def test_a_machine_whose_address_is_unknown_is_asked_of_the_provider(outside: Outside) -> None:
    outside.state.machines.unlink()
    Journals(outside, web=[[begin("c1"), line("one", 1), DONE]])
    assert shown(outside, names=("web",))[0] == ["one"]
    assert outside.state.machines.exists()


def test_a_full_inbox_lets_the_machine_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_WAITING", 1)
    inbox = Inbox(["web"])
    inbox.put("web", [machines.Live()])
    done: list[str] = []

    def put() -> None:
        inbox.put("web", [machines.Ended()])
        done.append("put")

    thread = threading.Thread(target=put)
    thread.start()
    assert inbox.take("web") == [machines.Live()]
    assert inbox.take("web") == [machines.Ended()]
    thread.join()
    assert done == ["put"]


def test_a_closed_inbox_ends_the_threads() -> None:
    inbox = Inbox(["web"])
    inbox.close()
    with pytest.raises(Cancelled):
        inbox.put("web", [machines.Live()])
    with pytest.raises(Cancelled):
        inbox.take("web")
    with pytest.raises(Cancelled):
        inbox.take_any(None)
