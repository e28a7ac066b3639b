"""Runs work that waits for other work: independent at once, waits for all, loses no error."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hashlab.errors import HashlabError, LabError
from hashlab.pipeline.cancelling import Cancelled, CancelToken

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Node:
    """Work of a graph: what must be finished first, and what to call."""

    run: Callable[[], None]
    after: frozenset[Hashable] = field(default_factory=frozenset)


def run_graph(nodes: Mapping[K, Node], cancel: CancelToken) -> None:
    """Run every node as soon as all it waits for is done, independent ones at once.

    After the first failure nothing new starts, what runs is cancelled and waited for, and all
    errors are raised together. Raises ValueError for a node that waits for an unknown one.
    """
    unknown = {name for node in nodes.values() for name in node.after} - set(nodes)
    if unknown:
        raise ValueError(f"unknown nodes waited for: {sorted(map(str, unknown))}")
    if not nodes:
        return
    waiting = dict(nodes)
    finished: set[Hashable] = set()
    errors: list[BaseException] = []
    running: dict[Future[None], K] = {}
    with _pool(len(nodes), cancel) as pool:
        while running or waiting:
            if not errors and not cancel.cancelled:
                for key in [k for k, node in waiting.items() if node.after <= finished]:
                    running[pool.submit(waiting.pop(key).run)] = key
            if not running:
                break
            errors += _collect(running, finished, cancel)
    _raise_all(errors)
    if waiting:
        cancel.check()
        raise ValueError(f"nodes wait for each other: {sorted(map(str, waiting))}")


@contextmanager
def _pool(size: int, cancel: CancelToken) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads are cancelled before they are waited for, whatever leaves the block."""
    with ThreadPoolExecutor(max_workers=size) as pool:
        try:
            yield pool
        except BaseException:
            cancel.cancel()
            raise


def _collect(
    running: dict[Future[None], K], finished: set[Hashable], cancel: CancelToken
) -> list[BaseException]:
    """Wait for at least one future; Ctrl-C while waiting cancels the run and goes on waiting."""
    errors: list[BaseException] = []
    try:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
    except KeyboardInterrupt as interrupt:
        cancel.cancel()
        return [interrupt]
    for future in done:
        key = running.pop(future)
        error = future.exception()
        if error is None:
            finished.add(key)
            continue
        errors.append(error)
        cancel.cancel()
    return errors


def _raise_all(errors: Sequence[BaseException]) -> None:
    """Raise what happened: a bug first, then the failures together, then a bare cancellation."""
    real = [error for error in errors if not isinstance(error, Cancelled)]
    bugs = [error for error in real if not isinstance(error, HashlabError)]
    if bugs:
        for other in (error for error in real if error is not bugs[0]):
            bugs[0].add_note(f"At the same time: {type(other).__name__}: {other}")
        raise bugs[0]
    failures = [error for error in real if isinstance(error, HashlabError)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        combined = LabError("\n".join(str(failure) for failure in failures))
        combined.exit_code = failures[0].exit_code
        raise combined
    if errors:
        raise errors[0]


def parallel(items: Iterable[T], work: Callable[[T], R], cancel: CancelToken) -> list[R]:
    """Call ``work`` for every item at once; return the results in the items' order."""
    todo = list(items)
    results: dict[int, R] = {}

    def call(index: int) -> Callable[[], None]:
        def run() -> None:
            results[index] = work(todo[index])

        return run

    run_graph({index: Node(call(index)) for index in range(len(todo))}, cancel)
    return [results[index] for index in range(len(todo))]
