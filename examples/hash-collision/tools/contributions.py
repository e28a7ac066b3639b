"""What one person adds goes in few requests, and is not added twice when an answer gets lost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from client import Client
from parallel import Task
from sessions import Sessions

# The service takes 200 parts and 64 KiB in a request.
MOST_PARTS = 200
MOST_BYTES = 48 * 1024


class Part(Protocol):
    """One question, answer, acceptance or vote on its way."""

    @property
    def kind(self) -> str:
        """The name of the list it goes into: questions, answers, acceptances or votes."""

    @property
    def person(self) -> str:
        """Whose part it is."""

    def data(self) -> Mapping[str, Any]:
        """The part as the service wants it."""

    def arrived(self, client: Client) -> bool:
        """
        Whether it got there by a request that had no answer; if so, takes note of it.

        False for what may be sent again without harm.
        """

    def done(self, told: Any) -> bool:
        """Takes what the service tells of it; whether anything is new."""


class Contributions:
    """Parts become batches, each of one person, and batches become tasks."""

    def __init__(self, sessions: Sessions, count: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._count = count

    def tasks(self, parts: Iterable[Part]) -> list[Task]:
        """One task for each batch; within a batch, parts keep their order."""
        return [self._sending(batch) for batch in batches(parts)]

    def _sending(self, batch: Sequence[Part]) -> Task:
        left = list(batch)
        sent_in_vain = False

        def send(client: Client) -> None:
            nonlocal sent_in_vain
            if sent_in_vain:
                for part in [part for part in left if part.arrived(client)]:
                    left.remove(part)
                    self._count(part.kind)
            if left:
                token = self._sessions.token(client, left[0].person)
                sent_in_vain = True
                self._finish(left, client.contribute(token, request_of(left)))

        return send

    def _finish(self, parts: Sequence[Part], told: Mapping[str, Any]) -> None:
        results = {kind: iter(items) for kind, items in told.items()}
        for part in parts:
            # Of an acceptance there is nothing to tell.
            if part.done(next(results[part.kind]) if part.kind in results else None):
                self._count(part.kind)


def batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """The parts of each person, as many together as a request takes."""
    people: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        people[part.person].append(part)
    for own in people.values():
        batch: list[Part] = []
        size = 0
        for part in own:
            length = len(json.dumps(part.data()))
            if batch and (len(batch) == MOST_PARTS or size + length > MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(part)
            size += length
        yield batch


def request_of(parts: Iterable[Part]) -> dict[str, list[Mapping[str, Any]]]:
    """The body of a request with these parts."""
    lists: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for part in parts:
        lists[part.kind].append(part.data())
    return dict(lists)
