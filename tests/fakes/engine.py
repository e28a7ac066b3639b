"""protocols.Engine in memory: containers, images, volumes, networks and a Swarm."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import IO, Any

from fakes.faults import Faults
from hashlab.config import model
from hashlab.errors import LabError
from hashlab.hashing import digest, short
from hashlab.inputs.contexts import BuildContext
from hashlab.pipeline import Track
from hashlab.protocols import (
    STOP_SECONDS,
    BuildSettings,
    Completed,
    ContainerState,
    Layer,
    NetworkPlace,
    NetworkState,
    SwarmState,
)

# The fields of a create request in the Engine API (1.41). The API would silently ignore a misspelt
# name.
BODY_KEYS = frozenset(
    [
        "Image",
        "Env",
        "Labels",
        "ExposedPorts",
        "HostConfig",
        "NetworkingConfig",
        "Cmd",
        "Entrypoint",
        "User",
        "WorkingDir",
        "Hostname",
        "StopSignal",
        "StopTimeout",
        "Healthcheck",
        "Domainname",
        "OpenStdin",
        "Tty",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "StdinOnce",
    ]
)
HOST_KEYS = frozenset(
    [
        "Annotations",
        "AutoRemove",
        "BlkioDeviceReadBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceWriteIOps",
        "BlkioWeight",
        "BlkioWeightDevice",
        "CgroupParent",
        "CpuPeriod",
        "CpuQuota",
        "CpuShares",
        "CpusetCpus",
        "DeviceCgroupRules",
        "Devices",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "GroupAdd",
        "IpcMode",
        "LogConfig",
        "MemoryReservation",
        "MemorySwappiness",
        "OomKillDisable",
        "OomScoreAdj",
        "PidMode",
        "Runtime",
        "ShmSize",
        "UTSMode",
        "UsernsMode",
        "VolumesFrom",
        "NetworkMode",
        "Mounts",
        "PortBindings",
        "RestartPolicy",
        "Init",
        "NanoCpus",
        "Memory",
        "PidsLimit",
        "CapAdd",
        "CapDrop",
        "SecurityOpt",
        "ExtraHosts",
        "Sysctls",
        "Ulimits",
        "ReadonlyRootfs",
        "Binds",
        "Privileged",
        "CgroupnsMode",
        "MemorySwap",
        "Tmpfs",
        "MaskedPaths",
        "ReadonlyPaths",
    ]
)
MOUNT_KEYS = frozenset(
    ["Type", "Source", "Target", "ReadOnly", "BindOptions", "VolumeOptions", "TmpfsOptions"]
)
ENDPOINT_KEYS = frozenset(["Aliases", "Links", "IPAMConfig", "MacAddress"])
BUILT_IN = {"bridge": ("172.17.0.0/16",), "host": (), "none": ()}
SIGNALLED = 137
IMAGE_SIZE = 100_000_000
EMPTY_TAR = bytes(2 * tarfile.BLOCKSIZE)

_numbers = itertools.count(1)
_pids = itertools.count(1000)
_ids = itertools.count(1)
_addresses = itertools.count(2)


def _new_id() -> str:
    return f"{next(_ids):064x}"


def saved(images: Mapping[str, Mapping[str, str]]) -> bytes:
    """Images as a saved tar file: names in the places where an engine writes them, and their
    labels.
    """
    members: dict[str, object] = {
        "manifest.json": [
            {
                "Config": f"{number}.json",
                "RepoTags": [name],
                "Layers": [f"{layer[-1]}/layer.tar" for layer in layers_of(name, images[name])],
            }
            for number, name in enumerate(images)
        ],
        "labels.json": {name: dict(labels) for name, labels in images.items()},
    }
    for number, (name, labels) in enumerate(images.items()):
        layers = layers_of(name, labels)
        members[f"{number}.json"] = {"rootfs": {"diff_ids": layers[-1]}}
        members |= {f"{layer[-1]}/layer.tar": EMPTY_TAR for layer in layers}
    return _archive(
        {n: v if isinstance(v, bytes) else json.dumps(v).encode() for n, v in members.items()}
    )


def _archive(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def layers_of(name: str, labels: Mapping[str, str]) -> list[Layer]:
    """Return the layers of an image: one that all images share, and one of its own."""
    own = hashlib.sha256(json.dumps([name, dict(labels)]).encode()).hexdigest()
    return [("base",), ("base", own)]


def plain_image(config: Mapping[str, Any], layers: Sequence[bytes], name: str) -> bytes:
    """An image with real layers as a saved tar file."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}
    manifest = [{"Config": "c.json", "RepoTags": [name], "Layers": [f"{d}.tar" for d in digests]}]
    members = {f"{digest}.tar": layer for digest, layer in zip(digests, layers, strict=True)}
    members |= {
        "c.json": json.dumps({**config, "rootfs": rootfs}).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _archive(members)


@dataclass(frozen=True)
class PlainImage:
    """A loaded image: its configuration, its layers, and the files of those that were sent."""

    config: Mapping[str, Any]
    layers: tuple[str, ...]
    sent: Mapping[str, bytes]


def plain_images(data: bytes) -> dict[str, PlainImage]:
    """Return the images in a saved tar file by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:

        def read(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        names = set(archive.getnames())
        images = {}
        for entry in json.loads(read("manifest.json")):
            config = json.loads(read(entry["Config"]))
            layers = tuple(config["rootfs"]["diff_ids"])
            files = dict(zip(layers, entry["Layers"], strict=True))
            sent = {layer: read(name) for layer, name in files.items() if name in names}
            images[entry["RepoTags"][0]] = PlainImage(config, layers, sent)
    return images


def loaded(data: bytes) -> dict[str, dict[str, str]]:
    """Return the images in the output of ``saved``."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.extractfile("labels.json")
        assert member is not None
        return dict(json.loads(member.read()))


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of a running container.

    ``exits`` ends it at once with this code. ``health``: results of its health check, one for each
    observation, the last one repeated.
    """

    exits: int | None = None
    health: tuple[str, ...] = ("starting", "healthy")
    log: str = ""


@dataclass(frozen=True)
class OwnFile:
    """A file, or a link with a ``target``, in the container's own file system."""

    content: bytes
    mode: int
    target: str = ""


@dataclass
class Container:
    """A container; ``body`` is the create request. ``networks``: ids by name, "" until it starts;
    ``endpoints``: its settings on each; ``number``: the last part of its addresses while it runs.
    """

    id: str
    name: str
    body: Mapping[str, Any]
    networks: dict[str, str]
    endpoints: dict[str, Mapping[str, Any]]
    state: str = "created"
    exit_code: int = 0
    pid: int = 0
    started_at: str = ""
    finished_at: str = ""
    restarts: int = 0
    number: int = 0
    looks: int = 0
    binds: dict[str, object] = field(default_factory=dict)
    own: dict[str, OwnFile] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.body.get("Labels") or {})

    @property
    def words(self) -> tuple[str, ...]:
        return (*(self.body.get("Entrypoint") or ()), *(self.body.get("Cmd") or ()))


@dataclass
class Network:
    """A network. Overlays belong to a cluster, bridges to one engine."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...]
    labels: Mapping[str, str]
    internal: bool = False

    def address(self, container: Container) -> str:
        """The address of a container here, while it runs."""
        first = ip_network(self.subnets[0], strict=False)[0]
        return str(first + container.number) if container.number else ""


@dataclass(eq=False)
class Cluster:
    """A Swarm: one manager, its join token, its overlay networks, its members' addresses."""

    manager: str
    manager_node: str
    token: str = field(default_factory=lambda: f"SWMTKN-{next(_numbers)}")
    overlays: dict[str, Network] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    looks: dict[str, int] = field(default_factory=dict)
    engines: list[FakeEngine] = field(default_factory=list)


class FakeEngine:
    """One engine. ``clusters`` is shared by the engines that can reach each other."""

    def __init__(
        self,
        where: str = "laptop",
        *,
        faults: Faults | None = None,
        clusters: dict[str, Cluster] | None = None,
        path_exists: Callable[[str], bool] | None = None,
        read: Callable[[str], object] | None = None,
    ) -> None:
        self.where = where
        self.kind = "laptop" if where == "laptop" else "engine"
        self.faults = faults or Faults()
        self.clusters = {} if clusters is None else clusters
        self.path_exists = path_exists or (lambda _: True)
        self.read = read or (lambda _: None)
        self.images: dict[str, dict[str, str]] = {}
        # Images that have a health check of their own.
        self.checked_images: set[str] = set()
        self.ids: dict[str, str] = {}
        # Images with real layers: configuration and layers by name; those that were loaded.
        self.roots: dict[str, tuple[Mapping[str, Any], Sequence[bytes]]] = {}
        self.plain: dict[str, PlainImage] = {}
        self.registry: set[str] = set()
        # What distinguishes the present image of a name from earlier ones of the registry.
        self.releases: dict[str, str] = {}
        # Files of images, by image and path.
        self.contents: dict[str, dict[str, OwnFile]] = {}
        self.all: dict[str, Container] = {}
        self.volume_labels: dict[str, dict[str, str]] = {}
        # The options of volumes that were made with any, by name.
        self.made_with: dict[str, dict[str, str]] = {}
        self.bridges: dict[str, Network] = {}
        self.cluster: Cluster | None = None
        self.address = self.node = ""
        self.pending = False
        self.hesitates = False  # when it leaves a Swarm it keeps the port of its gossip
        self.listens = False  # it has kept it
        self.deaf = False  # it joined a Swarm like this and hears of no other member
        self.unheard = 0  # for how many more questions it knows of no name of other members
        self.behaviours: dict[object, Behaviour] = {}
        self.executes: dict[tuple[str, ...], Callable[[Container], Completed]] = {}
        self.host: dict[str, Any] = {
            "ID": f"ENGINE-{where}",
            "OSType": "linux",
            "Driver": "overlay2",
            "DockerRootDir": "/var/lib/docker",
        }
        self.closed = False
        self._lock = threading.RLock()

    # Preparation by tests

    def behave(self, key: object, behaviour: Behaviour) -> None:
        """Prepare what containers do: by service label, by image, or by the words of their
        command.
        """
        self.behaviours[key] = behaviour

    def die(self, name: str, *, code: int = 1) -> None:
        """Let a container's process end by itself."""
        self._end(self._find(name), code)

    def by_name(self, name: str) -> Container:
        """Return a container that must exist."""
        return self._find(name)

    def addresses_of(self, name: str, asker: Container) -> list[str]:
        """Return the addresses that a container here gets for the name of a service."""
        others = self.cluster.engines if self.cluster and not self.deaf and not self.unheard else []
        asker = self._holder(asker)
        everywhere = [c for one in dict.fromkeys([self, *others]) for c in one.all.values()]
        overlays = self._member_overlays()
        for network in sorted(asker.networks):
            found = [
                overlays[network].address(container)
                for container in everywhere
                if network in overlays and container.number
                if name in container.endpoints.get(network, {}).get("Aliases", ())
            ]
            if found:
                return found
        return []

    # protocols.Engine

    def answers(self, seconds: float) -> bool:
        with self._call("answers"):
            return True

    def info(self) -> Mapping[str, Any]:
        with self._call("info"):
            state = self._swarm()
            swarm = {
                "LocalNodeState": "active" if state.active else "inactive",
                "ControlAvailable": state.manager,
                "NodeID": state.node,
                "NodeAddr": state.address,
                "RemoteManagers": [{"NodeID": node} for node in state.managers],
            }
            return {**self.host, "Swarm": swarm}

    def containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        with self._call("containers", labels):
            found = [c for c in self.all.values() if _has(c.labels, labels)]
            return [self._describe(container) for container in found]

    def container(self, name: str) -> ContainerState | None:
        with self._call("container", name):
            found = self._lookup(name)
            return self._describe(found) if found else None

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        with self._call("inspect", name):
            found = self._lookup(name)
            return self._inspected(found) if found else None

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        with self._call("create", name, config, changes=True):
            _known(config, BODY_KEYS, "create request")
            _known(config.get("HostConfig") or {}, HOST_KEYS, "HostConfig")
            if self._image(config["Image"]) is None:
                raise self._error(f"cannot create container {name}: No such image")
            if self._lookup(name):
                raise self._error(f"cannot create container {name}: Conflict. The name is in use")
            _check_network(name, config)
            self._make_mounts(name, config)
            endpoints = (config.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
            assert len(endpoints) < 2, "engines before 25 take one network in a create request"
            made = Container(
                _new_id(), name, config, self._attach(name, endpoints), dict(endpoints)
            )
            self.all[made.id] = made
            return made.id

    def start(self, container: str) -> None:
        with self._call("start", container, changes=True):
            found = self._find(container, "cannot start container")
            if found.state == "running":
                return
            by_name = {network.name: network.id for network in self._all_networks()}
            found.networks = {n: one or by_name.get(n, n) for n, one in found.networks.items()}
            lost = set(found.networks.values()) - {*by_name.values()}
            if lost:
                raise self._error(f"Could not attach to network {min(lost)}: not found")
            self._check_joined(found)
            behaviour = self._behaviour(found)
            found.looks, found.started_at = 0, f"start-{next(_numbers)}"
            mounts = (found.body.get("HostConfig") or {}).get("Mounts") or []
            found.binds = {m["Target"]: self.read(m["Source"]) for m in mounts if _bind(m)}
            if behaviour.exits is None:
                found.state, found.pid = "running", next(_pids)
                found.number = next(_addresses)
            else:
                self._end(found, behaviour.exits)

    def stop(self, container: str, *, timeout: int) -> None:
        with self._call("stop", container, timeout, changes=True):
            found = self._find(container, "cannot stop container")
            if found.state == "running":
                self._end(found, SIGNALLED)

    def pause(self, container: str) -> None:
        with self._call("pause", container, changes=True):
            found = self._find(container, "cannot pause container")
            if found.state != "running":
                raise self._error(f"cannot pause container {container}: it is not running")
            found.state = "paused"

    def unpause(self, container: str) -> None:
        with self._call("unpause", container, changes=True):
            found = self._find(container, "cannot wake container")
            if found.state == "paused":
                found.state = "running"

    def commit(self, container: str, name: str, labels: Mapping[str, str]) -> str:
        with self._call("commit", container, name, changes=True):
            found = self._find(container, "cannot make an image of container")
            self.images[name] = {**found.labels, **labels}
            self.ids[name] = f"sha256:{_new_id()}"
            return self.ids[name]

    def connect(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        with self._call("connect", network, container, dict(endpoint), changes=True):
            _known(endpoint, ENDPOINT_KEYS, "EndpointSettings")
            what = f"cannot attach container {container} to network {network}"
            found = self._find(container, what)
            existing = self.bridges.get(network) or self._member_overlays().get(network)
            if existing is None:
                raise self._error(f"{what}: network {network} not found")
            if found.networks.get(network) == existing.id:
                raise self._error(f"{what}: endpoint already exists in network {network}")
            # A stopped container only gets the name; it looks up the network when it starts.
            found.networks[network] = existing.id if found.pid else ""
            found.endpoints[network] = dict(endpoint)

    def disconnect(self, network: str, container: str) -> None:
        with self._call("disconnect", network, container, changes=True):
            what = f"cannot detach container {container} from network {network}"
            found = self._find(container, what)
            if network not in found.networks:
                raise self._error(f"{what}: it is not connected to the network")
            del found.networks[network]
            del found.endpoints[network]

    def remove(self, container: str) -> None:
        with self._call("remove", container, changes=True):
            found = self._lookup(container)
            if found:
                del self.all[found.id]

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "",
        privileged: bool = False,
        folder: str = "",
        environment: Mapping[str, str] = {},
    ) -> Completed:
        options = (privileged, folder, dict(environment)) if privileged or folder else ()
        with self._call("execute", container, tuple(command), user, *options):
            what = f"cannot run {command[0]} in container {container}"
            found = self._find(container, what)
            if found.state != "running":
                raise self._error(f"{what}: Container {found.id} is not running")
            answer = self.executes.get(tuple(command))
            if answer is not None:
                return answer(found)
            if list(command[:3]) == ["rm", "-f", "--"]:
                for path in command[3:]:
                    found.own.pop(path, None)
                return Completed(0, "", "")
            if list(command) == _check(found):
                return Completed(0 if self._next_health(found) == "healthy" else 1, "", "")
            raise AssertionError(f"the fake engine was not prepared for exec {list(command)}")

    def put(self, container: str, archive: bytes) -> None:
        with self._call("put", container, changes=True):
            found = self._find(container, f"cannot copy files into container {container}")
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                for entry in opened:
                    stream = opened.extractfile(entry) if entry.isreg() else None
                    content = stream.read() if stream else b""
                    found.own[f"/{entry.name}"] = OwnFile(content, entry.mode, entry.linkname)

    def read_file(self, container: str, path: str) -> bytes:
        with self._call("read_file", container, path):
            what = f"cannot read {path} of container {container}"
            found = self._find(container, what)
            files = {**self.contents.get(str(found.body.get("Image")), {}), **found.own}
            if path not in files or files[path].target:
                raise self._error(f"{what}: it is not there")
            return files[path].content

    def logs(self, container: str, *, lines: int = 20) -> str:
        with self._call("logs", container):
            log = self._behaviour(self._find(container)).log
            return "".join(log.splitlines(keepends=True)[-lines:])

    def image_labels(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        with self._call("image_labels", tuple(names)):
            return {name: dict(self.images[name]) for name in names if name in self.images}

    def image_ids(self, names: Sequence[str]) -> dict[str, str]:
        with self._call("image_ids", tuple(names)):
            return {name: self._id_of(name) for name in names if name in self.images}

    def image_contents(self, names: Sequence[str]) -> dict[str, str]:
        with self._call("image_contents", tuple(names)):
            found = {name: self.images[name] for name in names if name in self.images}
            return {name: short(digest(sorted(labels.items()))) for name, labels in found.items()}

    def health_checked(self, names: Sequence[str]) -> list[str]:
        with self._call("health_checked", tuple(names)):
            return [n for n in names if n in self.images and n in self.checked_images]

    def images_with(self, labels: Mapping[str, str]) -> list[str]:
        with self._call("images_with", labels):
            return sorted(name for name, existing in self.images.items() if _has(existing, labels))

    def image_sizes(self, names: Sequence[str]) -> dict[str, int]:
        with self._call("image_sizes", tuple(names)):
            return {name: IMAGE_SIZE for name in names if name in self.images}

    def build_image(
        self,
        name: str,
        *,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        with self._call("build_image", name, settings, changes=True):
            text = context.inline or (context.dockerfile or Path()).read_text()
            if "RUN false" in text:
                raise LabError(
                    f"cannot build image {name}: returned a non-zero code: 1", output="…"
                )
            track.output(f"Step 1/1 : FROM {context.root}")
            self.images[name] = dict(labels)
            for number in range(text.count("FROM ") - 1):
                self.images[f"hashlab-stage/{owner}:{name.replace(':', '-')}-{number}"] = {}

    def held(self) -> Mapping[str, int]:
        with self._call("held"):
            images = sum(IMAGE_SIZE for labels in self.images.values() if labels)
            return {"images": images, "volumes": 0, "snapshots": 0}

    def stages(self, owner: str = "*") -> list[str]:
        with self._call("stages", owner):
            start = "hashlab-stage/" if owner == "*" else f"hashlab-stage/{owner}:"
            return sorted(name for name in self.images if name.startswith(start))

    def pull(self, name: str, *, track: Track) -> None:
        with self._call("pull", name, changes=True):
            if name not in self.registry:
                raise self._error(f"cannot pull image {name}: no registry answers")
            release = self.releases.get(name)
            self.images[name] = {"release": release} if release else {}

    def import_image(self, name: str, root_filesystem: IO[bytes]) -> None:
        with self._call("import_image", name, changes=True):
            assert root_filesystem.read(1), "an empty root file system"
            self.images[name] = {}

    def save_images(self, names: Sequence[str]) -> Iterator[bytes]:
        with self._call("save_images", tuple(names)):
            by_id = {self._id_of(name): name for name in self.images}
            names = [by_id.get(name, name) for name in names]
            missing = [name for name in names if name not in self.images]
            if missing:
                raise self._error(f"cannot save images: No such image: {missing[0]}")
            if names[0] in self.roots:
                yield plain_image(*self.roots[names[0]], names[0])
            else:
                yield saved({name: self.images[name] for name in names})

    def load_images(self, stream: Iterator[bytes]) -> None:
        with self._call("load_images", changes=True):
            data = b"".join(stream)
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                members = set(archive.getnames())
            if "labels.json" not in members:
                self._load_plain(plain_images(data))
                return
            images = loaded(data)
            needed = {layer for name in images for layer in layers_of(name, images[name])}
            for layer in needed - self.layers_now():
                assert f"{layer[-1]}/layer.tar" in members, f"layer {layer[-1]} is missing"
            self.images.update(images)

    def _load_plain(self, images: Mapping[str, PlainImage]) -> None:
        known = self.layers_now()
        for name, image in images.items():
            for count, layer in enumerate(image.layers, 1):
                present = layer in image.sent or image.layers[:count] in known
                assert present, f"layer {layer} is missing"
            self.images[name] = dict(image.config["config"].get("Labels") or {})
            self.plain[name] = image

    def pulled_layers(self, built: str) -> set[str]:
        with self._call("pulled_layers", built):
            pulled = [name for name in self.roots if built not in self.images[name]]
            layers = [layer for name in pulled for layer in self.roots[name][1]]
            return {f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers}

    def layers(self) -> set[Layer]:
        with self._call("layers"):
            return self.layers_now()

    def layers_now(self) -> set[Layer]:
        plain = {
            image.layers[:count]
            for name, image in self.plain.items()
            if name in self.images
            for count in range(1, len(image.layers) + 1)
        }
        return plain | {
            layer
            for name in self.images
            if name not in self.plain
            for layer in layers_of(name, self.images[name])
        }

    def wait(self, container: str, *, timeout: int) -> int:
        with self._call("wait", container):
            found = self._find(container, "cannot wait for container")
            if found.state == "running":
                raise self._error(f"container {container} did not end: timed out")
            return found.exit_code

    def remove_image(self, name: str, *, force: bool = False) -> bool:
        with self._call("remove_image", name, changes=True):
            if name not in self.images:
                return False
            existing, identifier = self.images[name], self._id_of(name)
            used = any(c.body["Image"] in (name, identifier) for c in self.all.values())
            if used and not force:
                raise self._error(f"cannot remove image {name}: a container is using it")
            del self.images[name]
            self.ids.pop(name, None)
            if used:
                self.images[identifier], self.ids[identifier] = existing, identifier
            return True

    def prune_images(self, labels: Mapping[str, str]) -> None:
        with self._call("prune_images", labels, changes=True):
            return

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        with self._call("volumes", labels):
            return sorted(n for n, existing in self.volume_labels.items() if _has(existing, labels))

    def has_volume(self, name: str) -> bool:
        with self._call("has_volume", name):
            return name in self.volume_labels

    def volume_options(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        with self._call("volume_options", tuple(names)):
            return {n: dict(self.made_with.get(n, {})) for n in names if n in self.volume_labels}

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        with self._call("create_volume", name, changes=True):
            self.volume_labels.setdefault(name, dict(labels))

    def remove_volume(self, name: str) -> None:
        with self._call("remove_volume", name, changes=True):
            self.volume_labels.pop(name, None)

    def networks(self) -> Mapping[str, tuple[str, ...]]:
        with self._call("networks"):
            return {**BUILT_IN, **{n.name: n.subnets for n in self._networks().values()}}

    def network(self, name: str) -> NetworkState | None:
        with self._call("network", name):
            found = self._networks().get(name)
            return _network_state(found) if found else None

    def create_bridge(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        with self._call("create_bridge", name, subnet, changes=True):
            self._refuse_network(name)
            self.bridges[name] = Network(_new_id(), name, "bridge", (subnet,), dict(labels))

    def networks_with(self, labels: Mapping[str, str]) -> dict[str, NetworkState]:
        with self._call("networks_with", labels):
            found = [n for n in self._networks().values() if _has(n.labels, labels)]
            return {network.name: _network_state(network) for network in found}

    def create_overlay(self, network: model.Network, labels: Mapping[str, str]) -> str:
        with self._call("create_overlay", network.name, changes=True):
            what = f"cannot create network {network.name}"
            if not self._swarm().manager or self.cluster is None:
                raise self._error(f"{what}: This node is not a swarm manager")
            self._refuse_network(network.name)
            subnet = f"10.0.{len(self.cluster.overlays) + 1}.0/24"
            own = {**dict(network.labels), **labels}
            made = Network(
                _new_id(), network.name, "overlay", (subnet,), own, internal=network.internal
            )
            self.cluster.overlays[network.name] = made
            return made.id

    def remove_network(self, name: str) -> None:
        with self._call("remove_network", name, changes=True):
            found = self._networks().get(name)
            if found and self._is_used(found):
                raise self._error(f"cannot remove network {name}: it has active endpoints")
            self.bridges.pop(name, None)
            if self.cluster and self._swarm().manager:
                self.cluster.overlays.pop(name, None)

    def swarm(self) -> SwarmState:
        with self._call("swarm"):
            return self._swarm()

    def swarm_init(self, address: str) -> None:
        with self._call("swarm_init", address, changes=True):
            self._not_in_a_swarm("cannot start the Swarm")
            self.address, self.node = address, f"NODE{next(_numbers)}"
            self.cluster = Cluster(address, self.node, members={address})
            self.clusters[address] = self.cluster
            self.cluster.engines.append(self)

    def swarm_join(self, address: str, *, manager: str, token: str) -> None:
        with self._call("swarm_join", address, manager, changes=True):
            self._not_in_a_swarm(f"cannot join the Swarm of {manager}")
            cluster = self.clusters.get(manager.removesuffix(":2377"))
            if cluster is None or cluster.token != token:
                raise self._error(f"cannot join the Swarm of {manager}: invalid join token")
            self.address, self.cluster, self.node = address, cluster, f"NODE{next(_numbers)}"
            self.deaf = self.listens
            cluster.members.add(address)
            cluster.engines.append(self)

    def swarm_leave(self) -> None:
        with self._call("swarm_leave", changes=True):
            if self.cluster is None:
                raise self._error("cannot leave the Swarm: This node is not part of a swarm")
            self.cluster.members.discard(self.address)
            self.cluster.engines.remove(self)
            if self.clusters.get(self.address) is self.cluster:
                del self.clusters[self.address]
            self.cluster, self.pending = None, False
            self.listens = self.hesitates

    def swarm_token(self) -> str:
        with self._call("swarm_token"):
            if self.cluster is None or not self._swarm().manager:
                raise self._error("cannot read the Swarm's join token: not a swarm manager")
            return self.cluster.token

    def swarm_ready(self, node: str) -> bool:
        with self._call("swarm_ready", node):
            if self.cluster is None or not self._swarm().manager:
                raise self._error("cannot inspect a node: not a swarm manager")
            self.cluster.looks[node] = self.cluster.looks.get(node, 0) + 1
            return self.cluster.looks[node] > 1

    def close(self) -> None:
        self.closed = True

    # Inside

    def _end(self, container: Container, code: int) -> None:
        container.state, container.exit_code, container.pid = "exited", code, 0
        container.finished_at, container.number = f"end-{next(_numbers)}", 0

    def _is_used(self, network: Network) -> bool:
        """True if a container that runs is on a network, on any engine that shares it."""
        engines = [self, *(self.cluster.engines if self.cluster else ())]
        containers = [c for engine in engines for c in engine.all.values() if c.pid]
        return any(network.id in c.networks.values() for c in containers)

    def _holder(self, container: Container) -> Container:
        """Return the container in whose network another one runs: itself, if it has its own."""
        kind, _, holder = _network_mode(container.body).partition(":")
        return self._find(holder) if kind == "container" else container

    def _check_joined(self, container: Container) -> None:
        """Refuse to start in the network of a container that does not run."""
        kind, _, owner = _network_mode(container.body).partition(":")
        found = self._lookup(owner) if kind == "container" else None
        if kind == "container" and (found is None or not found.pid):
            raise self._error(f"cannot join network of a non running container: {owner}")

    def _call(self, name: str, *words: object, changes: bool = False) -> Any:
        return self.faults.call(f"{self.kind}.{name}", self.where, *words, changes=changes)

    def _error(self, what: str) -> LabError:
        return LabError(what, where=self.where)

    def _lookup(self, name: str) -> Container | None:
        return next((c for c in self.all.values() if name in (c.id, c.name)), None)

    def _id_of(self, name: str) -> str:
        return self.ids.setdefault(name, f"sha256:{_new_id()}")

    def _image(self, name: str) -> str | None:
        """Return the name of an existing image that was requested by name or id."""
        by_id = {identifier: known for known, identifier in self.ids.items()}
        found = by_id.get(name, name)
        return found if found in self.images else None

    def _all_networks(self) -> list[Network]:
        return [*self.bridges.values(), *self._member_overlays().values()]

    def _find(self, name: str, what: str = "no container") -> Container:
        found = self._lookup(name)
        if found is None:
            raise self._error(f"{what} {name}: No such container: {name}")
        return found

    def _behaviour(self, container: Container) -> Behaviour:
        keys = (
            container.name,
            container.labels.get("hashlab.service"),
            container.words,
            container.body["Image"],
        )
        return next((self.behaviours[k] for k in keys if k in self.behaviours), Behaviour())

    def _describe(self, container: Container) -> ContainerState:
        with self._lock:
            health = self._health(container)
            container.looks += 1
        known = {network.name: network for network in self._all_networks()}
        return ContainerState(
            id=container.id,
            name=container.name,
            state=container.state,
            health=health,
            exit_code=container.exit_code,
            image=container.body["Image"],
            labels=container.labels,
            pid=container.pid,
            started_at=container.started_at,
            finished_at=container.finished_at,
            networks={
                name: NetworkPlace(
                    identifier,
                    known[name].address(container) if name in known else "",
                    frozenset(container.endpoints.get(name, {}).get("Aliases") or ()),
                )
                for name, identifier in container.networks.items()
            },
            network_mode=_network_mode(container.body),
            shares=_shares(container.body.get("HostConfig") or {}),
            checked=_is_checked(container),
            grace=STOP_SECONDS if (grace := container.body.get("StopTimeout")) is None else grace,
            restarts=container.restarts,
        )

    def _health(self, container: Container) -> str:
        if not _is_checked(container) or container.state == "created":
            return ""
        if container.state != "running":
            return "unhealthy"
        return self._next_health(container)

    def _next_health(self, container: Container) -> str:
        """Return the next health result, for the engine's own check or for another caller."""
        words = self._behaviour(container).health
        return words[min(container.looks, len(words) - 1)]

    def _inspected(self, container: Container) -> Mapping[str, Any]:
        state = self._describe(container)
        return {
            "Id": state.id,
            "Name": f"/{state.name}",
            "State": {"Status": state.state, "ExitCode": state.exit_code, "Pid": state.pid},
            "Config": {
                "Image": state.image,
                "Labels": dict(state.labels),
                "Env": list(container.body.get("Env") or []),
                "Cmd": container.body.get("Cmd"),
                "ExposedPorts": dict(container.body.get("ExposedPorts") or {}),
                **{
                    key: container.body.get(key) for key in ("Hostname", "Entrypoint", "StopSignal")
                },
            },
            "Image": self._id_of(self._image(state.image) or state.image),
            "HostConfig": dict(container.body.get("HostConfig") or {}),
            "NetworkSettings": {
                "Ports": self._ports(container),
                "Networks": {
                    network.name: {
                        "NetworkID": network.id,
                        "IPAddress": _asked_address(container, network.name),
                    }
                    for network in self._networks().values()
                    if network.name in state.networks
                },
            },
        }

    def _ports(self, container: Container) -> dict[str, Any]:
        """Return published ports; as on a real engine, only of a running container."""
        host = container.body.get("HostConfig") or {}
        return dict(host.get("PortBindings") or {}) if container.pid else {}

    def _make_mounts(self, name: str, config: Mapping[str, Any]) -> None:
        for mount in (config.get("HostConfig") or {}).get("Mounts") or []:
            _known(mount, MOUNT_KEYS, "mount")
            if _bind(mount) and not self.path_exists(mount["Source"]):
                raise self._error(
                    f'cannot create container {name}: invalid mount config for type "bind": '
                    f"bind source path does not exist: {mount['Source']}"
                )
            if mount["Type"] == "volume" and "Source" in mount:
                options = mount.get("VolumeOptions") or {}
                if mount["Source"] not in self.volume_labels:
                    driver = options.get("DriverConfig") or {}
                    self.made_with[mount["Source"]] = dict(driver.get("Options") or {})
                self.volume_labels.setdefault(mount["Source"], dict(options.get("Labels") or {}))

    def _attach(self, name: str, endpoints: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        found = {}
        for network, endpoint in endpoints.items():
            _known(endpoint, ENDPOINT_KEYS, "EndpointSettings")
            existing = self.bridges.get(network) or self._member_overlays().get(network)
            if existing is None:
                raise self._error(f"cannot create container {name}: network {network} not found")
            found[network] = existing.id
        return found

    def _member_overlays(self) -> dict[str, Network]:
        """Return the overlays that this engine can use: those of the cluster of which it is still a
        member.
        """
        alive = self.cluster is not None and self.clusters.get(self.cluster.manager) is self.cluster
        return dict(self.cluster.overlays) if alive and self.cluster else {}

    def _networks(self) -> dict[str, Network]:
        existing = self._member_overlays()
        if not self._swarm().manager:
            used = {network for one in self.all.values() for network in one.networks.values()}
            existing = {name: network for name, network in existing.items() if network.id in used}
        return {**self.bridges, **existing}

    def _refuse_network(self, name: str) -> None:
        if name in self._networks():
            raise self._error(f"cannot create network {name}: network already exists")

    def _swarm(self) -> SwarmState:
        """Return the Swarm state. A worker whose manager began a new Swarm still reports the old
        one.
        """
        if self.cluster is None:
            return SwarmState(active=False, manager=False)
        return SwarmState(
            active=not self.pending,
            manager=self.node == self.cluster.manager_node and not self.pending,
            node=self.node,
            address=self.address,
            managers=(self.cluster.manager_node,),
            joined=True,
        )

    def _not_in_a_swarm(self, what: str) -> None:
        if self.cluster is not None:
            raise self._error(f"{what}: This node is already part of a swarm")


def clobbered(container: Container) -> Container:
    """A container whose process overwrote its environment, as nginx does."""
    env = [word for word in container.body["Env"] if not word.startswith("HASHLAB_BUILD=")]
    return replace(container, body={**container.body, "Env": env})


def _shares(config: Mapping[str, Any]) -> frozenset[str]:
    modes = [config.get(key, "") for key in ("IpcMode", "PidMode")]
    namespaces = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
    return frozenset((*namespaces, *(s.partition(":")[0] for s in config.get("VolumesFrom", ()))))


def _network_mode(body: Mapping[str, Any]) -> str:
    return str((body.get("HostConfig") or {}).get("NetworkMode", ""))


def _check_network(name: str, body: Mapping[str, Any]) -> None:
    """Refuse what the API refuses for a container that runs in the network of another one."""
    if not _network_mode(body).startswith("container:"):
        return
    host = body.get("HostConfig") or {}
    own = [key for key in ("Hostname", "ExposedPorts", "NetworkingConfig") if body.get(key)]
    own += [key for key in ("PortBindings", "Dns", "ExtraHosts") if host.get(key)]
    if own:
        raise LabError(f"cannot create container {name}: conflicting options: {own[0]}")


def _has(existing: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in existing and value in ("", existing[key]) for key, value in wanted.items())


def _check(container: Container) -> list[str]:
    """Return a container's health check as a command."""
    kind, *words = (container.body.get("Healthcheck") or {}).get("Test") or ["NONE"]
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words


def _is_checked(container: Container) -> bool:
    test = (container.body.get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def _bind(mount: Mapping[str, Any]) -> bool:
    return bool(mount["Type"] == "bind")


def _network_state(network: Network) -> NetworkState:
    attachable = network.driver == "overlay"
    return NetworkState(network.id, network.name, network.driver, attachable, dict(network.labels))


def _asked_address(container: Container, network: str) -> str:
    wanted = (container.body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    asked = (wanted.get(network) or {}).get("IPAMConfig") or {}
    return str(asked.get("IPv4Address", ""))


def _known(given: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    unknown = set(given) - known
    assert not unknown, f"the Engine API's {what} has no {sorted(unknown)}"
