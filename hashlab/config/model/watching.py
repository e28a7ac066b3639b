"""Commands that run in a container, and the watch rules of a service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashlab.config.model.mounts import place_below
from hashlab.inputs.patterns import compiled

WatchAction = Literal["sync", "sync+exec", "sync+restart", "restart", "rebuild"]


@dataclass(frozen=True)
class Hook:
    """A command that runs in a container: after its start, before its stop, or after an edit."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class InitStep(Hook):
    """A command that ends before the service starts, in a container of its own. An empty ``image``
    is the service's.
    """

    image: str = ""


@dataclass(frozen=True)
class Watch:
    """The action of a refresh if ``path`` (absolute, on the laptop) changed. ``exec`` belongs to
    ``sync+exec``.
    """

    path: Path
    action: WatchAction
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exec: Hook | None = None

    @property
    def in_place(self) -> bool:
        """True if a changed file reaches the container while it runs."""
        return self.action in ("sync", "sync+exec")

    @property
    def synchronises(self) -> bool:
        """True if a changed file reaches the container without a new image."""
        return self.in_place or self.action == "sync+restart"

    def covers(self, path: Path) -> bool:
        """True if ``path`` is inside the rule's path, even if the rule ignores it."""
        return path.is_relative_to(self.path)

    def ignores(self, path: Path) -> bool:
        """True if the rule covers ``path`` and its ``ignore`` excludes it."""
        return bool(self.ignore) and self._matches(self.ignore, path)

    def includes(self, path: Path) -> bool:
        """True if the rule covers a file at ``path`` and nothing excludes it."""
        included = not self.include or path == self.path or self._matches(self.include, path)
        return self.covers(path) and included and not self.ignores(path)

    def _matches(self, patterns: tuple[str, ...], path: Path) -> bool:
        if path == self.path or not self.covers(path):
            return False
        return compiled(patterns).ignores(path.relative_to(self.path).as_posix())

    def place(self, path: Path) -> str:
        """Return the place in the container of a path that the rule covers."""
        return place_below(self.target, path.relative_to(self.path))


def deciding(
    rules: Iterable[Watch], path: Path, *, action: WatchAction | None = None
) -> Watch | None:
    """Return the watch rule for ``path``, or None.

    It is the most specific rule that includes the path, among all rules or those with this action.
    """
    matching = (rule for rule in rules if action in (None, rule.action))
    found = [rule for rule in matching if rule.includes(path)]
    return max(found, key=lambda rule: len(rule.path.parts), default=None)
