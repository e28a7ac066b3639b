"""libvirt in memory, behind a Runner that answers with the output of virsh."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed
from hashlab.providers.libvirt.virsh import URI

# The size of an empty qcow2 file.
EMPTY_QCOW2 = 196616
NOT_RUNNING = "error: Requested operation is not valid: domain is not running"


class Refused(Exception):
    """virsh ends with exit code 1 and this message on stderr."""


@dataclass
class Kept:
    """A snapshot of a domain. The disk's snapshot is inside the disk."""

    described: ElementTree.Element
    memory: str


@dataclass
class Domain:
    """A virtual machine: its description, its state, and the content of its memory."""

    described: ElementTree.Element
    state: str = "shut off"
    memory: str = ""
    snapshots: dict[str, Kept] = field(default_factory=dict)


@dataclass
class Network:
    """A network, started by ``net-start`` or not."""

    described: ElementTree.Element
    active: bool = False


@dataclass
class Volume:
    """A file of a pool. ``inside``: the content saved by snapshots in the same file."""

    format: str
    content: bytes
    inside: dict[str, bytes] = field(default_factory=dict)

    @property
    def file(self) -> bytes:
        """Return all bytes of the file."""
        return self.content + b"".join(self.inside.values())


@dataclass
class Pool:
    """A folder of volumes. ``built``: the folder exists."""

    folder: str
    built: bool = False
    active: bool = False
    volumes: dict[str, Volume] = field(default_factory=dict)


@dataclass
class Agent:
    """The agent inside a machine.

    ``run`` answers commands; none is prepared. Each command still runs when its status is requested
    for the first ``busy`` times.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    run: Callable[[Sequence[str]], Completed] | None = None
    busy: int = 0
    open_files: dict[int, str] = field(default_factory=dict)
    # Number of times its clock was set.
    clock_set: int = 0
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def answer(self, request: Mapping[str, Any]) -> Any:
        """Return the agent's answer to a request."""
        assert set(request) == {"execute", "arguments"}, request
        method = getattr(self, "_" + request["execute"].replace("-", "_"), None)
        assert method is not None, f"the fake agent does not know {request['execute']}"
        arguments = {key.replace("-", "_"): value for key, value in request["arguments"].items()}
        return method(**arguments)

    def _guest_file_open(self, path: str, mode: str) -> int:
        assert mode == "r", mode
        if path not in self.files:
            raise Refused(
                "error: internal error: unable to execute QEMU agent command 'guest-file-open': "
                f"failed to open file '{path}' (mode: 'r'): No such file or directory"
            )
        handle = 1000 + len(self.open_files)
        self.open_files[handle] = path
        return handle

    def _guest_file_read(self, handle: int, count: int) -> dict[str, Any]:
        content = self.files[self.open_files[handle]]
        assert len(content) <= count, "more than one read is needed"
        return {"count": len(content), "buf-b64": _base64(content), "eof": True}

    def _guest_file_close(self, handle: int) -> dict[str, Any]:
        del self.open_files[handle]
        return {}

    def _guest_exec(self, path: str, arg: Sequence[str], capture_output: bool) -> dict[str, int]:
        assert capture_output
        self.ran.append((path, *arg))
        return {"pid": len(self.ran)}

    def _guest_exec_status(self, pid: int) -> dict[str, Any]:
        if self.busy:
            self.busy -= 1
            return {"exited": False}
        words = self.ran[pid - 1]
        assert self.run is not None, f"the fake agent was not prepared for {words}"
        done = self.run(words)
        status = {"out-data": done.stdout, "err-data": done.stderr}
        texts = {key: _base64(text.encode()) for key, text in status.items() if text}
        return {"exited": True, "exitcode": done.code, **texts}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


class FakeLibvirt:
    """Answers the commands that hashlab uses; refuses all others."""

    def __init__(self) -> None:
        self.domains: dict[str, Domain] = {}
        self.networks: dict[str, Network] = {}
        self.pools: dict[str, Pool] = {}
        self.agents: dict[str, Agent] = {}
        self.broken = ""

    def run(self, words: Sequence[str]) -> Completed:
        """Execute one command of virsh."""
        method = getattr(self, "_" + words[0].replace("-", "_"), None)
        assert method is not None, f"the fake libvirt does not know {list(words)}"
        try:
            if self.broken:
                raise Refused(f"error: failed to connect to the hypervisor\nerror: {self.broken}")
            return Completed(0, method(*words[1:]), "")
        except Refused as refused:
            return Completed(1, "", f"{refused}\n")

    def add_domain(
        self,
        name: str,
        *,
        description: str = "",
        interface: bool = True,
        cmdline: str = "",
        state: str = "running",
        network: str = "",
        disk: str = "",
        stands_on: Sequence[str] = (),
    ) -> None:
        """Create a domain as vagrant-libvirt does.

        ``description`` is XML; ``disk``: its file's path; ``stands_on``: the files of the box's
        disk, of the kernel and of the initial RAM disk.
        """
        source = f"<source network='{network}'/>" if network else ""
        devices = f"<interface type='network'>{source}</interface>" if interface else ""
        boots = f"<cmdline>{escape(cmdline)}</cmdline>"
        if disk:
            box, kernel, initrd = stands_on
            boots += f"<kernel>{kernel}</kernel><initrd>{initrd}</initrd>"
            devices += (
                f"<disk type='file' device='disk'><source file='{disk}'/>"
                f"<backingStore type='file'><source file='{box}'/><backingStore/></backingStore>"
                "</disk>"
            )
        self._define_domain(
            f"<domain type='qemu'><name>{name}</name><description>{description}</description>"
            f"<os>{boots}</os><devices>{devices}</devices></domain>"
        )
        self.domains[name].state = state

    def add_volume(self, pool: str, name: str, content: bytes = b"disk") -> None:
        """Create a volume as vagrant-libvirt does."""
        self.pools[pool].volumes[name] = Volume("qcow2", content)

    # Domains

    def _list(self, *words: str) -> str:
        assert words in ((), ("--all",)), words
        rows = [
            f" {'-' if domain.state == 'shut off' else number:<4} {name:<20} {domain.state}\n"
            for number, (name, domain) in enumerate(self.domains.items(), 1)
            if words or domain.state != "shut off"
        ]
        return "".join(rows)

    def _define(self, path: str) -> str:
        return self._define_domain(Path(path).read_text())

    def _define_domain(self, text: str) -> str:
        described = ElementTree.fromstring(text)
        name = described.findtext("name", "")
        if name in self.domains:
            self.domains[name].described = described
        else:
            self.domains[name] = Domain(described)
        return ""

    def _start(self, name: str) -> str:
        domain = self._domain(name)
        if domain.state != "shut off":
            raise Refused("error: Domain is already active")
        refused = f"error: Failed to start domain '{name}'"
        self._check_network(domain, refused)
        if self._disk(domain) is None:
            raise Refused(
                f"{refused}\nerror: Cannot access storage file: No such file or directory"
            )
        domain.state = "running"
        domain.memory = "booting"
        return ""

    def _suspend(self, name: str) -> str:
        if self._domain(name).state == "shut off":
            raise Refused(f"error: Failed to suspend domain '{name}'\n{NOT_RUNNING}")
        self._domain(name).state = "paused"
        return ""

    def _resume(self, name: str) -> str:
        refused = f"error: Failed to resume domain '{name}'"
        if self._domain(name).state == "shut off":
            raise Refused(f"{refused}\n{NOT_RUNNING}")
        if self._domain(name).state == "running":
            raise Refused(
                f"{refused}\nerror: Requested operation is not valid: domain is already running"
            )
        self._domain(name).state = "running"
        return ""

    def _domtime(self, name: str, *words: str) -> str:
        assert words == ("--now",), words
        if self._domain(name).state != "running":
            raise Refused(NOT_RUNNING)
        self._agent(name).clock_set += 1
        return ""

    def _domstate(self, name: str) -> str:
        return f"{self._domain(name).state}\n\n"

    def _dumpxml(self, name: str, *words: str) -> str:
        assert words in ((), ("--inactive",)), words
        described = copy.deepcopy(self._domain(name).described)
        if words or self._domain(name).state == "shut off":
            # The base of a disk is looked up when its domain starts.
            for disk in described.findall("devices/disk"):
                for backing in disk.findall("backingStore"):
                    disk.remove(backing)
        return ElementTree.tostring(described, encoding="unicode")

    def _desc(self, name: str, *words: str) -> str:
        if words:
            assert words[:-1] == ("--live", "--config", "--new-desc"), words
            if self._domain(name).state == "shut off":
                raise Refused(NOT_RUNNING)
            text = self._domain(name).described.find("description")
            assert text is not None
            text.text = words[-1]
            return ""
        return self._domain(name).described.findtext("description", "")

    def _destroy(self, name: str) -> str:
        domain = self._domain(name)
        if domain.state == "shut off":
            raise Refused(f"error: Failed to destroy domain '{name}'\n{NOT_RUNNING}")
        domain.state = "shut off"
        return ""

    def _undefine(self, name: str, *words: str) -> str:
        assert words == ("--managed-save", "--snapshots-metadata"), words
        assert self._domain(name).state == "shut off", "what runs becomes transient"
        del self.domains[name]
        return ""

    def _qemu_agent_command(self, name: str, request: str) -> str:
        if self._domain(name).state != "running":
            raise Refused(NOT_RUNNING)
        return json.dumps({"return": self._agent(name).answer(json.loads(request))}) + "\n"

    def _agent(self, name: str) -> Agent:
        if name not in self.agents:
            raise Refused("error: Guest agent is not responding: QEMU guest agent is not connected")
        return self.agents[name]

    def _domain(self, name: str) -> Domain:
        if name not in self.domains:
            raise Refused(f"error: failed to get domain '{name}'")
        return self.domains[name]

    def _disk(self, domain: Domain) -> Volume | None:
        source = domain.described.find("devices/disk/source")
        assert source is not None, "the domain was made without a disk"
        path = PurePosixPath(source.get("file", ""))
        pools = [pool for pool in self.pools.values() if pool.folder == str(path.parent)]
        return pools[0].volumes.get(path.name) if pools else None

    def _check_network(self, domain: Domain, refused: str) -> None:
        source = domain.described.find("devices/interface/source")
        assert source is not None, "the domain was made without a network"
        name = source.get("network", "")
        if not self._network(name).active:
            raise Refused(
                f"{refused}\n"
                f"error: Requested operation is not valid: network '{name}' is not active"
            )

    # Snapshots

    def _snapshot_create_as(self, name: str, snapshot: str, *words: str) -> str:
        assert words == ("--atomic",), words
        domain = self._domain(name)
        assert domain.state != "shut off", "then no memory is kept"
        if snapshot in domain.snapshots:
            raise Refused(f"error: operation failed: domain moment {snapshot} already exists")
        disk = self._disk(domain)
        assert disk is not None
        disk.inside[snapshot] = disk.content
        domain.snapshots[snapshot] = Kept(copy.deepcopy(domain.described), domain.memory)
        return ""

    def _snapshot_list(self, name: str, *words: str) -> str:
        assert words == ("--name",), words
        return "".join(f"{each}\n" for each in sorted(self._domain(name).snapshots)) + "\n"

    def _snapshot_revert(self, name: str, snapshot: str, *words: str) -> str:
        assert words == ("--paused", "--force"), words
        domain, kept = self._domain(name), self._snapshot(name, snapshot)
        if domain.state == "shut off":
            self._check_network(domain, f"error: Failed to revert snapshot {snapshot}")
        disk = self._disk(domain)
        assert disk is not None
        disk.content = disk.inside[snapshot]
        domain.described = copy.deepcopy(kept.described)
        domain.memory = kept.memory
        domain.state = "paused"
        return ""

    def _snapshot_delete(self, name: str, snapshot: str) -> str:
        self._snapshot(name, snapshot)
        disk = self._disk(self.domains[name])
        assert disk is not None
        del disk.inside[snapshot], self.domains[name].snapshots[snapshot]
        return ""

    def _snapshot(self, name: str, snapshot: str) -> Kept:
        if snapshot not in self._domain(name).snapshots:
            raise Refused(
                "error: Domain snapshot not found: "
                f"no domain snapshot with matching name '{snapshot}'"
            )
        return self.domains[name].snapshots[snapshot]

    # Networks

    def _net_list(self, *words: str) -> str:
        assert words in (("--name",), ("--all", "--name")), words
        names = [name for name, net in self.networks.items() if net.active or "--all" in words]
        return "".join(f"{name}\n" for name in names) + "\n"

    def _net_define(self, path: str) -> str:
        described = ElementTree.fromstring(Path(path).read_text())
        name = described.findtext("name", "")
        if name in self.networks:
            raise Refused(
                f"error: Failed to define network from {path}\n"
                f"error: operation failed: network '{name}' already exists with uuid 1234"
            )
        self.networks[name] = Network(described)
        return ""

    def _net_dumpxml(self, name: str) -> str:
        return ElementTree.tostring(self._network(name).described, encoding="unicode")

    def _net_start(self, name: str) -> str:
        network = self._network(name)
        if network.active:
            raise Refused(
                f"error: Failed to start network {name}\n"
                "error: Requested operation is not valid: network is already active"
            )
        network.active = True
        return ""

    def _net_destroy(self, name: str) -> str:
        network = self._network(name)
        if not network.active:
            raise Refused(
                f"error: Failed to destroy network {name}\n"
                f"error: Requested operation is not valid: network '{name}' is not active"
            )
        network.active = False
        return ""

    def _net_undefine(self, name: str) -> str:
        assert not self._network(name).active, "what is active becomes transient"
        del self.networks[name]
        return ""

    def _net_update(self, name: str, change: str, section: str, text: str, *words: str) -> str:
        network = self._network(name)
        assert section == "ip-dhcp-host", section
        assert set(words) <= {"--live", "--config"} and "--config" in words, words
        refused = f"error: Failed to update network {name}\nerror: Requested operation is not valid"
        if "--live" in words and not network.active:
            raise Refused(f"{refused}: network is not running")
        dhcp = network.described.find("ip/dhcp")
        assert dhcp is not None
        new = ElementTree.fromstring(text)
        wanted = set(new.items())
        if change == "add-last":
            if any(wanted & set(host.items()) for host in dhcp):
                raise Refused(
                    f"{refused}: there is an existing dhcp host entry in network '{name}' "
                    f'that matches "{text}"'
                )
            dhcp.append(new)
        else:
            assert change == "delete", change
            same = [host for host in dhcp if wanted == set(host.items())]
            if not same:
                raise Refused(
                    f"{refused}: couldn't locate a matching dhcp host entry in network '{name}'"
                )
            dhcp.remove(same[0])
        return ""

    def _network(self, name: str) -> Network:
        if name not in self.networks:
            raise Refused(
                f"error: failed to get network '{name}'\n"
                f"error: Network not found: no network with matching name '{name}'"
            )
        return self.networks[name]

    # Pools and volumes

    def _pool_list(self, *words: str) -> str:
        assert words == ("--name",), words
        return "".join(f"{name:<20}\n" for name, pool in self.pools.items() if pool.active) + "\n"

    def _pool_info(self, name: str) -> str:
        state = "running" if self._pool(name).active else "inactive"
        return f"Name:           {name}\nState:          {state}\n"

    def _pool_define_as(self, name: str, *words: str) -> str:
        assert words[:2] == ("dir", "--target"), words
        assert name not in self.pools, f"pool '{name}' already exists"
        self.pools[name] = Pool(words[2])
        return ""

    def _pool_build(self, name: str) -> str:
        self._pool(name).built = True
        return ""

    def _pool_start(self, name: str) -> str:
        pool = self._pool(name)
        if pool.active or not pool.built:
            raise Refused(f"error: Failed to start pool {name}")
        pool.active = True
        return ""

    def _pool_destroy(self, name: str) -> str:
        self._active(name).active = False
        return ""

    def _pool_delete(self, name: str) -> str:
        pool = self._pool(name)
        assert not pool.active, f"storage pool '{name}' is still active"
        if pool.volumes:
            raise Refused(
                f"error: Failed to delete pool {name}\n"
                f"error: failed to remove pool '{pool.folder}': Directory not empty"
            )
        pool.built = False
        return ""

    def _pool_undefine(self, name: str) -> str:
        assert not self._pool(name).active, f"storage pool '{name}' is still active"
        del self.pools[name]
        return ""

    def _vol_list(self, name: str) -> str:
        pool = self._active(name)
        return "".join(f" {each:<20} {pool.folder}/{each}\n" for each in sorted(pool.volumes))

    def _vol_create_as(self, pool: str, name: str, size: str, *words: str) -> str:
        assert words[0] == "--format" and words[1] in ("raw", "qcow2"), words
        volumes = self._active(pool).volumes
        if name in volumes:
            raise Refused(
                f"error: Failed to create vol {name}\nerror: storage volume '{name}' exists already"
            )
        room = int(size) if words[1] == "raw" else EMPTY_QCOW2
        volumes[name] = Volume(words[1], bytes(room))
        return ""

    def _vol_upload(self, name: str, source: str, *words: str) -> str:
        volume = self._volume(name, words, "--sparse")
        content = Path(source).read_bytes()
        # Existing bytes stay unless they are overwritten.
        volume.content = content + volume.file[len(content) :]
        volume.inside = {}
        return ""

    def _vol_download(self, name: str, target: str, *words: str) -> str:
        Path(target).write_bytes(self._volume(name, words, "--sparse").file)
        return ""

    def _vol_dumpxml(self, name: str, *words: str) -> str:
        volume = self._volume(name, words)
        size = len(volume.file)
        return (
            f"<volume type='file'><name>{name}</name><capacity unit='bytes'>{size}</capacity>"
            f"<physical unit='bytes'>{size}</physical></volume>"
        )

    def _vol_delete(self, name: str, *words: str) -> str:
        self._volume(name, words)
        del self._active(words[1]).volumes[name]
        return ""

    def _volume(self, name: str, words: Sequence[str], *more: str) -> Volume:
        assert words[0] == "--pool" and tuple(words[2:]) == more, words
        volumes = self._active(words[1]).volumes
        if name not in volumes:
            raise Refused(
                f"error: failed to get vol '{name}'\n"
                f"error: Storage volume not found: no storage vol with matching path '{name}'"
            )
        return volumes[name]

    def _active(self, name: str) -> Pool:
        pool = self._pool(name)
        if not pool.active:
            raise Refused(f"error: pool '{name}' is not active")
        return pool

    def _pool(self, name: str) -> Pool:
        if name not in self.pools:
            raise Refused(
                f"error: failed to get pool '{name}'\n"
                f"error: Storage pool not found: no storage pool with matching name '{name}'"
            )
        return self.pools[name]


Program = Callable[[Sequence[str]], Completed]


class LibvirtRunner:
    """protocols.Runner with a FakeLibvirt and prepared programs; refuses other commands."""

    def __init__(self, libvirt: FakeLibvirt) -> None:
        self.libvirt = libvirt
        # Behaviour of other programs, by their name.
        self.programs: dict[str, Program] = {}
        # Recorded commands: of virsh without its options, others complete.
        self.ran: list[tuple[str, ...]] = []

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
        users: bool = False,
    ) -> Completed:
        cancel.check()
        if command[0] != "virsh":
            self.ran.append(tuple(command))
            assert command[0] in self.programs, f"the fake runner was not prepared for {command}"
            return self.programs[command[0]](command)
        assert list(command[:4]) == ["virsh", "--connect", URI, "--quiet"], command
        assert not users, "what virsh says is read in English"
        self.ran.append(tuple(command[4:]))
        return self.libvirt.run(command[4:])

    def commands(self, name: str) -> list[tuple[str, ...]]:
        """Return the recorded commands of this name."""
        return [words for words in self.ran if words[0] == name]

    def end_orphans(self) -> list[str]:
        return []
