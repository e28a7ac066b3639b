"""Machines of the provider ``virtualbox``: linked clones of the box, one host-only network
per lab.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    SSH_PORT,
    BoxManifest,
    Endpoint,
    ObservedMachine,
    PlannedMachine,
    Runner,
)
from hashlab.providers.seed import system_files
from hashlab.providers.vagrant import BootPlan, LabVagrant, VagrantMachines
from hashlab.providers.virtualbox.boxes import base_of, master_of
from hashlab.providers.virtualbox.ignition import PROPERTY, ignition
from hashlab.providers.virtualbox.names import (
    HOST_KEY,
    LAB,
    MACHINE,
    READY,
    RECIPE,
    mac,
    network,
    prefix,
    vm,
)
from hashlab.providers.virtualbox.vboxmanage import (
    GLOBAL,
    VBoxManage,
    forwards_of,
    state_of,
)

MIB = 1 << 20
DEFAULT_MEMORY = 1024 * MIB
# VirtualBox refuses other host-only addresses since 6.1.28.
ALLOWED = IPv4Network("192.168.56.0/21")
FIRST_BOOT = "virtualbox-first-boot.sh"
# Scripts whose text replaces a line of the script of the first boot.
INSERTED = ("firewall.sh", "await-manager.sh")
SCAN_SECONDS = 10.0


class VirtualBoxMachines(VagrantMachines):
    """protocols.Machines on the laptop's VirtualBox."""

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        time_factor: Callable[[], float],
        vbox: VBoxManage,
        runner: Runner,
    ) -> None:
        super().__init__(vagrant, time_factor=time_factor)
        self._vbox = vbox
        self._runner = runner

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[PlannedMachine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        """See protocols.Machines.

        Vagrant would create the network as well, but parallel calls would each create one. It only
        uses an existing network that contains a machine's address.
        """
        name, known = self._network(lab)
        if known == subnet and name in self._network_names():
            return
        self._remove_network(lab)
        name = self._vbox.add_host_network(lab.id, subnet)
        self._vbox.note(GLOBAL, network(lab), f"{subnet} {name}")

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """See protocols.Machines. Vagrant creates linked clones, which share the disk of the
        box.
        """
        track.detail("disks are linked clones")

    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        """See VagrantMachines.

        Flatcar configures itself from its Ignition file before its sshd starts. A Debian box is
        configured by Vagrant, which logs in with its own well-known key.
        """
        base = base_of(lab)
        flatcar = base.kind == "flatcar"
        name, address = vm(lab, planned.name), mac(lab, planned.name)
        properties = (
            {PROPERTY: ignition(planned, mac=address, user=base.user, public_key=public_key)}
            if flatcar
            else {}
        )
        ready = f"{planned.address} {_key(public_key)}"
        return {
            "vm": name,
            "user": base.user,
            "guest": "coreos" if flatcar else "debian",
            "vagrant_sets_up": not flatcar,
            "mac": address.replace(":", ""),
            "memory": (planned.machine.memory or DEFAULT_MEMORY) // MIB,
            "cpus": max(1, math.ceil(planned.machine.cpus or 1)),
            "properties": properties,
            "notes": {LAB: lab.id, MACHINE: planned.name, RECIPE: manifest.recipe},
            "first_boot": _first_boot(),
            "first_boot_args": [
                *(base.kind, base.user, public_key),
                *(str(planned.subnet), str(next(planned.subnet.hosts()))),
                *lab.box.packages,
            ],
            "when_up": shlex.join(["VBoxManage", "setextradata", name, READY, ready]),
        }

    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        """See VagrantMachines.

        The first `vagrant up` imports the box as the master of all linked clones, which VirtualBox
        7.1 cannot do twice at a time. VirtualBox has no parallel `up`, so the other machines boot
        by parallel calls of one machine each.
        """
        alone = [[name] for name in machines]
        if master_of(manifest) in self._vbox.machines().values():
            return [alone]
        return [plan for plan in (alone[:1], alone[1:]) if plan]

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        """See protocols.Machines."""
        existing = self._vbox.machines()
        machines = [
            self.observe(lab, machine.name)
            for machine in lab.machines
            if vm(lab, machine.name) in existing
        ]
        return [machine for machine in machines if machine is not None]

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        """See protocols.Machines.

        A machine has an address, and is used, only once `vagrant up` has ended. Before that it may
        still accept Vagrant's well-known key.
        """
        info = self._vbox.info(vm(lab, name))
        if info is None:
            return None
        notes = self._vbox.notes(vm(lab, name))
        ports = {forward.guest: forward.host for forward in forwards_of(info)}
        ssh = ports.pop(SSH_PORT, None)
        ready = notes.get(READY, "").split()
        return ObservedMachine(
            name=name,
            state=_state(info),
            address=IPv4Address(ready[0]) if ready else None,
            endpoint=Endpoint("127.0.0.1", ssh, base_of(lab).user) if ssh else None,
            forwarded=ports,
            recipe=notes.get(RECIPE, ""),
        )

    def discard_machine(self, lab: Lab, machine: str) -> None:
        """See protocols.Machines."""
        if self._vbox.info(vm(lab, machine)) is not None:
            self._vbox.remove_machine(vm(lab, machine))

    def discard_half_built(self, lab: Lab) -> list[str]:
        """See protocols.Machines. Removes machines for which `vagrant up` never ended."""
        existing = self._vbox.machines()
        mine = [machine.name for machine in lab.machines if vm(lab, machine.name) in existing]
        half = [name for name in mine if READY not in self._vbox.notes(vm(lab, name))]
        for name in half:
            self._vbox.remove_machine(vm(lab, name))
        return half

    def adopt(self, lab: Lab, public_key: str) -> None:
        """See protocols.Machines.

        Without guest additions SSH is the only way into a machine, so a lost key cannot be
        replaced. Raises LabError in that case, after restoring the ids.
        """
        existing = self._vbox.machines()
        lost = []
        for machine in lab.machines:
            name = vm(lab, machine.name)
            if name not in existing:
                continue
            self.restore_id(machine.name, existing[name])
            ready = self._vbox.notes(name).get(READY, "")
            if ready and ready.partition(" ")[2] != _key(public_key):
                lost.append(machine.name)
        if lost:
            raise LabError(
                "the lab's SSH key is gone, and VirtualBox has no other way into a machine",
                where=", ".join(lost),
                next_step="hashlab destroy, then hashlab dev",
            )

    def host_key(self, lab: Lab, machine: str) -> str:
        """See protocols.Machines.

        VirtualBox cannot read files of a machine. The first key seen, on a port of the laptop's own
        127.0.0.1, is stored at the machine and required from then on.
        """
        name = vm(lab, machine)
        known = self._vbox.notes(name).get(HOST_KEY, "")
        if known:
            return known
        observed = self.observe(lab, machine)
        if observed is None or observed.endpoint is None or observed.address is None:
            return ""
        scanned = self._scan(observed.endpoint)
        if scanned:
            self._vbox.note(name, HOST_KEY, scanned)
        return scanned

    def _scan(self, endpoint: Endpoint) -> str:
        done = self._runner.run(
            ["ssh-keyscan", "-t", "ed25519", "-p", str(endpoint.port), endpoint.host],
            timeout=SCAN_SECONDS,
            cancel=CancelToken(),
        )
        keys = [line.split()[1:3] for line in done.stdout.splitlines() if " ssh-ed25519 " in line]
        return " ".join(keys[0]) if keys else ""

    def own_subnet(self, lab: Lab) -> str:
        """See protocols.Machines."""
        name, subnet = self._network(lab)
        return str(subnet) if subnet and name in self._network_names() else ""

    def used_subnets(self, lab: Lab) -> list[str]:
        """See protocols.Machines. Includes every subnet that VirtualBox does not allow."""
        own, _ = self._network(lab)
        networks = self._vbox.host_networks()
        used = [net.subnet for net in networks if net.subnet and net.name != own]
        beyond = IPv4Network("0.0.0.0/0").address_exclude(ALLOWED)
        return [str(subnet) for subnet in (*used, *beyond)]

    def suspend(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines."""
        self._control(lab, machines, "pause")

    def resume(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines."""
        self._control(lab, machines, "resume")

    def _control(self, lab: Lab, machines: Sequence[str], word: str) -> None:
        names = [vm(lab, machine) for machine in machines]
        parallel(names, lambda name: self._vbox.call("controlvm", name, word), CancelToken())

    def halt(self, lab: Lab) -> None:
        """See VagrantMachines."""
        running = [name for name in self._machines(lab) if self._runs(name)]
        parallel(running, self._vbox.power_off, CancelToken())

    def _runs(self, name: str) -> bool:
        info = self._vbox.info(name)
        return info is not None and state_of(info) != "stopped"

    def discard(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        removed = []
        for name in self._machines(lab):
            self._vbox.remove_machine(name)
            removed.append(f"machine {name}")
        return removed + self._remove_network(lab)

    def leftovers(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        name, _ = self._network(lab)
        return [
            *(f"machine {name}" for name in self._machines(lab)),
            *(f"network {existing}" for existing in self._network_names() if existing == name),
        ]

    def leftover_kinds(self) -> str:
        """See protocols.Machines."""
        return "machines and the host-only network of the lab in VirtualBox"

    def _machines(self, lab: Lab) -> list[str]:
        return [name for name in self._vbox.machines() if name.startswith(prefix(lab))]

    def _network(self, lab: Lab) -> tuple[str, IPv4Network | None]:
        """Return name and subnet of the network that was created for the lab, as stored in
        VirtualBox.
        """
        subnet, _, name = self._vbox.notes(GLOBAL).get(network(lab), "").partition(" ")
        return (name, IPv4Network(subnet)) if name else ("", None)

    def _network_names(self) -> list[str]:
        return [net.name for net in self._vbox.host_networks()]

    def _remove_network(self, lab: Lab) -> list[str]:
        name, _ = self._network(lab)
        if not name:
            return []
        existing = name in self._network_names()
        if existing:
            self._vbox.remove_host_network(name)
        self._vbox.note(GLOBAL, network(lab), "")
        return [f"network {name}"] if existing else []


def _state(info: Mapping[str, str]) -> Literal["running", "stopped", "paused"]:
    state = state_of(info)
    return "running" if state == "running" else "paused" if state == "paused" else "stopped"


def _key(public_key: str) -> str:
    """Return a public key without its comment."""
    return " ".join(public_key.split()[:2])


def _first_boot() -> str:
    """Return the script of the first boot with the other scripts of a machine inserted, because
    Vagrant uploads one file.
    """
    script, *others = system_files(FIRST_BOOT, *INSERTED).values()
    for name, text in zip(INSERTED, others, strict=True):
        script = script.replace(f"# {name} is put here.\n", text)
    return script
