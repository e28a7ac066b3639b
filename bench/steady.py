"""A client at a steady rate: each request is sent at its time, whether or not others were answered.

Its requests go to 127.0.0.1, and end with the block.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Answers:
    """The answers so far: ``seconds`` of those that were right, and why others failed."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """The number of requests that have ended."""
        return len(self.seconds) + len(self.failed)

    @property
    def slowest(self) -> float:
        """Seconds of the slowest right answer."""
        return max(self.seconds, default=0.0)


@contextmanager
def steady(
    url: str, *, per_second: float, method: str = "GET", most: int = 20_000
) -> Iterator[Answers]:
    """Send requests during the block, at most ``most``."""
    answers, ended = Answers(), threading.Event()
    asking: list[threading.Thread] = []

    def ask() -> None:
        started = time.monotonic()
        body = b"{}" if method == "POST" else None
        try:
            request = urllib.request.Request(url, data=body, method=method)
            with urllib.request.urlopen(request, timeout=15) as answer:
                answer.read()
        except (OSError, urllib.error.URLError) as error:
            answers.failed.append(f"{time.strftime('%T')} {error}")
        else:
            answers.seconds.append(time.monotonic() - started)

    def send() -> None:
        started = time.monotonic()
        for number in range(most):
            if ended.wait(max(0.0, started + number / per_second - time.monotonic())):
                break
            asking.append(threading.Thread(target=ask))
            asking[-1].start()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in (sender, *asking):
            thread.join()
