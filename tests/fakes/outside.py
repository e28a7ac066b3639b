"""Everything outside of hashlab in one object, and worlds that use it."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

from fakes.engine import Behaviour, Cluster, FakeEngine, loaded
from fakes.faults import Faults
from fakes.labs import small_lab
from fakes.machine import FakeMachine, FakeShell
from fakes.registry import FakeRegistries
from fakes.snapshots import FakeSnapshots
from fakes.swarm import FakeSwarm
from hashlab.config.model import Build, Lab, Machine
from hashlab.drivers.login import LabKey
from hashlab.errors import EngineHangs, EngineStopped, HashlabError, LabError
from hashlab.hashing import Digests, file_digest
from hashlab.inputs.contexts import BuildContext, read_context
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Recorder, Row, Step, Track
from hashlab.protocols import (
    SSH_PORT,
    BoxContents,
    BoxManifest,
    BuildAnswer,
    BuildRequest,
    Completed,
    Connector,
    Endpoint,
    Engine,
    Link,
    LogStore,
    Observation,
    ObservedMachine,
    Observer,
    PlannedMachine,
    Probe,
    Provider,
    Rank,
    Runner,
    Shell,
    StoreAddress,
    StoreState,
    Tool,
    Vagrant,
    Workers,
)
from hashlab.providers.vagrant import BootPlan, LabVagrant, VagrantBoxes, VagrantMachines
from hashlab.state.files import StateFolder, is_file, make_folder, make_tool_folder

TOOLS = (Tool("vagrant", "vagrant"), Tool("ssh", "openssh-client"), Tool("rsync", "rsync"))
DISK_LOOKS = 10_000
# The image store inside an exported box.
STORE = "store.json"
Effect = Callable[[Sequence[str]], None]
Streaming = Callable[[Sequence[str], Callable[[Sequence[bytes]], None], CancelToken], Completed]


class Silent:
    """A listener that records the lines that tools printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, step: Step) -> None:
        return None

    def update(self, step: Step) -> None:
        return None

    def end(self, step: Step, row: Row) -> None:
        return None

    def output(self, step: Step, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True)
class Answer:
    """The effect and output of a prepared command."""

    code: int = 0
    stdout: str = ""
    stderr: str = ""
    effect: Effect | None = None


@dataclass(frozen=True)
class Ran:
    """A command that was run."""

    command: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str]
    timeout: float
    stdin: str = ""
    users: bool = False


class FakeRunner:
    """protocols.Runner that runs nothing: it answers prepared commands and refuses others."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.ran: list[Ran] = []
        self.orphans: list[str] = []
        self.streamed: list[tuple[str, ...]] = []
        self._answers: list[tuple[tuple[str, ...], Answer]] = []
        self._streams: list[tuple[tuple[str, ...], Streaming]] = []

    def prepare_stream(self, *words: str, streaming: Streaming) -> None:
        """Let ``streaming`` print what commands that begin with ``words`` print."""
        self._streams.insert(0, (words, streaming))

    def prepare(
        self,
        *words: str,
        code: int = 0,
        stdout: str = "",
        stderr: str = "",
        effect: Effect | None = None,
    ) -> None:
        """Answer commands that begin with ``words``; the latest preparation applies."""
        self._answers.insert(0, (words, Answer(code, stdout, stderr, effect)))

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
        words = tuple(command)
        name = PurePosixPath(words[1] if words[0] == "PYTHON" else words[0]).name
        with self.faults.call(f"runner.{name}", *words):
            self.ran.append(Ran(words, cwd, dict(env or {}), timeout, stdin, users))
            answer = next((a for start, a in self._answers if words[: len(start)] == start), None)
            if answer is None:
                raise AssertionError(f"the fake runner was not prepared for {list(words)}")
            if answer.effect:
                answer.effect(words)
            for line in (answer.stdout + answer.stderr).splitlines():
                if on_line:
                    on_line(line)
            return Completed(answer.code, answer.stdout, answer.stderr)

    def stream(
        self,
        command: Sequence[str],
        *,
        cancel: CancelToken,
        on_lines: Callable[[Sequence[bytes]], None],
    ) -> Completed:
        cancel.check()
        words = tuple(command)
        with self.faults.call(f"runner.stream.{words[0]}", *words):
            answers = next((a for start, a in self._streams if words[: len(start)] == start), None)
            if answers is None:
                raise AssertionError(f"the fake runner was not prepared for {list(words)}")
            self.streamed.append(words)
            return answers(words, on_lines, cancel)

    def end_orphans(self) -> list[str]:
        ended, self.orphans = self.orphans, []
        return ended


class FakeWorkers:
    """protocols.Workers that answers as prepared, and refuses everything else."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.asked: list[tuple[tuple[str, ...], BuildRequest]] = []
        self.closed = 0
        self._answers: dict[str, Callable[[BuildRequest], BuildAnswer]] = {}

    def prepare(self, program: str, answer: Callable[[BuildRequest], BuildAnswer]) -> None:
        """Answer requests to the worker whose command begins with ``program``."""
        self._answers[program] = answer

    def ask(
        self,
        command: Sequence[str],
        requests: Sequence[BuildRequest],
        *,
        cwd: Path,
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None],
    ) -> list[BuildAnswer]:
        cancel.check()
        with self.faults.call(f"workers.{command[0]}", tuple(requests)):
            self.asked += [(tuple(command), request) for request in requests]
            assert command[0] in self._answers, f"no worker was prepared for {list(command)}"
            return [self._answers[command[0]](request) for request in requests]

    def close(self) -> None:
        self.closed += 1


class FakeVagrant:
    """protocols.Vagrant that reads the fake Vagrantfile (JSON) and keeps boxes as Vagrant does."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        with self._call("up", *machines):
            self._wait_for_disks(track)
            values = json.loads(self._outside.state.vagrantfile.read_text())
            wanted = {machine["name"]: machine for machine in values["machines"]}
            for name in machines:
                self._outside.boot(wanted[name], values)
            make_tool_folder(self._outside.state.vagrant)
            make_folder(self._outside.state.vagrant / "machines")

    def _wait_for_disks(self, track: Track) -> None:
        """Wait as the rendered Vagrantfile lets Vagrant wait."""
        for _ in range(DISK_LOOKS):
            if self._outside.state.disks_ready.exists():
                return
            track.cancel.wait(0.001)
        raise LabError("vagrant up failed: the disks were never ready")

    def destroy(self, *, track: Track) -> None:
        with self._call("destroy"):
            assert self._outside.state.vagrantfile.exists(), "vagrant destroy without a Vagrantfile"
            self._outside.machines.clear()

    def box_add(self, metadata: Path, *, track: Track) -> None:
        with self._call("box_add"):
            document = json.loads(metadata.read_text())
            version = document["versions"][0]
            provider = version["providers"][0]
            box = Path(provider["url"].removeprefix("file://"))
            assert file_digest(box) == provider["checksum"], "the checksum does not match"
            folder = self._folder(document["name"]) / version["version"] / provider["name"]
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(box) as archive:
                archive.extractall(folder, filter="data")
            # Unpacked files get the time of unpacking, as with Vagrant.
            for path in folder.iterdir():
                os.utime(path)

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        with self._call("box_remove", name, version):
            folder = self._folder(name) / version
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()

    def _folder(self, name: str) -> Path:
        home = Path(self._outside.environ["VAGRANT_HOME"])
        return home / "boxes" / name.replace("/", "-VAGRANTSLASH-")

    @contextmanager
    def _call(self, name: str, *words: object) -> Iterator[None]:
        assert self._outside.vagrant_allowed, f"vagrant {name} was called"
        with self._outside.faults.call(f"vagrant.{name}", *words, changes=True):
            yield


class FakeConnector:
    """protocols.Connector to FakeMachines, as strict about host keys as the real one."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def answers(self, endpoint: Endpoint) -> bool:
        with self._outside.faults.call("connector.answers", endpoint):
            existing = self._outside.machines.values()
            return any(m.endpoint == endpoint and m.state == "running" for m in existing)

    def login(self, machine: str) -> Sequence[tuple[str, str]]:
        return LabKey(self._outside.state.key).options(machine)

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        with self._outside.faults.call("connector.connect", machine, endpoint):
            existing = self._outside.machines.get(machine)
            if existing is None or existing.state != "running" or existing.endpoint != endpoint:
                raise LabError("no SSH connection: connection refused", where=machine)
            if existing.host_key != host_key:
                raise LabError("no SSH connection: the host key does not match", where=machine)
            key = self._outside.state.key.with_suffix(".pub")
            if (
                not is_file(key)
                or existing.authorized_key != key.read_bytes().decode("latin-1").strip()
            ):
                raise LabError("no SSH connection: authentication failed", where=machine)
            if existing.engine_stopped:
                raise EngineStopped("the machine's Docker Engine is stopped", where=machine)
            if existing.engine_hangs:
                raise EngineHangs("the machine's Docker Engine hangs", where=machine)
            return Link(machine, FakeShell(existing), existing.engine)

    def start_engine(
        self, machine: str, endpoint: Endpoint, host_key: str, *, hangs: bool = False
    ) -> None:
        with self._outside.faults.call("connector.start_engine", machine, changes=True):
            existing = self._outside.machines[machine]
            assert (existing.endpoint, existing.host_key) == (endpoint, host_key)
            assert hangs == existing.engine_hangs
            existing.engine_stopped = existing.engine_hangs = False

    def copy(
        self,
        machine: str,
        endpoint: Endpoint,
        *,
        root: Path,
        files: Sequence[str],
        target: str,
        like: str,
        scratch: str,
        track: Track,
    ) -> int:
        with self._outside.faults.call("connector.copy", machine, tuple(files), changes=True):
            config = self._outside.state.ssh_config.read_text()
            if f"Host {machine}\n" not in config:
                raise LabError(f"rsync failed: could not resolve hostname {machine}")
            disk = self._outside.machines[machine].disk
            for folder in (scratch, target):
                assert folder in disk.folders, f"rsync's folder {folder} is not there"
            sent = 0
            for name in files:
                if not (root / name).exists():
                    raise LabError(f"rsync failed: {name} is not there", where=machine)
                path, content = f"{target}/{name}", (root / name).read_bytes()
                disk.make_folder(str(PurePosixPath(path).parent))
                disk.put(path, content, (root / name).stat().st_mode & 0o7777)
                sent += len(content)
            return sent


class FakeProvider(VagrantMachines, VagrantBoxes):
    """protocols.Provider that boots FakeMachines by FakeVagrant; implements all of its parts."""

    name = "docker"
    publishes_ports = True
    keeps_ports = True
    shares_kernel = True
    hosts = None
    holds_images = True
    packed = False
    promised_size = 1_000_000_000
    time_factor = 1.0

    def __init__(self, outside: Outside) -> None:
        vagrant = LabVagrant(
            outside.vagrant, outside.state, lambda values: json.dumps(values, indent=1)
        )
        super().__init__(vagrant, time_factor=lambda: self.time_factor)
        self._outside = outside
        self.system = "system 1"
        self.broken: HashlabError | None = None
        self.subnets_in_use: list[str] = []
        self.half_built: list[str] = []
        self.volumes: set[str] = set()
        self.filled: set[str] = set()
        self.halted = False
        self.snapshots: FakeSnapshots = FakeSnapshots(outside)
        self.order: Callable[[Sequence[str]], BootPlan] = lambda machines: [[machines]]

    def tools(self, *, building: bool) -> Sequence[Tool]:
        return (*TOOLS, Tool("mmdebstrap", "mmdebstrap")) if building else TOOLS

    def check(self) -> None:
        with self._call("check"):
            if self.broken:
                raise self.broken

    def probe(self) -> Probe:
        with self._call("probe"):
            if self.broken:
                return Probe(False, Rank.DOCKER, self.broken.what, self.broken.next_step)
            return Probe(True, Rank.DOCKER, "provider docker works")

    @property
    def boxes(self) -> FakeProvider:
        return self

    @property
    def booting(self) -> FakeProvider:
        return self

    @property
    def machines(self) -> FakeProvider:
        return self

    def inputs(self) -> Mapping[str, str]:
        return {"Dockerfile": self.system}

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        with self._call("build_system", changes=True):
            self._outside.systems.add(manifest.recipe)
            if not self.holds_images:
                self._outside.stores[manifest.recipe] = {}

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        with self._call("build_store", changes=True):
            assert manifest.recipe in self._outside.systems, "no system to put images into"
            self._outside.stores[manifest.recipe] = loaded(archive.read_bytes())

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        return self.own_files(manifest)

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        return {"metadata.json": '{"provider": "docker"}', "Vagrantfile": f"# {manifest.recipe}\n"}

    def takes(self, name: str) -> bool:
        return name == STORE

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        return "names a file of the laptop" if b"/etc/passwd" in head else ""

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        with self._call("box_contents"):
            assert manifest.recipe in self._outside.systems, "no system to ask"
            return BoxContents(
                os="Debian GNU/Linux 12 (bookworm)",
                docker="20.10.24",
                kernel="",
                parts={"system": 400_000_000, "image store": 300_000_000},
                packages={"docker.io": 150_000_000},
            )

    def users(self) -> Mapping[str, Sequence[str]]:
        with self._call("box_users"):
            found: dict[str, list[str]] = {}
            for machine in self._outside.machines.values():
                name = f"{self._outside.lab.id}/{machine.name}"
                found.setdefault(machine.recipe, []).append(name)
            return found

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        with self._call("box_export"):
            store = work / STORE
            store.write_text(json.dumps(self._outside.stores[manifest.recipe]))
            return {**self.files(manifest, work), STORE: store}

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        with self._call("take_in", changes=True):
            folder = manifest.registered_at
            if folder is None or not (folder / STORE).exists():
                return False
            self._outside.systems.add(manifest.recipe)
            self._outside.stores[manifest.recipe] = json.loads((folder / STORE).read_text())
            (folder / STORE).unlink()
            return True

    def present(self, manifest: BoxManifest) -> bool:
        with self._call("box_present"):
            return manifest.recipe in self._outside.stores

    def remove(self, manifest: BoxManifest) -> list[str]:
        with self._call("remove_box", changes=True):
            self._outside.systems.discard(manifest.recipe)
            return ["store"] if self._outside.stores.pop(manifest.recipe, None) else []

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[PlannedMachine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        with self._call("prepare", *[m.name for m in machines], changes=True):
            self._outside.network = subnet
            self.volumes |= {machine.name for machine in machines}
            self.filled -= {machine.name for machine in machines}

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        names = {machine.name for machine in machines}
        with self._call("fill_disks", *sorted(names), changes=True):
            assert names <= self.volumes, "disks are filled that were never made"
            self.filled |= names

    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        return {
            "recipe": manifest.recipe,
            "public_key": public_key,
            "ssh_port": planned.ports[SSH_PORT],
        }

    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        return self.order(machines)

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        with self._call("machines"):
            existing = self._outside.machines
            return [_observed(existing[m.name]) for m in lab.machines if m.name in existing]

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        with self._call("machine", name):
            existing = self._outside.machines.get(name)
            return _observed(existing) if existing else None

    def discard_machine(self, lab: Lab, machine: str) -> None:
        with self._call("discard_machine", machine, changes=True):
            self._outside.machines.pop(machine, None)
            self.volumes.discard(machine)
            self.filled.discard(machine)

    def discard_half_built(self, lab: Lab) -> list[str]:
        with self._call("discard_half_built"):
            removed, self.half_built = self.half_built, []
            for name in removed:
                self._outside.machines.pop(name, None)
            return removed

    def adopt(self, lab: Lab, public_key: str) -> None:
        with self._call("adopt"):
            for machine in self._outside.machines.values():
                machine.authorized_key = public_key
            make_folder(self._outside.state.vagrant)

    def host_key(self, lab: Lab, machine: str) -> str:
        with self._call("host_key", machine):
            return self._outside.machines[machine].host_key

    def own_subnet(self, lab: Lab) -> str:
        with self._call("own_subnet"):
            return str(self._outside.network or "")

    def used_subnets(self, lab: Lab) -> list[str]:
        with self._call("used_subnets"):
            return list(self.subnets_in_use)

    def suspend(self, lab: Lab, machines: Sequence[str]) -> None:
        with self._call("suspend", *machines, changes=True):
            for name in machines:
                self._outside.machines[name].state = "paused"

    def resume(self, lab: Lab, machines: Sequence[str]) -> None:
        with self._call("resume", *machines, changes=True):
            for name in machines:
                self._outside.machines[name].state = "running"

    def halt(self, lab: Lab) -> None:
        with self._call("halt"):
            for machine in self._outside.machines.values():
                machine.state = "stopped"

    def discard(self, lab: Lab) -> list[str]:
        with self._call("discard", changes=True):
            left = self.leftovers_now()
            self._outside.machines.clear()
            self.volumes.clear()
            self.filled.clear()
            self._outside.network = None
            return left

    def leftovers(self, lab: Lab) -> list[str]:
        with self._call("leftovers"):
            return self.leftovers_now()

    def leftovers_now(self) -> list[str]:
        network = [f"network {self._outside.network}"] if self._outside.network else []
        machines = [f"machine {name}" for name in self._outside.machines]
        return machines + network + [f"volume {name}" for name in sorted(self.volumes)]

    def leftover_kinds(self) -> str:
        return "machines, volumes and networks"

    def _call(self, name: str, *words: object, changes: bool = False) -> Any:
        return self._outside.faults.call(f"provider.{name}", *words, changes=changes)


def _observed(machine: FakeMachine) -> ObservedMachine:
    return ObservedMachine(
        name=machine.name,
        state=machine.state,
        address=machine.address,
        endpoint=machine.endpoint if machine.state == "running" else None,
        forwarded=dict(machine.forwarded),
        recipe=machine.recipe,
    )


class FakeObserver:
    """protocols.Observer: a process that runs as told, and a store with the rows it was given."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.seen: Observation | None = None
        self.next = Observation(
            "", {"logs": StoreState(StoreAddress(9428, "hashlab", "secret"))}, {}
        )
        self.rows: LogStore | None = None

    def observation(self) -> Observation | None:
        return self.seen

    def start(self) -> Observation:
        with self.faults.call("observer.start", changes=True):
            assert self.seen is None, "a second process would end at once"
            self.seen = self.next
            return self.seen

    def stop(self) -> None:
        with self.faults.call("observer.stop"):
            self.seen = None

    def store(self, address: StoreAddress) -> LogStore:
        assert self.rows is not None, "no store was prepared"
        assert self.seen is not None and self.seen.store("logs").address == address
        return self.rows


class FakeBuilder:
    """protocols.ImageBuilder: the classic builder of a fake engine."""

    buildkit = ""

    def __init__(self, engine: FakeEngine) -> None:
        self.build = engine.build_image


@dataclass
class Outside:
    """The laptop and all machines. It outlives worlds, of which each run makes one."""

    lab: Lab
    root: Path
    faults: Faults = field(default_factory=Faults)
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    booted: list[str] = field(default_factory=list)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    systems: set[str] = field(default_factory=set)
    stores: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    network: IPv4Network | None = None
    ports_in_use: set[int] = field(default_factory=set)
    web: dict[str, bytes] = field(default_factory=dict)
    vagrant_allowed: bool = True
    behaviours: dict[object, Behaviour] = field(default_factory=dict)
    listener: Silent = field(default_factory=Silent)

    def __post_init__(self) -> None:
        tools = self.root / "bin"
        tools.mkdir(parents=True)
        for name in ("vagrant", "ssh", "rsync", "mmdebstrap"):
            (tools / name).write_text("#!/bin/false\n")
            (tools / name).chmod(0o755)
        self.environ = {"PATH": str(tools), "VAGRANT_HOME": str(self.root / "vagrant.d")}
        self.laptop = FakeEngine("laptop", faults=self.faults)
        self.laptop.registry = {"debian:trixie-slim"}
        self.runner = FakeRunner(self.faults)
        self.workers = FakeWorkers(self.faults)
        self.vagrant = FakeVagrant(self)
        self.connector = FakeConnector(self)
        self.provider = FakeProvider(self)
        self.registries = FakeRegistries(self.faults)
        self.swarm = FakeSwarm(self.faults)
        self.observer = FakeObserver(self.faults)
        self.behaviours["migrate"] = Behaviour(exits=0)
        self.runner.prepare("ssh-keygen", effect=self._keygen)
        self.runner.prepare("make", "app", stdout="made\n", effect=self._make)
        self.runner.prepare("PYTHON", "seed.py", stdout="loading\n10 loaded\n")
        self.runner.prepare("PYTHON", "verify.py", "--all", stdout="all well\n")

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.lab.state_folder, self.lab.provider)

    def world(self, lab: Lab | None = None) -> World:
        """Make a new world, as each run does."""
        return World(
            lab=lab or self.lab,
            state=self.state,
            provider=self.provider,
            connector=self.connector,
            engine_name=lambda: "unix:///fake.sock (the default)",
            laptop_engine=lambda: self.laptop,
            image_builder=FakeBuilder(self.laptop),
            runner=self.runner,
            workers=self.workers,
            digests=Digests(),
            download=self._download,
            open_registry=self.registries.open,
            serve_layout=self.registries.serve,
            open_swarm=self.swarm.open,
            build_context=self._build_context,
            interfaces=self._routes,
            routes=self._routes,
            port_is_free=lambda port: port not in self.ports_in_use,
            free_port=iter(range(40001, 50000)).__next__,
            environ=self.environ,
            python="PYTHON",
            observer=self.observer,
        )

    def boot(self, machine: Mapping[str, Any], values: Mapping[str, Any]) -> FakeMachine:
        """Create a machine as Vagrant would, or start the stopped one."""
        name = machine["name"]
        if name not in self.machines:
            assert name in self.provider.filled, f"{name} was booted from an empty disk"
            self.machines[name] = self._new_machine(machine, values)
        existing = self.machines[name]
        if existing.state == "stopped":
            existing.engine_stopped = False
        existing.state = "running"
        return existing

    def _new_machine(self, machine: Mapping[str, Any], values: Mapping[str, Any]) -> FakeMachine:
        made = FakeMachine(
            machine["name"],
            IPv4Address(machine["address"]),
            faults=self.faults,
            clusters=self.clusters,
            port=machine["settings"]["ssh_port"],
            forwarded={port["guest"]: port["host"] for port in machine["forwarded_ports"]},
            recipe=machine["settings"]["recipe"],
            authorized_key=machine["settings"]["public_key"],
        )
        # A machine makes its host key at its first boot, so its successor has another one.
        earlier = sum(name == made.name for name in self.booted)
        made.host_key += f"-{earlier + 1}" if earlier else ""
        self.booted.append(made.name)
        made.engine.images.update(self.stores[made.recipe])
        made.engine.behaviours = self.behaviours
        return made

    def _build_context(self, build: Build) -> BuildContext:
        with self.faults.call("build_context", build.context.name):
            boundary, digests = self.lab.boundary, Digests()
            return read_context(
                build.context,
                build.dockerfile,
                boundary=boundary,
                digests=digests,
                inline=build.dockerfile_inline,
            )

    def _download(self, url: str, target: Path, *, limit: int, track: Track) -> None:
        """protocols.Download of the files that a test put on the web, and of nothing else."""
        with self.faults.call("download", url, changes=True):
            assert url in self.web, f"nothing was put on the web at {url}"
            if len(self.web[url]) > limit:
                raise LabError(f"there are more than {limit} bytes", where=url)
            target.write_bytes(self.web[url])

    def _routes(self) -> list[IPv4Network]:
        """Return the routes: as on Linux, a bridge of the laptop's engine is an interface and a
        route.
        """
        return [IPv4Network("172.17.0.0/16"), *([self.network] if self.network else [])]

    def _keygen(self, words: Sequence[str]) -> None:
        key = Path(words[-1])
        assert key.parent.is_dir(), "ssh-keygen makes no folders"
        count = sum(ran.command[0] == "ssh-keygen" for ran in self.runner.ran)
        key.write_text(f"PRIVATE {count}\n")
        key.with_suffix(".pub").write_text(f"ssh-ed25519 KEY{count} hashlab\n")

    def _make(self, words: Sequence[str]) -> None:
        """Do what the lab's build command does: copy the sources into the output."""
        out = self.lab.folder / "out/app"
        out.mkdir(parents=True, exist_ok=True)
        source = (self.lab.folder / "src/main.txt").read_text()
        (out / "main.bin").write_text(f"compiled {source}")


@contextmanager
def track_of(listener: Silent | None = None, cancel: CancelToken | None = None) -> Iterator[Track]:
    """A track for calling one phase by itself."""
    with Recorder(listener or Silent(), cancel or CancelToken()).step("test") as track:
        yield track


def make_world(tmp_path: Path, lab: Lab | None = None) -> World:
    """Make a fresh world on fakes."""
    return Outside(lab or small_lab(tmp_path / "lab"), tmp_path / "laptop").world()


def _conforms(outside: Outside, shell: FakeShell) -> None:
    """Never called: lets mypy check the fakes against the Protocols."""
    engine: Engine = outside.laptop
    provider: Provider = outside.provider
    vagrant: Vagrant = outside.vagrant
    connector: Connector = outside.connector
    runner: Runner = outside.runner
    workers: Workers = outside.workers
    observer: Observer = outside.observer
    shells: Shell = shell
    _ = (engine, provider, vagrant, connector, runner, workers, observer, shells)
