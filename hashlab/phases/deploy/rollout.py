"""Phase ``roll out``: the Swarm gets the stack, and every service runs it or was rolled back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hashlab.config.yaml_text import yaml_text
from hashlab.documents.deployment import DeployedService
from hashlab.errors import LabError, tail
from hashlab.phases.deploy.settling import State, Verdict, judge
from hashlab.phases.deploy.target import Target
from hashlab.phases.deploy.wanted import VERSION, WantedStack
from hashlab.phases.facts import filled
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import Swarm, SwarmNode, SwarmService, SwarmTask

# A service has this long for each container of its new version, and as long again to go back.
SETTLE_SECONDS = 180.0
POLL_SECONDS = 0.5
LOG_LINES = 10


def roll_out(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: every service runs its new version, with as many containers as it should, as long as
    the Swarm watches it. A service whose new version fails has its old one again.
    """
    deploying = filled(world.facts.deploying, "plan")
    swarm, stack = target.swarm(world, track.cancel), target.stack_of(world)
    staying = [each for each in deploying.document.services if each.change != "removed"]
    changed = [each for each in deploying.document.services if each.change != "same"]
    if changed:
        text = yaml_text(deploying.wanted.shape)
        swarm.deploy(stack, text, with_credentials=not target.machines)
    limit = SETTLE_SECONDS * world.provider.time_factor
    watch = _Watch(_View(swarm, stack), deploying.wanted, swarm.nodes(), limit)
    ended = parallel(staying, lambda service: watch.follow(service, track), track.cancel)
    failures = [failure for failure in ended if failure]
    if failures:
        asked = target.docker(world, f"service ps {stack}_{failures[0].service}")
        raise _joined(failures, staying, asked)
    world.facts.document = deploying.document
    if target.machines:
        for name, url in world.urls().items():
            world.note(f"{name} answers at {url}")
    if changed:
        track.detail(f"{len(changed)} of {len(staying)} services changed")
    else:
        track.skip(f"all {len(staying)} services run this version")


@dataclass(frozen=True)
class _Failure:
    """A service that does not run its new version. ``kept``: it runs its old one."""

    service: str
    kept: bool
    error: LabError


class _View:
    """The state of the stack, read once for all services that are waited for."""

    def __init__(self, swarm: Swarm, stack: str) -> None:
        self._swarm, self._stack = swarm, stack
        self._lock = threading.Lock()
        self._read = 0.0
        self._services: dict[str, SwarmService] = {}
        self._tasks: Sequence[SwarmTask] = ()

    def of(self, service: str) -> tuple[SwarmService | None, Sequence[SwarmTask]]:
        """Return a service and its tasks, as they were at most a moment ago."""
        with self._lock:
            if time.monotonic() - self._read > POLL_SECONDS:
                self._services = {each.name: each for each in self._swarm.services(self._stack)}
                self._tasks = self._swarm.tasks(self._stack)
                self._read = time.monotonic()
            found = self._services.get(service)
            return found, [t for t in self._tasks if found and t.service == found.id]

    def roll_back(self, service: SwarmService) -> None:
        """Bring a service's last version back; the next answer is a new one."""
        with self._lock:
            self._swarm.roll_back(service)
            self._read = 0.0

    def logs(self, task: SwarmTask) -> str:
        """Return the last lines of a task."""
        return tail(self._swarm.logs(task, LOG_LINES), lines=LOG_LINES)


class _Watch:
    """Waits for the services of a stack."""

    def __init__(
        self, view: _View, wanted: WantedStack, nodes: Sequence[SwarmNode], limit: float
    ) -> None:
        self._view, self._wanted, self._nodes, self._limit = view, wanted, nodes, limit

    def follow(self, service: DeployedService, track: Track) -> _Failure | None:
        """Wait for one service; return its failure, so that the others are waited for as well."""
        try:
            with track.child("service", service=service.service) as step:
                self._settle(service, step)
        except _NotSettled as failure:
            return _Failure(service.service, failure.kept, failure)
        return None

    def _settle(self, service: DeployedService, step: Track) -> None:
        verdict = self._wait(service.service, step, step.cancel)
        if verdict.state == "settled":
            if service.change == "same":
                step.skip(f"unchanged, {verdict.text}")
            else:
                step.detail(f"{service.change}, {verdict.text}")
            return
        if verdict.state == "waiting" and service.change == "changed":
            verdict = self._give_up(service.service, verdict, step)
        raise self._error(service, verdict)

    def _wait(self, name: str, step: Track, cancel: CancelToken) -> Verdict:
        """Wait until a service is judged; "waiting" is the verdict after the time limit, which
        begins again with each container that is as it should be.
        """
        limit, done = self._limit + self._wanted.delays.get(name, 0.0), 0
        deadline = time.monotonic() + limit
        while True:
            existing, tasks = self._view.of(name)
            verdict = judge(
                existing,
                tasks,
                self._wanted.label(name, VERSION),
                replicas=self._wanted.replicas(name, self._nodes),
                ends=self._wanted.ends(name),
            )
            if verdict.state != "waiting" or time.monotonic() > deadline:
                return verdict
            if verdict.done > done:
                done, deadline = verdict.done, time.monotonic() + limit
            step.detail(verdict.text)
            cancel.wait(POLL_SECONDS)

    def _give_up(self, name: str, late: Verdict, step: Track) -> Verdict:
        """Roll a service back that does not get ready, and wait for that."""
        existing, _ = self._view.of(name)
        if existing is None:
            return late
        self._view.roll_back(existing)
        after = self._wait(name, step, step.cancel)
        text = f"not ready after {self._limit:g} s ({late.text})"
        state: State = "rolled back" if after.state == "rolled back" else "failed"
        return Verdict(state, text, late.task or after.task)

    def _error(self, service: DeployedService, verdict: Verdict) -> _NotSettled:
        kept = verdict.state == "rolled back"
        text = verdict.text
        if verdict.state == "waiting":
            text = f"not ready after {self._limit:g} s ({text})"
        result = "it was rolled back" if kept else "it was not rolled back"
        if service.change == "new":
            result = "it is new, so nothing could be rolled back"
        elif service.change == "same":
            result = "its version is the one from before"
        task = verdict.task
        logs = self._view.logs(task) if task else ""
        node = {each.id: each.hostname for each in self._nodes}.get(task.node, "") if task else ""
        return _NotSettled(f"service {service.service}: {text}; {result}", node, logs, kept=kept)


class _NotSettled(LabError):
    """A service that does not run its new version."""

    def __init__(self, what: str, where: str, output: str, *, kept: bool) -> None:
        super().__init__(what, where=where, output=output)
        self.kept = kept


def _joined(
    failures: Sequence[_Failure], services: Sequence[DeployedService], asked: str
) -> LabError:
    """Return one error for all services that failed. It names those that run their new version.
    ``asked``: the command line that lists the tries of the first one.
    """
    failed = {each.service for each in failures}
    new = [s.service for s in services if s.change != "same" and s.service not in failed]
    mixed = f"\n{', '.join(new)} run the new version" if new else ""
    what = "\n".join(each.error.what for each in failures) + mixed
    output = "\n".join(
        "\n".join([f"{each.service}, last lines:", each.error.output])
        for each in failures
        if each.error.output
    )
    return LabError(
        what,
        where=", ".join(sorted({each.error.where for each in failures if each.error.where})),
        output=output,
        next_step=f"{asked} lists the tries; fix it, and deploy again",
    )
