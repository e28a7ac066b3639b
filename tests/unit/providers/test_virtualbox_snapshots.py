"""Snapshots of the provider virtualbox on a VirtualBox in memory: taken, restored, refused,
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from fakes import small_lab, track_of
from fakes.vboxmanage import FakeVirtualBox
from fakes.virtualbox import VirtualBoxRunner

from hashlab.config.model import BoxSettings, Lab, VirtualBoxBase
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, PlannedMachine, SnapshotManifest
from hashlab.providers.virtualbox import VirtualBoxProvider, vboxmanage
from hashlab.providers.virtualbox.vboxmanage import Kept, read_snapshots
from tests.fakes.vagrant import vagrant_in

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "virtualbox", {})
SUBNET = IPv4Network("192.168.60.0/24")
KEY = "ssh-ed25519 AAAAKEY"
FLATCAR = VirtualBoxBase("https://x/f.box", "sha256:" + "0" * 64, "flatcar", "core")
NAMES = ("broker", "web", "spare")
LISTED = """\
SnapshotName="first"
SnapshotUUID="a0000000-0000-0000-0000-000000000000"
SnapshotDescription="hashlab"
SnapshotName-1="second"
SnapshotUUID-1="b0000000-0000-0000-0000-000000000000"
SnapshotName-1-1="a=b c"
SnapshotUUID-1-1="c0000000-0000-0000-0000-000000000000"
SnapshotName-2="third"
SnapshotUUID-2="d0000000-0000-0000-0000-000000000000"
CurrentSnapshotName="third"
CurrentSnapshotUUID="d0000000-0000-0000-0000-000000000000"
CurrentSnapshotNode="SnapshotName-2"
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    box = BoxSettings(virtualbox=FLATCAR)
    return small_lab(tmp_path / "lab", provider="virtualbox", box=box)


@pytest.fixture
def virtualbox() -> FakeVirtualBox:
    return FakeVirtualBox()


@pytest.fixture
def runner(virtualbox: FakeVirtualBox) -> VirtualBoxRunner:
    return VirtualBoxRunner(virtualbox)


@pytest.fixture
def track() -> Iterator[Track]:
    with track_of() as made:
        yield made


@pytest.fixture
def provider(
    runner: VirtualBoxRunner, virtualbox: FakeVirtualBox, lab: Lab, tmp_path: Path, track: Track
) -> VirtualBoxProvider:
    """The provider with the lab's three machines running."""
    made = VirtualBoxProvider(
        vagrant=vagrant_in(tmp_path, "virtualbox"),
        runner=runner,
        download=no_download,
        base=FLATCAR,
        work=tmp_path / "box",
        platform="linux",
    )
    made.machines.prepare(lab, plan(lab), MANIFEST, SUBNET, track=track)
    for planned in plan(lab):
        up(virtualbox, lab, planned, tmp_path)
    return made


def no_download(url: str, target: Path, *, limit: int, track: Track) -> None:
    raise AssertionError(f"{url} was fetched")


def plan(lab: Lab) -> list[PlannedMachine]:
    return [
        PlannedMachine(machine, machine.address, {80: 8080 + at, 22: 2200 + at})
        for at, machine in enumerate(lab.machines)
    ]


def up(virtualbox: FakeVirtualBox, lab: Lab, planned: PlannedMachine, folder: Path) -> None:
    """Create a machine as `vagrant up` leaves it."""
    kept = folder / f"snapshots-{planned.name}"
    kept.mkdir(exist_ok=True)
    ports = planned.ports
    virtualbox.add_vm(
        f"{lab.id}-{planned.name}",
        state="running",
        data="orders",
        snapshot_folder=str(kept),
        forwards={
            "ssh": f"tcp,127.0.0.1,{ports[22]},,22",
            "site": f"tcp,127.0.0.1,{ports[80]},,80",
        },
        notes={
            "hashlab/lab": lab.id,
            "hashlab/machine": planned.name,
            "hashlab/recipe": "abc",
            "hashlab/ready": f"{planned.address} {KEY}",
        },
    )


def take(provider: VirtualBoxProvider, lab: Lab, name: str, track: Track) -> SnapshotManifest:
    taken = provider.snapshots.take(lab, name, track=track)
    return SnapshotManifest(
        name=name,
        lab_id=lab.id,
        lab=lab.name,
        provider="virtualbox",
        taken="2026-01-01T12:00:00Z",
        subnet=SUBNET,
        size=taken.size,
        machines=taken.machines,
    )


def restore(
    provider: VirtualBoxProvider,
    lab: Lab,
    manifest: SnapshotManifest,
    track: Track,
    *,
    machines: Sequence[PlannedMachine] | None = None,
    subnet: IPv4Network = SUBNET,
    about_to_change: Callable[[bool], None] = lambda _: None,
) -> None:
    provider.snapshots.restore(
        lab,
        manifest,
        machines or plan(lab),
        subnet,
        KEY,
        may_stay=True,
        about_to_change=about_to_change,
        track=track,
    )


def told(virtualbox: FakeVirtualBox, lab: Lab, key: str) -> list[str]:
    return [str(virtualbox.vm(f"{lab.id}-{name}")[key]) for name in NAMES]


def write(virtualbox: FakeVirtualBox, lab: Lab, data: str) -> None:
    for name in NAMES:
        virtualbox.state["vms"][f"{lab.id}-{name}"]["data"] = data


def commands(runner: VirtualBoxRunner) -> list[str]:
    """Return the commands given to machines, in order: "pause", "take", …"""
    verbs = {"controlvm": 3, "snapshot": 3, "startvm": 1}
    done = [ran[verbs[ran[1]]] for ran in runner.ran if ran[1] in verbs]
    return [verb for verb in done if verb != "list"]


def failing(virtualbox: FakeVirtualBox, *fragment: str) -> Callable[[Sequence[str]], object]:
    """A VirtualBox on which a command that begins with these words fails."""
    plain = virtualbox.run

    def run(words: Sequence[str]) -> tuple[int, str, str]:
        if tuple(words[: len(fragment)]) == fragment:
            return 1, "", "VBoxManage: error: VERR_DISK_FULL\n"
        return plain(words)

    return run


def test_all_machines_are_paused_while_each_is_saved_and_resumed_afterwards(
    provider: VirtualBoxProvider,
    virtualbox: FakeVirtualBox,
    runner: VirtualBoxRunner,
    lab: Lab,
    track: Track,
) -> None:
    taken = provider.snapshots.take(lab, "first", track=track)
    assert commands(runner) == ["pause"] * 3 + ["take"] * 3 + ["resume"] * 3
    assert told(virtualbox, lab, "state") == ["running"] * 3
    assert [machine.name for machine in taken.machines] == list(NAMES)
    assert [machine.ssh_port for machine in taken.machines] == [2200, 2201, 2202]
    assert {machine.recipe for machine in taken.machines} == {"abc"}
    assert taken.size == 3 * len(b"memory")
    assert taken.paused > 0
    assert provider.snapshots.kept(lab) == ["first"]


def test_restore_brings_back_the_data_of_that_instant_to_the_same_machines(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    ids = told(virtualbox, lab, "id")
    manifest = take(provider, lab, "first", track)
    for _ in range(2):
        write(virtualbox, lab, "later orders")
        restore(provider, lab, manifest, track)
        assert told(virtualbox, lab, "data") == ["orders"] * 3
        assert told(virtualbox, lab, "state") == ["running"] * 3
        assert told(virtualbox, lab, "id") == ids
    assert provider.snapshots.missing(lab, manifest) == []


def test_machines_that_virtualbox_still_locks_are_awaited(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    write(virtualbox, lab, "later orders")
    virtualbox.held = 2
    restore(provider, lab, manifest, track)
    assert told(virtualbox, lab, "data") == ["orders"] * 3
    provider.machines.discard(lab)
    assert provider.machines.leftovers(lab) == []


def test_a_machine_that_virtualbox_never_unlocks_is_reported(
    provider: VirtualBoxProvider,
    virtualbox: FakeVirtualBox,
    lab: Lab,
    track: Track,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vboxmanage, "UNLOCK_SECONDS", 0.0)
    manifest = take(provider, lab, "first", track)
    virtualbox.held = 99
    with pytest.raises(LabError) as failure:
        restore(provider, lab, manifest, track)
    assert "being unlocked" in str(failure.value)


def test_stopped_machines_are_restored_and_run(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    provider.machines.halt(lab)
    restore(provider, lab, manifest, track)
    assert told(virtualbox, lab, "state") == ["running"] * 3


@pytest.mark.parametrize("step", ["restore", "startvm"])
def test_a_restore_that_was_cut_off_can_be_repeated(
    provider: VirtualBoxProvider,
    virtualbox: FakeVirtualBox,
    lab: Lab,
    track: Track,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    manifest = take(provider, lab, "first", track)
    write(virtualbox, lab, "later orders")
    web = f"{lab.id}-web"
    words = ("snapshot", web, "restore") if step == "restore" else ("startvm", web)
    with monkeypatch.context() as patch:
        patch.setattr(virtualbox, "run", failing(virtualbox, *words))
        with pytest.raises(LabError, match="failed"):
            restore(provider, lab, manifest, track)
    restore(provider, lab, manifest, track)
    assert told(virtualbox, lab, "data") == ["orders"] * 3
    assert told(virtualbox, lab, "state") == ["running"] * 3


def test_ports_forwarded_since_then_are_forwarded_after_a_restore(
    provider: VirtualBoxProvider, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    moved = [
        PlannedMachine(each.machine, each.address, {**each.ports, 22: each.ports[22] + 100})
        for each in plan(lab)
    ]
    restore(provider, lab, manifest, track, machines=moved)
    for at, machine in enumerate(provider.machines.observe_all(lab)):
        assert machine.endpoint is not None
        assert machine.endpoint.port == 2300 + at
        assert machine.forwarded == {80: 8080 + at}


def test_after_destroy_the_snapshots_are_reported_as_removed(
    provider: VirtualBoxProvider, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    provider.machines.discard(lab)
    [lost] = provider.snapshots.missing(lab, manifest)
    assert lost == "VirtualBox removed it with its machines, which are gone: broker, web, spare"
    assert provider.snapshots.kept(lab) == []
    assert provider.snapshots.remove(lab, "first") == []


def test_a_recreated_machine_does_not_belong_to_the_snapshot_and_nothing_changes(
    provider: VirtualBoxProvider,
    virtualbox: FakeVirtualBox,
    runner: VirtualBoxRunner,
    lab: Lab,
    tmp_path: Path,
    track: Track,
) -> None:
    manifest = take(provider, lab, "first", track)
    provider.machines.discard_machine(lab, "web")
    up(virtualbox, lab, plan(lab)[1], tmp_path)
    runner.ran.clear()
    changed: list[str] = []
    with pytest.raises(LabError, match=r"snapshot first is broken: .* gone: web\n") as failure:
        restore(provider, lab, manifest, track, about_to_change=lambda _: changed.append("yes"))
    assert failure.value.next_step == "hashlab snapshots prune first, then hashlab dev"
    assert (changed, commands(runner)) == ([], [])


def test_a_snapshot_that_one_machine_lost_is_missing(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    assert virtualbox.run(["snapshot", f"{lab.id}-web", "delete", "first"])[0] == 0
    assert provider.snapshots.missing(lab, manifest) == ["web no longer has it"]
    assert virtualbox.run(["snapshot", f"{lab.id}-web", "take", "first"])[0] == 0
    assert provider.snapshots.missing(lab, manifest) == ["web no longer has it"]


def test_a_manifest_without_machine_and_snapshot_is_broken(
    provider: VirtualBoxProvider, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    one, *others = manifest.machines
    empty = replace(manifest, machines=(replace(one, parts={}), *others))
    assert provider.snapshots.missing(lab, empty)
    id_only = replace(one, parts={"machine": one.parts["machine"]})
    empty = replace(manifest, machines=(id_only, *others))
    assert provider.snapshots.missing(lab, empty) == ["broker no longer has it"]


def test_a_network_that_is_gone_is_missing(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    virtualbox.state["interfaces"].clear()
    [lost] = provider.snapshots.missing(lab, manifest)
    assert lost == "the network 192.168.60.0/24 of its machines is gone"


def test_machines_cannot_move_to_another_subnet_and_stay_unchanged(
    provider: VirtualBoxProvider, runner: VirtualBoxRunner, lab: Lab, track: Track
) -> None:
    manifest = take(provider, lab, "first", track)
    runner.ran.clear()
    with pytest.raises(LabError, match=r"snapshot first needs the subnet 192\.168\.60\.0/24"):
        restore(provider, lab, manifest, track, subnet=IPv4Network("192.168.61.0/24"))
    assert commands(runner) == []


@pytest.mark.parametrize("action", ["pause", "take"])
def test_if_one_machine_cannot_be_saved_none_is_and_all_resume(
    provider: VirtualBoxProvider,
    virtualbox: FakeVirtualBox,
    lab: Lab,
    track: Track,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
) -> None:
    verb = "controlvm" if action == "pause" else "snapshot"
    with monkeypatch.context() as patch:
        patch.setattr(virtualbox, "run", failing(virtualbox, verb, f"{lab.id}-web", action))
        with pytest.raises(LabError) as failure:
            provider.snapshots.take(lab, "first", track=track)
    assert "VERR_DISK_FULL" in failure.value.output
    assert provider.snapshots.kept(lab) == []
    assert told(virtualbox, lab, "state") == ["running"] * 3
    provider.snapshots.take(lab, "first", track=track)
    assert provider.snapshots.kept(lab) == ["first"]


@pytest.mark.parametrize("state", ["poweroff", "paused", "saved"])
def test_no_snapshot_is_taken_while_a_machine_is_stopped(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track, state: str
) -> None:
    virtualbox.state["vms"][f"{lab.id}-web"]["state"] = state
    with pytest.raises(LabError, match="not all machines are running: web") as failure:
        provider.snapshots.take(lab, "first", track=track)
    assert failure.value.next_step == "hashlab dev"


def test_leftovers_of_an_earlier_attempt_are_removed(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    web = f"{lab.id}-web"
    virtualbox.run(["snapshot", web, "take", "first", "--description", "hashlab"])
    provider.snapshots.take(lab, "first", track=track)
    assert [one["name"] for one in virtualbox.vm(web)["snapshots"]] == ["first"]


def test_a_snapshot_taken_without_hashlab_is_not_touched(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    web = f"{lab.id}-web"
    virtualbox.run(["snapshot", web, "take", "mine"])
    assert provider.snapshots.kept(lab) == []
    assert provider.snapshots.remove(lab, "mine") == []
    with pytest.raises(LabError, match="web has a snapshot 'mine' that hashlab did not take"):
        provider.snapshots.take(lab, "mine", track=track)
    assert [one["name"] for one in virtualbox.vm(web)["snapshots"]] == ["mine"]


def test_removing_a_snapshot_keeps_the_current_data(
    provider: VirtualBoxProvider, virtualbox: FakeVirtualBox, lab: Lab, track: Track
) -> None:
    take(provider, lab, "first", track)
    second = take(provider, lab, "second", track)
    removed = provider.snapshots.remove(lab, "first")
    assert removed == [f"snapshot first of {lab.id}-{name}" for name in NAMES]
    assert provider.snapshots.kept(lab) == ["second"]
    assert provider.snapshots.missing(lab, second) == []
    assert told(virtualbox, lab, "state") == ["running"] * 3


def test_a_snapshot_with_two_successors_is_removed_after_the_later_one(
    provider: VirtualBoxProvider, runner: VirtualBoxRunner, lab: Lab, track: Track
) -> None:
    first = take(provider, lab, "first", track)
    take(provider, lab, "second", track)
    restore(provider, lab, first, track)
    runner.ran.clear()
    with pytest.raises(LabError, match="cannot remove snapshot first yet") as failure:
        provider.snapshots.remove(lab, "first")
    assert "each of second; then first again" in failure.value.next_step
    assert commands(runner) == []
    provider.snapshots.remove(lab, "second")
    provider.snapshots.remove(lab, "first")
    assert provider.snapshots.kept(lab) == []


def test_the_printed_tree_of_snapshots_is_read_with_its_branches() -> None:
    first, second, deeper, third = read_snapshots(LISTED)
    id_of_first = "a0000000-0000-0000-0000-000000000000"
    assert first == Kept(id_of_first, "first", "hashlab", ("second", "third"), current=False)
    assert (second.children, second.description, second.current) == (("a=b c",), "", False)
    assert (deeper.name, deeper.children) == ("a=b c", ())
    assert (third.children, third.current) == ((), True)
