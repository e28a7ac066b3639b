"""Checks, prepares and locks the hosts of a lab."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address

from hashlab.config.model import Lab, Machine
from hashlab.errors import HashlabError, LabError, LockedError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import Engine, HostCheck, HostPlan, Shell
from hashlab.providers.hosts.addresses import candidates, choose, reached
from hashlab.providers.hosts.facts import HostFacts, Record
from hashlab.providers.hosts.files import RECORD, archive, program, recipe
from hashlab.providers.hosts.machines import HostMachines
from hashlab.providers.hosts.planning import SYSTEMS, Changes, changes, faults, steps, summary

PREPARE, UNPREPARE, HOLD_LOCK = program("prepare"), program("unprepare"), program("hold-lock")
# apt downloads a hundred megabytes.
INSTALL_SECONDS = 900.0
LOCK = "/var/lib/hashlab/.lock"
# A laptop that sends nothing for so long is gone. The driver sends a line each 8 s.
SILENCE_SECONDS = 30


@dataclass(frozen=True)
class _Planned:
    machine: Machine
    facts: HostFacts
    change: Changes


class LabHosts:
    """protocols.Hosts."""

    def __init__(self, machines: HostMachines, engine: Callable[[], Engine]) -> None:
        self.recipe = recipe()
        self._machines, self._engine = machines, engine
        self._planned: dict[str, _Planned] = {}

    def checks(self, lab: Lab) -> Sequence[HostCheck]:
        """See protocols.Hosts."""
        return parallel(lab.machines, lambda each: self._check(lab, each), CancelToken())

    def _check(self, lab: Lab, machine: Machine) -> HostCheck:
        try:
            facts = self._machines.facts(machine)
        except HashlabError as error:
            return HostCheck(machine.name, False, error.what, error.next_step)
        found = faults(lab, machine, facts, builds_for=self._built_for())
        if found:
            what = "; ".join(error.what for error in found)
            return HostCheck(machine.name, False, what, "; ".join(e.next_step for e in found))
        detail = _described(facts)
        if facts.record is None:
            missing = ", ".join(facts.missing) or "no packages"
            return HostCheck(
                machine.name, True, f"{detail}; not prepared, lacks {missing}", "hashlab init-box"
            )
        return HostCheck(machine.name, True, detail)

    def plan(self, lab: Lab) -> Sequence[HostPlan]:
        """See protocols.Hosts."""
        facts = self._all_facts(lab)
        built = self._built_for()
        problems = [
            error
            for each in lab.machines
            for error in faults(lab, each, facts[each.name], builds_for=built)
        ]
        if problems:
            raise LabError(
                "; ".join(f"{error.where}: {error.what}" for error in problems),
                next_step="; ".join(dict.fromkeys(error.next_step for error in problems)),
            )
        addresses = self._addresses(lab, facts)
        made_by = f"{getpass.getuser()}@{platform.node()}"
        for machine in lab.machines:
            peers = [each for name, each in addresses.items() if name != machine.name]
            own = facts[machine.name]
            change = changes(lab, own, addresses[machine.name], peers, made_by)
            self._planned[machine.name] = _Planned(machine, own, change)
        return [self._described(each) for each in self._planned.values()]

    def _built_for(self) -> str:
        """Return the processor for which the laptop's engine builds; "" if it does not say."""
        try:
            return str(self._engine().info().get("Architecture") or "")
        except HashlabError:
            return ""  # doctor reports an engine that does not answer

    def _described(self, planned: _Planned) -> HostPlan:
        notes: tuple[str, ...] = ()
        if planned.facts.os not in SYSTEMS:
            notes = (f"hashlab was not tested on {planned.facts.os}",)
        found = steps(planned.change, planned.facts.user)
        return HostPlan(planned.machine.name, planned.machine.endpoint, found, notes)

    def _all_facts(self, lab: Lab) -> dict[str, HostFacts]:
        def facts(machine: Machine) -> HostFacts:
            return self._machines.facts(machine, again=True)

        found = parallel(lab.machines, facts, CancelToken())
        return {each.name: facts for each, facts in zip(lab.machines, found, strict=True)}

    def _addresses(self, lab: Lab, facts: Mapping[str, HostFacts]) -> dict[str, IPv4Address]:
        wanted = {
            machine.name: [
                (address, facts[machine.name].sshd[1])
                for address in candidates(machine, facts[machine.name])
            ]
            for machine in lab.machines
        }

        def seen(machine: Machine) -> dict[IPv4Address, set[str]]:
            others = [
                pair for name, all_ in wanted.items() if name != machine.name for pair in all_
            ]
            with self._machines.opened(machine) as shell:
                return reached(shell, others) if others else {}

        found = parallel(lab.machines, seen, CancelToken())
        by_host = {each.name: keys for each, keys in zip(lab.machines, found, strict=True)}
        return choose(lab.machines, facts, by_host)

    def prepare(self, lab: Lab, machine: str, *, track: Track) -> Sequence[str]:
        """See protocols.Hosts. The record comes first, so that an interrupted run can be undone."""
        if machine not in self._planned:
            self.plan(lab)
        planned = self._planned[machine]
        change, user = planned.change, planned.facts.user
        if change.none:
            return ()
        with self._machines.opened(planned.machine) as shell:
            if change.record is not None:
                self._write_record(shell, machine, change.record)
            done = shell.run(
                ["sudo", "sh", "-c", PREPARE, "sh", user, *change.packages],
                stdin=archive(change.files),
                timeout=INSTALL_SECONDS,
            )
            track.output(done.stdout)
            if done.code != 0:
                raise LabError(
                    "the host could not be prepared",
                    where=machine,
                    output=(done.stdout + done.stderr)[-2000:],
                    next_step="hashlab init-box again; to undo: hashlab destroy --unprepare",
                )
            new = [line.partition(" ")[2] for line in done.stdout.splitlines() if _is_new(line)]
            if new and change.record is not None:
                packages = tuple(sorted({*change.record.packages, *new}))
                record = Record(**{**change.record.__dict__, "packages": packages})
                self._write_record(shell, machine, record)
        self._machines.facts(planned.machine, again=True)
        return summary(change, user)

    def _write_record(self, shell: Shell, machine: str, record: Record) -> None:
        new = f"{RECORD}.new"
        for argv, stdin in (
            (["sudo", "mkdir", "-p", "/etc/hashlab"], ""),
            (["sudo", "tee", new], record.text()),
            (["sudo", "mv", new, RECORD], ""),
        ):
            done = shell.run(argv, stdin=stdin.encode())
            if done.code != 0:
                raise LabError(f"cannot write {RECORD}", where=machine, output=done.stderr)

    def unprepare(self, lab: Lab, machine: str, *, track: Track) -> Sequence[str]:
        """See protocols.Hosts."""
        facts = self._machines.facts(lab.machine(machine), again=True)
        record = facts.record
        if record is None or record.lab != lab.id:
            return ()
        user = facts.user if record.joined else ""
        with self._machines.opened(lab.machine(machine)) as shell:
            argv = ["sudo", "sh", "-c", UNPREPARE, "sh", user, *record.packages]
            done = shell.run(argv, timeout=INSTALL_SECONDS)
        if done.code != 0:
            raise LabError(
                "the preparation of the host could not be undone",
                where=machine,
                output=(done.stdout + done.stderr)[-2000:],
                next_step="hashlab destroy --unprepare again",
            )
        return tuple(done.stdout.splitlines())

    @contextmanager
    def held(self, lab: Lab, command: str, say: Callable[[str], None]) -> Iterator[None]:
        """See protocols.Hosts."""
        first = lab.machines[0]
        since = datetime.now(UTC).isoformat(timespec="seconds")
        text = f"{command} by {getpass.getuser()}@{platform.node()} in {lab.folder} since {since}"
        with self._machines.opened(first) as shell:
            one_line = " ".join(text.split())
            argv = ["bash", "-c", HOLD_LOCK, "bash", LOCK, one_line, str(SILENCE_SECONDS)]
            with shell.hold(argv) as answer:
                verb, _, holder = answer.partition(" ")
                if verb == "held":
                    raise LockedError(
                        f"another run is at work on this lab: {holder or 'it began this moment'}",
                        where=f"{first.endpoint}:{LOCK}",
                        next_step="wait for it, or ask who runs it",
                    )
                if verb not in ("taken", "unprepared"):
                    raise LabError("the lab's lock cannot be taken", where=first.name)
                yield


def _described(facts: HostFacts) -> str:
    engine = f"Docker {facts.engine}" if facts.engine else "no Docker yet"
    networks = ", ".join(f"{address} (MTU {mtu})" for address, mtu in facts.addresses.items())
    return f"{facts.os}, {facts.arch}, {engine}, {networks}, clock {facts.clock:+.1f} s"


def _is_new(line: str) -> bool:
    return line.startswith("installed ")
