"""Run work with dependencies: independent work in parallel, wait for all, lose no error."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from hashlab.errors import HashlabError, LabError
from hashlab.pipeline.cancelling import Cancelled, CancelToken, leave_at_once

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")
# Nodes that have ended, in order: key, whether it is alone, and its future. None: a signal arrived.
Ends = SimpleQueue[tuple[Hashable, bool, Future[None]] | None]


@dataclass(frozen=True)
class Node:
    """Work in a graph: its dependencies, and the function to call.

    ``after`` must have succeeded; ``after_end`` must have ended, successfully or not. The failure
    of a node that is ``alone`` only prevents the nodes that come ``after`` it.
    """

    run: Callable[[], None]
    after: frozenset[Hashable] = field(default_factory=frozenset)
    after_end: frozenset[Hashable] = field(default_factory=frozenset)
    alone: bool = False


def run_graph(nodes: Mapping[K, Node], cancel: CancelToken) -> None:
    """Run every node as soon as its dependencies are done, independent ones in parallel.

    After a failure nothing new starts; running nodes are cancelled and awaited. After the failure
    of a node that is ``alone``, everything continues that does not come after it. All errors are
    raised together. Raises ValueError for a dependency on an unknown node.
    """
    unknown = {name for node in nodes.values() for name in node.after | node.after_end} - set(nodes)
    if unknown:
        raise ValueError(f"dependencies on unknown nodes: {sorted(map(str, unknown))}")
    if not nodes:
        return
    order = _Order(nodes)
    ended: Ends = SimpleQueue()
    errors: list[BaseException] = []
    running = 0
    with _interrupts(ended, errors), _pool(len(nodes), cancel) as pool:
        while True:
            if not cancel.cancelled:
                for key in order.next():
                    _begin(pool, key, nodes[key], ended)
                    running += 1
            if not running:
                break
            end = ended.get()
            if end is None:
                cancel.cancel()
                continue
            running -= 1
            name, alone, done = end
            error = done.exception()
            if error is None:
                order.finished(name)
                continue
            errors.append(error)
            if alone and isinstance(error, HashlabError):
                order.gave_up(name)
            else:
                cancel.cancel()
    _raise_all(errors)
    if order.waiting:
        cancel.check()
        raise ValueError(f"nodes depend on each other: {sorted(map(str, order.waiting))}")


@contextmanager
def _interrupts(ended: Ends, errors: list[BaseException]) -> Iterator[None]:
    """Turn signals that would interrupt the main thread into entries of ``ended``: None stands for
    a signal.

    Other threads are never interrupted. The second signal ends the process at once, because a
    thread that hangs could not be awaited.
    """

    def take(number: int, frame: object) -> None:
        if any(isinstance(error, KeyboardInterrupt) for error in errors):
            leave_at_once()
        errors.append(KeyboardInterrupt())
        ended.put(None)

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: held for number in numbers if callable(held := signal.getsignal(number))}
    for number in before:
        signal.signal(number, take)
    try:
        yield
    finally:
        for number, held in before.items():
            signal.signal(number, held)


class _Order(Generic[K]):
    """Counts which nodes can start, so that a large graph is not searched at each end of a node."""

    def __init__(self, nodes: Mapping[K, Node]) -> None:
        self._nodes = nodes
        self.waiting = {key: len(node.after | node.after_end) for key, node in nodes.items()}
        self._ready = [key for key, count in self.waiting.items() if not count]
        self._followers: dict[Hashable, list[K]] = defaultdict(list)
        for key, node in nodes.items():
            for name in node.after | node.after_end:
                self._followers[name].append(key)

    def next(self) -> list[K]:
        """Return the nodes that wait for nothing any more. Each is returned once."""
        ready, self._ready = self._ready, []
        for key in ready:
            del self.waiting[key]
        return ready

    def finished(self, key: Hashable) -> None:
        """Release the nodes that were waiting only for this one."""
        for follower in self._followers[key]:
            if follower in self.waiting:
                self._count(follower)

    def gave_up(self, key: Hashable) -> None:
        """Drop the nodes that come after this one, and those that come after them."""
        for follower in self._followers[key]:
            if follower not in self.waiting:
                continue
            if key in self._nodes[follower].after:
                del self.waiting[follower]
                self.gave_up(follower)
            else:
                self._count(follower)

    def _count(self, follower: K) -> None:
        self.waiting[follower] -= 1
        if not self.waiting[follower]:
            self._ready.append(follower)


def _begin(pool: ThreadPoolExecutor, key: Hashable, node: Node, ended: Ends) -> None:
    pool.submit(node.run).add_done_callback(lambda done: ended.put((key, node.alone, done)))


@contextmanager
def _pool(size: int, cancel: CancelToken) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads are cancelled before they are awaited if the block fails."""
    with ThreadPoolExecutor(max_workers=size) as pool:
        try:
            yield pool
        except BaseException:
            cancel.cancel()
            raise


def _raise_all(errors: Sequence[BaseException]) -> None:
    """Raise the errors: a bug first, then all failures together, then a bare cancellation."""
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
    """Call ``work`` for every item in parallel; return the results in the order of the items."""
    todo = list(items)
    results: dict[int, R] = {}

    def call(index: int) -> Callable[[], None]:
        def run() -> None:
            results[index] = work(todo[index])

        return run

    run_graph({index: Node(call(index)) for index in range(len(todo))}, cancel)
    return [results[index] for index in range(len(todo))]
