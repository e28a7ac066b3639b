"""Build tools that stay: asked over their standard input, so that a small build costs little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from hashlab.pipeline import CancelToken


@dataclass(frozen=True)
class BuildRequest:
    """What a worker is told: paths relative to its current folder, the lab's."""

    target: str
    output: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class BuildAnswer:
    """What a worker says. ``done``: the output is what the inputs make; ``failed``: the source is
    wrong, ``output`` says where, and the artifact is as it was; ``rebuild``: only a clean build
    will do, ``detail`` says why.
    """

    result: Literal["done", "failed", "rebuild"]
    detail: str = ""
    output: str = ""


class Workers(Protocol):
    """Workers, one for each command and folder, started when first asked."""

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
        """Ask the worker that ``command`` starts in ``cwd``; the answers in order of ``requests``,
        which it gets at once. Who else asks it waits until it has answered all of them.

        ``on_line`` gets what it prints for people. Raises LabError when it dies, says something
        else than an answer, or takes longer than ``timeout`` seconds (it is ended then),
        LaptopError when the command does not exist, Cancelled.
        """

    def close(self) -> None:
        """End all workers; they are started again when asked again."""
