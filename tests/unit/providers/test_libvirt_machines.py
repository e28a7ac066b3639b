"""Machines of the provider libvirt on a libvirt in memory: network, box, settings, keys,
removal.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from fakes import FakeEngine, small_lab
from fakes.libvirt import Agent, LibvirtRunner
from libvirt_labs import BOX, BOX_VOLUMES, CORES, KEY, MANIFEST, SUBNET, Laptop

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.addresses import choose_subnet
from hashlab.pipeline import Track
from hashlab.protocols import Completed, Endpoint, KvmProbe
from hashlab.providers.libvirt import machines as machines_module
from hashlab.providers.libvirt import virsh as virsh_module
from hashlab.providers.libvirt.machines import AUTHORIZED_KEYS, HOST_KEY
from hashlab.providers.libvirt.names import disk, domain, domain_id, mac
from hashlab.providers.libvirt.virsh import POOL

NO_KVM = KvmProbe(False, "a guest under it did not finish")


@pytest.fixture
def laptop(lab: Lab, engine: FakeEngine, tmp_path: Path) -> Laptop:
    return Laptop(lab, tmp_path, engine)


def with_machine(lab: Lab, name: str, /, **changes: object) -> Lab:
    machines = tuple(replace(m, **changes) if m.name == name else m for m in lab.machines)  # type: ignore[arg-type]
    return replace(lab, machines=machines)


# Names


def test_names_ids_and_macs_are_the_same_at_each_boot_and_differ_between_labs(
    lab: Lab, tmp_path: Path
) -> None:
    other = small_lab(tmp_path / "other")
    for of in (mac, domain_id, domain, disk):
        assert of(lab, "web") == of(lab, "web")
        assert len({of(each, name) for each in (lab, other) for name in ("web", "broker")}) == 4
    assert mac(lab, "web").startswith("52:54:00:")
    assert len(mac(lab, "web")) == 17


# The network


def test_the_network_is_made_once_and_knows_each_machines_address(
    laptop: Laptop, track: Track
) -> None:
    for _ in range(2):
        laptop.prepare(track, "broker", "web")
    network = laptop.libvirt.networks[laptop.lab.id]
    assert network.active
    assert len(laptop.runner.commands("net-define")) == 1
    assert laptop.runner.commands("net-update") == []
    assert laptop.hosts() == {("broker", "192.168.60.5"), ("web", "192.168.60.6")}
    assert next(h.get("mac") for h in network.described.iter("host")) == mac(laptop.lab, "broker")
    ip = network.described.find("ip")
    assert ip is not None
    assert (ip.get("address"), ip.get("netmask")) == ("192.168.60.1", "255.255.255.0")
    assert list((laptop.folder / "work").iterdir()) == [], "what was passed to libvirt is gone"


@pytest.mark.parametrize("active", [True, False])
def test_a_new_machine_of_a_lab_is_added_to_its_network(
    laptop: Laptop, track: Track, active: bool
) -> None:
    laptop.prepare(track, "broker")
    laptop.libvirt.networks[laptop.lab.id].active = active
    laptop.prepare(track, "web")
    assert laptop.hosts() == {("broker", "192.168.60.5"), ("web", "192.168.60.6")}
    [words] = laptop.runner.commands("net-update")
    assert ("--live" in words) is active, "virsh refuses it otherwise"
    assert laptop.libvirt.networks[laptop.lab.id].active


def test_a_machine_gets_its_changed_address(laptop: Laptop, track: Track) -> None:
    laptop.prepare(track, "broker", "web")
    laptop.lab = with_machine(laptop.lab, "web", address=IPv4Address("192.168.60.9"))
    laptop.prepare(track, "web")
    assert laptop.hosts() == {("broker", "192.168.60.5"), ("web", "192.168.60.9")}


def test_machines_may_swap_their_addresses(laptop: Laptop, track: Track) -> None:
    laptop.prepare(track, "broker", "web")
    laptop.lab = with_machine(laptop.lab, "web", address=IPv4Address("192.168.60.5"))
    laptop.lab = with_machine(laptop.lab, "broker", address=IPv4Address("192.168.60.6"))
    laptop.prepare(track, "broker", "web")
    assert laptop.hosts() == {("broker", "192.168.60.6"), ("web", "192.168.60.5")}


def test_a_new_machine_may_have_the_address_of_a_removed_one(laptop: Laptop, track: Track) -> None:
    laptop.prepare(track, "broker", "web")
    laptop.lab = with_machine(laptop.lab, "web", name="site")
    laptop.prepare(track, "site")
    assert laptop.hosts() == {("broker", "192.168.60.5"), ("site", "192.168.60.6")}


def test_a_lab_that_moves_to_another_subnet_gets_a_new_network(
    laptop: Laptop, track: Track
) -> None:
    laptop.prepare(track, "web")
    other = IPv4Network("192.168.61.0/24")
    laptop.lab = with_machine(laptop.lab, "web", address=IPv4Address("192.168.61.6"))
    laptop.prepare(track, "web", subnet=other)
    assert laptop.machines.own_subnet(laptop.lab) == "192.168.61.0/24"
    assert laptop.hosts() == {("web", "192.168.61.6")}
    assert laptop.libvirt.networks[laptop.lab.id].active


def test_subnets_of_other_networks_count_as_used_and_the_labs_own_does_not(
    laptop: Laptop, track: Track
) -> None:
    assert laptop.machines.own_subnet(laptop.lab) == ""
    theirs = laptop.folder / "theirs.xml"
    theirs.write_text(
        "<network><name>theirs</name><ip address='192.168.60.1' prefix='24'/></network>"
    )
    laptop.libvirt.run(["net-define", str(theirs)])
    theirs.write_text("<network><name>bridged</name><bridge name='br0'/></network>")
    laptop.libvirt.run(["net-define", str(theirs)])
    used = [IPv4Network(text) for text in laptop.machines.used_subnets(laptop.lab)]
    assert used == [SUBNET]
    free = choose_subnet(SUBNET, used, [])
    laptop.prepare(track, "web", subnet=free)
    assert laptop.machines.used_subnets(laptop.lab) == [str(SUBNET)]
    assert laptop.machines.own_subnet(laptop.lab) == str(free)


# The box in libvirt's pool


def test_the_box_is_uploaded_once(laptop: Laptop, track: Track) -> None:
    laptop.prepare(track, "broker", "web")
    volumes = laptop.libvirt.pools[POOL].volumes
    assert set(volumes) == BOX_VOLUMES
    assert volumes["abc-vmlinuz"].content == b"kernel"
    assert len(laptop.runner.commands("vol-upload")) == 3
    laptop.prepare(track, "spare")
    assert len(laptop.runner.commands("vol-upload")) == 3
    assert len(laptop.runner.commands("pool-define-as")) == 1


@pytest.mark.parametrize("name", sorted(BOX_VOLUMES))
def test_a_part_of_the_box_whose_upload_was_cut_off_is_uploaded_again_and_no_other(
    laptop: Laptop, track: Track, name: str
) -> None:
    laptop.prepare(track, "web")
    whole = laptop.libvirt.pools[POOL].volumes[name].content
    laptop.libvirt.pools[POOL].volumes[name].content = whole[:-1]
    laptop.prepare(track, "web")
    assert laptop.libvirt.pools[POOL].volumes[name].content == whole
    assert [words[1] for words in laptop.runner.commands("vol-upload")[3:]] == [name]


@pytest.mark.parametrize("part", ["vmlinuz", "box.img"])
def test_an_unfilled_volume_does_not_count_as_the_box(
    laptop: Laptop, track: Track, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def killed(name: str, source: str, *words: str) -> str:
        if source.endswith(part):
            raise Killed
        return ""

    with monkeypatch.context() as patch:
        patch.setattr(laptop.libvirt, "_vol_upload", killed)
        with pytest.raises(Killed):
            laptop.prepare(track, "web")
    laptop.prepare(track, "web")
    contents = {volume.content for volume in laptop.libvirt.pools[POOL].volumes.values()}
    assert contents == set(BOX.values())


def test_a_pool_that_is_stopped_after_a_restart_of_the_laptop_is_started(
    laptop: Laptop, track: Track
) -> None:
    laptop.up(track, "web")
    laptop.libvirt.pools[POOL].active = False
    assert f"volume {disk(laptop.lab, 'web')}" in laptop.machines.leftovers(laptop.lab)
    laptop.libvirt.pools[POOL].active = False
    laptop.prepare(track, "web")
    assert len(laptop.runner.commands("vol-upload")) == 3


def test_a_box_that_vagrant_does_not_have_is_reported(laptop: Laptop, track: Track) -> None:
    with pytest.raises(LabError, match=r"hashlab/small .* is not registered"):
        laptop.machines.fill_disks(laptop.lab, [], MANIFEST, track=track)


# Settings in the Vagrantfile


def test_with_kvm_a_machine_has_the_laptops_processor_and_whole_cores(laptop: Laptop) -> None:
    [planned] = laptop.plan("web")
    shares = replace(planned, machine=replace(planned.machine, memory=1536 << 20, cpus=1.5))
    found = laptop.machines.settings(laptop.lab, shares, MANIFEST, KEY)
    assert (found["driver"], found["cpu"]) == ("kvm", {"mode": "host-passthrough"})
    assert (found["memory"], found["cpus"]) == (1536, 2)


@pytest.mark.parametrize(("asked", "given"), [(None, 1), (0.5, 1), (3, 3), (9, CORES)])
def test_by_emulation_a_machine_has_one_processor_and_never_more_than_the_laptop(
    laptop: Laptop, asked: float | None, given: int
) -> None:
    laptop.kvm = NO_KVM
    [planned] = laptop.plan("web")
    shares = replace(planned, machine=replace(planned.machine, cpus=asked))
    found = laptop.machines.settings(laptop.lab, shares, MANIFEST, KEY)
    assert found["driver"] == "qemu"
    assert found["cpu"] == {"mode": "custom", "model": "qemu64"}
    assert found["cpus"] == given


def test_a_machine_without_limits_has_one_gibibyte_and_all_cores(laptop: Laptop) -> None:
    [planned] = laptop.plan("web")
    without = replace(planned, machine=replace(planned.machine, memory=None, cpus=None))
    found = laptop.machines.settings(laptop.lab, without, MANIFEST, KEY)
    assert (found["memory"], found["cpus"]) == (1024, CORES)


def test_key_name_and_network_are_on_the_kernels_command_line(laptop: Laptop) -> None:
    [planned] = laptop.plan("web")
    found = laptop.machines.settings(laptop.lab, planned, MANIFEST, KEY)
    words = found["cmd_line"].split()
    assert "hashlab.key=AAAAKEY" in words
    assert "systemd.hostname=web" in words
    assert "hashlab.subnet=192.168.60.0/24" in words
    assert "hashlab.gateway=192.168.60.1" in words
    assert "root=/dev/vda" in words
    assert found["kernel"] == "/var/lib/libvirt/hashlab/abc-vmlinuz"
    assert found["initrd"] == "/var/lib/libvirt/hashlab/abc-initrd.img"


def test_the_description_is_safe_in_xml_and_is_read_back(laptop: Laptop, track: Track) -> None:
    hostile = replace(MANIFEST, recipe="a<b>&'\"c")
    [planned] = laptop.plan("web")
    text = laptop.machines.settings(laptop.lab, planned, hostile, KEY)["description"]
    laptop.libvirt.add_domain(domain(laptop.lab, "web"), description=text)
    found = laptop.machines.observe(laptop.lab, "web")
    assert found is not None
    assert found.recipe == "a<b>&'\"c"
    assert laptop.about("web")["hashlab"] == laptop.lab.id


def test_all_machines_boot_in_one_call_of_vagrant(laptop: Laptop) -> None:
    assert laptop.machines.boot_plan(["a", "b"], MANIFEST) == [[["a", "b"]]]


# Observed machines


def test_a_machine_is_found_with_address_ports_and_recipe(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web")
    laptop.libvirt.add_domain("someone-elses")
    found = laptop.machines.observe(laptop.lab, "web")
    assert found is not None
    assert found.state == "running"
    assert found.address == IPv4Address("192.168.60.6")
    assert found.endpoint == Endpoint("192.168.60.6", 22, "core")
    assert found.forwarded == {80: 8080}
    assert found.recipe == "abc"
    assert laptop.machines.observe_all(laptop.lab) == [found]
    assert laptop.machines.observe(laptop.lab, "broker") is None


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("running", "running"),
        ("in shutdown", "running"),
        ("paused", "paused"),
        ("pmsuspended", "paused"),
        ("shut off", "stopped"),
        ("crashed", "stopped"),
    ],
)
def test_every_state_of_libvirt_is_one_of_three(
    laptop: Laptop, track: Track, state: str, seen: str
) -> None:
    laptop.up(track, "web")
    laptop.libvirt.domains[domain(laptop.lab, "web")].state = state
    alone = laptop.machines.observe(laptop.lab, "web")
    assert alone is not None
    assert alone.state == seen
    assert laptop.machines.observe_all(laptop.lab) == [alone]


@pytest.mark.parametrize("text", ["", "made by hand", '"text"', '{"other": 1}'])
def test_a_domain_without_hashlabs_description_has_no_address(laptop: Laptop, text: str) -> None:
    laptop.libvirt.add_domain(domain(laptop.lab, "web"), description=text)
    found = laptop.machines.observe(laptop.lab, "web")
    assert found is not None
    assert (found.address, found.endpoint, found.recipe) == (None, None, "")


def test_machines_that_vagrant_left_without_a_card_or_without_a_domain_are_removed(
    laptop: Laptop, track: Track
) -> None:
    laptop.up(track, "broker")
    laptop.libvirt.add_domain(domain(laptop.lab, "web"), interface=False, state="shut off")
    laptop.libvirt.add_volume(POOL, disk(laptop.lab, "web"))
    laptop.libvirt.add_volume(POOL, disk(laptop.lab, "spare"))
    assert laptop.machines.discard_half_built(laptop.lab) == ["web", "spare"]
    assert set(laptop.libvirt.domains) == {domain(laptop.lab, "broker")}
    left = set(laptop.libvirt.pools[POOL].volumes) - BOX_VOLUMES
    assert left == {disk(laptop.lab, "broker")}
    assert laptop.machines.discard_half_built(laptop.lab) == []


def test_without_a_pool_nothing_is_half_built(laptop: Laptop) -> None:
    assert laptop.machines.discard_half_built(laptop.lab) == []


# Lost state


def test_lost_ids_of_vagrant_are_restored(laptop: Laptop, track: Track, tmp_path: Path) -> None:
    laptop.up(track, "web")
    laptop.machines.adopt(laptop.lab, KEY)
    found = tmp_path / "libvirt/vagrant/machines/web/libvirt/id"
    [planned] = laptop.plan("web")
    settings = laptop.machines.settings(laptop.lab, planned, MANIFEST, KEY)
    assert found.read_text() == settings["uuid"]
    assert not (tmp_path / "libvirt/vagrant/machines/broker").exists()
    found.write_text("as Vagrant wrote it")
    laptop.machines.adopt(laptop.lab, KEY)
    assert found.read_text() == "as Vagrant wrote it"


def test_a_machine_created_with_the_labs_key_does_not_get_it_again(
    laptop: Laptop, track: Track, tmp_path: Path
) -> None:
    laptop.up(track, "web")
    laptop.machines.adopt(laptop.lab, KEY)
    assert laptop.runner.commands("qemu-agent-command") == []


NEW_KEY = "ssh-ed25519 AAAANEW hashlab small-123456"


def test_a_machine_created_with_another_key_gets_the_labs_key_from_its_agent(
    laptop: Laptop, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "authorized_keys"
    monkeypatch.setattr(machines_module, "AUTHORIZED_KEYS", str(keys))
    chown = tmp_path / "bin/chown"
    chown.parent.mkdir()
    chown.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/owner\n')
    chown.chmod(0o755)
    path = f"{chown.parent}:/usr/bin:/bin"

    def run(words: Sequence[str]) -> Completed:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env={"PATH": path}
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    laptop.up(track, "web", "broker")
    laptop.libvirt.domains[domain(laptop.lab, "broker")].state = "shut off"
    laptop.libvirt.agents[domain(laptop.lab, "web")] = Agent(run=run, busy=1)
    laptop.machines.adopt(laptop.lab, NEW_KEY)
    assert keys.read_text() == NEW_KEY + "\n"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "owner").read_text() == f"core:core {keys}\n"
    assert AUTHORIZED_KEYS == "/home/core/.ssh/authorized_keys"


def test_a_machine_that_refuses_the_key_is_reported(
    laptop: Laptop, track: Track, tmp_path: Path
) -> None:
    laptop.up(track, "web")
    agent = Agent(run=lambda words: Completed(1, "", "disk full\n"))
    laptop.libvirt.agents[domain(laptop.lab, "web")] = agent
    with pytest.raises(LabError, match="cannot install hashlab's key on the machine") as failure:
        laptop.machines.adopt(laptop.lab, NEW_KEY)
    assert failure.value.where == domain(laptop.lab, "web")
    assert "disk full" in failure.value.output


def test_a_command_that_never_ends_inside_a_machine_is_a_failure(
    laptop: Laptop, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virsh_module, "AGENT_SECONDS", 0.0)
    monkeypatch.setattr(virsh_module, "AGENT_POLL_SECONDS", 0.001)
    laptop.up(track, "web")
    laptop.libvirt.agents[domain(laptop.lab, "web")] = Agent(busy=1_000_000)
    with pytest.raises(LabError, match="/bin/sh does not end"):
        laptop.machines.adopt(laptop.lab, NEW_KEY)


# Host keys


def test_the_agent_reads_the_host_key_once_it_exists(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web")
    name = domain(laptop.lab, "web")
    assert laptop.machines.host_key(laptop.lab, "web") == "", "the agent has not started"
    agent = Agent()
    laptop.libvirt.agents[name] = agent
    assert laptop.machines.host_key(laptop.lab, "web") == "", "sshd has made no key"
    agent.files[HOST_KEY] = b"ssh-ed25519 AAAAHOST root@web\n"
    assert laptop.machines.host_key(laptop.lab, "web") == "ssh-ed25519 AAAAHOST"
    assert agent.open_files == {}
    laptop.libvirt.domains[name].state = "shut off"
    assert laptop.machines.host_key(laptop.lab, "web") == ""


# Removal


def test_destroying_removes_all_of_the_lab_and_nothing_else(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "broker", "web")
    laptop.libvirt.add_domain("someone-elses")
    laptop.libvirt.add_volume(POOL, "someone-elses.img")
    names = [domain(laptop.lab, name) for name in ("broker", "web")]
    left = [
        *(f"domain {name}" for name in names),
        *(f"volume {name}.img" for name in names),
        f"network {laptop.lab.id}",
    ]
    assert laptop.machines.leftovers(laptop.lab) == left
    laptop.machines.halt(laptop.lab)
    assert {laptop.libvirt.domains[name].state for name in names} == {"shut off"}
    assert laptop.libvirt.domains["someone-elses"].state == "running"
    laptop.machines.halt(laptop.lab)
    assert laptop.machines.discard(laptop.lab) == left
    assert laptop.machines.leftovers(laptop.lab) == []
    assert laptop.machines.discard(laptop.lab) == []
    assert set(laptop.libvirt.domains) == {"someone-elses"}
    assert set(laptop.libvirt.pools[POOL].volumes) == {*BOX_VOLUMES, "someone-elses.img"}


def test_suspended_machines_are_frozen_until_they_are_resumed(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web")
    agent = laptop.libvirt.agents[domain(laptop.lab, "web")] = Agent()
    laptop.machines.suspend(laptop.lab, ["web"])
    assert [found.state for found in laptop.machines.observe_all(laptop.lab)] == ["paused"]
    laptop.machines.resume(laptop.lab, ["web"])
    assert [found.state for found in laptop.machines.observe_all(laptop.lab)] == ["running"]
    assert agent.clock_set == 1


def test_running_machines_are_discarded_too(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web")
    laptop.machines.discard(laptop.lab)
    assert laptop.libvirt.domains == {}
    assert laptop.libvirt.networks == {}


def test_one_machine_alone_can_be_removed(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "broker", "web")
    for _ in range(2):
        laptop.machines.discard_machine(laptop.lab, "web")
        assert set(laptop.libvirt.domains) == {domain(laptop.lab, "broker")}
        assert disk(laptop.lab, "web") not in laptop.libvirt.pools[POOL].volumes
    assert laptop.lab.id in laptop.libvirt.networks


def test_a_lab_that_never_existed_has_no_leftovers(laptop: Laptop) -> None:
    assert laptop.machines.leftovers(laptop.lab) == []
    assert laptop.machines.discard(laptop.lab) == []
    assert "libvirt" in laptop.machines.leftover_kinds()


def test_a_refusal_of_libvirt_is_a_failure_with_its_message(laptop: Laptop) -> None:
    laptop.libvirt.broken = "Failed to connect socket to '/var/run/libvirt/libvirt-sock'"
    for ask in (laptop.machines.observe_all, laptop.machines.own_subnet, laptop.machines.leftovers):
        with pytest.raises(LabError) as failure:
            ask(laptop.lab)
        assert "Failed to connect socket" in failure.value.output


def _conforms(runner: LibvirtRunner) -> None:
    """Never called: lets mypy check the fake against the Protocol."""
    from hashlab.protocols import Runner  # noqa: PLC0415

    real: Runner = runner
    _ = real
