"""Many small tasks on a few connections."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from client import Client, Deadline, Failure, retried

THREADS = 5
PROGRESS_STEP = 25

Task = Callable[[Client], None]


def in_parallel(url: str, deadline: Deadline, what: str, tasks: Sequence[Task]) -> None:
    """Runs all tasks, each until it works; after the first failure no further one is begun."""
    clients = threading.local()
    lock = threading.Lock()
    done = 0

    def run(task: Task) -> None:
        nonlocal done
        if not hasattr(clients, "client"):
            clients.client = Client(url)
        retried(deadline, lambda: task(clients.client))
        with lock:
            done += 1
            if done % PROGRESS_STEP == 0 or done == len(tasks):
                print(f"seed: {done} of {len(tasks)} {what}", file=sys.stderr)

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    raise_first_of(finished)


def raise_first_of(futures: Iterable[Future[None]]) -> None:
    """Raises one failure, and says how many others there were."""
    errors = [
        error
        for error in (future.exception() for future in futures if not future.cancelled())
        if error
    ]
    if not errors:
        return
    unexpected = next((error for error in errors if not isinstance(error, Failure)), None)
    if unexpected is not None:
        raise unexpected
    others = f" (and {len(errors) - 1} more failures)" if len(errors) > 1 else ""
    raise Failure(f"{errors[0]}{others}")
