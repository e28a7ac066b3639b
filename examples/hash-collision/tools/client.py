"""The REST API as a typed client with one keep-alive connection, for seed.py and verify.py."""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

WEB_URL = "HASHLAB_URL_WEB"
REQUEST_SECONDS = 10.0
PATIENCE = "HASHLAB_PATIENCE"

Value = TypeVar("Value")


class Failure(Exception):
    """Something that ends the program with one line for people."""


class Unavailable(Failure):
    """No answer, or one that says "not now": worth another try."""


class Refused(Failure):
    """An answer with a status that means no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """What came back: status, the media type without its parameters, and the body."""

    status: int
    media_type: str
    body: bytes

    def data(self) -> dict[str, Any]:
        """The JSON object of the body; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class User:
    """A record of the user service."""

    id: int
    name: str
    reputation: int


@dataclass(frozen=True)
class Row:
    """One line of the list of questions."""

    id: int
    title: str
    author: str
    score: int
    answers: int
    accepted: bool


@dataclass(frozen=True)
class Answer:
    """One answer, inside of a question."""

    id: int
    body: str
    author_id: int
    author: str
    score: int
    accepted: bool


@dataclass(frozen=True)
class Question:
    """One question with everything that belongs to it."""

    id: int
    score: int
    answers: tuple[Answer, ...]


class Deadline:
    """A moment after which nothing is tried any more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then, never below zero."""
        return max(0.0, self._end - time.monotonic())


def patience() -> float:
    """By how much longer than usual everything may take on these machines, from the environment."""
    return float(os.environ.get(PATIENCE, "1"))


def web_url() -> str:
    """The address of the lab's web server, from the environment."""
    url = os.environ.get(WEB_URL, "")
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        raise Failure(
            f"{WEB_URL} must hold the web address, for example {WEB_URL}=http://127.0.0.1:8080, "
            f"and is {url!r}"
        )
    return url


@dataclass(frozen=True)
class Registered:
    """A new account, logged in."""

    id: int
    token: str


class Client:
    """One keep-alive connection to the web server; not for several threads at once."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._place = f"{address.hostname}:{address.port or 80}"
        self._http = http.client.HTTPConnection(
            address.hostname or "", address.port or 80, timeout=REQUEST_SECONDS * patience()
        )

    def request(
        self,
        method: str,
        path: str,
        data: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> Reply:
        """One request, never repeated here; raises Unavailable without an answer or on 5xx."""
        headers = {"Accept": "*/*"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = None
        if data is not None:
            body = json.dumps(data).encode()
            headers["Content-Type"] = "application/json"
        try:
            self._http.request(method, path, body, headers)
            answer = self._http.getresponse()
            reply = Reply(answer.status, answer.headers.get_content_type(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise Unavailable(
                f"{method} {path} at {self._place}: {error or type(error).__name__}"
            ) from error
        if reply.status >= 500:
            raise Unavailable(f"{method} {path} at {self._place}: {_told(reply)}")
        return reply

    def get(self, path: str) -> dict[str, Any]:
        """The JSON of a successful GET; raises Refused otherwise."""
        return self._success("GET", path, self.request("GET", path))

    def post(self, path: str, data: Mapping[str, Any], token: str | None = None) -> dict[str, Any]:
        """The JSON of a successful POST; raises Refused otherwise."""
        return self._success("POST", path, self.request("POST", path, data, token))

    @staticmethod
    def _success(method: str, path: str, reply: Reply) -> dict[str, Any]:
        if reply.status not in (200, 201):
            raise Refused(reply.status, f"{method} {path}: {_told(reply)}")
        return reply.data()

    # What the services offer, one method each.

    def register(self, name: str, password: str) -> Registered | None:
        """The new account, or None when there is one of this name."""
        try:
            told = self.post("/api/auth/registrations", {"name": name, "password": password})
        except Refused as refusal:
            if refusal.status != 409:
                raise
            return None
        return Registered(int(told["user_id"]), str(told["token"]))

    def log_in(self, name: str, password: str) -> str:
        """A token."""
        return str(self.post("/api/auth/sessions", {"name": name, "password": password})["token"])

    def users(self) -> dict[str, User]:
        """All users by name."""
        found = (
            User(user["id"], user["name"], user["reputation"])
            for user in self.get("/api/user/users")["users"]
        )
        return {user.name: user for user in found}

    def user(self, number: int) -> User | None:
        """One user, or None while the registration is still on its way to the user service."""
        try:
            user = self.get(f"/api/user/users/{number}")
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None
        return User(user["id"], user["name"], user["reputation"])

    def rows(self, **search: str) -> list[Row]:
        """All questions that match, over all pages, newest first."""
        rows: dict[
            int, Row
        ] = {}  # a question asked meanwhile moves others to the next page: seen twice
        page = pages = 1
        while page <= pages:
            found = self.get("/api/qa/questions?" + urlencode({**search, "page": page}))
            pages = found["pages"]
            page += 1
            for row in found["questions"]:
                rows[row["id"]] = Row(
                    row["id"],
                    row["title"],
                    row["author_name"],
                    row["score"],
                    row["answers"],
                    row["accepted"],
                )
        return list(rows.values())

    def question(self, number: int) -> Question:
        """One question with its answers."""
        found = self.get(f"/api/qa/questions/{number}")
        answers = (
            Answer(
                *(
                    answer[key]
                    for key in ("id", "body", "author_id", "author_name", "score", "accepted")
                )
            )
            for answer in found["answers"]
        )
        return Question(found["id"], found["score"], tuple(answers))

    def ask(self, token: str, title: str, body: str, tags: tuple[str, ...]) -> int:
        """The new question's id."""
        return int(
            self.post(
                "/api/qa/questions", {"title": title, "body": body, "tags": list(tags)}, token
            )["id"]
        )

    def answer(self, token: str, question: int, body: str) -> int:
        """The new answer's id."""
        return int(self.post(f"/api/qa/questions/{question}/answers", {"body": body}, token)["id"])

    def contribute(self, token: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Adds lists of questions, answers, acceptances and votes of one user."""
        return self.post("/api/qa/contributions", parts, token)

    def vote(self, token: str, path: str, value: int) -> int:
        """Votes on the post at the path ("questions/12", "answers/7"); the new score."""
        return int(self.post(f"/api/qa/{path}/votes", {"value": value}, token)["score"])


def _told(reply: Reply) -> str:
    error = reply.data().get("error")
    words = error.get("message", "") if isinstance(error, dict) else ""
    return f"HTTP {reply.status} {words}".strip()


def retried(deadline: Deadline, attempt: Callable[[], Value]) -> Value:
    """
    Calls the attempt until it does not raise Unavailable.

    What is not safe to repeat blindly has to look, inside the attempt, at what the last one left.
    """
    pause = 0.05
    while True:
        try:
            return attempt()
        except Unavailable as problem:
            if deadline.left() == 0:
                raise Failure(f"gave up after {deadline.seconds:g} s: {problem}") from problem
        # Random, so that several threads don't come back in the same moment.
        time.sleep(min(random.uniform(pause / 2, pause), deadline.left()))
        pause = min(pause * 2, 2.0)


def settled(
    deadline: Deadline, look: Callable[[], Value], good: Callable[[Value], bool]
) -> tuple[Value, bool]:
    """Looks until the value is good or the time is over; the last value, and whether it is good."""
    pause = 0.005
    while True:
        value = retried(deadline, look)
        if good(value):
            return value, True
        if deadline.left() == 0:
            return value, False
        time.sleep(min(pause, deadline.left()))
        pause = min(pause * 1.5, 0.25)
