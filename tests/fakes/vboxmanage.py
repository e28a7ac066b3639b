"""VBoxManage with a VirtualBox in memory: machines, notes, host-only interfaces.

As a program it replaces VBoxManage: the state is in a file, which several processes may use at
once, and every command is written to a log. Imports are few, so that it starts fast.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import uuid
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

VERSION = "7.0.20r163906"
NO_SUCH = (
    "VBoxManage: error: Could not find a registered machine named '{name}'\n"
    "VBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), "
    "component VirtualBoxWrap, interface IVirtualBox, callee nsISupports\n"
)
# VirtualBox counts the terminating zero of a value.
MAX_VALUE = 1024
# A revert restores the disk's data, and the hardware with its forwarded ports, but not the notes at
# a machine.
INSTANT = ("data", "forwards", "modify")


class Refused(Exception):
    """VBoxManage ends with an error."""


class FakeVirtualBox:
    """Answers the commands that hashlab and Vagrant use; refuses all others."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """``state``: an earlier value of ``self.state``, plain values as in JSON."""
        self.state: dict[str, Any] = state or {"vms": {}, "interfaces": {}, "notes": {}}
        self.boots = True
        self.version = VERSION
        self.warning = ""
        # Number of times that a powered-off machine refuses to be changed.
        self.held = 0

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Execute one command; return its exit code and its output on both streams."""
        try:
            return 0, self._dispatch(list(words)), ""
        except Refused as refused:
            return 1, "", str(refused)

    def vm(self, name: str) -> dict[str, Any]:
        """Return a machine by name or id."""
        for known, vm in self.state["vms"].items():
            if name in (known, vm["id"]):
                return {**vm, "name": known}
        raise Refused(NO_SUCH.format(name=name))

    def add_vm(self, name: str, **settings: Any) -> dict[str, Any]:
        """Create a machine as an import does."""
        self.state["vms"][name] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}{len(self.state['vms'])}")),
            "state": "poweroff",
            "modify": {"nic1": "nat"},
            "forwards": {},
            "notes": {},
            "properties": {},
            "snapshots": [],
            **settings,
        }
        return self.vm(name)

    def _dispatch(self, words: list[str]) -> str:
        if words == ["--version"]:
            return f"{self.warning}{self.version}\n"
        verb, arguments = words[0], words[1:]
        method = getattr(self, f"_{verb}", None)
        if method is None:
            raise AssertionError(f"the fake VirtualBox does not know {words}")
        output: str = method(*arguments)
        return output

    def _list(self, what: str) -> str:
        if what == "vms":
            vms = self.state["vms"].items()
            return "".join(f'"{name}" {{{vm["id"]}}}\n' for name, vm in vms)
        if what == "hostonlyifs":
            return "\n".join(self._interface(name) for name in self.state["interfaces"])
        if what in ("bridgedifs", "dhcpservers"):
            return ""
        if what == "systemproperties":
            return "Default machine folder:          /nowhere/VirtualBox VMs\n"
        raise AssertionError(f"the fake VirtualBox does not list {what}")

    def _interface(self, name: str) -> str:
        address = self.state["interfaces"][name]
        return (
            f"Name:            {name}\n"
            "GUID:            786f6276-656e-4074-8000-0a0027000000\n"
            "DHCP:            Disabled\n"
            f"IPAddress:       {address}\n"
            "NetworkMask:     255.255.255.0\n"
            "IPV6Address:     \n"
            "IPV6NetworkMaskPrefixLength: 0\n"
            "HardwareAddress: 0a:00:27:00:00:00\n"
            "MediumType:      Ethernet\n"
            "Wireless:        No\n"
            f"Status:          {'Up' if address else 'Down'}\n"
            f"VBoxNetworkName: HostInterfaceNetworking-{name}\n"
        )

    def _hostonlyif(self, action: str, *words: str) -> str:
        interfaces = self.state["interfaces"]
        if action == "create":
            name = next(f"vboxnet{n}" for n in range(99) if f"vboxnet{n}" not in interfaces)
            interfaces[name] = "192.168.56.1"
            return f"0%...100%\nInterface '{name}' was successfully created\n"
        assert words[0] in interfaces, f"there is no interface {words[0]}"
        if action == "ipconfig":
            assert words[3:] == ("--netmask", "255.255.255.0"), words
            interfaces[words[0]] = words[2]
            return ""
        assert action == "remove", action
        del interfaces[words[0]]
        return ""

    def _showvminfo(self, name: str, form: str = "") -> str:
        if not form:
            return f"Name: {self.vm(name)['name']}\n"
        assert form == "--machinereadable"
        vm = self.vm(name)
        forwards = enumerate(vm["forwards"].items())
        return "".join(
            [
                f'name="{vm["name"]}"\nUUID="{vm["id"]}"\nCfgFile="/nowhere/a=b.vbox"\nmemory=1024\n',
                '"SATA Controller-0-0"="/nowhere/disk.vmdk"\n',
                f'VMState="{vm["state"]}"\n',
                'VMStateChangeTime="2026-01-01T12:00:00.000000000"\n',
                f'SnapFldr="{vm.get("snapshot_folder", "/nowhere/Snapshots")}"\n',
                *(f'{key}="{value}"\n' for key, value in vm["modify"].items()),
                *(f'Forwarding({n})="{name},{rest}"\n' for n, (name, rest) in forwards),
            ]
        )

    def _getextradata(self, name: str, what: str) -> str:
        assert what == "enumerate"
        notes = self.state["notes"] if name == "global" else self.vm(name)["notes"]
        return "".join(f"Key: {key}, Value: {value}\n" for key, value in notes.items())

    def _setextradata(self, name: str, key: str, value: str = "") -> str:
        notes = self.state["notes"] if name == "global" else self._stored(name)["notes"]
        notes.pop(key, None)
        if value:
            notes[key] = value
        return ""

    def _guestproperty(self, action: str, name: str, key: str, value: str = "") -> str:
        if action == "get":
            return f"Value: {self.vm(name)['properties'].get(key, '')}\n"
        assert action == "set"
        if len(value.encode()) + 1 > MAX_VALUE:
            raise Refused("VBoxManage: error: VERR_TOO_MUCH_DATA\n")
        self._stored(name)["properties"][key] = value
        return ""

    def _modifyvm(self, name: str, *words: str) -> str:
        vm = self._stored(name)
        pairs = list(zip(words[0::2], words[1::2], strict=False))
        for option, value in pairs:
            if option == "--name":
                self._rename(name, value)
            elif option.startswith("--natpf") and value != "delete":
                rule, _, rest = value.partition(",")
                vm["forwards"][rule] = rest
            else:
                vm["modify"][option.removeprefix("--")] = value
        if "delete" in words:
            vm["forwards"].clear()
        return ""

    def _rename(self, old: str, new: str) -> None:
        assert new not in self.state["vms"], f"two machines called {new}"
        known = self.vm(old)["name"]
        self.state["vms"][new] = self.state["vms"].pop(known)

    def _import(self, *words: str) -> str:
        if words[0] == "-n":
            return '  2: Suggested VM name "base"\n'
        self.add_vm(words[words.index("--vmname") + 1])
        return "Successfully imported the appliance.\n"

    def _snapshot(self, name: str, action: str, *words: str) -> str:
        vm = self._stored(name)
        if action == "take":
            return self._keep(vm, *words)
        if action == "list":
            assert words in ((), ("--machinereadable",)), words
            if not vm["snapshots"]:
                raise Refused("This machine does not have any snapshots\n")
            return self._tree(vm, parent="", number="")
        found = [each for each in vm["snapshots"] if words[0] in (each["id"], each["name"])]
        if not found:
            raise Refused(f"VBoxManage: error: Could not find a snapshot named '{words[0]}'\n")
        assert len(words) == 1, words
        [kept] = found
        if action == "restore":
            return self._go_back(vm, kept)
        assert action == "delete", action
        return self._merge(vm, kept)

    def _keep(self, vm: dict[str, Any], name: str, *words: str) -> str:
        assert words[0::2] in ((), ("--description",)), words
        assert vm["state"] in ("running", "paused", "poweroff", "saved"), vm["state"]
        made = {
            "id": str(uuid.uuid4()),
            "name": name,
            "description": words[1] if words else "",
            "parent": vm.get("current", ""),
            "online": vm["state"] in ("running", "paused"),
            "instant": {key: deepcopy(vm.get(key)) for key in INSTANT},
        }
        vm["snapshots"].append(made)
        vm["current"] = made["id"]
        if made["online"] and "snapshot_folder" in vm:
            (Path(vm["snapshot_folder"]) / f"{made['id']}.sav").write_bytes(b"memory")
        return f"0%...100%\nSnapshot taken. UUID: {made['id']}\n"

    def _tree(self, vm: dict[str, Any], *, parent: str, number: str) -> str:
        """Print snapshots as VBoxManage numbers them: the first has no number, its children are -1,
        -2, theirs -1-1. The current one is marked.
        """
        text = ""
        children = [each for each in vm["snapshots"] if each["parent"] == parent]
        for place, one in enumerate(children, 1):
            node = f"{number}-{place}" if parent else ""
            text += f'SnapshotName{node}="{one["name"]}"\nSnapshotUUID{node}="{one["id"]}"\n'
            if one["description"]:
                text += f'SnapshotDescription{node}="{one["description"]}"\n'
            if one["id"] == vm.get("current"):
                text += f'CurrentSnapshotName="{one["name"]}"\n'
                text += f'CurrentSnapshotUUID="{one["id"]}"\n'
                text += f'CurrentSnapshotNode="SnapshotName{node}"\n'
            text += self._tree(vm, parent=one["id"], number=node)
        return text

    def _go_back(self, vm: dict[str, Any], kept: dict[str, Any]) -> str:
        self._lock(vm)
        if vm["state"] in ("running", "paused"):
            raise Refused("VBoxManage: error: Cannot restore: the machine is not powered off\n")
        vm.update(deepcopy(kept["instant"]))
        vm["state"] = "saved" if kept["online"] else "poweroff"
        vm["current"] = kept["id"]
        return "0%...100%\n"

    def _merge(self, vm: dict[str, Any], kept: dict[str, Any]) -> str:
        """Merge a removed snapshot's disk into the disk based on it. VirtualBox supports only
        one.
        """
        children = [each for each in vm["snapshots"] if each["parent"] == kept["id"]]
        current = vm.get("current") == kept["id"]
        if len(children) + current > 1:
            raise Refused("VBoxManage: error: Hard disk has more than one child hard disk (2)\n")
        for child in children:
            child["parent"] = kept["parent"]
        if current:
            vm["current"] = kept["parent"]
        vm["snapshots"].remove(kept)
        return "0%...100%\n"

    def _clonevm(self, source: str, *words: str) -> str:
        master = self.vm(source)
        options = dict(zip(words[1::2], words[2::2], strict=False))
        assert words[0] == "--register" and options["--options"] == "link", words
        names = [each["name"] for each in master["snapshots"]]
        assert options["--snapshot"] in names, "no such snapshot to clone from"
        self.add_vm(options["--name"], linked_to=master["id"])
        return ""

    def _startvm(self, name: str, *words: str) -> str:
        assert words == ("--type", "headless"), words
        if not self.boots:
            raise Refused(
                f"VBoxManage: error: {self.vm(name)['name']}: this VirtualBox boots nothing"
            )
        vm = self._stored(name)
        if vm["state"] in ("running", "paused"):
            raise Refused(f"VBoxManage: error: The machine '{name}' is already locked\n")
        vm["state"] = "running"
        return ""

    def _controlvm(self, name: str, action: str, *words: str) -> str:
        vm = self._stored(name)
        if action == "natpf1":
            return self._forward(vm, *words)
        assert not words, words
        if action in ("pause", "resume"):
            wanted = "running" if action == "pause" else "paused"
            if vm["state"] != wanted:
                raise Refused(f"VBoxManage: error: Invalid machine state: {vm['state']}\n")
            vm["state"] = "paused" if action == "pause" else "running"
            return ""
        assert action == "poweroff", action
        if vm["state"] not in ("running", "paused"):
            raise Refused(f"VBoxManage: error: Machine '{name}' is not currently running.\n")
        vm["state"] = "poweroff"
        vm["held"] = self.held
        return ""

    def _lock(self, vm: dict[str, Any]) -> None:
        if vm.get("held"):
            vm["held"] -= 1
            raise Refused(
                "VBoxManage: error: The machine is already locked for a session "
                "(or being unlocked)\nVBoxManage: error: Details: code "
                "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap\n"
            )

    def _forward(self, vm: dict[str, Any], *words: str) -> str:
        """Change the port forwarding of a running machine."""
        assert vm["state"] == "running", vm["state"]
        if words[0] == "delete":
            del vm["forwards"][words[1]]
            return ""
        [rule] = words
        name, _, rest = rule.partition(",")
        if name in vm["forwards"]:
            raise Refused("VBoxManage: error: A NAT rule of this name already exists\n")
        vm["forwards"][name] = rest
        return ""

    def _unregistervm(self, name: str, *words: str) -> str:
        assert words == ("--delete",)
        vm = self.vm(name)
        self._lock(self._stored(name))
        if vm["state"] in ("running", "paused"):
            raise Refused("VBoxManage: error: Cannot unregister the machine while it is locked\n")
        clones = [each for each in self.state["vms"].values() if each.get("linked_to") == vm["id"]]
        if clones:
            raise Refused("VBoxManage: error: Cannot delete: it has linked clones\n")
        del self.state["vms"][vm["name"]]
        return ""

    def _sharedfolder(self, *words: str) -> str:
        raise AssertionError(f"a shared folder: {words}")

    def _stored(self, name: str) -> dict[str, Any]:
        known: dict[str, Any] = self.state["vms"][self.vm(name)["name"]]
        return known


def main() -> int:
    """Execute one command on the state in the folder $FAKE_VIRTUALBOX. No machine boots."""
    folder = Path(os.environ["FAKE_VIRTUALBOX"])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = folder / "state.json"
        virtualbox = FakeVirtualBox(json.loads(state.read_text()) if state.exists() else None)
        virtualbox.boots = False
        code, stdout, stderr = virtualbox.run(sys.argv[1:])
        state.write_text(json.dumps(virtualbox.state))
        with (folder / "log").open("a") as log:
            log.write(json.dumps({"parent": os.getppid(), "words": sys.argv[1:]}) + "\n")
    sys.stdout.write(stdout)
    sys.stderr.write(stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
