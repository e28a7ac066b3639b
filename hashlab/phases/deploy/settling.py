"""Tells from a Swarm's answers if a service runs its new version, may still get there, or failed.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hashlab.phases.deploy.wanted import VERSION
from hashlab.protocols import SwarmService, SwarmTask

# States of a task, in Swarm's words. One that waits for its turn is wanted as "ready".
ENDED_BADLY = ("failed", "rejected", "orphaned")
GOES_ON = ("running", "ready")
ROLLING_BACK, ROLLED_BACK = "rollback_started", "rollback_completed"
STUCK = ("paused", "rollback_paused")


State = Literal["settled", "waiting", "rolled back", "failed"]


@dataclass(frozen=True)
class Verdict:
    """The state of one service. ``text``: for people; ``task``: the one that failed last; ``done``:
    how many of its containers are as they should be.
    """

    state: State
    text: str
    task: SwarmTask | None = None
    done: int = 0


def judge(
    service: SwarmService | None,
    tasks: Sequence[SwarmTask],
    version: str,
    *,
    replicas: int,
    ends: bool,
) -> Verdict:
    """Judge a service that should run ``replicas`` containers of this version. ``tasks``: those of
    the service; ``ends``: its containers may end by themselves with exit code 0.
    """
    own = [task for task in tasks if task.labels.get(VERSION) == version]
    bad = max((t for t in own if t.state in ENDED_BADLY), key=lambda t: t.at, default=None)
    if service is None:
        return Verdict("failed", "somebody removed the service")
    if ended := _ended(service, version, bad):
        return ended
    running = sum(task.state == "running" == task.wanted for task in own)
    done = running + sum(ends and task.state == "complete" for task in own)
    old = sum(
        task.wanted == "running" and task.labels.get(VERSION) != version and task.state == "running"
        for task in tasks
    )
    if service.update != "updating" and done >= replicas and not old:
        return Verdict("settled", f"{running} running" if running or not ends else "completed")
    if bad and service.update != "updating" and not any(t.wanted in GOES_ON for t in own):
        # The Swarm tries it no more.
        return Verdict("failed", _reason(bad, service), bad)
    return Verdict("waiting", _progress(own, running, replicas, bad), bad, done)


def _ended(service: SwarmService, version: str, bad: SwarmTask | None) -> Verdict | None:
    """Return the verdict about a service that does not get this version; None if it may."""
    if service.update == ROLLING_BACK:
        return Verdict("waiting", "rolling back", bad)
    if service.update == ROLLED_BACK:
        return Verdict("rolled back", _reason(bad, service), bad)
    if service.update in STUCK:
        return Verdict("failed", _reason(bad, service), bad)
    if service.labels.get(VERSION) != version:
        return Verdict("failed", "somebody else deployed another version", bad)
    return None


def _progress(own: Sequence[SwarmTask], running: int, replicas: int, bad: SwarmTask | None) -> str:
    others = Counter(t.state for t in own if t.wanted == "running" and t.state != "running")
    waiting = [f"{count} {state}" for state, count in sorted(others.items())]
    last = [bad.error] if bad and bad.error else []
    # A task that no node takes says why.
    last += sorted({t.error for t in own if t.state == "pending" and t.error})
    if running >= replicas and not waiting:
        waiting = ["watched by the Swarm"]
    return ", ".join([f"{running} of {replicas} running", *waiting, *last])


def _reason(bad: SwarmTask | None, service: SwarmService) -> str:
    return (bad.error if bad else "") or service.message or "the Swarm gives no reason"
