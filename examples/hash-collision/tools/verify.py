#!/usr/bin/env python3
"""Smoke test of the running lab: the page, the services, the way of a vote through the queue."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable

from client import (
    Answer,
    Client,
    Deadline,
    Failure,
    Refused,
    Reply,
    User,
    patience,
    retried,
    settled,
    web_url,
)
from sample import ANSWER_UP, DOWN, SampleQuestion, password, verification

SERVICES = ("auth", "qa", "user")
IMPORT = re.compile(r"""^(?:import|export)\b[^"']*["'](\.[^"']+\.js)["'];""", re.MULTILINE)
NOBODY = 999_999_999
# What a vote does to the score of a post, and with it to the reputation of the answer's author.
EFFECTS = {1: ANSWER_UP, -1: DOWN, 2: ANSWER_UP - DOWN, -2: DOWN - ANSWER_UP}


class Verification:
    """The checks; each raises Failure in words."""

    def __init__(self, client: Client, deadline: Deadline) -> None:
        self._client = client
        self._deadline = deadline
        self._milliseconds = 0
        self._token = ""

    def run(self) -> str:
        """Runs all checks in turn; the summary."""
        checks: tuple[Callable[[], None], ...] = (
            self.page,
            self.modules,
            self.health,
            self.unknown_address,
            self.token_needed,
            self.registration,
            self.vote,
        )
        for number, check in enumerate(checks, start=1):
            try:
                retried(self._deadline, check)
            except Failure as failure:
                raise Failure(
                    f"check {number} of {len(checks)} ({check.__name__}): {failure}"
                ) from failure
        return f"{len(checks)} checks passed, a vote reached reputation in {self._milliseconds} ms"

    def page(self) -> None:
        """The page comes, as HTML, and under a policy that lets no foreign script in."""
        page = self._file("/", "text/html")
        if 'type="module"' not in page:
            raise Failure("the page at / is not the one of Hash-Collision")
        self._file("/styles.css", "text/css")

    def modules(self) -> None:
        """Every module that the page imports, directly or not, can be had as JavaScript."""
        seen: set[str] = set()
        waiting = ["/app.js"]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            source = self._file(path, "text/javascript", "application/javascript")
            waiting += [resolved(path, name) for name in IMPORT.findall(source)]
        if len(seen) < 2:
            raise Failure("/app.js imports nothing")

    def health(self) -> None:
        """The three services are well, and say which build they are."""
        for service in SERVICES:
            told = self._client.get(f"/api/{service}/health")
            if (
                told.get("status") != "ok"
                or told.get("service") != service
                or not told.get("build")
            ):
                raise Failure(f"/api/{service}/health says {told}")

    def unknown_address(self) -> None:
        """What is not there is a 404 with an error as JSON."""
        self._refused(self._client.request("GET", f"/api/qa/questions/{NOBODY}"), 404)

    def token_needed(self) -> None:
        """Nobody writes without having logged in."""
        question = {
            "title": "Written without a token",
            "body": "This must not be stored.",
            "tags": [],
        }
        self._refused(self._client.request("POST", "/api/qa/questions", question), 401)

    def registration(self) -> None:
        """An account can be made once, can log in, and reaches the user service by the queue.

        Always the same account, so that a day of checks does not fill the list of users.
        """
        name = verification().author
        registered = self._client.register(name, password(name))
        if registered is not None and self._arrived(registered.id).name != name:
            raise Failure(f"user {registered.id} registered as {name}, but is called otherwise")
        if self._client.register(name, password(name)) is not None:
            raise Failure(f"the name {name} could be registered twice")
        self._token = self._client.log_in(name, password(name))

    def vote(self) -> None:
        """A changed vote changes the reputation of the answer's author, by as much as it should."""
        voter = self._token
        answer = self._answer(verification(), voter)
        author = self._arrived(answer.author_id)
        started = time.perf_counter()
        change = self._changed_vote(voter, answer)
        wanted = author.reputation + EFFECTS[change]
        after, good = settled(
            self._deadline,
            lambda: self._arrived(author.id).reputation,
            lambda value: value == wanted,
        )
        self._milliseconds = round((time.perf_counter() - started) * 1000)
        if not good:
            raise Failure(
                f"a vote on answer {answer.id} should take {author.name} "
                f"from {author.reputation} to {wanted}, "
                f"but after {self._deadline.seconds:g} s the reputation is {after}"
            )

    def _changed_vote(self, token: str, answer: Answer) -> int:
        """Votes the other way than at the last run; the difference it makes to the score."""
        for value in (1, -1):
            change = self._client.vote(token, f"answers/{answer.id}", value) - answer.score
            if change in EFFECTS:
                return change
            # The score stayed: this vote was given before, so the other one is the change.
        raise Failure(f"neither a vote up nor a vote down changes the score of answer {answer.id}")

    def _answer(self, wanted: SampleQuestion, token: str) -> Answer:
        """The answer that is kept for this check; asked and answered first where there is none."""
        rows = [
            row
            for row in self._client.rows(q=wanted.title)
            if (row.title, row.author) == (wanted.title, wanted.author)
        ]
        number = (
            rows[-1].id if rows else self._client.ask(token, wanted.title, wanted.body, wanted.tags)
        )
        author, body = wanted.answers[0].author, wanted.answers[0].body
        answers = self._answers_by(author, number)
        if not answers:
            self._client.answer(self._account(author), number, body)
            answers = self._answers_by(author, number)
        return answers[0]

    def _answers_by(self, author: str, question: int) -> list[Answer]:
        return [
            answer for answer in self._client.question(question).answers if answer.author == author
        ]

    def _account(self, name: str) -> str:
        """A token of one of the two accounts that are kept for this check."""
        try:
            return self._client.log_in(name, password(name))
        except Refused as refusal:
            if refusal.status != 401:
                raise
        registered = self._client.register(name, password(name))
        if registered is None:
            raise Failure(f"{name} is registered with another password")
        return registered.token

    def _arrived(self, number: int) -> User:
        user, _ = settled(
            self._deadline, lambda: self._client.user(number), lambda user: user is not None
        )
        if user is None:
            raise Failure(
                f"user {number} is registered, but did not reach the user service "
                f"in {self._deadline.seconds:g} s"
            )
        return user

    def _file(self, path: str, *media_types: str) -> str:
        reply = self._client.request("GET", path)
        if reply.status != 200:
            raise Failure(f"GET {path}: HTTP {reply.status}")
        if reply.media_type not in media_types:
            raise Failure(f"GET {path} is {reply.media_type}, not {media_types[0]}")
        return reply.body.decode()

    @staticmethod
    def _refused(reply: Reply, status: int) -> None:
        error = reply.data().get("error")
        if (
            reply.status != status
            or not isinstance(error, dict)
            or not error.get("code")
            or not error.get("message")
        ):
            raise Failure(
                f"expected HTTP {status} with an error as JSON, "
                f"got {reply.status}: {reply.body[:200]!r}"
            )


def resolved(importer: str, name: str) -> str:
    """The path of what a module imports: "/views/list.js" and "../dom.js" give "/dom.js"."""
    parts = importer.split("/")[:-1]
    for part in name.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def main() -> int:
    """Exit code 0 when all checks pass, 1 with one line on stderr when not."""
    parser = argparse.ArgumentParser(
        description="Check the running lab. The address comes from HASHLAB_URL_WEB."
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="give up after this time (default 20), longer on machines that are emulated",
    )
    arguments = parser.parse_args()
    try:
        print(Verification(Client(web_url()), Deadline(arguments.deadline * patience())).run())
    except Failure as failure:
        print(f"verify: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("verify: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
