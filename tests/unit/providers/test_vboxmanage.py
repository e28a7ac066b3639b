"""The output of VBoxManage is parsed: samples of versions 6.1 and 7.0, as on Linux and macOS."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from fakes.vboxmanage import FakeVirtualBox
from fakes.virtualbox import VirtualBoxRunner

from hashlab.errors import LabError
from hashlab.providers.virtualbox.vboxmanage import (
    Forward,
    HostNetwork,
    VBoxManage,
    forwards_of,
    read_host_networks,
    read_info,
    read_machines,
    read_notes,
    state_of,
    version_of,
)

INFO = """\
name="shop-1a2b3c-web"
Encryption:     disabled
groups="/"
ostype="Linux 2.6 / 3.x / 4.x / 5.x (64-bit)"
UUID="8e6277b9-72b9-4e35-ba9c-46cf2b24fe87"
CfgFile="/home/a b/VirtualBox VMs/x=y/x.vbox"
memory=1024
cpus=2
VMState="running"
VMStateChangeTime="2026-03-01T09:12:01.123000000"
"SATA Controller-0-0"="/home/a b/disk.vmdk"
natnet1="nat"
macaddress1="0800276A5C1E"
nic1="nat"
mtu="0"
Forwarding(0)="site,tcp,127.0.0.1,8080,,80"
Forwarding(1)="ssh,tcp,127.0.0.1,2222,,22"
hostonlyadapter2="vboxnet0"
nic2="hostonly"
nic3="none"
"""
INTERFACES = """\
Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
DHCP:            Disabled
IPAddress:       192.168.56.1
NetworkMask:     255.255.255.0
IPV6Address:     fe80::800:27ff:fe00:0
IPV6NetworkMaskPrefixLength: 64
HardwareAddress: 0a:00:27:00:00:00
MediumType:      Ethernet
Wireless:        No
Status:          Up
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

Name:            vboxnet1
GUID:            786f6276-656e-4174-8000-0a0027000001
DHCP:            Disabled
IPAddress:       0.0.0.0
NetworkMask:     0.0.0.0
IPV6Address:
Status:          Down
VBoxNetworkName: HostInterfaceNetworking-vboxnet1

"""
NETWORKS = """\
Name:            vagrantnet-vbox1
GUID:            4d2f6f0e-5cf4-4f0d-b5a4-3b8c2a0f3a55

State:           Enabled
NetworkMask:     255.255.255.0
LowerIP:         192.168.60.0
UpperIP:         192.168.60.0
VBoxNetworkName: hostonly-vagrantnet-vbox1
"""


def test_machines_are_listed_with_their_ids() -> None:
    text = (
        '"web" {8e6277b9-72b9-4e35-ba9c-46cf2b24fe87}\n'
        '"a "quoted" {name}" {06388c39-2f71-406b-8dd4-872ba6d7fe5e}\n'
        '"<inaccessible>" {0f63b1ce-1a36-4e5c-9bd8-0a7f9c9a3a11}\n'
    )
    assert read_machines(text) == {
        "web": "8e6277b9-72b9-4e35-ba9c-46cf2b24fe87",
        'a "quoted" {name}': "06388c39-2f71-406b-8dd4-872ba6d7fe5e",
        "<inaccessible>": "0f63b1ce-1a36-4e5c-9bd8-0a7f9c9a3a11",
    }
    assert read_machines("") == {}


def test_a_machines_description_is_read_with_or_without_quotes() -> None:
    info = read_info(INFO)
    assert info["name"] == "shop-1a2b3c-web"
    assert info["memory"] == "1024"
    assert info["CfgFile"] == "/home/a b/VirtualBox VMs/x=y/x.vbox"
    assert info["SATA Controller-0-0"] == "/home/a b/disk.vmdk"
    assert state_of(info) == "running"
    assert forwards_of(info) == [
        Forward("site", "127.0.0.1", 8080, 80),
        Forward("ssh", "127.0.0.1", 2222, 22),
    ]


def test_notes_are_read_with_spaces_in_them() -> None:
    text = (
        "Key: GUI/LastCloseAction, Value: PowerOff\n"
        "Key: hashlab/ready, Value: 192.168.60.6 ssh-ed25519 AAAA\n"
    )
    assert read_notes(text)["hashlab/ready"] == "192.168.60.6 ssh-ed25519 AAAA"
    assert read_notes("") == {}


def test_interfaces_and_networks_are_read_in_the_same_way() -> None:
    assert read_host_networks(INTERFACES) == [
        HostNetwork("vboxnet0", IPv4Network("192.168.56.0/24")),
        HostNetwork("vboxnet1", None),
    ]
    assert read_host_networks(NETWORKS) == [
        HostNetwork("vagrantnet-vbox1", IPv4Network("192.168.60.0/24"))
    ]
    assert read_host_networks("") == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.0.20r163906\n", 7),
        ("6.1.50_Debianr161033\n", 6),
        ("WARNING: The character device /dev/vboxdrv does not exist.\n\t 6.1.0\n7.1.4r165100\n", 7),
    ],
)
def test_the_version_is_the_line_after_all_warnings(text: str, version: int) -> None:
    assert version_of(text) == version


def test_a_program_that_is_not_vboxmanage_is_reported() -> None:
    with pytest.raises(LabError, match="does not print its version"):
        version_of("usage: …\n")


@pytest.fixture
def virtualbox() -> FakeVirtualBox:
    return FakeVirtualBox()


@pytest.fixture
def vbox(virtualbox: FakeVirtualBox) -> VBoxManage:
    return VBoxManage(VirtualBoxRunner(virtualbox), macos=False)


def test_a_missing_machine_is_not_a_failure_and_anything_else_is(
    vbox: VBoxManage, virtualbox: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vbox.info("web") is None
    assert vbox.notes("web") == {}
    monkeypatch.setattr(virtualbox, "run", lambda words: (1, "", "E_ACCESSDENIED\n"))
    with pytest.raises(LabError, match="showvminfo failed") as failure:
        vbox.info("web")
    assert failure.value.output == "E_ACCESSDENIED"


def test_powering_off_twice_is_not_an_error(vbox: VBoxManage, virtualbox: FakeVirtualBox) -> None:
    virtualbox.add_vm("web", state="running")
    for _ in range(2):
        vbox.power_off("web")
        assert virtualbox.vm("web")["state"] == "poweroff"
    vbox.power_off("gone")


def test_a_machine_that_cannot_be_powered_off_is_reported(
    vbox: VBoxManage, virtualbox: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtualbox.add_vm("web", state="running")
    plain = virtualbox.run

    def run(words: list[str]) -> tuple[int, str, str]:
        return (1, "", "locked\n") if words[0] == "controlvm" else plain(words)

    monkeypatch.setattr(virtualbox, "run", run)
    with pytest.raises(LabError, match="locked") as failure:
        vbox.remove_machine("web")
    assert failure.value.where == "web"


def test_an_interface_that_is_created_without_a_name_is_reported(
    vbox: VBoxManage, virtualbox: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(virtualbox, "run", lambda words: (0, "done\n", ""))
    with pytest.raises(LabError, match="did not print the name"):
        vbox.add_host_network("lab", IPv4Network("192.168.60.0/24"))
