"""VirtualBox through its own command VBoxManage: the commands that hashlab needs, and parsers of
their output.
"""

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
# For saving or restoring a machine's memory, or merging a disk into another.
SNAPSHOT_SECONDS = 900.0
# After power-off, a machine stays locked for a moment by the process that ran it.
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
    """A port of the laptop (``host``) that is forwarded to a port of a machine (``guest``)."""

    name: str
    host_ip: str
    host: int
    guest: int


@dataclass(frozen=True)
class HostNetwork:
    """A network between the laptop and machines. ``subnet`` None: it has no address."""

    name: str
    subnet: IPv4Network | None


@dataclass(frozen=True)
class Kept:
    """A snapshot of one machine.

    ``children``: the names of the snapshots based on it; ``current``: the machine's present state
    is based on it.
    """

    id: str
    name: str
    description: str
    children: tuple[str, ...]
    current: bool


class VBoxManage:
    """The commands that hashlab needs. All methods raise LabError if VirtualBox refuses.

    From version 7 on, VirtualBox on macOS has host-only *networks* instead of host-only
    *interfaces*. Vagrant chooses in the same way.
    """

    def __init__(self, runner: Runner, *, macos: bool) -> None:
        self._runner = runner
        self._macos = macos

    def run(self, *arguments: str, timeout: float = CALL_SECONDS) -> Completed:
        """Run one command; return its result even if it fails."""
        return self._runner.run(["VBoxManage", *arguments], timeout=timeout, cancel=CancelToken())

    def call(self, *arguments: str, timeout: float = CALL_SECONDS) -> str:
        """Run one command; return its output."""
        done = self._run_unlocked(*arguments, timeout=timeout)
        if done.code != 0:
            raise _refusal(arguments, done)
        return done.stdout

    def _run_unlocked(self, *arguments: str, timeout: float) -> Completed:
        """Run one command; repeat it while the machine is locked by the process that last ran
        it.
        """
        deadline = time.monotonic() + UNLOCK_SECONDS
        while True:
            done = self.run(*arguments, timeout=timeout)
            if done.code == 0 or UNLOCKING not in done.stderr or time.monotonic() > deadline:
                return done
            CancelToken().wait(UNLOCK_POLL_SECONDS)

    def ask(self, *arguments: str) -> str | None:
        """Run one command about one machine; return None if the machine does not exist."""
        done = self._run_unlocked(*arguments, timeout=CALL_SECONDS)
        if done.code == 0:
            return done.stdout
        if ABSENT in done.stderr:
            return None
        raise _refusal(arguments, done)

    @cached_property
    def _networks(self) -> bool:
        return self._macos and version_of(self.call("--version")) >= FIRST_WITH_NETWORKS

    def machines(self) -> dict[str, str]:
        """Return the ids of all machines of this user, by name."""
        return read_machines(self.call("list", "vms"))

    def info(self, machine: str) -> Mapping[str, str] | None:
        """Return VirtualBox's description of a machine; None if it does not exist."""
        text = self.ask("showvminfo", machine, "--machinereadable")
        return None if text is None else read_info(text)

    def notes(self, machine: str) -> dict[str, str]:
        """Return the notes stored at a machine, or at VirtualBox as a whole (``GLOBAL``)."""
        return read_notes(self.ask("getextradata", machine, "enumerate") or "")

    def note(self, machine: str, key: str, value: str) -> None:
        """Store a note; "" removes it."""
        self.call("setextradata", machine, key, *([value] if value else []))

    def power_off(self, machine: str) -> None:
        """Power a machine off. A stopped machine is not an error."""
        done = self.run("controlvm", machine, "poweroff")
        info = self.info(machine) if done.code != 0 else None
        if info is not None and state_of(info) != "stopped":
            raise _refusal(("controlvm", machine), done)

    def remove_machine(self, machine: str) -> None:
        """Remove a machine with its disks. A missing machine is not an error."""
        self.power_off(machine)
        self.ask("unregistervm", machine, "--delete")

    def start(self, machine: str) -> None:
        """Start a machine without a window, from its saved state if it has one."""
        self.call("startvm", machine, "--type", "headless", timeout=SNAPSHOT_SECONDS)

    def snapshots(self, machine: str) -> list[Kept]:
        """Return all snapshots of a machine, hashlab's and others; parents precede their
        children.
        """
        arguments = ("snapshot", machine, "list", "--machinereadable")
        done = self.run(*arguments)
        if done.code == 0:
            return read_snapshots(done.stdout)
        if NO_SNAPSHOTS in done.stdout + done.stderr:
            return []
        raise _refusal(arguments, done)

    def take_snapshot(self, machine: str, name: str, description: str) -> None:
        """Save a machine's disk and memory. A paused machine stays paused."""
        arguments = ("snapshot", machine, "take", name, "--description", description)
        self.call(*arguments, timeout=SNAPSHOT_SECONDS)

    def restore_snapshot(self, machine: str, known: str) -> None:
        """Revert a stopped machine to a snapshot, given by its id. The machine is not started."""
        self.call("snapshot", machine, "restore", known, timeout=SNAPSHOT_SECONDS)

    def delete_snapshot(self, machine: str, known: str) -> None:
        """Remove a snapshot, given by its id. The machine may be running."""
        self.call("snapshot", machine, "delete", known, timeout=SNAPSHOT_SECONDS)

    def host_networks(self) -> list[HostNetwork]:
        """Return all networks between the laptop and machines."""
        kind = "hostonlynets" if self._networks else "hostonlyifs"
        return read_host_networks(self.call("list", kind))

    def add_host_network(self, name: str, subnet: IPv4Network) -> str:
        """Create such a network; return VirtualBox's name of it."""
        if self._networks:
            # The same form as Vagrant's: the laptop then takes the first address.
            first = str(subnet.network_address)
            bounds = ("--lower-ip", first, "--upper-ip", first)
            self.call("hostonlynet", "add", "--name", name, "--netmask", NETMASK, *bounds)
            return name
        output = self.call("hostonlyif", "create")
        match = re.search(r"^Interface '(.+?)' was successfully created", output, re.MULTILINE)
        if not match:
            raise LabError("VirtualBox did not print the name of the new interface", output=output)
        address = str(subnet[1])
        self.call("hostonlyif", "ipconfig", match[1], "--ip", address, "--netmask", NETMASK)
        return match[1]

    def remove_host_network(self, name: str) -> None:
        """Remove such a network."""
        if self._networks:
            self.call("hostonlynet", "remove", "--name", name)
        else:
            self.call("hostonlyif", "remove", name)


def _refusal(arguments: Sequence[str], done: Completed) -> LabError:
    return LabError(
        f"VBoxManage {arguments[0]} failed with exit code {done.code}",
        where=" ".join(arguments[1:2]),
        output=done.stderr.strip() or done.stdout.strip(),
        next_step="hashlab doctor shows whether VirtualBox works",
    )


def version_of(text: str) -> int:
    """Parse ``--version``: warnings, then a line such as 7.0.20r163906. Return its first number."""
    match = re.search(r"^(\d+)\.\d+", text, re.MULTILINE)
    if not match:
        raise LabError("VBoxManage does not print its version", output=text)
    return int(match[1])


def read_machines(text: str) -> dict[str, str]:
    """Parse ``list vms``: lines of "NAME" {ID}."""
    return dict(re.findall(r'^"(.+)" \{([0-9a-f-]+)\}$', text, re.MULTILINE))


def read_info(text: str) -> dict[str, str]:
    """Parse ``showvminfo --machinereadable``: lines of KEY="VALUE", KEY=VALUE or "KEY"="VALUE"."""
    lines = re.findall(r'^"?([^"=\n]+)"?=(.*)$', text, re.MULTILINE)
    return {key: value.strip('"') for key, value in lines}


def read_notes(text: str) -> dict[str, str]:
    """Parse ``getextradata … enumerate``: lines of Key: KEY, Value: VALUE."""
    return dict(re.findall(r"^Key: (.+?), Value: (.*)$", text, re.MULTILINE))


def read_snapshots(text: str) -> list[Kept]:
    """Parse ``snapshot … list --machinereadable``.

    It prints SnapshotName="first", its children SnapshotName-1, SnapshotName-2, theirs
    SnapshotName-1-1; SnapshotUUID and SnapshotDescription likewise.
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
    """Return the forwarded ports of a machine, from Forwarding(0)="ssh,tcp,127.0.0.1,2222,,22"."""
    forwards = []
    for key, value in info.items():
        parts = value.split(",")
        if key.startswith("Forwarding(") and len(parts) == 6:
            name, _, host_ip, host, _, guest = parts
            forwards.append(Forward(name, host_ip, int(host), int(guest)))
    return forwards


def state_of(info: Mapping[str, str]) -> str:
    """Return whether a machine is "running", "paused", or "stopped", which includes all other
    states.
    """
    state = info.get("VMState", "")
    if state in ("running", "starting", "restoring", "stopping", "saving", "livesnapshotting"):
        return "running"
    return "paused" if state == "paused" else "stopped"


def read_host_networks(text: str) -> list[HostNetwork]:
    """Parse ``list hostonlyifs`` or ``list hostonlynets``: blocks of KEY: VALUE that begin with
    Name.
    """
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Name":
            blocks.append({})
        if blocks and value:
            blocks[-1].setdefault(key.strip(), value.strip())
    return [HostNetwork(block["Name"], _subnet(block)) for block in blocks]


def _subnet(block: Mapping[str, str]) -> IPv4Network | None:
    address = block.get("IPAddress") or block.get("LowerIP")
    mask = block.get("NetworkMask", "")
    if not address or mask in ("", "0.0.0.0") or int(IPv4Address(address)) == 0:  # noqa: S104
        return None
    return IPv4Network(f"{address}/{mask}", strict=False)
