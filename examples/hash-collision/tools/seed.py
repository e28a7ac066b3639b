#!/usr/bin/env python3
"""Loads the sample data through the public API, as far as it is not there yet."""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import sample as sample_data
from client import (
    Client,
    Deadline,
    Failure,
    Row,
    User,
    patience,
    retried,
    settled,
    web_url,
)
from contributions import Contributions, Part
from parallel import Task, in_parallel
from progress import Post, Progress, Voting, last_apart
from sample import Sample, SampleQuestion, password
from sessions import Sessions

Key = tuple[str, str]  # title and author of a question


class Seed:
    """One run of the loading."""

    def __init__(self, url: str, sample: Sample, deadline: Deadline) -> None:
        self._url = url
        self._sample = sample
        self._deadline = deadline
        self._client = Client(url)
        self._sessions = Sessions(sample.all_names)
        self._contributions = Contributions(self._sessions, self._count)
        self._added: Counter[str] = Counter()
        self._touched_by_people: set[str] = set()
        self._lock = threading.Lock()

    def run(self) -> str:
        """Adds what is missing; the summary."""
        users = retried(self._deadline, self._client.users)
        rows = self._rows()
        fresh = not any(key_of(question) in rows for question in self._sample.questions)
        self._add_users(set(self._sample.all_names) - set(users))
        doubtful = self._doubtful(rows, self._short_of_reputation(users))
        if doubtful:
            self._complete(doubtful, rows)
            self._check_questions()
            self._check_reputations(exact=fresh)
        return self._summary()

    def _rows(self) -> dict[Key, Row]:
        # Newest first: of two with the same title and author the older one comes last and stays.
        return {(row.title, row.author): row for row in retried(self._deadline, self._client.rows)}

    def _short_of_reputation(self, users: dict[str, User]) -> set[str]:
        """Those with less reputation than the sample data brings; more is the work of people."""
        wanted = self._sample.reputations()
        return {
            name
            for name, reputation in wanted.items()
            if name not in users or users[name].reputation < reputation
        }

    def _doubtful(self, rows: dict[Key, Row], short: set[str]) -> list[SampleQuestion]:
        """Questions that are not complete, or may be the reason why somebody lacks reputation."""
        return [
            question
            for question in self._sample.all_questions
            if not is_complete(question, rows.get(key_of(question))) or authors_of(question) & short
        ]

    # Users

    def _add_users(self, names: Iterable[str]) -> None:
        missing = sorted(names)
        if not missing:
            return
        self._in_parallel("users", [self._registration(name) for name in missing])
        users, arrived = settled(
            self._deadline, self._client.users, lambda users: users.keys() >= set(missing)
        )
        if not arrived:
            lost = ", ".join(sorted(set(missing) - users.keys()))
            raise Failure(
                f"registered, but did not reach the user service "
                f"in {self._deadline.seconds:g} s: {lost}"
            )

    def _registration(self, name: str) -> Task:
        def register(client: Client) -> None:
            registered = client.register(name, password(name))
            if registered is not None:
                self._sessions.keep(name, registered.token)
                self._count("users")

        return register

    # Questions

    def _complete(self, doubtful: Sequence[SampleQuestion], rows: dict[Key, Row]) -> None:
        """
        Adds what is missing, all people at once, in rounds.

        A post's smaller side votes before the larger, and the last vote on a question comes when
        all else is there: so its score tells of all that belongs to it.
        """
        begun = [Progress(question) for question in doubtful]
        looks = [self._look(one, rows[key]) for one in begun if (key := key_of(one.wanted)) in rows]
        self._in_parallel("questions looked at", looks)
        for first in (True, False):  # the verification's question shall be the oldest
            self._round(
                "askers",
                (
                    part
                    for one in begun
                    if (one.wanted is self._sample.verification) is first
                    for part in one.missing_question()
                ),
            )
        self._round("answerers", (part for one in begun for part in one.missing_answers()))
        acceptances = [part for one in begun for part in one.missing_acceptance(self._touched)]
        answers = [post for one in begun for post in one.answers if needs_votes(post)]
        questions = [one.post for one in begun if needs_votes(one.post)]
        self._round("early voters", minority([*answers, *questions]))
        others, last = last_apart(list(majority(questions)))
        self._round("voters", [*acceptances, *majority(answers), *others])
        self._round("last voters", last)
        for post in (post for one in begun for post in one.posts):
            if post.score != post.wanted.score:
                self._touched(post.author)

    def _look(self, progress: Progress, row: Row) -> Task:
        return lambda client: progress.note(client.question(row.id))

    def _round(self, people: str, parts: Iterable[Part]) -> None:
        """One batch of each person; ends when all have arrived."""
        self._in_parallel(people, self._contributions.tasks(parts))

    # Checks at the end

    def _check_questions(self) -> None:
        rows = self._rows()
        missing = [
            question.title
            for question in self._sample.all_questions
            if key_of(question) not in rows
        ]
        if missing:
            raise Failure(
                f"{len(missing)} questions are not listed after loading, first {missing[0]!r}"
            )
        short = [
            q.title for q in self._sample.all_questions if rows[key_of(q)].answers < len(q.answers)
        ]
        if short:
            raise Failure(
                f"{len(short)} questions lack answers after loading, the first is {short[0]!r}"
            )

    def _check_reputations(self, *, exact: bool) -> None:
        """Waits for the votes to come through the queue; exact: nobody else has voted so far."""
        wanted = self._sample.reputations()
        for name in self._touched_by_people:
            wanted.pop(name, None)

        def arrived(users: dict[str, User]) -> bool:
            return not differing(wanted, users, exact=exact)

        users, good = settled(self._deadline, self._client.users, arrived)
        if not good:
            names = differing(wanted, users, exact=exact)
            raise Failure(
                f"after {self._deadline.seconds:g} s the votes do not show in the reputation "
                f"of {len(names)} users: "
                f"{names[0]} has {reputation_of(users, names[0])}, expected {wanted[names[0]]}"
            )

    # Helpers

    def _in_parallel(self, what: str, tasks: Sequence[Task]) -> None:
        if tasks:
            in_parallel(self._url, self._deadline, what, tasks)

    def _count(self, what: str) -> None:
        with self._lock:
            self._added[what] += 1

    def _touched(self, name: str) -> None:
        with self._lock:
            self._touched_by_people.add(name)

    def _summary(self) -> str:
        sample = self._sample
        totals = (
            f"{len(sample.all_names)} users, {len(sample.all_questions)} questions, "
            f"{sample.answers} answers, {sample.votes} votes"
        )
        kinds = ("users", "questions", "answers", "votes", "acceptances")
        added = ", ".join(f"{self._added[kind]} {kind}" for kind in kinds if self._added[kind])
        return f"{totals}: added {added}" if added else f"{totals}: nothing missing"


def key_of(question: SampleQuestion) -> Key:
    """What tells a sample question from others."""
    return question.title, question.author


def authors_of(question: SampleQuestion) -> set[str]:
    """Those whose reputation depends on this question."""
    return {question.author} | {answer.author for answer in question.answers}


def is_complete(question: SampleQuestion, row: Row | None) -> bool:
    """Whether the list shows all: the last vote on the question came after everything else."""
    return (
        row is not None
        and row.answers >= len(question.answers)
        and (row.accepted or not question.solved)
        and question.votes.reached_by(row.score)
    )


def needs_votes(post: Post) -> bool:
    """Whether the score does not show the sample's votes."""
    return not post.wanted.reached_by(post.score)


def minority(posts: Iterable[Post]) -> Iterator[Voting]:
    """The votes of the smaller sides."""
    return (Voting(post, *vote) for post in posts for vote in post.wanted.minority())


def majority(posts: Iterable[Post]) -> Iterator[Voting]:
    """The votes of the larger sides."""
    return (Voting(post, *vote) for post in posts for vote in post.wanted.majority())


def reputation_of(users: dict[str, User], name: str) -> int | None:
    """None when there is no such user."""
    return users[name].reputation if name in users else None


def differing(wanted: dict[str, int], users: dict[str, User], *, exact: bool) -> list[str]:
    """Users whose reputation is not the wanted one, or is below it."""

    def fits(name: str, reputation: int) -> bool:
        actual = reputation_of(users, name)
        return actual is not None and (actual == reputation if exact else actual >= reputation)

    return [name for name, reputation in wanted.items() if not fits(name, reputation)]


def main() -> int:
    """Exit code 0 when everything is there, 1 with one line on stderr when not."""
    parser = argparse.ArgumentParser(
        description="Load the sample data into the running lab; a second run adds nothing.",
        epilog="The address comes from HASHLAB_URL_WEB. "
        "The password of every sample user is 'collision-' and the name: "
        "mirabel logs in with collision-mirabel.",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="give up after this time (default 120), longer on machines that are emulated",
    )
    arguments = parser.parse_args()
    try:
        print(Seed(web_url(), sample_data.load(), Deadline(arguments.deadline * patience())).run())
    except Failure as failure:
        print(f"seed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("seed: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
