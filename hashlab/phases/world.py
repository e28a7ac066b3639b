"""The world of a run: its lab, its drivers, and the facts that earlier phases found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from hashlab.config.model import Build as ImageBuild
from hashlab.config.model import Lab, Machine, Service
from hashlab.documents.run import Cause
from hashlab.errors import UsageError
from hashlab.hashing import Digests
from hashlab.inputs.contexts import BuildContext
from hashlab.phases.facts import Facts
from hashlab.phases.upload.laptop import LaptopFiles
from hashlab.phases.upload.machine import Intercept
from hashlab.pipeline import CancelToken
from hashlab.protocols import (
    Booting,
    Boxes,
    Connector,
    Download,
    Engine,
    ImageBuilder,
    Link,
    Observer,
    OpenRegistry,
    OpenSwarm,
    Provider,
    ServeLayout,
    StreamingRunner,
    Workers,
)
from hashlab.state.files import StateFolder, append, read_json, read_text, remove_tree

RESTARTED = "restarted\n"
# A phase that waits for a link notices within this time that the run was cancelled.
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class World:
    """Everything that phases may touch: of real drivers by ``run.wiring``, of fakes by tests."""

    lab: Lab
    state: StateFolder
    provider: Provider
    connector: Connector
    engine_name: Callable[[], str]
    laptop_engine: Callable[[], Engine]
    image_builder: ImageBuilder
    runner: StreamingRunner
    workers: Workers
    digests: Digests
    download: Download
    open_registry: OpenRegistry
    serve_layout: ServeLayout
    open_swarm: OpenSwarm
    build_context: Callable[[ImageBuild], BuildContext]
    interfaces: Callable[[], Sequence[IPv4Network]]
    routes: Callable[[], Sequence[IPv4Network]]
    port_is_free: Callable[[int], bool]
    free_port: Callable[[], int]
    environ: Mapping[str, str]
    python: str
    observer: Observer
    facts: Facts = field(default_factory=Facts)
    lock: threading.Lock = field(default_factory=threading.Lock)
    linked: threading.Condition = field(default_factory=threading.Condition)

    @property
    def boxes(self) -> Boxes:
        """The provider's boxes. Raises UsageError if it has none."""
        if self.provider.boxes is None:
            raise UsageError(
                f"provider {self.provider.name} has no boxes",
                next_step="its machines are there already; hashlab init-box prepares them",
            )
        return self.provider.boxes

    @property
    def booting(self) -> Booting:
        """The part of the provider that makes machines. Raises UsageError if it has none."""
        if self.provider.booting is None:
            raise UsageError(
                f"machines of provider {self.provider.name} are not hashlab's to start, stop or "
                "replace",
                next_step="hashlab stop, start and down change the services only",
            )
        return self.provider.booting

    def link(self, machine: str) -> Link:
        """Return the open link to a machine (NotFilledError before phase connect)."""
        return self.facts.machines.links[machine]

    def add_link(self, link: Link) -> None:
        """Add an open link, and wake the phases that wait for it."""
        with self.linked:
            self.facts.machines.links[link.machine] = link
            self.linked.notify_all()

    def await_links(self, machines: Iterable[str], cancel: CancelToken) -> list[Link]:
        """Wait until phase connect has opened the links to these machines. Raises Cancelled."""
        wanted = list(machines)
        with self.linked:
            while not set(wanted) <= set(self.facts.machines.links):
                cancel.check()
                self.linked.wait(LOOK_SECONDS)
            return [self.facts.machines.links[name] for name in wanted]

    def lost_machines(self) -> list[str]:
        """Return the machines that this run does not reach, after phase connect."""
        return [name for name in self.machine_names() if name not in self.facts.machines.links]

    def note(self, text: str) -> None:
        """Add a sentence to the notes at the end of the run, once."""
        with self.lock:
            if text not in self.facts.notes:
                self.facts.notes.append(text)

    def because(self, *causes: Cause) -> None:
        """Add to the record why this run had something to do."""
        with self.lock:
            self.facts.causes += causes

    def laptop_files(self) -> LaptopFiles:
        """Return the laptop's files as this run has read them."""
        with self.lock:
            if self.facts.wanted.laptop_files is None:
                self.facts.wanted.laptop_files = LaptopFiles(self.lab, self.digests)
            return self.facts.wanted.laptop_files

    def about_to_change(self, *, restart: bool = False) -> None:
        """Record, also for later runs, that the lab has changed since it was last verified.
        ``restart``: in a way that may have lost data.
        """
        self.facts.containers.unsettled = True
        append(self.state.unverified, RESTARTED if restart else "")

    def may_have_lost_data(self) -> bool:
        """Return whether a container was started or removed since the lab was last verified."""
        return RESTARTED in (read_text(self.state.unverified) or "")

    def stopped(self) -> frozenset[str]:
        """Return the services that a person stopped, as they were when this run first asked."""
        with self.lock:
            if self.facts.stopped is None:
                saved = read_json(self.state.stopped)
                names = saved if isinstance(saved, list) else []
                self.facts.stopped = frozenset(name for name in names if isinstance(name, str))
            return self.facts.stopped

    @property
    def observed(self) -> frozenset[str]:
        """The stores that hashlab.toml or `dev --with` asks for: "logs", "metrics"."""
        saved = read_json(self.state.observed)
        turned_on = saved if isinstance(saved, list) else []
        asked = self.lab.observe
        return frozenset(
            name
            for name, wanted in (("logs", asked.logs), ("metrics", asked.metrics))
            if wanted or name in turned_on
        )

    def intercepted(self) -> dict[str, Intercept]:
        """Return the services that run on a laptop, as far as this run has read the machines."""
        return {
            name: each
            for files in list(self.facts.uploads.files.values())
            for name, each in files.intercepts.items()
        }

    def rests(self, service: str, container: str) -> bool:
        """Return whether a container of a service, by its name, should not run: the service is
        stopped, or intercepted there.
        """
        holder = self.intercepted().get(service)
        return service in self.stopped() or (holder is not None and holder.holds(container))

    @property
    def source_lab(self) -> Lab:
        """The lab of the files, also if its services run from self-contained images."""
        return self.lab.built_from or self.lab

    def source_files(self) -> LaptopFiles:
        """Return the laptop's files that services of the lab of the files mount."""
        if self.lab.built_from is None:
            return self.laptop_files()
        return LaptopFiles(self.source_lab, self.digests)

    def services_on(self, machine: str) -> list[Service]:
        """Return the services placed on a machine, in the file's order."""
        return [service for service in self.lab.services if service.machine == machine]

    def wanted_on(self, machine: str) -> dict[str, str]:
        """Describe everything that a machine's services mount, by path below the lab's folder."""
        return self.laptop_files().wanted(self.services_on(machine))

    def machine_names(self) -> list[str]:
        """Return the names of the lab's machines, in the file's order."""
        return [machine.name for machine in self.lab.machines]

    def machine(self, name: str) -> Machine:
        """Return a machine of the lab by its name."""
        return self.lab.machine(name)

    def tunnel_file(self, machine: str) -> Path:
        """Return the file in which phase ``ports`` lists what its tunnel to a machine forwards."""
        return self.state.ssh / f"{machine}.ports"

    def tunnel_ports(self, machine: str) -> dict[int, int]:
        """Return the ports that a tunnel of phase ``ports`` forwards: guest → laptop."""
        kept = read_json(self.tunnel_file(machine))
        try:
            return {int(guest): int(host) for guest, host in kept.items()}
        except (AttributeError, TypeError, ValueError):
            return {}

    def urls(self) -> dict[str, str]:
        """Return the address of every forwarded port on the laptop, by its id."""
        found: dict[str, str] = {}
        for machine in self.lab.machines:
            endpoint = self.facts.machines.endpoints.get(machine.name)
            known = {**endpoint.forwarded, **self.tunnel_ports(machine.name)} if endpoint else {}
            for port in machine.forwarded_ports:
                host = known.get(port.guest, port.host)
                found[port.id] = f"{port.scheme}://127.0.0.1:{host}"
        return found

    def close(self) -> None:
        """Close every open link and end every worker."""
        self.workers.close()
        for link in self.facts.machines.links.values():
            link.engine.close()
            link.shell.close()
        self.facts.machines.links.clear()
        if self.facts.images.saved:
            remove_tree(self.state.images)
