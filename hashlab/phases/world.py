"""What a run knows: the lab, the drivers it was given, and the facts earlier phases found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from hashlab.config.model import Build as ImageBuild
from hashlab.config.model import Lab, Machine, Service
from hashlab.documents.run import Cause
from hashlab.hashing import Digests
from hashlab.inputs.contexts import BuildContext
from hashlab.phases.facts import Facts
from hashlab.phases.upload.laptop import LaptopFiles
from hashlab.pipeline import CancelToken
from hashlab.protocols import (
    Connector,
    Download,
    Engine,
    Link,
    Provider,
    Runner,
    Vagrant,
    Workers,
)
from hashlab.state.files import StateFolder, append, read_json, read_text

RESTARTED = "restarted\n"
# How soon whoever waits for a link notices that the run was cancelled.
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class World:
    """Everything phases may touch; real or fake is decided by whoever builds it."""

    lab: Lab
    state: StateFolder
    provider: Provider
    vagrant: Vagrant
    connector: Connector
    engine_name: Callable[[], str]
    laptop_engine: Callable[[], Engine]
    runner: Runner
    workers: Workers
    digests: Digests
    download: Download
    build_context: Callable[[ImageBuild], BuildContext]
    render: Callable[[Mapping[str, Any]], str]
    interfaces: Callable[[], Sequence[IPv4Network]]
    routes: Callable[[], Sequence[IPv4Network]]
    port_is_free: Callable[[int], bool]
    free_port: Callable[[], int]
    environ: Mapping[str, str]
    python: str
    facts: Facts = field(default_factory=Facts)
    lock: threading.Lock = field(default_factory=threading.Lock)
    linked: threading.Condition = field(default_factory=threading.Condition)

    def link(self, machine: str) -> Link:
        """The open link to a machine (KeyError before phase connect)."""
        return self.facts.machines.links[machine]

    def add_link(self, link: Link) -> None:
        """Keep an open link, and wake whoever waits for it."""
        with self.linked:
            self.facts.machines.links[link.machine] = link
            self.linked.notify_all()

    def await_links(self, machines: Iterable[str], cancel: CancelToken) -> list[Link]:
        """The links to machines, once phase connect has opened them all. Raises Cancelled."""
        wanted = list(machines)
        with self.linked:
            while not set(wanted) <= set(self.facts.machines.links):
                cancel.check()
                self.linked.wait(LOOK_SECONDS)
            return [self.facts.machines.links[name] for name in wanted]

    def lost_machines(self) -> list[str]:
        """Machines that this run does not reach, once phase connect has ended."""
        return [name for name in self.machine_names() if name not in self.facts.machines.links]

    def note(self, text: str) -> None:
        """Keep a sentence for the end of the run, once."""
        with self.lock:
            if text not in self.facts.notes:
                self.facts.notes.append(text)

    def because(self, *causes: Cause) -> None:
        """Keep for the record why this run had something to do."""
        with self.lock:
            self.facts.causes += causes

    def laptop_files(self) -> LaptopFiles:
        """The laptop's files as this run sees them."""
        with self.lock:
            if self.facts.wanted.laptop_files is None:
                self.facts.wanted.laptop_files = LaptopFiles(self.lab, self.digests)
            return self.facts.wanted.laptop_files

    def about_to_change(self, *, restart: bool = False) -> None:
        """Remember, also beyond this run, that the lab has changed since it was last verified;
        ``restart``: in a way that may have lost data.
        """
        self.facts.containers.unsettled = True
        append(self.state.unverified, RESTARTED if restart else "")

    def may_have_lost_data(self) -> bool:
        """Whether a container was started or removed since the lab was last verified."""
        return RESTARTED in (read_text(self.state.unverified) or "")

    def services_on(self, machine: str) -> list[Service]:
        """The services placed on a machine, in the file's order."""
        return [service for service in self.lab.services if service.machine == machine]

    def wanted_on(self, machine: str) -> dict[str, str]:
        """Describe all that services of a machine mount, by its path below the lab's folder."""
        return self.laptop_files().wanted(self.services_on(machine))

    def machine_names(self) -> list[str]:
        """Names of the lab's machines, in the file's order."""
        return [machine.name for machine in self.lab.machines]

    def machine(self, name: str) -> Machine:
        """One machine of the lab."""
        return self.lab.machine(name)

    def tunnel_file(self, machine: str) -> Path:
        """Where phase ``ports`` keeps what its connection to a machine forwards."""
        return self.state.ssh / f"{machine}.ports"

    def tunnel_ports(self, machine: str) -> dict[int, int]:
        """Ports that a connection of phase ``ports`` forwards: guest → laptop."""
        kept = read_json(self.tunnel_file(machine))
        try:
            return {int(guest): int(host) for guest, host in kept.items()}
        except (AttributeError, TypeError, ValueError):
            return {}

    def urls(self) -> dict[str, str]:
        """Address of every forwarded port on the laptop, by its id."""
        found: dict[str, str] = {}
        for machine in self.lab.machines:
            endpoint = self.facts.machines.endpoints.get(machine.name)
            known = {**endpoint.forwarded, **self.tunnel_ports(machine.name)} if endpoint else {}
            for port in machine.forwarded_ports:
                host = known.get(port.guest, port.host)
                found[port.id] = f"{port.scheme}://127.0.0.1:{host}"
        return found

    def close(self) -> None:
        """Close every open link, end every worker."""
        self.workers.close()
        for link in self.facts.machines.links.values():
            link.engine.close()
            link.shell.close()
        self.facts.machines.links.clear()
