"""How far a sample question has come in the lab, and the parts that it still needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from client import Client, Question
from sample import SampleAnswer, SampleQuestion, Votes


@dataclass
class Post:
    """A question or an answer in the lab."""

    kind: str  # "question" or "answer"
    author: str
    wanted: Votes
    id: int | None = None
    score: int = 0

    @property
    def number(self) -> int:
        """The id of a post that must be there by now."""
        assert self.id is not None, f"no {self.kind} of {self.author} yet"
        return self.id


@dataclass
class Progress:
    """One question: what is wanted, and what is there."""

    wanted: SampleQuestion
    post: Post = field(init=False)
    answers: list[Post] = field(init=False)
    accepted: set[int] = field(default_factory=set)  # ids of answers; one at most

    def __post_init__(self) -> None:
        self.post = Post("question", self.wanted.author, self.wanted.votes)
        self.answers = [
            Post("answer", answer.author, answer.votes) for answer in self.wanted.answers
        ]

    @property
    def posts(self) -> list[Post]:
        """The question and the answers."""
        return [self.post, *self.answers]

    def note(self, found: Question) -> None:
        """Takes what is there already."""
        self.post.id, self.post.score = found.id, found.score
        there = {(answer.author, answer.body.strip()): answer for answer in found.answers}
        for answer, post in zip(self.wanted.answers, self.answers, strict=True):
            known = there.get((answer.author, answer.body))
            if known is not None:
                post.id, post.score = known.id, known.score
        self.accepted = {answer.id for answer in found.answers if answer.accepted}

    def missing_question(self) -> Iterator[Asking]:
        """The question itself, if it is not there."""
        if self.post.id is None:
            yield Asking(self)

    def missing_answers(self) -> Iterator[Answering]:
        """Answers that are not there; the question must be."""
        for answer, post in zip(self.wanted.answers, self.answers, strict=True):
            if post.id is None:
                yield Answering(self, answer, post)

    def missing_acceptance(self, touched: Callable[[str], None]) -> Iterator[Accepting]:
        """The asker's choice, unless it was changed by hand: then that is told, and left."""
        for answer, post in zip(self.wanted.answers, self.answers, strict=True):
            if answer.accepted and post.number not in self.accepted:
                if self.accepted:
                    touched(answer.author)
                else:
                    yield Accepting(self, post)


@dataclass(frozen=True)
class Asking:
    """A question to ask."""

    progress: Progress
    kind = "questions"

    @property
    def person(self) -> str:
        """The asker."""
        return self.progress.wanted.author

    def data(self) -> Mapping[str, Any]:
        """Title, body and tags."""
        wanted = self.progress.wanted
        return {"title": wanted.title, "body": wanted.body, "tags": list(wanted.tags)}

    def arrived(self, client: Client) -> bool:
        """Looks for the title and the author; the oldest counts."""
        wanted = self.progress.wanted
        for row in reversed(client.rows(q=wanted.title)):
            if (row.title, row.author) == (wanted.title, wanted.author):
                self.progress.post.id = row.id
                return True
        return False

    def done(self, told: int) -> bool:
        """Told is the new question's id."""
        self.progress.post.id = told
        return True


@dataclass(frozen=True)
class Answering:
    """An answer to give."""

    progress: Progress
    wanted: SampleAnswer
    post: Post
    kind = "answers"

    @property
    def person(self) -> str:
        """Who answers."""
        return self.wanted.author

    def data(self) -> Mapping[str, Any]:
        """Question and body."""
        return {"question": self.progress.post.number, "body": self.wanted.body}

    def arrived(self, client: Client) -> bool:
        """Looks at the question."""
        for answer in client.question(self.progress.post.number).answers:
            if (answer.author, answer.body.strip()) == (self.wanted.author, self.wanted.body):
                self.post.id = answer.id
                return True
        return False

    def done(self, told: int) -> bool:
        """Told is the new answer's id."""
        self.post.id = told
        return True


@dataclass(frozen=True)
class Accepting:
    """An answer to accept."""

    progress: Progress
    post: Post
    kind = "acceptances"

    @property
    def person(self) -> str:
        """The asker."""
        return self.progress.wanted.author

    def data(self) -> Mapping[str, Any]:
        """The answer."""
        return {"answer": self.post.number}

    def arrived(self, client: Client) -> bool:
        """Accepting again changes nothing."""
        return False

    def done(self, told: None) -> bool:
        """Nothing is told; the answer is accepted now."""
        return True


@dataclass(frozen=True)
class Voting:
    """A vote to give."""

    post: Post
    person: str
    value: int
    kind = "votes"

    def data(self) -> Mapping[str, Any]:
        """The post and the value."""
        return {self.post.kind: self.post.number, "value": self.value}

    def arrived(self, client: Client) -> bool:
        """Voting again changes nothing."""
        return False

    def done(self, told: Mapping[str, int]) -> bool:
        """Told is the score with this vote, and the vote of before, which may be the same one."""
        # Several people vote at once: of two scores, the one that is further on came later.
        further = max if self.value > 0 else min
        self.post.score = further(self.post.score, told["score"])
        return told["previous"] != self.value


def last_apart(votes: Sequence[Voting]) -> tuple[list[Voting], list[Voting]]:
    """All but one vote on each post; and that one, where few people give many of them."""
    own: dict[str, list[Voting]] = defaultdict(list)
    for vote in votes:
        own[vote.person].append(vote)
    last: dict[int, Voting] = {}
    open_posts = {vote.post.number for vote in votes}
    while open_posts:
        most = max(own.values(), key=lambda given: sum(v.post.number in open_posts for v in given))
        last |= {vote.post.number: vote for vote in most if vote.post.number in open_posts}
        open_posts -= last.keys()
    return [vote for vote in votes if vote is not last[vote.post.number]], list(last.values())
