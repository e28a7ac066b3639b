"""How the example's sample data go to the service: batches, rounds, and lost answers."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "examples" / "hash-collision" / "tools"
sys.path.insert(0, str(TOOLS))

from client import Unavailable  # noqa: E402
from contributions import MOST_PARTS, Contributions, batches, request_of  # noqa: E402
from progress import Answering, Post, Progress, Voting, last_apart  # noqa: E402
from sample import SampleAnswer, SampleQuestion, Votes  # noqa: E402
from sessions import Sessions  # noqa: E402

# The tools' folder is on nobody's path, and their short names are not taken from other tests.
sys.path.remove(str(TOOLS))
for name in ("client", "contributions", "parallel", "progress", "sample", "sessions"):
    del sys.modules[name]


def post(number: int, up: tuple[str, ...] = ("ada",), down: tuple[str, ...] = ()) -> Post:
    return Post("question", "author", Votes(up, down), number)


def answering(number: int, body: str, author: str = "ada") -> Answering:
    answer = SampleAnswer(author, body, False, Votes((), ()))
    question = SampleQuestion("Why?", "asker", "body", (), Votes(("x",), ()), (answer,))
    progress = Progress(question)
    progress.post.id = number
    return Answering(progress, answer, progress.answers[0])


class Service:
    """Takes contributions; loses as many answers as it is told, and refuses other calls."""

    def __init__(self, *, lost: int = 0) -> None:
        self.lost = lost
        self.taken: list[dict[str, Any]] = []

    def log_in(self, name: str, password: str) -> str:
        return name

    def contribute(self, token: str, parts: dict[str, Any]) -> dict[str, Any]:
        self.taken.append(parts)
        if len(self.taken) <= self.lost:
            raise Unavailable("no answer")
        return {
            "questions": [],
            "answers": list(range(50, 50 + len(parts.get("answers", [])))),
            "votes": [{"score": 1, "previous": 0} for _ in parts.get("votes", [])],
        }


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def contributions(counted: Counter[str]) -> Contributions:
    return Contributions(Sessions(["ada", "bob"]), lambda kind: counted.update([kind]))


def test_each_person_has_a_batch_and_its_parts_keep_their_order() -> None:
    parts = [
        Voting(post(1), "ada", 1),
        Voting(post(1), "bob", 1),
        Voting(post(2), "ada", -1),
    ]
    first, second = batches(parts)
    assert request_of(first) == {
        "votes": [{"question": 1, "value": 1}, {"question": 2, "value": -1}]
    }
    assert request_of(second) == {"votes": [{"question": 1, "value": 1}]}


def test_a_batch_has_no_more_parts_and_bytes_than_a_request_takes() -> None:
    votes = [Voting(post(number), "ada", 1) for number in range(MOST_PARTS + 1)]
    assert [len(batch) for batch in batches(votes)] == [MOST_PARTS, 1]
    texts = [answering(number, "x" * 20_000) for number in range(5)]
    assert [len(batch) for batch in batches(texts)] == [2, 2, 1]


def test_results_reach_their_parts_and_are_counted(
    contributions: Contributions, counted: Counter[str]
) -> None:
    parts: list[Answering | Voting] = [
        answering(1, "one"),
        Voting(post(3), "ada", 1),
        answering(2, "two"),
    ]
    [task] = contributions.tasks(parts)
    service: Any = Service()
    task(service)
    assert [part.post.id for part in parts] == [50, 3, 51]
    assert parts[1].post.score == 1
    assert counted == {"answers": 2, "votes": 1}


def test_after_a_lost_answer_only_what_did_not_arrive_is_sent_again(
    contributions: Contributions, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, missing = answering(1, "one"), answering(2, "two")
    monkeypatch.setattr(Answering, "arrived", lambda part, client: part is here)
    service: Any = Service(lost=1)
    [task] = contributions.tasks([here, missing])
    with pytest.raises(Unavailable):
        task(service)
    task(service)
    assert service.taken[1] == {"answers": [{"question": 2, "body": "two"}]}
    assert counted == {"answers": 2}


def test_a_vote_that_was_there_before_is_not_counted() -> None:
    assert not Voting(post(1), "ada", 1).done({"score": 4, "previous": 1})
    assert Voting(post(1), "ada", 1).done({"score": 4, "previous": -1})


def test_of_scores_that_overtake_each_other_the_one_further_on_stays() -> None:
    voted = post(1)
    for score in (2, 3, 1):
        Voting(voted, "ada", 1).done({"score": score, "previous": 0})
    assert voted.score == 3


@pytest.mark.parametrize(("up", "down"), [(("a", "b"), ("c",)), (("c",), ("a", "b"))])
def test_the_smaller_side_votes_first(up: tuple[str, ...], down: tuple[str, ...]) -> None:
    votes = Votes(up, down)
    assert [name for name, _ in votes.minority()] == ["c"]
    assert [name for name, _ in votes.majority()] == ["a", "b"]


def test_one_vote_on_each_post_comes_last_and_from_few_people() -> None:
    one, two, three = post(1), post(2), post(3)
    votes = [
        Voting(who, name, 1)
        for who, names in ((one, ("ada", "bob")), (two, ("bob", "eve")), (three, ("ada", "bob")))
        for name in names
    ]
    others, last = last_apart(votes)
    assert sorted(vote.post.number for vote in last) == [1, 2, 3]
    assert {vote.person for vote in last} == {"bob"}
    assert sorted((vote.post.number, vote.person) for vote in others) == [
        (1, "ada"),
        (2, "eve"),
        (3, "ada"),
    ]
