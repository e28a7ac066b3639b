"""Build tools that stay running and read requests from standard input, so that a small build is
cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from hashlab.pipeline import CancelToken


@dataclass(frozen=True)
class BuildRequest:
    """A request to a worker. Paths are relative to its current folder, which is the lab folder."""

    target: str
    output: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class BuildAnswer:
    """A worker's answer.

    ``done``: the output matches the inputs. ``failed``: the source has an error, ``output`` shows
    where, and the artifact is unchanged. ``rebuild``: only a clean build will do, ``detail`` says
    why.
    """

    result: Literal["done", "failed", "rebuild"]
    detail: str = ""
    output: str = ""


class Workers(Protocol):
    """Workers, one for each command and folder, started on their first request."""

    def ask(
        self,
        command: Sequence[str],
        requests: Sequence[BuildRequest],
        *,
        cwd: Path,
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None],
    ) -> list[BuildAnswer]:
        """Send requests to the worker that ``command`` starts in ``cwd``; return the answers in
        order of ``requests``.

        The worker gets all requests at once. Another caller waits until all of them are answered.
        ``on_line`` gets the lines that it prints for people. Raises LabError if the worker dies,
        sends something else than an answer, or takes longer than ``timeout`` seconds (it is then
        ended), LaptopError if the command does not exist, Cancelled.
        """

    def close(self) -> None:
        """End all workers. The next request starts them again."""
