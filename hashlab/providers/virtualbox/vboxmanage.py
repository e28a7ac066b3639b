"""VirtualBox through its own command: what it is asked, and what its answers say."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed, Runner

CALL_SECONDS = 60.0
# A machine's memory is written or read, or a disk is merged into another.
SNAPSHOT_SECONDS = 900.0
# After its power was cut, a machine is held for a moment by the process that ran it.
UNLOCKING = "being unlocked"
UNLOCK_SECONDS = 30.0
UNLOCK_POLL_SECONDS = 0.1
NO_SNAPSHOTS = "does not have any snapshots"
ABSENT = "VBOX_E_OBJECT_NOT_FOUND"
GLOBAL = "global"
NETMASK = "255.255.255.0"
FIRST_WITH_NETWORKS = 7


@dataclass(frozen=True)
class Forward:
    """A port of the laptop (``host``) that leads to one of a machine (``guest``)."""

    name: str
    host_ip: str
    host: int
    guest: int


@dataclass(frozen=True)
class HostNetwork:
    """A network between the laptop and machines; ``subnet`` None: it has no address."""

    name: str
    subnet: IPv4Network | None


@dataclass(frozen=True)
class Kept:
    """A snapshot of one machine. ``children``: the names of those that stand on it; ``current``:
    the machine as it is now does.
    """

    id: str
    name: str
    description: str
    children: tuple[str, ...]
    current: bool


class VBoxManage:
    """The commands that hashlab needs. Everything raises LabError when VirtualBox refuses.

    From version 7 on, VirtualBox on macOS has host-only *networks* in place of host-only
    *interfaces*; Vagrant looks for the one or the other in the same way.
    """

    def __init__(self, runner: Runner, *, macos: bool) -> None:
        self._runner = runner
        self._macos = macos

    def run(self, *words: str, timeout: float = CALL_SECONDS) -> Completed:
        """Run one command, whatever comes of it."""
        return self._runner.run(["VBoxManage", *words], timeout=timeout, cancel=CancelToken())

    def call(self, *words: str, timeout: float = CALL_SECONDS) -> str:
        """Run one command; return what it printed."""
        done = self._run_unlocked(*words, timeout=timeout)
        if done.code != 0:
            raise _refusal(words, done)
        return done.stdout

    def _run_unlocked(self, *words: str, timeout: float) -> Completed:
        """Run one command, again while the machine is held by the process that last ran it."""
        deadline = time.monotonic() + UNLOCK_SECONDS
        while True:
            done = self.run(*words, timeout=timeout)
            if done.code == 0 or UNLOCKING not in done.stderr or time.monotonic() > deadline:
                return done
            CancelToken().wait(UNLOCK_POLL_SECONDS)

    def ask(self, *words: str) -> str | None:
        """Run one command about one machine; None when there is no such machine."""
        done = self._run_unlocked(*words, timeout=CALL_SECONDS)
        if done.code == 0:
            return done.stdout
        if ABSENT in done.stderr:
            return None
        raise _refusal(words, done)

    @cached_property
    def _networks(self) -> bool:
        return self._macos and version_of(self.call("--version")) >= FIRST_WITH_NETWORKS

    def machines(self) -> dict[str, str]:
        """The ids of all machines of this user, by name."""
        return read_machines(self.call("list", "vms"))

    def info(self, machine: str) -> Mapping[str, str] | None:
        """Everything VirtualBox says of a machine; None when there is none."""
        text = self.ask("showvminfo", machine, "--machinereadable")
        return None if text is None else read_info(text)

    def notes(self, machine: str) -> dict[str, str]:
        """What was written down about a machine, or about VirtualBox as a whole (``GLOBAL``)."""
        return read_notes(self.ask("getextradata", machine, "enumerate") or "")

    def note(self, machine: str, key: str, value: str) -> None:
        """Write something down; "" forgets it."""
        self.call("setextradata", machine, key, *([value] if value else []))

    def power_off(self, machine: str) -> None:
        """Cut a machine's power; fine if it is off."""
        done = self.run("controlvm", machine, "poweroff")
        info = self.info(machine) if done.code != 0 else None
        if info is not None and state_of(info) != "stopped":
            raise _refusal(("controlvm", machine), done)

    def remove_machine(self, machine: str) -> None:
        """Remove a machine with its disks; fine if it is gone."""
        self.power_off(machine)
        self.ask("unregistervm", machine, "--delete")

    def start(self, machine: str) -> None:
        """Start a machine without a window, out of its saved state where it has one."""
        self.call("startvm", machine, "--type", "headless", timeout=SNAPSHOT_SECONDS)

    def snapshots(self, machine: str) -> list[Kept]:
        """Every snapshot of a machine, whoever took it; a parent comes before its children."""
        words = ("snapshot", machine, "list", "--machinereadable")
        done = self.run(*words)
        if done.code == 0:
            return read_snapshots(done.stdout)
        if NO_SNAPSHOTS in done.stdout + done.stderr:
            return []
        raise _refusal(words, done)

    def take_snapshot(self, machine: str, name: str, description: str) -> None:
        """Keep a machine's disk and memory; one that is paused stays so."""
        words = ("snapshot", machine, "take", name, "--description", description)
        self.call(*words, timeout=SNAPSHOT_SECONDS)

    def restore_snapshot(self, machine: str, known: str) -> None:
        """Bring a machine that is off back to a snapshot, by its id; it is not started."""
        self.call("snapshot", machine, "restore", known, timeout=SNAPSHOT_SECONDS)

    def delete_snapshot(self, machine: str, known: str) -> None:
        """Remove a snapshot, by its id; the machine may run."""
        self.call("snapshot", machine, "delete", known, timeout=SNAPSHOT_SECONDS)

    def host_networks(self) -> list[HostNetwork]:
        """Every network between the laptop and machines."""
        kind = "hostonlynets" if self._networks else "hostonlyifs"
        return read_host_networks(self.call("list", kind))

    def add_host_network(self, name: str, subnet: IPv4Network) -> str:
        """Make such a network; return the name that VirtualBox knows it by."""
        if self._networks:
            # As Vagrant writes it: the laptop then takes the first address.
            first = str(subnet.network_address)
            bounds = ("--lower-ip", first, "--upper-ip", first)
            self.call("hostonlynet", "add", "--name", name, "--netmask", NETMASK, *bounds)
            return name
        said = self.call("hostonlyif", "create")
        found = re.search(r"^Interface '(.+?)' was successfully created", said, re.MULTILINE)
        if not found:
            raise LabError("VirtualBox does not name the interface that it made", output=said)
        address = str(subnet[1])
        self.call("hostonlyif", "ipconfig", found[1], "--ip", address, "--netmask", NETMASK)
        return found[1]

    def remove_host_network(self, name: str) -> None:
        """Remove such a network."""
        if self._networks:
            self.call("hostonlynet", "remove", "--name", name)
        else:
            self.call("hostonlyif", "remove", name)


def _refusal(words: Sequence[str], done: Completed) -> LabError:
    return LabError(
        f"VBoxManage {words[0]} failed with exit code {done.code}",
        where=" ".join(words[1:2]),
        output=done.stderr.strip() or done.stdout.strip(),
        next_step="hashlab doctor tells whether VirtualBox works",
    )


def version_of(text: str) -> int:
    """``--version``: warnings, then a line such as 7.0.20r163906; the first number of it."""
    found = re.search(r"^(\d+)\.\d+", text, re.MULTILINE)
    if not found:
        raise LabError("VBoxManage does not tell its version", output=text)
    return int(found[1])


def read_machines(text: str) -> dict[str, str]:
    """``list vms``: lines of "NAME" {ID}."""
    return dict(re.findall(r'^"(.+)" \{([0-9a-f-]+)\}$', text, re.MULTILINE))


def read_info(text: str) -> dict[str, str]:
    """``showvminfo --machinereadable``: lines of KEY="VALUE", KEY=VALUE or "KEY"="VALUE"."""
    lines = re.findall(r'^"?([^"=\n]+)"?=(.*)$', text, re.MULTILINE)
    return {key: value.strip('"') for key, value in lines}


def read_notes(text: str) -> dict[str, str]:
    """``getextradata … enumerate``: lines of Key: KEY, Value: VALUE."""
    return dict(re.findall(r"^Key: (.+?), Value: (.*)$", text, re.MULTILINE))


def read_snapshots(text: str) -> list[Kept]:
    """``snapshot … list --machinereadable``: SnapshotName="first", its children SnapshotName-1,
    SnapshotName-2, theirs SnapshotName-1-1; SnapshotUUID and SnapshotDescription likewise.
    """
    info = read_info(text)
    nodes = [key.removeprefix("SnapshotName") for key in info if key.startswith("SnapshotName")]
    return [
        Kept(
            id=info[f"SnapshotUUID{node}"],
            name=info[f"SnapshotName{node}"],
            description=info.get(f"SnapshotDescription{node}", ""),
            children=tuple(
                info[f"SnapshotName{child}"]
                for child in nodes
                if child and child.rpartition("-")[0] == node
            ),
            current=info[f"SnapshotUUID{node}"] == info.get("CurrentSnapshotUUID"),
        )
        for node in nodes
    ]


def forwards_of(info: Mapping[str, str]) -> list[Forward]:
    """The forwarded ports of a machine: Forwarding(0)="ssh,tcp,127.0.0.1,2222,,22"."""
    found = []
    for key, value in info.items():
        parts = value.split(",")
        if key.startswith("Forwarding(") and len(parts) == 6:
            name, _, host_ip, host, _, guest = parts
            found.append(Forward(name, host_ip, int(host), int(guest)))
    return found


def state_of(info: Mapping[str, str]) -> str:
    """Whether a machine is "running", "paused", or "stopped": all states in which nothing runs."""
    state = info.get("VMState", "")
    if state in ("running", "starting", "restoring", "stopping", "saving", "livesnapshotting"):
        return "running"
    return "paused" if state == "paused" else "stopped"


def read_host_networks(text: str) -> list[HostNetwork]:
    """``list hostonlyifs`` or ``list hostonlynets``: blocks of KEY: VALUE; Name is the first."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Name":
            found.append({})
        if found and value:
            found[-1].setdefault(key.strip(), value.strip())
    return [HostNetwork(block["Name"], _subnet(block)) for block in found]


def _subnet(block: Mapping[str, str]) -> IPv4Network | None:
    address = block.get("IPAddress") or block.get("LowerIP")
    mask = block.get("NetworkMask", "")
    if not address or mask in ("", "0.0.0.0") or int(IPv4Address(address)) == 0:  # noqa: S104
        return None
    return IPv4Network(f"{address}/{mask}", strict=False)
