"""Snapshots of the provider libvirt on a libvirt in memory: taken, restored, refused, removed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes import FakeEngine
from fakes.libvirt import EMPTY_QCOW2, Agent, Volume
from libvirt_labs import BOX_VOLUMES, KEY, SUBNET, Laptop

from hashlab.config.model import Lab
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Track
from hashlab.protocols import Completed, PlannedMachine, SnapshotManifest
from hashlab.providers.libvirt.about import has_key, move
from hashlab.providers.libvirt.names import disk, domain
from hashlab.providers.libvirt.snapshots import LibvirtSnapshots
from hashlab.providers.libvirt.virsh import POOL, Virsh

NAMES = ("broker", "web", "spare")
NEW_KEY = "ssh-ed25519 AAAANEW hashlab small-123456"
SEVERAL = ("suspend", "vol-download", "snapshot-create-as", "resume")
CHANGES = {
    *("suspend", "resume", "start", "destroy", "define", "undefine", "desc", "domtime"),
    *("snapshot-create-as", "snapshot-revert", "snapshot-delete"),
    *("vol-create-as", "vol-upload", "vol-delete", "net-define", "net-update", "net-destroy"),
}


@pytest.fixture
def laptop(lab: Lab, engine: FakeEngine, tmp_path: Path, track: Track) -> Laptop:
    """A laptop with the lab's three machines running."""
    made = Laptop(lab, tmp_path, engine)
    made.up(track, *NAMES)
    for name in NAMES:
        made.libvirt.agents[domain(lab, name)] = Agent()
    work(made, "orders")
    made.runner.ran.clear()
    return made


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of copies of disks."""
    return tmp_path / "kept"


@pytest.fixture
def snapshots(laptop: Laptop, kept: Path) -> LibvirtSnapshots:
    return LibvirtSnapshots(virsh=Virsh(laptop.runner), machines=laptop.machines, folder=kept)


def volume(laptop: Laptop, name: str) -> Volume:
    return laptop.libvirt.pools[POOL].volumes[disk(laptop.lab, name)]


def written(what: str) -> list[bytes]:
    """The disk of each machine after ``work``. In qcow2 it is larger than an empty one."""
    return [f"{what} of {name}".encode().ljust(EMPTY_QCOW2 + 1, b".") for name in NAMES]


def work(laptop: Laptop, what: str) -> None:
    """Change memory and disk of each machine."""
    for name, content in zip(NAMES, written(what), strict=True):
        laptop.libvirt.domains[domain(laptop.lab, name)].memory = f"{what} in {name}"
        volume(laptop, name).content = content


def memories(laptop: Laptop) -> list[str]:
    return [laptop.libvirt.domains[domain(laptop.lab, name)].memory for name in NAMES]


def contents(laptop: Laptop) -> list[bytes]:
    return [volume(laptop, name).content for name in NAMES]


def states(laptop: Laptop) -> set[str]:
    return {laptop.libvirt.domains[domain(laptop.lab, name)].state for name in NAMES}


def changes(laptop: Laptop) -> list[str]:
    """Return the changes made in libvirt, in order."""
    return [words[0] for words in laptop.runner.ran if words[0] in CHANGES]


def failing(laptop: Laptop, monkeypatch: pytest.MonkeyPatch, *start: str) -> None:
    """Let commands that begin with these words fail from now on."""
    plain = laptop.libvirt.run

    def run(words: Sequence[str]) -> Completed:
        if tuple(words[: len(start)]) == start:
            if words[0] == "vol-download":
                Path(words[2]).write_bytes(b"half")
            return Completed(1, "", "error: cannot write data: No space left on device\n")
        return plain(words)

    monkeypatch.setattr(laptop.libvirt, "run", run)


def take(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track, name: str = "first"
) -> SnapshotManifest:
    """Take a snapshot, and forget the commands that it needed."""
    taken = snapshots.take(laptop.lab, name, track=track)
    laptop.runner.ran.clear()
    return SnapshotManifest(
        name=name,
        lab_id=laptop.lab.id,
        lab=laptop.lab.name,
        provider="libvirt",
        taken="2026-01-01T12:00:00Z",
        subnet=SUBNET,
        size=taken.size,
        machines=taken.machines,
    )


def plan(laptop: Laptop, *, site: int = 8080, subnet: IPv4Network = SUBNET) -> list[PlannedMachine]:
    """Return machines as a restore plans them: with a port for SSH too, which libvirt does not
    forward.
    """
    shift = int(subnet.network_address) - int(SUBNET.network_address)
    return [
        PlannedMachine(
            one.machine,
            one.address + shift,
            {**dict.fromkeys(one.ports, site), 22: 2200 + at},
        )
        for at, one in enumerate(laptop.plan(*NAMES))
    ]


def restore(
    snapshots: LibvirtSnapshots,
    laptop: Laptop,
    manifest: SnapshotManifest,
    track: Track,
    *,
    machines: Sequence[PlannedMachine] = (),
    subnet: IPv4Network = SUBNET,
    key: str = KEY,
    about_to_change: Callable[[bool], None] = lambda _: None,
) -> None:
    snapshots.restore(
        laptop.lab,
        manifest,
        machines or plan(laptop),
        subnet,
        key,
        may_stay=True,
        about_to_change=about_to_change,
        track=track,
    )


# Taking


def test_all_machines_are_paused_before_any_is_copied_and_resumed_afterwards(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    snapshots.take(laptop.lab, "first", track=track)
    done = [words[0] for words in laptop.runner.ran if words[0] in SEVERAL]
    assert done == [name for name in SEVERAL for _ in NAMES]
    assert states(laptop) == {"running"}
    assert memories(laptop) == [f"orders in {name}" for name in NAMES], "none was booted again"
    assert snapshots.kept(laptop.lab) == ["first"]


def test_the_saved_disk_is_described_with_its_size_and_its_base(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    taken = snapshots.take(laptop.lab, "first", track=track)
    assert [machine.name for machine in taken.machines] == list(NAMES)
    assert [str(machine.address) for machine in taken.machines] == [
        str(machine.address) for machine in laptop.lab.machines
    ]
    assert {(machine.recipe, machine.ssh_port) for machine in taken.machines} == {("abc", 22)}
    for one, content in zip(taken.machines, written("orders"), strict=True):
        assert (kept / "first" / one.parts["disk"]).read_bytes() == content
        assert one.parts["bytes"] == len(content)
        assert one.parts["sha256"] == hashlib.sha256(content).hexdigest()
        assert set(one.parts["stands_on"]) == BOX_VOLUMES
        assert "backingStore" not in one.parts["domain"], "a domain is defined by its settings"
    once = sum(len(content) for content in contents(laptop))
    assert taken.size == 2 * once, "the copies, and what was added to the disks"
    assert taken.paused > 0


def test_with_a_stopped_machine_nothing_is_saved_and_nothing_touched(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    laptop.libvirt.domains[domain(laptop.lab, "web")].state = "paused"
    del laptop.libvirt.domains[domain(laptop.lab, "spare")]
    with pytest.raises(LabError, match="not all machines are running: web, spare") as caught:
        snapshots.take(laptop.lab, "first", track=track)
    assert caught.value.next_step == "hashlab dev"
    assert changes(laptop) == []
    assert snapshots.kept(laptop.lab) == []


def test_an_earlier_snapshot_stays_if_a_new_one_of_its_name_cannot_start(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    laptop.libvirt.domains[domain(laptop.lab, "web")].state = "shut off"
    with pytest.raises(LabError, match="not all machines are running: web"):
        snapshots.take(laptop.lab, "first", track=track)
    assert snapshots.missing(laptop.lab, manifest) == []
    assert changes(laptop) == []


@pytest.mark.parametrize("command", ["vol-download", "snapshot-create-as", "suspend"])
def test_if_one_machine_cannot_be_saved_none_is_and_all_resume(
    snapshots: LibvirtSnapshots,
    laptop: Laptop,
    kept: Path,
    track: Track,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    of = disk if command == "vol-download" else domain
    failing(laptop, monkeypatch, command, of(laptop.lab, "web"))
    with pytest.raises(LabError, match=command) as caught:
        snapshots.take(laptop.lab, "first", track=track)
    assert "No space left" in caught.value.output
    assert states(laptop) == {"running"}
    assert snapshots.kept(laptop.lab) == []
    assert list(kept.iterdir()) == []
    for name in NAMES:
        assert laptop.libvirt.domains[domain(laptop.lab, name)].snapshots == {}
        assert volume(laptop, name).inside == {}


def test_a_folder_that_cannot_be_made_is_reported_before_any_machine_is_paused(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    kept.write_text("not a folder")
    with pytest.raises(LaptopError, match=r"kept.*Not a directory"):
        snapshots.take(laptop.lab, "first", track=track)
    assert changes(laptop) == []


def test_leftovers_of_an_earlier_attempt_are_removed(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    (kept / "first").mkdir(parents=True)
    (kept / "first/gone.qcow2").write_text("half")
    web = domain(laptop.lab, "web")
    laptop.libvirt.run(["snapshot-create-as", web, "first", "--atomic"])
    work(laptop, "later")
    manifest = take(snapshots, laptop, track)
    assert {path.name for path in (kept / "first").iterdir()} == {f"{n}.qcow2" for n in NAMES}
    work(laptop, "much later")
    restore(snapshots, laptop, manifest, track)
    assert contents(laptop) == written("later")


# Restoring to existing machines


def test_restore_brings_memory_and_disk_of_that_instant_back_to_the_same_machines(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    for again in (1, 2):
        work(laptop, "later")
        laptop.runner.ran.clear()
        restore(snapshots, laptop, manifest, track)
        done = [name for name in changes(laptop) if name != "desc"]
        assert done == ["snapshot-revert"] * 3 + ["resume"] * 3 + ["domtime"] * 3
        assert memories(laptop) == [f"orders in {name}" for name in NAMES]
        assert contents(laptop) == written("orders")
        assert states(laptop) == {"running"}
        assert {agent.clock_set for agent in laptop.libvirt.agents.values()} == {again}


def test_stopped_machines_and_their_stopped_network_are_restored(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    for name in NAMES:
        laptop.libvirt.run(["destroy", domain(laptop.lab, name)])
    laptop.libvirt.networks[laptop.lab.id].active = False
    restore(snapshots, laptop, manifest, track)
    assert memories(laptop) == [f"orders in {name}" for name in NAMES]
    assert states(laptop) == {"running"}


def test_reverted_machines_have_the_current_ports(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    restore(snapshots, laptop, manifest, track, machines=plan(laptop, site=9090))
    assert laptop.about("web")["ports"] == {"80": 9090}
    assert laptop.about("web")["recipe"] == "abc"


@pytest.mark.parametrize("gone", [False, True])
def test_nothing_was_changed_when_the_change_is_announced(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track, gone: bool
) -> None:
    manifest = take(snapshots, laptop, track)
    if gone:
        laptop.machines.discard_machine(laptop.lab, "web")
    laptop.runner.ran.clear()
    seen: list[list[str]] = []

    def announced(machines_go: bool) -> None:
        assert machines_go
        seen.append(changes(laptop))

    restore(snapshots, laptop, manifest, track, about_to_change=announced)
    assert seen == [[]]


# Restoring by recreating machines


def lose_machine(laptop: Laptop) -> None:
    laptop.machines.discard_machine(laptop.lab, "web")


def lose_snapshot(laptop: Laptop) -> None:
    laptop.libvirt.run(["snapshot-delete", domain(laptop.lab, "web"), "first"])


def lose_all(laptop: Laptop) -> None:
    laptop.machines.discard(laptop.lab)


@pytest.mark.parametrize("lose", [lose_machine, lose_snapshot, lose_all])
def test_if_a_machine_lacks_the_snapshot_all_boot_from_their_saved_disks(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track, lose: Callable[[Laptop], None]
) -> None:
    manifest = take(snapshots, laptop, track)
    work(laptop, "later")
    lose(laptop)
    laptop.runner.ran.clear()
    machines = plan(laptop, site=9090)
    restore(snapshots, laptop, manifest, track, machines=machines, key=NEW_KEY)
    assert "snapshot-revert" not in changes(laptop)
    assert changes(laptop)[-3:] == ["start"] * 3, "the first starts when all are made"
    assert contents(laptop) == written("orders")
    assert memories(laptop) == ["booting"] * 3
    assert states(laptop) == {"running"}
    assert laptop.about("web")["ports"] == {"80": 9090}
    assert laptop.about("broker")["ports"] == {}, "SSH is not forwarded"
    for name in NAMES:
        described = laptop.libvirt.domains[domain(laptop.lab, name)].described
        assert has_key(described, NEW_KEY)
        assert not has_key(described, KEY)


def test_box_volumes_are_not_touched_by_a_restore(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    volumes = laptop.libvirt.pools[POOL].volumes
    before = {name: volumes[name] for name in BOX_VOLUMES}
    lose_machine(laptop)
    laptop.runner.ran.clear()
    restore(snapshots, laptop, manifest, track)
    assert all(volumes[name] is before[name] for name in BOX_VOLUMES)
    touched = {words[1] for words in laptop.runner.ran if words[0] in ("vol-upload", "vol-delete")}
    assert touched == {disk(laptop.lab, name) for name in NAMES}


def test_in_another_subnet_machines_are_recreated_at_their_new_addresses(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    other = IPv4Network("192.168.61.0/24")
    machines = plan(laptop, subnet=other)
    restore(snapshots, laptop, manifest, track, machines=machines, subnet=other)
    assert laptop.machines.own_subnet(laptop.lab) == str(other)
    addresses = {(machine.name, str(machine.address)) for machine in machines}
    assert laptop.hosts() == addresses
    assert {(name, laptop.about(name)["address"]) for name in NAMES} == addresses
    assert memories(laptop) == ["booting"] * 3, "in memory they would have their old addresses"
    assert states(laptop) == {"running"}


def test_a_restore_that_ended_midway_can_be_repeated(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    lose_machine(laptop)
    with pytest.MonkeyPatch.context() as patch:
        failing(laptop, patch, "vol-upload", disk(laptop.lab, "spare"))
        with pytest.raises(LabError, match="vol-upload"):
            restore(snapshots, laptop, manifest, track)
    assert domain(laptop.lab, "spare") not in laptop.libvirt.domains
    restore(snapshots, laptop, manifest, track)
    assert contents(laptop) == written("orders")
    assert states(laptop) == {"running"}


def test_a_changed_copy_is_named_before_anything_is_removed(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    lose_snapshot(laptop)
    laptop.runner.ran.clear()
    (kept / "first/spare.qcow2").write_bytes(written("ORDERS")[2])
    assert snapshots.missing(laptop.lab, manifest) == [], "as large as it was"
    announced: list[bool] = []
    with pytest.raises(LabError, match=r"snapshot first is broken: \S+spare\.qcow2 ") as caught:
        restore(snapshots, laptop, manifest, track, about_to_change=announced.append)
    assert caught.value.next_step == "hashlab snapshots prune first"
    assert announced == []
    assert changes(laptop) == []
    assert states(laptop) == {"running"}


# Parts of a snapshot


def test_missing_parts_of_a_snapshot_are_named(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    assert snapshots.missing(laptop.lab, manifest) == []
    (kept / "first/web.qcow2").unlink()
    (kept / "first/spare.qcow2").write_bytes(b"short")
    del laptop.libvirt.pools[POOL].volumes["abc-vmlinuz"]
    assert snapshots.missing(laptop.lab, manifest) == [
        f"{kept / 'first/spare.qcow2'} is a different one",
        f"{kept / 'first/web.qcow2'} is gone",
        "volume abc-vmlinuz is gone",
    ]
    assert changes(laptop) == []


def test_snapshots_stay_when_their_machines_are_removed(
    snapshots: LibvirtSnapshots, laptop: Laptop, track: Track
) -> None:
    manifest = take(snapshots, laptop, track)
    laptop.machines.discard(laptop.lab)
    assert snapshots.outlive_machines
    assert snapshots.kept(laptop.lab) == ["first"]
    assert snapshots.missing(laptop.lab, manifest) == []


def test_saved_snapshots_are_listed_finished_or_not(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    assert snapshots.kept(laptop.lab) == []
    take(snapshots, laptop, track, "second")
    (kept / "half").mkdir()
    (kept / "second.json").write_text("{}")
    assert snapshots.kept(laptop.lab) == ["half", "second"]


def test_a_snapshot_is_removed_with_all_its_parts_and_the_others_stay(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    take(snapshots, laptop, track)
    other = take(snapshots, laptop, track, "second")
    assert snapshots.remove(laptop.lab, "first") == [
        *(f"snapshot first of {domain(laptop.lab, name)}" for name in NAMES),
        f"disks in {kept / 'first'}",
    ]
    assert snapshots.kept(laptop.lab) == ["second"]
    assert all(list(volume(laptop, name).inside) == ["second"] for name in NAMES)
    assert snapshots.missing(laptop.lab, other) == []
    assert snapshots.remove(laptop.lab, "first") == []


def test_a_snapshot_is_removed_even_if_its_machines_are_gone(
    snapshots: LibvirtSnapshots, laptop: Laptop, kept: Path, track: Track
) -> None:
    take(snapshots, laptop, track)
    laptop.machines.discard(laptop.lab)
    assert snapshots.remove(laptop.lab, "first") == [f"disks in {kept / 'first'}"]
    assert snapshots.kept(laptop.lab) == []


# A machine's address and key


def test_a_domain_is_moved_without_losing_other_settings(laptop: Laptop) -> None:
    described = laptop.libvirt.domains[domain(laptop.lab, "web")].described
    before = dict(laptop.about("web"))
    line = described.findtext("os/cmdline", "")
    [web] = laptop.plan("web")
    there = IPv4Address("192.168.61.6")
    moved = replace(web, address=there, ports={80: 9090, 22: 2222})
    for _ in range(2):
        move(described, moved, NEW_KEY)
        assert laptop.about("web") == {**before, "address": str(there), "ports": {"80": 9090}}
        words = described.findtext("os/cmdline", "").split()
        kept = line.split()[:-3]
        network = ["hashlab.subnet=192.168.61.0/24", "hashlab.gateway=192.168.61.1"]
        assert words == [*kept, *network, "hashlab.key=AAAANEW"]
    assert has_key(described, NEW_KEY)
    assert not has_key(described, KEY)


def test_a_key_must_be_a_whole_word_of_the_command_line() -> None:
    def told(line: str) -> bool:
        text = f"<domain><os><cmdline>{line}</cmdline></os></domain>"
        return has_key(ElementTree.fromstring(text), KEY)

    assert told("root=/dev/vda hashlab.key=AAAAKEY quiet")
    assert not told("root=/dev/vda hashlab.key=AAAAKEYS")
    assert not told("root=/dev/vda")
    assert not has_key(ElementTree.fromstring("<domain><os/></domain>"), KEY)
