"""Observes hosts over SSH."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, parallel
from hashlab.protocols import HostAccess, HostShell, Locate, ObservedMachine, Shells
from hashlab.providers.hosts.facts import HostFacts, read_facts


class HostMachines:
    """protocols.Machines. A host is a machine of a lab once it is prepared for it."""

    def __init__(self, *, locate: Locate, shells: Callable[[], Shells]) -> None:
        self._locate, self._shells = locate, shells
        self._lock = threading.Lock()
        self._facts: dict[str, HostFacts] = {}

    def access(self, machine: Machine) -> HostAccess:
        """Return how the person's OpenSSH reaches a host. Raises LabError, also if its host key is
        unknown.
        """
        access = self._locate(machine.endpoint)
        if not access.host_key:
            raise LabError(
                f"the host key of {access.endpoint.host} is unknown",
                where=machine.name,
                next_step=f"ssh {machine.endpoint}, and compare the fingerprint before you accept",
            )
        return access

    @contextmanager
    def opened(self, machine: Machine) -> Iterator[HostShell]:
        """Yield a shell on a host. Raises LabError."""
        access = self.access(machine)
        try:
            shell = self._shells().open_shell(machine.name, access.endpoint, access.host_key)
        except LabError as error:
            locked = "encrypted" in error.what  # Paramiko asks for no passphrase
            advice = "ssh-add, so that the agent has the key" if locked else ""
            error.next_step = advice or f"ssh {machine.endpoint} shows the problem"
            raise
        try:
            yield shell
        finally:
            shell.close()

    def facts(self, machine: Machine, *, again: bool = False) -> HostFacts:
        """Return what a host is. It is asked once, or ``again``. Raises LabError."""
        with self._lock:
            known = self._facts.get(machine.name)
        if known is None or again:
            with self.opened(machine) as shell:
                known = read_facts(shell, machine.name)
            with self._lock:
                self._facts[machine.name] = known
        return known

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        """See protocols.Machines. A host that does not answer is one of them, without an address:
        it may hold a part of the lab.
        """
        found = parallel(lab.machines, lambda each: self._seen(lab, each), CancelToken())
        return [each for each in found if each is not None]

    def _seen(self, lab: Lab, machine: Machine) -> ObservedMachine | None:
        access = self._locate(machine.endpoint)
        try:
            facts = self.facts(machine)
        except LabError:
            return ObservedMachine(machine.name, "running", None, access.endpoint)
        return _observed(lab, machine, access, facts)

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        """See protocols.Machines. Raises LabError, which says why a host cannot be used."""
        machine = lab.machine(name)
        access, facts = self.access(machine), self.facts(machine)
        check_owner(lab, machine, facts)
        found = _observed(lab, machine, access, facts)
        if found is None:
            raise LabError(
                "the host is not prepared for this lab", where=name, next_step="hashlab init-box"
            )
        return found

    def host_key(self, lab: Lab, machine: str) -> str:
        """See protocols.Machines: the key that the person's known_hosts has."""
        return self.access(lab.machine(machine)).host_key


def check_owner(lab: Lab, machine: Machine, facts: HostFacts) -> None:
    """Raise LabError if a host is prepared for another lab."""
    if facts.record is not None and facts.record.lab != lab.id:
        raise LabError(
            f"the host is prepared for another lab: {facts.record.lab}, by {facts.record.made_by}",
            where=machine.name,
            next_step="name another host; or, in that lab's folder: hashlab destroy --unprepare",
        )


def _observed(
    lab: Lab, machine: Machine, access: HostAccess, facts: HostFacts
) -> ObservedMachine | None:
    record = facts.record
    if record is None or record.lab != lab.id:
        return None
    address = IPv4Address(record.address)
    return ObservedMachine(machine.name, "running", address, access.endpoint, recipe=record.recipe)
