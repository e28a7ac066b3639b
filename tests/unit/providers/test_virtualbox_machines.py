"""The provider virtualbox on a VirtualBox in memory: machines, their network, keys, leftovers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fakes import small_lab, track_of
from fakes.vboxmanage import FakeVirtualBox
from fakes.virtualbox import VirtualBoxRunner

from hashlab.config.model import BoxSettings, Lab, Machine, VirtualBoxBase
from hashlab.errors import LabError, LaptopError
from hashlab.phases.addresses import choose_subnet
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, Endpoint, PlannedMachine
from hashlab.providers.seed import system_files
from hashlab.providers.virtualbox import VirtualBoxProvider
from hashlab.providers.virtualbox.ignition import LIMIT, PROPERTY, ignition
from tests.fakes.vagrant import vagrant_in

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "virtualbox", {})
SUBNET = IPv4Network("192.168.60.0/24")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "k" * 43 + " hashlab small-123456"
HOST_KEY = "ssh-ed25519 AAAAHOST"
FLATCAR = VirtualBoxBase("https://x/f.box", "sha256:" + "0" * 64, "flatcar", "core")
DEBIAN = VirtualBoxBase("https://x/d.box", "sha256:" + "1" * 64, "debian", "vagrant")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    box = BoxSettings(packages=("curl",), virtualbox=FLATCAR)
    return small_lab(tmp_path / "lab", provider="virtualbox", box=box)


@pytest.fixture
def virtualbox() -> FakeVirtualBox:
    return FakeVirtualBox()


@pytest.fixture
def runner(virtualbox: FakeVirtualBox) -> VirtualBoxRunner:
    return VirtualBoxRunner(virtualbox)


@pytest.fixture
def provider(runner: VirtualBoxRunner, tmp_path: Path) -> VirtualBoxProvider:
    return make_provider(runner, tmp_path)


def make_provider(
    runner: VirtualBoxRunner, tmp_path: Path, *, platform: str = "linux"
) -> VirtualBoxProvider:
    return VirtualBoxProvider(
        vagrant=vagrant_in(tmp_path, "virtualbox"),
        runner=runner,
        download=no_download,
        base=FLATCAR,
        work=tmp_path / "box",
        platform=platform,
    )


def no_download(url: str, target: Path, *, limit: int, track: Track) -> None:
    raise AssertionError(f"{url} was fetched")


@pytest.fixture
def track() -> Iterator[Track]:
    with track_of() as made:
        yield made


def debian(lab: Lab) -> Lab:
    return replace(lab, box=replace(lab.box, virtualbox=DEBIAN))


def planned(lab: Lab, name: str = "web") -> PlannedMachine:
    machine = lab.machine(name)
    ports = {port.guest: port.host for port in machine.forwarded_ports}
    return PlannedMachine(machine, machine.address, ports)


def up(
    virtualbox: FakeVirtualBox,
    provider: VirtualBoxProvider,
    lab: Lab,
    name: str = "web",
    *,
    ssh: int = 2222,
    ended: bool = True,
) -> None:
    """Do what Vagrant does with the rendered Vagrantfile."""
    settings = provider.machines.settings(lab, planned(lab, name), MANIFEST, KEY)
    ports = {"ssh": f"tcp,127.0.0.1,{ssh},,22", "site": "tcp,127.0.0.1,8080,,80"}
    virtualbox.add_vm(
        settings["vm"], forwards=ports, notes=dict(settings["notes"]), state="running"
    )
    if ended:
        words = shlex.split(settings["when_up"])
        assert words[0] == "VBoxManage"
        assert virtualbox.run(words[1:])[0] == 0


def config_of(settings: Mapping[str, Any]) -> Any:
    return json.loads(settings["properties"][PROPERTY])


def test_flatcar_is_configured_by_ignition_before_its_sshd_starts(
    provider: VirtualBoxProvider, lab: Lab
) -> None:
    settings = provider.machines.settings(lab, planned(lab), MANIFEST, KEY)
    config = config_of(settings)
    assert config["ignition"] == {"version": "3.3.0"}
    [user] = config["passwd"]["users"]
    assert user == {"name": "core", "sshAuthorizedKeys": [KEY.rsplit(" ", 2)[0]]}
    files = {
        each["path"]: unquote(each["contents"]["source"].removeprefix("data:,"))
        for each in config["storage"]["files"]
    }
    assert files["/etc/hostname"] == "web"
    network = files["/etc/systemd/network/00-lab.network"]
    assert "Address=192.168.60.6/24\n" in network
    assert f"MACAddress={':'.join(pairs(settings['mac']))}\n" in network
    [folder] = config["storage"]["directories"]
    assert folder == {"path": "/var/lib/hashlab", "user": {"name": "core"}, "mode": 0o755}


def pairs(mac: str) -> list[str]:
    return [mac[at : at + 2] for at in range(0, len(mac), 2)]


def test_an_update_of_flatcar_cannot_restart_a_machine_in_use(
    provider: VirtualBoxProvider, lab: Lab
) -> None:
    config = config_of(provider.machines.settings(lab, planned(lab), MANIFEST, KEY))
    masked = {unit["name"] for unit in config["systemd"]["units"] if unit["mask"]}
    assert masked == {"update-engine.service", "locksmithd.service"}


def test_the_longest_names_fit_into_the_ignition_file(lab: Lab) -> None:
    machine = Machine("m" * 31, IPv4Address("192.168.160.255"))
    longest = PlannedMachine(machine, machine.address, {})
    text = ignition(longest, mac="08:00:27:aa:bb:cc", user="u" * 32, public_key=KEY)
    assert len(text.encode()) <= LIMIT


def test_an_ignition_file_that_is_too_large_is_reported_with_its_size(lab: Lab) -> None:
    key = "ssh-rsa " + "A" * 720
    with pytest.raises(LabError) as failure:
        ignition(planned(lab), mac="08:00:27:aa:bb:cc", user="core", public_key=key)
    size = int(failure.value.what.split("has ")[1].split(" ")[0])
    assert size > LIMIT
    assert "at most 1023" in failure.value.what
    assert failure.value.where == "web"


def test_virtualbox_accepts_an_ignition_file_of_the_limit_and_no_larger_one(
    virtualbox: FakeVirtualBox,
) -> None:
    virtualbox.add_vm("m")
    assert virtualbox.run(["guestproperty", "set", "m", PROPERTY, "x" * LIMIT])[0] == 0
    assert virtualbox.run(["guestproperty", "set", "m", PROPERTY, "x" * (LIMIT + 1)])[0] == 1


def test_vagrant_sets_up_a_debian_box_with_the_labs_key_and_packages(
    provider: VirtualBoxProvider, lab: Lab
) -> None:
    settings = provider.machines.settings(debian(lab), planned(lab), MANIFEST, KEY)
    assert settings["vagrant_sets_up"] is True
    assert settings["user"] == "vagrant"
    assert settings["properties"] == {}
    network = ["192.168.60.0/24", "192.168.60.1"]
    assert settings["first_boot_args"] == ["debian", "vagrant", KEY, *network, "curl"]
    assert "authorized_keys" in settings["first_boot"]


@pytest.mark.parametrize(
    ("name", "end"),
    [("firewall.sh", "END_OF_FIREWALL"), ("await-manager.sh", "END_OF_AWAIT_MANAGER")],
)
def test_the_script_of_the_first_boot_brings_other_scripts(
    provider: VirtualBoxProvider, lab: Lab, name: str, end: str
) -> None:
    script = provider.machines.settings(debian(lab), planned(lab), MANIFEST, KEY)["first_boot"]
    _, _, rest = script.partition(f"<<'{end}'\n")
    brought, _, _ = rest.partition(f"{end}\n")
    assert brought == system_files(name)[name]


def test_memory_is_in_mib_and_cores_are_whole_numbers(
    provider: VirtualBoxProvider, lab: Lab
) -> None:
    plan = planned(lab)
    shares = replace(plan, machine=replace(plan.machine, memory=1536 << 20, cpus=1.5))
    without = replace(plan, machine=replace(plan.machine, memory=None, cpus=None))
    settings = provider.machines.settings(lab, shares, MANIFEST, KEY)
    assert (settings["memory"], settings["cpus"]) == (1536, 2)
    settings = provider.machines.settings(lab, without, MANIFEST, KEY)
    assert (settings["memory"], settings["cpus"]) == (1024, 1)


def test_machines_of_a_lab_have_different_macs(provider: VirtualBoxProvider, lab: Lab) -> None:
    macs = {
        provider.machines.settings(lab, planned(lab, m.name), MANIFEST, KEY)["mac"]
        for m in lab.machines
    }
    assert len(macs) == 3
    assert {mac[:6] for mac in macs} == {"080027"}


def test_the_first_machine_imports_the_box_and_the_others_boot_in_parallel(
    provider: VirtualBoxProvider, tmp_path: Path
) -> None:
    manifest = replace(MANIFEST, registered_at=tmp_path)
    plan = provider.machines.boot_plan(["a", "b", "c"], manifest)
    assert plan == [[["a"]], [["b"], ["c"]]]
    assert provider.machines.boot_plan(["a"], manifest) == [[["a"]]]


def test_with_the_box_imported_all_machines_boot_in_parallel(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, tmp_path: Path
) -> None:
    manifest = replace(MANIFEST, registered_at=tmp_path)
    (tmp_path / "master_id").write_text(virtualbox.add_vm("base_1")["id"] + "\n")
    assert provider.machines.boot_plan(["a", "b", "c"], manifest) == [[["a"], ["b"], ["c"]]]
    virtualbox.run(["unregistervm", "base_1", "--delete"])
    assert provider.machines.boot_plan(["a", "b"], manifest) == [[["a"]], [["b"]]]


def test_a_machine_that_is_up_is_reached_by_its_forwarded_ssh_port(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab
) -> None:
    up(virtualbox, provider, lab, ssh=2200)
    found = provider.machines.observe(lab, "web")
    assert found is not None
    assert found.state == "running"
    assert found.address == IPv4Address("192.168.60.6")
    assert found.endpoint == Endpoint("127.0.0.1", 2200, "core")
    assert found.forwarded == {80: 8080}
    assert found.recipe == "abc"
    assert provider.machines.observe_all(lab) == [found]
    assert provider.machines.observe(lab, "spare") is None


def test_a_machine_is_not_used_before_vagrant_has_ended(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, runner: VirtualBoxRunner
) -> None:
    up(virtualbox, provider, lab, ended=False)
    found = provider.machines.observe(lab, "web")
    assert found is not None
    assert found.address is None
    assert provider.machines.host_key(lab, "web") == ""
    assert not [ran for ran in runner.ran if ran[0] == "ssh-keyscan"]


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("running", "running"),
        ("starting", "running"),
        ("paused", "paused"),
        ("poweroff", "stopped"),
        ("saved", "stopped"),
        ("aborted", "stopped"),
        ("gurumeditation", "stopped"),
    ],
)
def test_every_state_of_virtualbox_is_one_of_three(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, state: str, seen: str
) -> None:
    virtualbox.add_vm(f"{lab.id}-web", state=state)
    found = provider.machines.observe(lab, "web")
    assert found is not None
    assert found.state == seen


def test_machines_for_which_vagrant_never_ended_are_recreated(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab
) -> None:
    up(virtualbox, provider, lab, "broker")
    up(virtualbox, provider, lab, "web", ended=False)
    virtualbox.add_vm("someone-elses")
    assert provider.machines.discard_half_built(lab) == ["web"]
    assert set(virtualbox.state["vms"]) == {f"{lab.id}-broker", "someone-elses"}


def test_the_first_host_key_seen_is_stored_and_required(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, runner: VirtualBoxRunner
) -> None:
    up(virtualbox, provider, lab, ssh=2201)
    assert provider.machines.host_key(lab, "web") == "", "sshd does not answer yet"
    runner.shown[2201] = f"[127.0.0.1]:2201 {HOST_KEY}\n"
    assert provider.machines.host_key(lab, "web") == HOST_KEY
    runner.shown[2201] = "[127.0.0.1]:2201 ssh-ed25519 AAAAOTHER\n"
    assert provider.machines.host_key(lab, "web") == HOST_KEY


def test_lost_ids_of_vagrant_are_restored(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, tmp_path: Path
) -> None:
    up(virtualbox, provider, lab)
    provider.machines.adopt(lab, KEY)
    found = (tmp_path / "virtualbox/vagrant/machines/web/virtualbox/id").read_text()
    assert found == virtualbox.vm(f"{lab.id}-web")["id"]
    assert not (tmp_path / "virtualbox/vagrant/machines/broker").exists()


def test_a_lost_key_is_reported_because_it_cannot_be_replaced(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, tmp_path: Path
) -> None:
    up(virtualbox, provider, lab)
    with pytest.raises(LabError, match="SSH key is gone") as failure:
        provider.machines.adopt(lab, "ssh-ed25519 AAAANEW hashlab")
    assert failure.value.where == "web"
    assert "hashlab destroy" in failure.value.next_step
    assert (tmp_path / "virtualbox/vagrant/machines/web/virtualbox/id").exists(), "destroy needs it"


def test_one_network_is_made_and_found_again(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    assert provider.machines.own_subnet(lab) == ""
    for _ in range(2):
        provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
        assert virtualbox.state["interfaces"] == {"vboxnet0": "192.168.60.1"}
    assert provider.machines.own_subnet(lab) == "192.168.60.0/24"


def test_a_removed_network_is_created_again(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    virtualbox.state["interfaces"].clear()
    assert provider.machines.own_subnet(lab) == ""
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    assert virtualbox.state["interfaces"] == {"vboxnet0": "192.168.60.1"}


def test_on_another_subnet_the_old_network_is_removed(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    other = IPv4Network("192.168.61.0/24")
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, other, track=track)
    assert virtualbox.state["interfaces"] == {"vboxnet0": "192.168.61.1"}


def test_a_lab_uses_only_free_subnets_that_virtualbox_allows(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab
) -> None:
    virtualbox.state["interfaces"] |= {"vboxnet0": "192.168.60.1", "vboxnet1": ""}
    taken = [IPv4Network(text) for text in provider.machines.used_subnets(lab)]
    assert choose_subnet(SUBNET, taken, []) == IPv4Network("192.168.61.0/24")
    full = [*taken, IPv4Network("192.168.60.0/22")]
    with pytest.raises(LaptopError, match="no other is free"):
        choose_subnet(SUBNET, full, [])


def test_the_labs_own_network_does_not_count_as_used(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    taken = [IPv4Network(text) for text in provider.machines.used_subnets(lab)]
    assert not any(SUBNET.overlaps(other) for other in taken)


def test_suspended_machines_are_frozen_until_they_are_resumed(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    up(virtualbox, provider, lab)
    provider.machines.suspend(lab, ["web"])
    assert virtualbox.vm(f"{lab.id}-web")["state"] == "paused"
    provider.machines.resume(lab, ["web"])
    assert virtualbox.vm(f"{lab.id}-web")["state"] == "running"


def test_destroying_removes_all_of_the_lab_and_nothing_else(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    virtualbox.add_vm("someone-elses")
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    up(virtualbox, provider, lab)
    name = f"{lab.id}-web"
    assert provider.machines.leftovers(lab) == [f"machine {name}", "network vboxnet0"]
    provider.machines.halt(lab)
    assert virtualbox.vm(name)["state"] == "poweroff"
    assert provider.machines.discard(lab) == [f"machine {name}", "network vboxnet0"]
    assert provider.machines.leftovers(lab) == []
    assert provider.machines.discard(lab) == []
    assert set(virtualbox.state["vms"]) == {"someone-elses"}
    assert virtualbox.state["notes"] == {}


def test_one_machine_alone_can_be_removed(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab
) -> None:
    up(virtualbox, provider, lab, "web")
    up(virtualbox, provider, lab, "broker")
    for _ in range(2):
        provider.machines.discard_machine(lab, "web")
        assert set(virtualbox.state["vms"]) == {f"{lab.id}-broker"}


def test_without_a_box_the_error_names_the_key_to_write(
    provider: VirtualBoxProvider, lab: Lab
) -> None:
    bare = replace(lab, box=BoxSettings())
    with pytest.raises(LaptopError) as failure:
        provider.machines.settings(bare, planned(lab), MANIFEST, KEY)
    assert "[box.virtualbox]" in failure.value.next_step


def test_a_virtualbox_without_its_kernel_driver_is_reported(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox
) -> None:
    provider.check()
    assert provider.probe().works
    assert "never" in provider.probe().detail
    virtualbox.warning = (
        "WARNING: The vboxdrv kernel module is not loaded. Either there is no module\n"
        "         available for the current kernel (6.1.0) or it failed to load.\n"
    )
    with pytest.raises(LaptopError, match="vboxdrv kernel module is not loaded") as failure:
        provider.check()
    assert "vboxconfig" in failure.value.next_step
    assert not provider.probe().works


def test_a_failing_virtualbox_is_an_error_of_the_laptop(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtualbox, "run", lambda words: (1, "", "no permission\n"))
    with pytest.raises(LaptopError, match="no permission"):
        provider.check()


def test_virtualbox_7_on_macos_has_networks_in_place_of_interfaces(
    runner: VirtualBoxRunner,
    virtualbox: FakeVirtualBox,
    lab: Lab,
    track: Track,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[list[str]] = []
    plain = virtualbox.run

    def run(words: list[str]) -> tuple[int, str, str]:
        if "hostonlynet" in words[0] or words[1:] == ["hostonlynets"]:
            said.append(list(words))
            return 0, "", ""
        return plain(words)

    monkeypatch.setattr(virtualbox, "run", run)
    provider = make_provider(runner, tmp_path, platform="darwin")
    provider.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    first = ["--lower-ip", "192.168.60.0", "--upper-ip", "192.168.60.0"]
    assert ["hostonlynet", "add", "--name", lab.id, "--netmask", "255.255.255.0", *first] in said
    assert virtualbox.state["interfaces"] == {}
    virtualbox.version = "6.1.50r161033"
    older = make_provider(runner, tmp_path, platform="darwin")
    older.machines.prepare(lab, [planned(lab)], MANIFEST, SUBNET, track=track)
    assert virtualbox.state["interfaces"] == {"vboxnet0": "192.168.60.1"}
