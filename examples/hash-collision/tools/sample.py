"""The sample data: read from ../data, checked, and what it adds up to."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import Failure

DATA = Path(__file__).resolve().parent.parent / "data"
TAG = re.compile(r"[a-z0-9-]{1,30}")

QUESTION_UP = 5
ANSWER_UP = 10
ACCEPTED = 15
DOWN = -2


def password(name: str) -> str:
    """How to log in as a sample user."""
    return f"collision-{name}"


@dataclass(frozen=True)
class Votes:
    """Who votes on one post."""

    up: tuple[str, ...]
    down: tuple[str, ...]

    @property
    def score(self) -> int:
        """What the votes add up to."""
        return len(self.up) - len(self.down)

    def minority(self) -> Iterator[tuple[str, int]]:
        """
        Voter and value of the smaller side, which votes first.

        So the score reaches its final value with the very last vote: who sees it sees them all.
        """
        return self._side(up=self.score <= 0)

    def majority(self) -> Iterator[tuple[str, int]]:
        """Voter and value of the larger side, which votes last."""
        return self._side(up=self.score > 0)

    def _side(self, *, up: bool) -> Iterator[tuple[str, int]]:
        return ((name, 1 if up else -1) for name in (self.up if up else self.down))

    def reached_by(self, score: int) -> bool:
        """Whether the score shows these votes, with those of other people on top or not."""
        if self.score == 0:
            return True
        return score >= self.score if self.score > 0 else score <= self.score


@dataclass(frozen=True)
class SampleAnswer:
    """One answer of the sample data."""

    author: str
    body: str
    accepted: bool
    votes: Votes


@dataclass(frozen=True)
class SampleQuestion:
    """One question of the sample data; the title is its natural key."""

    title: str
    author: str
    body: str
    tags: tuple[str, ...]
    votes: Votes
    answers: tuple[SampleAnswer, ...]

    @property
    def solved(self) -> bool:
        """Whether an answer is accepted."""
        return any(answer.accepted for answer in self.answers)

    def names(self) -> set[str]:
        """Everybody who takes part."""
        return {name for author, votes in self.posts() for name in (author, *votes.up, *votes.down)}

    def posts(self) -> list[tuple[str, Votes]]:
        """Author and votes of the question and of each answer."""
        return [
            (self.author, self.votes),
            *((answer.author, answer.votes) for answer in self.answers),
        ]


@dataclass(frozen=True)
class Sample:
    """Everything; the first question is the one that verify.py works with."""

    users: tuple[str, ...]
    verification: SampleQuestion
    questions: tuple[SampleQuestion, ...]

    @property
    def all_questions(self) -> tuple[SampleQuestion, ...]:
        """The verification's question too, and before the others: so it is the oldest."""
        return (self.verification, *self.questions)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The verification's accounts too."""
        return (*self.users, *sorted(self.verification.names()))

    @property
    def votes(self) -> int:
        """How many votes there are."""
        return sum(
            len(votes.up) + len(votes.down)
            for question in self.questions
            for _, votes in question.posts()
        )

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return sum(len(question.answers) for question in self.all_questions)

    def reputations(self) -> dict[str, int]:
        """What the votes and acceptances bring to each sample user."""
        sums = Counter(dict.fromkeys(self.users, 0))
        for question in self.questions:
            sums[question.author] += QUESTION_UP * len(question.votes.up) + DOWN * len(
                question.votes.down
            )
            for answer in question.answers:
                sums[answer.author] += ANSWER_UP * len(answer.votes.up) + DOWN * len(
                    answer.votes.down
                )
                sums[answer.author] += ACCEPTED if answer.accepted else 0
        return dict(sums)


def verification() -> SampleQuestion:
    """The question that verify.py works with."""
    return _questions(DATA / "verify.toml")[0]


def load() -> Sample:
    """Reads and checks all files; raises Failure that names the place."""
    users = tuple(_toml(DATA / "users.toml")["names"])
    topics = [_questions(path) for path in sorted(DATA.glob("questions/*.toml"))]
    # In turns, so that a page of the list shows most topics.
    turns = itertools.zip_longest(*topics)
    questions = tuple(question for turn in turns for question in turn if question is not None)
    sample = Sample(users, verification(), questions)
    _check(sample)
    return sample


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"{path}: {error}") from error


def _questions(path: Path) -> list[SampleQuestion]:
    try:
        return [_question(entry) for entry in _toml(path)["question"]]
    except KeyError as error:
        raise Failure(f"{path}: a question or an answer lacks {error}") from error


def _question(entry: dict[str, Any]) -> SampleQuestion:
    return SampleQuestion(
        title=entry["title"],
        author=entry["author"],
        body=entry["body"].strip(),
        tags=tuple(entry["tags"]),
        votes=_votes(entry),
        answers=tuple(
            SampleAnswer(
                answer["author"],
                answer["body"].strip(),
                answer.get("accepted", False),
                _votes(answer),
            )
            for answer in entry.get("answer", [])
        ),
    )


def _votes(entry: dict[str, Any]) -> Votes:
    return Votes(tuple(entry.get("up", [])), tuple(entry.get("down", [])))


def _check(sample: Sample) -> None:
    """The rules of the services, and those that make the loading repeatable."""
    titles = Counter(question.title for question in sample.all_questions)
    doubled = [title for title, times in titles.items() if times > 1]
    if doubled:
        raise Failure(f"two questions have the title {doubled[0]!r}")
    for question in sample.questions:
        problem = _problem(question, set(sample.users))
        if problem:
            raise Failure(f"the question {question.title!r}: {problem}")


def _problem(question: SampleQuestion, users: set[str]) -> str | None:
    """The first rule that is broken, in words."""
    accepted = [answer.author for answer in question.answers if answer.accepted]
    rules = {
        "a title has 5 to 200 characters": 5 <= len(question.title) <= 200,
        "at most 5 tags of a-z, 0-9 and -": len(question.tags) <= 5
        and all(map(TAG.fullmatch, question.tags)),
        f"{sorted(question.names() - users)} are not in users.toml": question.names() <= users,
        "only one answer is accepted, and never the asker's own": len(accepted) <= 1
        and question.author not in accepted,
        "two answers are the same": len({answer.body for answer in question.answers})
        == len(question.answers),
        "a question needs votes: the last one shows that all is there": question.votes.score != 0,
    }
    for author, votes in question.posts():
        voters = [*votes.up, *votes.down]
        rules[f"one vote per user and post, none on the own one ({author})"] = (
            len({*voters, author}) == len(voters) + 1
        )
        rules[f"equal votes up and down could not be seen in the score ({author})"] = (
            not voters or votes.score != 0
        )
    return next((rule for rule, kept in rules.items() if not kept), None)
