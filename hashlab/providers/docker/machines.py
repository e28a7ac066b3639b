"""Machines of the provider ``docker``: containers with systemd, sshd and their own Docker
Engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    LAB_LABEL,
    SSH_PORT,
    BoxManifest,
    ContainerState,
    Endpoint,
    Engine,
    NetworkState,
    ObservedMachine,
    PlannedMachine,
)
from hashlab.providers.docker.boxes import SCRIPT as STORE_SCRIPT
from hashlab.providers.docker.names import (
    MACHINE_LABEL,
    SNAPSHOT_OF,
    container,
    image_store,
    system_image,
    volume,
)
from hashlab.providers.docker.volume_shell import LAYER_CAPABILITIES, folder, seen
from hashlab.providers.isolation import Isolation, as_flags
from hashlab.providers.scripts import AUTHORIZE, run_script
from hashlab.providers.seed import RECIPE_LABEL, STORE
from hashlab.providers.vagrant import BootPlan, LabVagrant, VagrantMachines


class DockerMachines(VagrantMachines):
    """protocols.Machines on the laptop's Docker Engine."""

    def __init__(
        self, *, vagrant: LabVagrant, engine: Callable[[], Engine], isolation: Isolation
    ) -> None:
        super().__init__(vagrant, time_factor=lambda: 1.0)
        self._engine = engine
        self._isolation = isolation

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[PlannedMachine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        """See protocols.Machines."""
        engine = self._engine()
        self.make_network(lab, str(subnet))
        # That of a killed run may still fill a volume, which then cannot be removed.
        engine.remove(_cloner(lab))
        for machine in machines:
            name = volume(lab, machine.name)
            engine.remove_volume(name)
            engine.create_volume(name, {LAB_LABEL: lab.id, MACHINE_LABEL: machine.name})

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """See protocols.Machines. A new machine's image store consists of hard links to the box's
        store.
        """
        names = [image_store(manifest), *(volume(lab, machine.name) for machine in machines)]
        engine = self._engine()
        binds, covers = seen(engine, names)
        run_script(
            engine,
            STORE_SCRIPT,
            arguments=["clone", *map(folder, names)],
            name=_cloner(lab),
            labels={LAB_LABEL: lab.id},
            image=system_image(manifest),
            binds=binds,
            tmpfs=covers,
            capabilities=LAYER_CAPABILITIES,
            failure="cannot clone the box's image store",
        )
        track.detail(f"{len(machines)} image stores cloned")

    def make_network(self, lab: Lab, subnet: str) -> None:
        """Create the lab's network unless it exists.

        hashlab creates it, not Vagrant, because it then has a label by which it is found even
        without machines.
        """
        engine = self._engine()
        if engine.networks().get(lab.id) == (subnet,):
            return
        engine.remove_network(lab.id)
        engine.create_bridge(lab.id, subnet, {LAB_LABEL: lab.id})

    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        """See VagrantMachines."""
        return {
            "container": container(lab, planned.name),
            "volume": f"{volume(lab, planned.name)}:{STORE}",
            "public_key": public_key,
            "ssh_port": planned.ports[SSH_PORT],
            "network": lab.id,
            "create_args": [
                *as_flags(self._isolation.host_config(system_image(manifest))),
                *_limits(planned.machine),
                *("--label", f"{LAB_LABEL}={lab.id}"),
                *("--label", f"{MACHINE_LABEL}={planned.name}"),
                *("--label", f"{RECIPE_LABEL}={manifest.recipe}"),
                *("--restart", "unless-stopped"),
            ],
        }

    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        """See VagrantMachines. One call starts all containers in parallel."""
        return [[machines]]

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        """See protocols.Machines."""
        engine = self._engine()
        descriptions = {
            state.labels[MACHINE_LABEL]: engine.inspect(state.id)
            for state in engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        }
        return [
            observed(machine.name, inspected)
            for machine in lab.machines
            if (inspected := descriptions.get(machine.name)) is not None
        ]

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        """See protocols.Machines."""
        inspected = self._engine().inspect(container(lab, name))
        return None if inspected is None else observed(name, inspected)

    def discard_machine(self, lab: Lab, machine: str) -> None:
        """See protocols.Machines."""
        engine = self._engine()
        engine.remove(container(lab, machine))
        engine.remove_volume(volume(lab, machine))

    def discard_half_built(self, lab: Lab) -> list[str]:
        """See protocols.Machines.

        A machine whose network is gone is unreachable and will not start again. Machines that a
        killed snapshot left paused are resumed.
        """
        engine = self._engine()
        network = engine.network(lab.id)
        machines = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        half = [m for m in machines if m.state == "created" or not _is_on(m, network)]
        for machine in half:
            engine.remove(machine.id)
        for machine in machines:
            if machine.state == "paused":
                engine.unpause(machine.id)
        return [machine.labels[MACHINE_LABEL] for machine in half]

    def adopt(self, lab: Lab, public_key: str) -> None:
        """See protocols.Machines."""
        engine = self._engine()
        existing = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        for state in existing:
            self.restore_id(state.labels[MACHINE_LABEL], state.id)
        running = [state.id for state in existing if state.state == "running"]
        parallel(running, lambda name: _authorize(engine, name, public_key), CancelToken())

    def host_key(self, lab: Lab, machine: str) -> str:
        """See protocols.Machines. The engine's own channel into the container is trusted."""
        path = "/etc/ssh/ssh_host_ed25519_key.pub"
        done = self._engine().execute(container(lab, machine), ["cat", path])
        return " ".join(done.stdout.split()[:2]) if done.code == 0 else ""

    def own_subnet(self, lab: Lab) -> str:
        """See protocols.Machines."""
        return next(iter(self._engine().networks().get(lab.id, ())), "")

    def used_subnets(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        networks = self._engine().networks()
        return [subnet for name in networks if name != lab.id for subnet in networks[name]]

    def suspend(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines."""
        names = [container(lab, machine) for machine in machines]
        parallel(names, self._engine().pause, CancelToken())

    def resume(self, lab: Lab, machines: Sequence[str]) -> None:
        """See protocols.Machines."""
        names = [container(lab, machine) for machine in machines]
        parallel(names, self._engine().unpause, CancelToken())

    def halt(self, lab: Lab) -> None:
        """See VagrantMachines."""
        engine = self._engine()
        machines = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        running = [state.id for state in machines if state.pid]
        parallel(running, lambda name: engine.stop(name, timeout=0), CancelToken())

    def discard(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        engine = self._engine()
        removed = []
        for state in engine.containers({LAB_LABEL: lab.id}):
            engine.remove(state.id)
            removed.append(f"container {state.name}")
        for name in engine.volumes({LAB_LABEL: lab.id}):
            engine.remove_volume(name)
            removed.append(f"volume {name}")
        for network in engine.networks_with({LAB_LABEL: lab.id}):
            engine.remove_network(network)
            removed.append(f"network {network}")
        for image in engine.images_with({SNAPSHOT_OF: lab.id}):
            # Left by a snapshot that was removed while a machine still used it.
            if image.startswith("sha256:"):
                engine.remove_image(image)
        return removed

    def leftovers(self, lab: Lab) -> list[str]:
        """See protocols.Machines."""
        engine = self._engine()
        labels = {LAB_LABEL: lab.id}
        return [
            *(f"container {state.name}" for state in engine.containers(labels)),
            *(f"volume {name}" for name in engine.volumes(labels)),
            *(f"network {name}" for name in engine.networks_with(labels)),
        ]

    def leftover_kinds(self) -> str:
        """See protocols.Machines."""
        return "containers, volumes and networks of the lab on the laptop's Docker Engine"


def _cloner(lab: Lab) -> str:
    """Return the name of the container that fills the image stores of new machines."""
    return f"{lab.id}-clone"


def _limits(machine: Machine) -> list[str]:
    flags: list[str] = []
    if machine.memory is not None:
        flags += ["--memory", str(machine.memory)]
    if machine.cpus is not None:
        flags += ["--cpus", f"{machine.cpus:g}"]
    return flags


def observed(name: str, inspected: Mapping[str, Any]) -> ObservedMachine:
    """Return a machine as described by the engine's description of its container."""
    settings = inspected["NetworkSettings"]
    up = bool(settings.get("Ports"))
    # For a stopped machine the engine shows ports only in the requested settings.
    published = settings["Ports"] if up else (inspected.get("HostConfig") or {}).get("PortBindings")
    ports = {
        int(guest.split("/")[0]): int(bindings[0]["HostPort"])
        for guest, bindings in (published or {}).items()
        if bindings
    }
    networks: Mapping[str, Mapping[str, Any]] = settings.get("Networks") or {}
    private = [value for key, value in networks.items() if key != "bridge"]
    address = next((_address(network) for network in private), None)
    ssh = ports.pop(SSH_PORT, None) if up else None
    status = inspected["State"]["Status"]
    return ObservedMachine(
        name=name,
        state="running" if status == "running" else "paused" if status == "paused" else "stopped",
        address=address,
        endpoint=Endpoint("127.0.0.1", ssh, "core") if ssh else None,
        forwarded=ports,
        recipe=str((inspected["Config"].get("Labels") or {}).get(RECIPE_LABEL, "")),
    )


def _is_on(machine: ContainerState, network: NetworkState | None) -> bool:
    return network is not None and network.id in (place.id for place in machine.networks.values())


def _address(network: Mapping[str, Any]) -> IPv4Address | None:
    """Return the address; for a stopped container the engine shows it only in the requested
    settings.
    """
    requested = (network.get("IPAMConfig") or {}).get("IPv4Address")
    text = network.get("IPAddress") or requested
    return IPv4Address(text) if text else None


def _authorize(engine: Engine, container: str, public_key: str) -> None:
    path = "/home/core/.ssh/authorized_keys"
    done = engine.execute(container, ["sh", "-c", AUTHORIZE, "sh", public_key, path])
    if done.code != 0:
        raise LabError(
            "cannot install hashlab's key on the machine", where=container, output=done.stderr
        )
