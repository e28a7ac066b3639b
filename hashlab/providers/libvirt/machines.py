"""Machines of the provider ``libvirt``: domains on linked clones of the box, one network per
lab.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    SSH_PORT,
    BoxManifest,
    Endpoint,
    ObservedMachine,
    PlannedMachine,
)
from hashlab.providers.libvirt.about import (
    describe,
    has_key,
    key_word,
    network_words,
    read_about,
)
from hashlab.providers.libvirt.names import (
    box_disk,
    disk,
    domain,
    domain_id,
    initrd,
    kernel,
    mac,
    prefix,
)
from hashlab.providers.libvirt.virsh import Virsh
from hashlab.providers.scripts import AUTHORIZE
from hashlab.providers.vagrant import BootPlan, LabVagrant, VagrantMachines

MIB = 1 << 20
DEFAULT_MEMORY = 1024 * MIB
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
AUTHORIZED_KEYS = "/home/core/.ssh/authorized_keys"
STATES: Mapping[str, Literal["running", "stopped", "paused"]] = {
    "running": "running",
    "in shutdown": "running",
    "paused": "paused",
    "pmsuspended": "paused",
}


class LibvirtMachines(VagrantMachines):
    """protocols.Machines on the laptop's libvirt."""

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        time_factor: Callable[[], float],
        virsh: Virsh,
        kvm: Callable[[], bool],
        work: Path,
        cores: int,
    ) -> None:
        """``time_factor``: that of the provider; ``kvm``: whether a guest boots under KVM;
        ``work``: a folder for passing files; ``cores``: the number of the laptop's cores.
        """
        super().__init__(vagrant, time_factor=time_factor)
        self._virsh = virsh
        self._kvm = kvm
        self._work = work
        self._cores = cores

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

        vagrant-libvirt would create the network as well, but two calls at a time would conflict. It
        only uses an existing network.
        """
        self.ensure_network(lab, machines, subnet)

    def ensure_network(
        self, lab: Lab, machines: Sequence[PlannedMachine], subnet: IPv4Network
    ) -> None:
        """Make sure that a network of this subnet exists and gives these machines their
        addresses.
        """
        network = self._virsh.network(lab.id)
        if network is not None and _subnet(network) != subnet:
            self._virsh.remove_network(lab.id)
            network = None
        if network is None:
            self._virsh.define("net-define", network_xml(lab, machines, subnet), self._work)
        else:
            self._add_hosts(lab, machines, network)
        if lab.id not in self._virsh.names("net-list", "--name"):
            self._virsh.call("net-start", lab.id)

    def _add_hosts(
        self, lab: Lab, machines: Sequence[PlannedMachine], network: ElementTree.Element
    ) -> None:
        """Add machines that are new in an existing lab to the network's DHCP server.

        Existing entries for their MAC addresses, names or addresses are removed first, including
        those of former machines.
        """
        active = ["--live"] if lab.id in self._virsh.names("net-list", "--name") else []
        wanted = [_host(lab, planned) for planned in machines]
        known = [dict(host.items()) for host in network.iter("host")]
        old = [
            host
            for host in known
            if host not in wanted and any(host.items() & new.items() for new in wanted)
        ]
        changes = [("delete", host) for host in old]
        changes += [("add-last", host) for host in wanted if host not in known]
        for change, host in changes:
            arguments = ["net-update", lab.id, change, "ip-dhcp-host", _host_xml(host)]
            self._virsh.call(*arguments, "--config", *active)

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """See protocols.Machines.

        The box's disk is copied once per box to the pool from which machines' disks are cloned.
        vagrant-libvirt would do this too, but two machines booting in parallel would do it twice.
        """
        folder = manifest.registered_at
        if folder is None:
            raise LabError(f"the box {manifest.name} {manifest.version} is not registered")
        self._virsh.ensure_pool()
        new = [
            self._virsh.upload(folder / name, volume, kind=kind)
            for name, volume, kind in (
                ("vmlinuz", kernel(manifest), "raw"),
                ("initrd.img", initrd(manifest), "raw"),
                ("box.img", box_disk(manifest), "qcow2"),
            )
        ]
        track.detail("box copied to libvirt's pool" if any(new) else "the box is in libvirt's pool")

    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        """See VagrantMachines."""
        machine = planned.machine
        works = self._kvm()
        return {
            "driver": "kvm" if works else "qemu",
            "cpu": {"mode": "host-passthrough"} if works else {"mode": "custom", "model": "qemu64"},
            "uuid": domain_id(lab, planned.name),
            "mac": mac(lab, planned.name),
            "network": lab.id,
            "prefix": prefix(lab),
            "pool": self._virsh.pool,
            "description": describe(lab, planned, manifest),
            "memory": (machine.memory or DEFAULT_MEMORY) // MIB,
            "cpus": self._cpus(machine, emulated=not works),
            "kernel": f"{self._virsh.folder}/{kernel(manifest)}",
            "initrd": f"{self._virsh.folder}/{initrd(manifest)}",
            "cmd_line": " ".join(
                [
                    "root=/dev/vda rw quiet console=ttyS0 net.ifnames=0 apparmor=0",
                    f"systemd.hostname={planned.name}",
                    *network_words(planned),
                    key_word(public_key),
                ]
            ),
        }

    def _cpus(self, machine: Machine, *, emulated: bool) -> int:
        """Return the number of a machine's CPUs; without a limit all of the laptop's cores, as with
        containers.

        Emulated CPUs wait for each other. Three machines with two CPUs each on two cores boot a
        fifth slower, which equals the gain for JVMs afterwards. More CPUs than the laptop has never
        help.
        """
        if emulated:
            return min(self._cores, math.ceil(machine.cpus or 1))
        return math.ceil(machine.cpus or self._cores)

    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        """See VagrantMachines.

        Booting in parallel is safe: network and box exist already, and the Vagrantfile loads all
        classes before Vagrant starts its threads.
        """
        return [[machines]]

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        """See protocols.Machines."""
        states = self._virsh.domain_states()
        machines = []
        for machine in lab.machines:
            state = states.get(domain(lab, machine.name))
            if state is not None:
                machines.append(self._observed(lab, machine.name, state))
        return machines

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        """See protocols.Machines."""
        state = self._virsh.ask("domstate", domain(lab, name))
        return None if state is None else self._observed(lab, name, state.strip())

    def _observed(self, lab: Lab, name: str, state: str) -> ObservedMachine:
        about = read_about(self._virsh, domain(lab, name))
        address = IPv4Address(about["address"]) if "address" in about else None
        return ObservedMachine(
            name=name,
            state=STATES.get(state, "stopped"),
            address=address,
            endpoint=Endpoint(str(address), SSH_PORT, "core") if address else None,
            forwarded={int(guest): int(host) for guest, host in about.get("ports", {}).items()},
            recipe=str(about.get("recipe", "")),
        )

    def discard_machine(self, lab: Lab, machine: str) -> None:
        """See protocols.Machines."""
        self._virsh.remove_domain(domain(lab, machine))
        self._virsh.remove_volume(disk(lab, machine))

    def discard_half_built(self, lab: Lab) -> list[str]:
        """See protocols.Machines. Vagrant creates disk, domain and network card in this order."""
        states = self._virsh.domain_states()
        volumes = self._virsh.volumes()
        half = []
        for machine in lab.machines:
            name = domain(lab, machine.name)
            if name in states:
                described = self._virsh.domain(name)
                if described is None or described.find("devices/interface") is not None:
                    continue
                self._virsh.remove_domain(name)
            elif disk(lab, machine.name) not in volumes:
                continue
            self._virsh.remove_volume(disk(lab, machine.name))
            half.append(machine.name)
        return half

    def adopt(self, lab: Lab, public_key: str) -> None:
        """See protocols.Machines."""
        states = self._virsh.domain_states()
        for machine in lab.machines:
            name = domain(lab, machine.name)
            if name not in states:
                continue
            self.restore_id(machine.name, domain_id(lab, machine.name))
            if states[name] == "running":
                self._authorize(name, public_key)

    def _authorize(self, name: str, public_key: str) -> None:
        """Install hashlab's key on a machine, unless the machine was created with it."""
        described = self._virsh.domain(name)
        if described is not None and has_key(described, public_key):
            return
        argv = ["/bin/sh", "-c", AUTHORIZE, "sh", public_key, AUTHORIZED_KEYS]
        done = self._virsh.execute(name, argv)
        if done.code != 0:
            raise LabError(
                "cannot install hashlab's key on the machine", where=name, output=done.stderr
            )

    def host_key(self, lab: Lab, machine: str) -> str:
        """See protocols.Machines. The agent inside answers over the hypervisor's own channel."""
        try:
            text = self._virsh.read_file(domain(lab, machine), HOST_KEY)
        except LabError:
            # The agent starts together with sshd, so it may not answer yet.
            return ""
        return " ".join(text.split()[:2])

    def own_subnet(self, lab: Lab) -> str:
        """See protocols.Machines."""
        subnet = self.subnet(lab)
        return str(subnet) if subnet else ""

    def subnet(self, lab: Lab) -> IPv4Network | None:
        """Return the subnet of the lab's network; None if it does not exist."""
        network = self._virsh.network(lab.id)
        return None if network is None else _subnet(network)

    def used_subnets(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        names = self._virsh.names("net-list", "--all", "--name")
        networks = (self._virsh.network(name) for name in names if name != lab.id)
        subnets = (_subnet(network) for network in networks if network is not None)
        return [str(subnet) for subnet in subnets if subnet is not None]

    def suspend(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines."""
        names = [domain(lab, machine) for machine in machines]
        parallel(names, lambda name: self._virsh.call("suspend", name), CancelToken())

    def resume(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines. A virtual machine's clock stood still, too."""
        names = [domain(lab, machine) for machine in machines]
        parallel(names, lambda name: self._virsh.call("resume", name), CancelToken())
        parallel(names, self._virsh.set_clock, CancelToken())

    def halt(self, lab: Lab) -> None:
        """See VagrantMachines."""
        states = self._virsh.domain_states()
        names = [domain(lab, machine.name) for machine in lab.machines]
        running = [name for name in names if states.get(name, "shut off") != "shut off"]
        parallel(running, self._virsh.power_off, CancelToken())

    def discard(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        removed = []
        for name in self._domains(lab):
            self._virsh.remove_domain(name)
            removed.append(f"domain {name}")
        for name in self._disks(lab):
            self._virsh.remove_volume(name)
            removed.append(f"volume {name}")
        if lab.id in self._virsh.names("net-list", "--all", "--name"):
            self._virsh.remove_network(lab.id)
            removed.append(f"network {lab.id}")
        return removed

    def leftovers(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        networks = self._virsh.names("net-list", "--all", "--name")
        return [
            *(f"domain {name}" for name in self._domains(lab)),
            *(f"volume {name}" for name in self._disks(lab)),
            *(f"network {name}" for name in networks if name == lab.id),
        ]

    def leftover_kinds(self) -> str:
        """See protocols.Machines."""
        return "domains, volumes and networks of the lab in libvirt"

    def _domains(self, lab: Lab) -> list[str]:
        return [name for name in self._virsh.domain_states() if name.startswith(prefix(lab))]

    def _disks(self, lab: Lab) -> list[str]:
        return [name for name in self._virsh.volumes() if name.startswith(prefix(lab))]


def network_xml(lab: Lab, machines: Sequence[PlannedMachine], subnet: IPv4Network) -> str:
    """Return the XML of a network with NAT to the outside and a DHCP server with a fixed address
    for each machine.
    """
    gateway = next(subnet.hosts())
    hosts = "".join(_host_xml(_host(lab, planned)) for planned in machines)
    return (
        f"<network><name>{lab.id}</name><forward mode='nat'/>"
        f"<ip address='{gateway}' netmask='{subnet.netmask}'><dhcp>{hosts}</dhcp></ip></network>"
    )


def _host(lab: Lab, planned: PlannedMachine) -> dict[str, str]:
    """Return the DHCP server's entry of a machine."""
    return {"mac": mac(lab, planned.name), "name": planned.name, "ip": str(planned.address)}


def _host_xml(host: Mapping[str, str]) -> str:
    attributes = " ".join(f"{key}='{value}'" for key, value in host.items())
    return f"<host {attributes}/>"


def _subnet(network: ElementTree.Element) -> IPv4Network | None:
    ip = network.find("ip")
    if ip is None or not ip.get("address"):
        return None
    size = ip.get("netmask") or ip.get("prefix")
    return IPv4Network(f"{ip.get('address')}/{size}", strict=False)
