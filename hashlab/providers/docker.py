"""Provider ``docker``: each machine is a container with systemd, sshd and its own Docker Engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from hashlab.config.model import Lab, Machine
from hashlab.errors import HashlabError, LabError, LaptopError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import BoxManifest, Endpoint, Engine, ObservedMachine, Tool

SYSTEM_FILES = ("Dockerfile", "setup.sh", "container-init.sh")
LAB_LABEL = "hashlab.lab"
MACHINE_LABEL = "hashlab.machine"
RECIPE_LABEL = "hashlab.recipe"
BOX_LABEL = "hashlab.box"
STORE = "/var/lib/docker"
# The parts of an engine's folder that hold images; the rest belongs to one engine alone.
STORE_PARTS = ("image", "overlay2")
SEED_SECONDS = 60
LOAD_SECONDS = 600
STATES = {"running": "running", "paused": "paused"}

# What `--privileged` gives, piece by piece, for an engine that itself lacks CAP_SYS_RESOURCE.
UNPRIVILEGED_CAPS = {"CapAdd": ["ALL"], "CapDrop": ["SYS_RESOURCE"]}
SECURITY_OPTIONS = ("seccomp=unconfined", "apparmor=unconfined")
# What the command line calls systempaths=unconfined.
OPEN_PATHS: Mapping[str, list[str]] = {"MaskedPaths": [], "ReadonlyPaths": []}


class DockerProvider:
    """protocols.Provider on the laptop's Docker Engine."""

    name = "docker"

    def __init__(self, *, engine: Callable[[], Engine], cache: Path) -> None:
        """``cache`` is a file that may be deleted; it keeps what was probed of the engine."""
        self._engine = engine
        self._cache = cache

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """See protocols.Provider."""
        return (
            Tool("vagrant", "vagrant"),
            Tool("ssh", "openssh-client"),
            Tool("ssh-keygen", "openssh-client"),
            Tool("rsync", "rsync"),
        )

    def check(self) -> None:
        """See protocols.Provider."""
        info = self._engine().info()
        if info.get("OSType") != "linux":
            raise LaptopError(
                f"the Docker Engine runs {info.get('OSType')} containers",
                next_step="switch Docker to Linux containers",
            )
        if info.get("Driver") not in ("overlay2", "overlayfs"):
            raise LaptopError(
                f"the Docker Engine stores images with {info.get('Driver')!r}, not overlay2",
                next_step="set storage-driver to overlay2 in /etc/docker/daemon.json",
            )

    def recipe_inputs(self) -> Mapping[str, str]:
        """See protocols.Provider."""
        folder = resources.files("hashlab.providers").joinpath("system")
        return {name: folder.joinpath(name).read_text("utf-8") for name in SYSTEM_FILES}

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """See protocols.Provider."""
        folder = resources.files("hashlab.providers").joinpath("system")
        with resources.as_file(folder) as context:
            self._engine().build_image(
                _image(manifest),
                context=context,
                dockerfile=context / "Dockerfile",
                args={"BASE": lab.box.base, "PACKAGES": " ".join(lab.box.packages)},
                target="",
                labels={RECIPE_LABEL: manifest.recipe, BOX_LABEL: manifest.name},
                track=track,
            )

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """See protocols.Provider."""
        engine = self._engine()
        store = _store(manifest)
        engine.remove_volume(store)
        engine.create_volume(store, {BOX_LABEL: manifest.name, RECIPE_LABEL: manifest.recipe})
        try:
            with self._seed_machine(manifest, store, archive.parent) as seed:
                _wait_for_engine(engine, seed, track)
                _load(engine, seed, f"/images/{archive.name}")
            track.detail(f"{len(manifest.images)} images inside")
        except BaseException:
            engine.remove_volume(store)
            raise

    @contextmanager
    def _seed_machine(self, manifest: BoxManifest, store: str, folder: Path) -> Iterator[str]:
        """A machine of the new box whose engine writes into the box's store; gone afterwards."""
        engine = self._engine()
        name = f"{store}-seed"
        engine.remove(name)
        host = self._isolation(_image(manifest))
        host["Binds"] = [f"{store}:{STORE}", f"{folder}:/images:ro"]
        engine.create(name, {"Image": _image(manifest), "HostConfig": host})
        try:
            engine.start(name)
            yield name
            # An engine that was stopped in order leaves its store whole.
            done = engine.execute(name, ["systemctl", "stop", "docker.service", "docker.socket"])
            if done.code != 0:
                raise LabError("the seed machine's engine does not stop", output=done.stderr)
        finally:
            engine.remove(name)

    def box_files(self, manifest: BoxManifest) -> Mapping[str, str | Path]:
        """See protocols.Provider. There is no disk to pack: the box names an image."""
        image = json.dumps(_image(manifest))
        return {
            "metadata.json": json.dumps({"provider": "docker"}),
            "Vagrantfile": (
                'Vagrant.configure("2") do |config|\n'
                f'  config.vm.provider("docker") {{ |docker| docker.image = {image} }}\n'
                "end\n"
            ),
        }

    def box_present(self, manifest: BoxManifest) -> bool:
        """See protocols.Provider."""
        engine = self._engine()
        labels = {RECIPE_LABEL: manifest.recipe, BOX_LABEL: manifest.name}
        image = engine.image_labels([_image(manifest)])
        return bool(image) and _store(manifest) in engine.volumes(labels)

    def remove_box(self, manifest: BoxManifest) -> list[str]:
        """See protocols.Provider."""
        engine = self._engine()
        removed = []
        if engine.remove_image(_image(manifest)):
            removed.append(f"image {_image(manifest)}")
        for volume in engine.volumes({BOX_LABEL: manifest.name, RECIPE_LABEL: manifest.recipe}):
            engine.remove_volume(volume)
            removed.append(f"volume {volume}")
        return removed

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[Machine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        """See protocols.Provider."""
        engine = self._engine()
        self._make_network(lab, str(subnet))
        for machine in machines:
            volume = _volume(lab, machine.name)
            engine.remove_volume(volume)
            engine.create_volume(volume, {LAB_LABEL: lab.id, MACHINE_LABEL: machine.name})

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """See protocols.Provider. A new machine's image store is the box's, by hard links."""
        source = f"/volumes/{_store(manifest)}/_data"
        targets = [f"/volumes/{_volume(lab, machine.name)}/_data" for machine in machines]
        script = "".join(
            # Layers never change, so they can be shared; the index of images does change.
            f"(cp -al {source}/overlay2 {target}/ && cp -a {source}/image {target}/) & "
            f'jobs="$jobs $!"\n'
            for target in targets
        )
        script += 'for job in $jobs; do wait "$job" || exit 1; done\n'
        self._run_beside_volumes(_image(manifest), f"{lab.id}-clone", script)
        track.detail(f"{len(machines)} image stores cloned")

    def _make_network(self, lab: Lab, subnet: str) -> None:
        """Vagrant takes the network that holds a machine's address; one of our own can be
        labelled, so that it is found again whatever becomes of the machines.
        """
        engine = self._engine()
        if engine.networks().get(lab.id) == (subnet,):
            return
        engine.remove_network(lab.id)
        engine.create_bridge(lab.id, subnet, {LAB_LABEL: lab.id})

    def _run_beside_volumes(self, image: str, name: str, script: str) -> None:
        """Run a shell script that sees every volume of the engine below /volumes."""
        engine = self._engine()
        root = f"{engine.info()['DockerRootDir']}/volumes"
        engine.remove(name)
        engine.create(
            name,
            {
                "Image": image,
                "Entrypoint": ["/bin/sh", "-c", script],
                "HostConfig": {"Binds": [f"{root}:/volumes"], "NetworkMode": "none"},
            },
        )
        try:
            engine.start(name)
            if engine.wait(name, timeout=LOAD_SECONDS) != 0:
                raise LabError("cannot clone the box's image store", output=engine.logs(name))
        finally:
            engine.remove(name)

    def machine_settings(self, lab: Lab, machine: Machine, manifest: BoxManifest) -> dict[str, Any]:
        """See protocols.Provider."""
        return {
            "container": _container(lab, machine.name),
            "volume": f"{_volume(lab, machine.name)}:{STORE}",
            "create_args": [
                *_flags(self._isolation(_image(manifest))),
                *_limits(machine),
                *("--label", f"{LAB_LABEL}={lab.id}"),
                *("--label", f"{MACHINE_LABEL}={machine.name}"),
                *("--label", f"{RECIPE_LABEL}={manifest.recipe}"),
                *("--restart", "unless-stopped"),
            ],
        }

    def machines(self, lab: Lab) -> list[ObservedMachine]:
        """See protocols.Provider."""
        engine = self._engine()
        found = {
            state.labels[MACHINE_LABEL]: engine.inspect(state.id)
            for state in engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        }
        return [
            _observed(machine.name, inspected)
            for machine in lab.machines
            if (inspected := found.get(machine.name)) is not None
        ]

    def machine(self, lab: Lab, name: str) -> ObservedMachine | None:
        """See protocols.Provider."""
        inspected = self._engine().inspect(_container(lab, name))
        return None if inspected is None else _observed(name, inspected)

    def discard_half_built(self, lab: Lab) -> list[str]:
        """See protocols.Provider. Vagrant attaches the network before it starts a container."""
        engine = self._engine()
        network = engine.network_id(lab.id)
        machines = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        half = [m for m in machines if m.state == "created" or network not in m.networks]
        for machine in half:
            engine.remove(machine.id)
        return [machine.labels[MACHINE_LABEL] for machine in half]

    def adopt(self, lab: Lab, vagrant_folder: Path, public_key: str) -> None:
        """See protocols.Provider."""
        engine = self._engine()
        for state in engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""}):
            folder = vagrant_folder / "machines" / state.labels[MACHINE_LABEL] / "docker"
            if not (folder / "id").exists():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "id").write_text(state.id)
            if state.state == "running":
                _authorize(engine, state.id, public_key)

    def host_key(self, lab: Lab, machine: str) -> str:
        """See protocols.Provider. The engine's own channel into the container is the trust."""
        path = "/etc/ssh/ssh_host_ed25519_key.pub"
        done = self._engine().execute(_container(lab, machine), ["cat", path])
        return " ".join(done.stdout.split()[:2]) if done.code == 0 else ""

    def own_subnet(self, lab: Lab) -> str:
        """See protocols.Provider."""
        return next(iter(self._engine().networks().get(lab.id, ())), "")

    def used_subnets(self, lab: Lab) -> list[str]:
        """See protocols.Provider."""
        networks = self._engine().networks()
        return [subnet for name in networks if name != lab.id for subnet in networks[name]]

    def halt(self, lab: Lab) -> None:
        """See protocols.Provider."""
        engine = self._engine()
        machines = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        running = [state.id for state in machines if state.pid]
        parallel(running, lambda name: engine.stop(name, timeout=0), CancelToken())

    def discard(self, lab: Lab) -> list[str]:
        """See protocols.Provider."""
        engine = self._engine()
        removed = []
        for state in engine.containers({LAB_LABEL: lab.id}):
            engine.remove(state.id)
            removed.append(f"container {state.name}")
        for volume in engine.volumes({LAB_LABEL: lab.id}):
            engine.remove_volume(volume)
            removed.append(f"volume {volume}")
        for network in engine.networks_with({LAB_LABEL: lab.id}):
            engine.remove_network(network)
            removed.append(f"network {network}")
        return removed

    def leftovers(self, lab: Lab) -> list[str]:
        """See protocols.Provider."""
        engine = self._engine()
        labels = {LAB_LABEL: lab.id}
        return [
            *(f"container {state.name}" for state in engine.containers(labels)),
            *(f"volume {name}" for name in engine.volumes(labels)),
            *(f"network {name}" for name in engine.networks_with(labels)),
        ]

    def looked_for(self) -> str:
        """See protocols.Provider."""
        return "containers, volumes and networks of the lab on the laptop's Docker Engine"

    def _isolation(self, image: str) -> dict[str, Any]:
        """The HostConfig under which systemd and an inner engine work on this engine."""
        tmpfs = {"/run": "", "/tmp": ""}  # noqa: S108 - paths inside the machine
        host: dict[str, Any] = {"CgroupnsMode": "private", "Tmpfs": tmpfs}
        if self._privileged_works(image):
            return {**host, "Privileged": True}
        return {**host, **UNPRIVILEGED_CAPS, "SecurityOpt": list(SECURITY_OPTIONS), **OPEN_PATHS}

    def _privileged_works(self, image: str) -> bool:
        engine = self._engine()
        key = str(engine.info().get("ID"))
        known = _read_cache(self._cache)
        if known.get("engine") == key:
            return bool(known["privileged"])
        works = self._probe_privileged(engine, image)
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        self._cache.write_text(json.dumps({"engine": key, "privileged": works}))
        return works

    def _probe_privileged(self, engine: Engine, image: str) -> bool:
        """Start one privileged container that does nothing and see whether the engine can."""
        name = "hashlab-probe"
        engine.remove(name)
        config = {"Image": image, "Entrypoint": ["/bin/true"], "HostConfig": {"Privileged": True}}
        engine.create(name, config)
        try:
            engine.start(name)
            return engine.wait(name, timeout=SEED_SECONDS) == 0
        except HashlabError as error:
            if "caps" in str(error) or "operation not permitted" in str(error):
                return False
            raise
        finally:
            engine.remove(name)


def _image(manifest: BoxManifest) -> str:
    return f"hashlab-box:{manifest.recipe}"


def _store(manifest: BoxManifest) -> str:
    return f"hashlab-box-{manifest.recipe}"


def _container(lab: Lab, machine: str) -> str:
    return f"{lab.id}-{machine}"


def _volume(lab: Lab, machine: str) -> str:
    return f"{lab.id}-{machine}-images"


def _flags(host: Mapping[str, Any]) -> list[str]:
    """The same HostConfig as words for `docker run`, which is what Vagrant calls."""
    flags = [f"--cgroupns={host['CgroupnsMode']}"]
    flags += [word for path in host["Tmpfs"] for word in ("--tmpfs", path)]
    if host.get("Privileged"):
        flags.append("--privileged")
    flags += [word for cap in host.get("CapAdd", ()) for word in ("--cap-add", cap)]
    flags += [word for cap in host.get("CapDrop", ()) for word in ("--cap-drop", cap)]
    options = [*host.get("SecurityOpt", ())]
    options += ["systempaths=unconfined"] if "MaskedPaths" in host else []
    flags += [word for item in options for word in ("--security-opt", item)]
    return flags


def _limits(machine: Machine) -> list[str]:
    flags: list[str] = []
    if machine.memory is not None:
        flags += ["--memory", str(machine.memory)]
    if machine.cpus is not None:
        flags += ["--cpus", f"{machine.cpus:g}"]
    return flags


def _observed(name: str, inspected: Mapping[str, Any]) -> ObservedMachine:
    settings = inspected["NetworkSettings"]
    ports = {
        int(guest.split("/")[0]): int(bindings[0]["HostPort"])
        for guest, bindings in (settings.get("Ports") or {}).items()
        if bindings
    }
    networks: Mapping[str, Mapping[str, Any]] = settings.get("Networks") or {}
    private = [value for key, value in networks.items() if key != "bridge"]
    address = next((_address(network) for network in private), None)
    ssh = ports.pop(22, None)
    status = inspected["State"]["Status"]
    return ObservedMachine(
        name=name,
        state="running" if status == "running" else "paused" if status == "paused" else "stopped",
        address=address,
        endpoint=Endpoint("127.0.0.1", ssh, "core") if ssh else None,
        forwarded=ports,
        recipe=str((inspected["Config"].get("Labels") or {}).get(RECIPE_LABEL, "")),
    )


def _address(network: Mapping[str, Any]) -> IPv4Address | None:
    """A stopped container keeps its address only in what it was asked to have."""
    asked = (network.get("IPAMConfig") or {}).get("IPv4Address")
    text = network.get("IPAddress") or asked
    return IPv4Address(text) if text else None


def _authorize(engine: Engine, container: str, public_key: str) -> None:
    path = "/home/core/.ssh/authorized_keys"
    script = 'printf "%s\\n" "$0" > "$1" && chown core:core "$1" && chmod 0600 "$1"'
    done = engine.execute(container, ["sh", "-c", script, public_key, path])
    if done.code != 0:
        raise LabError("cannot give the machine our key", where=container, output=done.stderr)


def _wait_for_engine(engine: Engine, container: str, track: Track) -> None:
    waited = 0.0
    while engine.execute(container, ["docker", "info"]).code != 0:
        if waited > SEED_SECONDS:
            raise LabError(
                "the seed machine's engine does not start", output=engine.logs(container)
            )
        track.cancel.wait(0.2)
        waited += 0.2


def _load(engine: Engine, container: str, archive: str) -> None:
    done = engine.execute(container, ["docker", "load", "--quiet", "--input", archive])
    if done.code != 0:
        raise LabError("the seed machine cannot load the images", output=done.stderr)


def _read_cache(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
