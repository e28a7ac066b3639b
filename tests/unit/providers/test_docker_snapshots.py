"""Snapshots of the provider docker on a fake engine: saved, compared, restored and removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from engine_labs import IMAGE, MANIFEST, SUBNET
from fakes import FakeEngine
from fakes.engine import Container
from fakes.faults import When
from fakes.outside import Silent

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Recorder, Track
from hashlab.protocols import Completed, PlannedMachine, SnapshotManifest
from hashlab.providers.docker import DockerProvider
from hashlab.providers.docker.inplace import SCRIPT as IN_PLACE
from hashlab.providers.docker.names import snapshot_volume
from hashlab.providers.docker.snapshotparts import SCRIPT
from hashlab.providers.docker.volume_shell import SECONDS, folder
from hashlab.providers.seed import STORE

KEY = "ssh-ed25519 BBBB hashlab"
# The time at which the machines of a snapshot were paused.
INSTANT = "1767225600.125"


class Volumes:
    """Answers the scripts of the volume shell and inside machines.

    ``ran``: each function called, and whether all machines were paused at the time; ``broken``: the
    function that fails; ``differ``, ``changed``: why the engine, or the files, of machine web
    differ from the snapshot.
    """

    def __init__(self, engine: FakeEngine, lab: Lab, snapshot: str = "first") -> None:
        self._engine, self._lab, self._snapshot = engine, lab, snapshot
        self.ran: list[tuple[str, bool]] = []
        self.broken = ""
        self.entries, self.listing = "12", "abcdef"
        self.differ = self.changed = ""
        names = [machine.name for machine in lab.machines]
        stores = [folder(f"{lab.id}-{name}-images") for name in names]
        kept = [folder(snapshot_volume(lab, snapshot, name)) for name in names]
        out = [f"{store}:{place}" for store, place in zip(stores, kept, strict=True)]
        back = [f"{place}:{store}" for store, place in zip(stores, kept, strict=True)]
        describe = [f":{place}" for place in kept]
        asked = [
            *(
                ("link", out),
                ("copy", out),
                ("describe", describe),
                ("stage", back),
                ("unstage", back),
            ),
            *(("swap", [pair]) for pair in back),
            ("differ", back),
        ]
        for what, pairs in asked:
            words = ("timeout", str(SECONDS), "sh", "-c", SCRIPT, "sh", what, *pairs)
            engine.executes[words] = self._answer(what)
        inside = [
            ("put", [STORE]),
            *(("changed", ["/", since]) for since in (INSTANT, "boot")),
        ]
        for what, given in inside:
            engine.executes["sh", "-c", IN_PLACE, "sh", what, *given] = self._answer(what)

    def _answer(self, what: str):  # type: ignore[no-untyped-def]
        def answer(asked: Container) -> Completed:
            existing = [
                self._engine.container(f"{self._lab.id}-{m.name}") for m in self._lab.machines
            ]
            still = all(state is not None and state.state == "paused" for state in existing)
            self.ran.append((what, still))
            if what == self.broken:
                return Completed(1, "", "cp: no space left\n")
            web = f"{self._lab.id}-web"
            output = {
                "describe": self._describe(),
                "copy": f"\n{INSTANT}\n",
                "differ": f"\n{folder(f'{web}-images')} {self.differ}\n" if self.differ else "\n",
                "changed": f"{self.changed}\n" if asked.name == web else "",
            }
            return Completed(0, output.get(what, "\n"), "")

        return answer

    def _describe(self) -> str:
        names = [machine.name for machine in self._lab.machines]
        places = [folder(snapshot_volume(self._lab, self._snapshot, name)) for name in names]
        output = f"{self.entries} 3400 {self.listing} 1000"
        return "\n" + "".join(f"{place} {output}\n" for place in places)


def running_lab(engine: FakeEngine, lab: Lab) -> Volumes:
    """Make all machines of the lab, as Vagrant makes them."""
    engine.images[IMAGE] = {}
    engine.create_bridge(lab.id, str(SUBNET), {"hashlab.lab": lab.id})
    for number, one in enumerate(lab.machines):
        volume = f"{lab.id}-{one.name}-images"
        engine.create_volume(volume, {"hashlab.lab": lab.id, "hashlab.machine": one.name})
        labels = {"hashlab.lab": lab.id, "hashlab.machine": one.name, "hashlab.recipe": "abc"}
        body = {
            "Image": IMAGE,
            "Hostname": one.name,
            "Labels": labels,
            "Env": ["HASHLAB_AUTHORIZED_KEY=ssh-ed25519 AAAA hashlab"],
            "Entrypoint": ["/sbin/hashlab-init"],
            "StopSignal": "SIGRTMIN+3",
            "HostConfig": {
                "Binds": [f"{volume}:/var/lib/docker"],
                "Memory": 64 << 20,
                "MaskedPaths": [],
                "NetworkMode": lab.id,
                "Privileged": False,
                "RestartPolicy": {"Name": "unless-stopped"},
                "PortBindings": {
                    "22/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(2200 + number)}]
                },
            },
            "NetworkingConfig": {
                "EndpointsConfig": {lab.id: {"IPAMConfig": {"IPv4Address": str(one.address)}}}
            },
        }
        made = engine.create(f"{lab.id}-{one.name}", body)
        engine.start(made)
    engine.faults.calls.clear()
    return Volumes(engine, lab)


def take(provider: DockerProvider, lab: Lab, track: Track, name: str = "first") -> SnapshotManifest:
    taken = provider.snapshots.take(lab, name, track=track)
    return SnapshotManifest(
        name, lab.id, lab.name, "docker", "2026-01-01T00:00:00Z", SUBNET, taken.size, taken.machines
    )


def restore(
    provider: DockerProvider,
    lab: Lab,
    manifest: SnapshotManifest,
    track: Track,
    *,
    subnet: IPv4Network = SUBNET,
    ports: Mapping[int, int] | None = None,
    may_stay: bool = False,
) -> list[str]:
    """Restore; return the machines that existed when their removal was announced."""
    planned = [
        PlannedMachine(one, subnet.network_address + number, ports or {22: 2300 + number})
        for number, one in enumerate(lab.machines, start=5)
    ]
    existing: list[str] = []
    expected: list[bool] = []

    def about_to_change(machines_go: bool) -> None:
        expected.append(machines_go)
        if machines_go:
            existing.extend(m.name for m in provider.machines.observe_all(lab))

    left = provider.snapshots.restore(
        lab,
        manifest,
        planned,
        subnet,
        KEY,
        may_stay=may_stay,
        about_to_change=about_to_change,
        track=track,
    )
    assert expected == [left is None]
    if left:
        left()
    return existing


def ids(engine: FakeEngine, lab: Lab) -> list[str]:
    return [state.id for state in engine.containers({"hashlab.lab": lab.id})]


def states(engine: FakeEngine, lab: Lab) -> dict[str, str]:
    found = engine.containers({"hashlab.lab": lab.id})
    return {state.name.removeprefix(f"{lab.id}-"): state.state for state in found}


def test_all_machines_are_paused_while_changing_data_is_copied(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    volumes = running_lab(engine, lab)
    take(provider, lab, track)
    first, last = volumes.ran[:-2], volumes.ran[-2:]
    assert first == [("link", False)]
    assert last == [("copy", True), ("describe", False)]
    assert set(states(engine, lab).values()) == {"running"}
    names = engine.faults.names()
    last_pause = max(i for i, name in enumerate(names) if name == "laptop.pause")
    first_wake = names.index("laptop.unpause")
    commits = [i for i, name in enumerate(names) if name == "laptop.commit"]
    assert len(commits) == len(lab.machines)
    assert all(last_pause < at < first_wake for at in commits)


def test_saved_objects_are_labelled_with_the_snapshot_and_not_with_the_lab(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    before = engine.volumes({"hashlab.lab": lab.id})
    manifest = take(provider, lab, track)
    marks = {"hashlab.snapshot-of": lab.id, "hashlab.snapshot": "first"}
    assert engine.images_with(marks) == sorted(str(m.parts["image"]) for m in manifest.machines)
    assert engine.volumes(marks) == sorted(str(m.parts["volume"]) for m in manifest.machines)
    assert engine.images_with({"hashlab.lab": lab.id}) == []
    assert engine.volumes({"hashlab.lab": lab.id}) == before
    assert provider.snapshots.kept(lab) == ["first"]


def test_the_manifest_has_addresses_and_settings_of_machines(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    broker = take(provider, lab, track).machines[0]
    assert (broker.name, broker.recipe, broker.ssh_port) == ("broker", "abc", 2200)
    assert broker.address == IPv4Address("192.168.60.5")
    assert broker.parts["config"]["StopSignal"] == "SIGRTMIN+3"
    host = broker.parts["host_config"]
    assert host["Binds"] == [f"{lab.id}-broker-images:/var/lib/docker"]
    assert host["MaskedPaths"] == []
    assert "PortBindings" not in host
    assert (broker.parts["entries"], broker.parts["bytes"]) == ("12", "3400")


def test_similar_names_are_two_snapshots(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    take(provider, lab, track)
    Volumes(engine, lab, "first.2")
    take(provider, lab, track, "first.2")
    assert provider.snapshots.kept(lab) == ["first", "first.2"]
    provider.snapshots.remove(lab, "first")
    assert provider.snapshots.kept(lab) == ["first.2"]


@pytest.mark.parametrize("state", ["stopped", "gone", "paused"])
def test_all_machines_must_be_running(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, state: str
) -> None:
    running_lab(engine, lab)
    web = f"{lab.id}-web"
    {"stopped": lambda: engine.stop(web, timeout=0), "gone": lambda: engine.remove(web)}.get(
        state, lambda: engine.pause(web)
    )()
    with pytest.raises(LabError, match="not all machines are running: web is"):
        take(provider, lab, track)
    assert provider.snapshots.kept(lab) == []


@pytest.mark.parametrize("call", ["pause", "commit", "create_volume", "image_sizes"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_any_failure_the_machines_resume_and_nothing_is_left(
    engine: FakeEngine,
    provider: DockerProvider,
    lab: Lab,
    track: Track,
    call: str,
    when: When,
) -> None:
    running_lab(engine, lab)
    engine.faults.arm(f"laptop.{call}", when=when)
    with pytest.raises(LabError, match="was told to fail"):
        take(provider, lab, track)
    assert set(states(engine, lab).values()) == {"running"}
    assert len(states(engine, lab)) == len(lab.machines)
    assert provider.snapshots.kept(lab) == []


@pytest.mark.parametrize("what", ["link", "copy", "describe"])
def test_a_failed_copy_gives_its_reason_and_the_machines_resume(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, what: str
) -> None:
    running_lab(engine, lab).broken = what
    with pytest.raises(LabError) as failure:
        take(provider, lab, track)
    assert failure.value.output == "cp: no space left\n"
    assert set(states(engine, lab).values()) == {"running"}
    assert provider.snapshots.kept(lab) == []


def test_leftovers_of_a_killed_attempt_are_removed_first(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    marks = {"hashlab.snapshot-of": lab.id, "hashlab.snapshot": "first"}
    engine.create_volume(snapshot_volume(lab, "first", "gone"), marks)
    take(provider, lab, track)
    assert snapshot_volume(lab, "first", "gone") not in engine.volumes(marks)


def test_machines_that_a_killed_snapshot_left_paused_are_resumed(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    running_lab(engine, lab)
    engine.pause(f"{lab.id}-web")
    assert provider.machines.discard_half_built(lab) == []
    assert set(states(engine, lab).values()) == {"running"}


def test_restored_machines_have_vagrants_settings_except_image_key_and_ports(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    volumes = running_lab(engine, lab)
    before = engine.inspect(f"{lab.id}-broker")
    manifest = take(provider, lab, track)
    volumes.ran.clear()
    assert restore(provider, lab, manifest, track) == ["broker", "web", "spare"]
    asked = [what for what, _ in volumes.ran]
    assert (sorted(asked[:2]), asked[2:]) == (["describe", "stage"], ["swap"] * 3)
    after = engine.inspect(f"{lab.id}-broker")
    assert before is not None
    assert after is not None
    assert after["Id"] != before["Id"]
    assert after["Config"]["Image"] == manifest.machines[0].parts["image_id"]
    assert after["Config"]["Env"] == [f"HASHLAB_AUTHORIZED_KEY={KEY}"]
    for key in ("Hostname", "Labels", "Entrypoint", "StopSignal"):
        assert after["Config"][key] == before["Config"][key]
    ports = {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2305"}]}
    assert after["HostConfig"] == {**before["HostConfig"], "PortBindings": ports}
    [broker, *_] = provider.machines.observe_all(lab)
    assert (broker.address, broker.state) == (IPv4Address("192.168.60.5"), "running")


def test_a_restore_needs_no_machine_and_no_network(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    provider.machines.discard(lab)
    subnet = IPv4Network("192.168.70.0/24")
    assert restore(provider, lab, manifest, track, subnet=subnet) == []
    assert engine.networks()[lab.id] == ("192.168.70.0/24",)
    assert set(states(engine, lab).values()) == {"running"}
    assert len(engine.volumes({"hashlab.lab": lab.id})) == len(lab.machines)


def test_the_layers_of_a_machine_that_never_started_are_not_trusted(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    engine.by_name(f"{lab.id}-web").state = "created"
    engine.faults.calls.clear()
    restore(provider, lab, manifest, track)
    removed = [c.words[1] for c in engine.faults.calls if c.name == "laptop.remove_volume"]
    assert removed == [f"{lab.id}-web-images"]


@pytest.mark.parametrize("lost", ["image", "volume"])
def test_a_missing_part_is_named(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, lost: str
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    part = str(manifest.machines[1].parts[lost])
    engine.remove_image(part) if lost == "image" else engine.remove_volume(part)
    assert provider.snapshots.missing(lab, manifest) == [f"{lost} {part} is gone"]


def test_a_different_image_of_the_same_name_is_named(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    image = str(manifest.machines[0].parts["image"])
    engine.commit(f"{lab.id}-web", image, {})
    assert provider.snapshots.missing(lab, manifest) == [f"image {image} is a different one"]


def test_an_incomplete_manifest_is_named(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    broker, *others = manifest.machines
    manifest = replace(manifest, machines=(replace(broker, parts={}), *others))
    assert provider.snapshots.missing(lab, manifest) == ["its manifest lacks data of broker"]


@pytest.mark.parametrize("what", ["differs", "listing", "describe", "stage"])
def test_a_failure_before_the_exchange_leaves_the_machines_unchanged(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, what: str
) -> None:
    volumes = running_lab(engine, lab)
    manifest = take(provider, lab, track)
    volumes.broken = what
    if what == "differs":
        volumes.entries = "11"
    if what == "listing":
        volumes.listing = "fedcba"
    before = ids(engine, lab)
    with pytest.raises(LabError) as failure:
        restore(provider, lab, manifest, track)
    if what == "differs":
        volume = snapshot_volume(lab, "first", "broker")
        expected = f"snapshot first is broken: volume {volume} contains 11 entries, 3400 bytes"
        assert failure.value.what.startswith(expected)
    if what == "listing":
        volume = snapshot_volume(lab, "first", "broker")
        assert f"volume {volume} contains files with other names, sizes" in failure.value.what
    assert ("unstage", False) in volumes.ran
    assert ids(engine, lab) == before
    assert set(states(engine, lab).values()) == {"running"}


# Restoring only the data


def test_machines_of_the_snapshot_stay_and_get_its_data(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    volumes = running_lab(engine, lab)
    manifest = take(provider, lab, track)
    before = ids(engine, lab)
    volumes.ran.clear()
    assert restore(provider, lab, manifest, track, may_stay=True) == []
    asked = [what for what, _ in volumes.ran]
    count = len(lab.machines)
    assert sorted(asked[:-count]) == sorted(["describe", "stage", "differ", *["changed"] * count])
    assert asked[-count:] == ["put"] * count
    assert ids(engine, lab) == before
    assert set(states(engine, lab).values()) == {"running"}


def test_machines_made_from_the_snapshot_stay_as_long_as_nothing_changed_since_their_boot(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    volumes = running_lab(engine, lab)
    manifest = take(provider, lab, track)
    assert restore(provider, lab, manifest, track) == [machine.name for machine in lab.machines]
    before = ids(engine, lab)
    assert restore(provider, lab, manifest, track, may_stay=True) == []
    assert ids(engine, lab) == before
    commands = [c.words[2] for c in engine.faults.calls if c.name == "laptop.execute"]
    assert ("sh", "-c", IN_PLACE, "sh", "changed", "/", "boot") in commands
    volumes.changed = "/etc/word was changed"
    assert restore(provider, lab, manifest, track, may_stay=True) != []


@pytest.mark.parametrize(
    "happened", ["differ", "changed", "anew", "stopped", "paused", "moved", "old manifest"]
)
def test_machines_that_do_not_belong_to_the_snapshot_are_recreated(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, happened: str
) -> None:
    volumes = running_lab(engine, lab)
    manifest = take(provider, lab, track)
    web = f"{lab.id}-web"
    if happened == "differ":
        volumes.differ = "its containers differ"
    elif happened == "changed":
        volumes.changed = "/etc/word was changed"
    elif happened == "anew":
        made = engine.by_name(web)
        engine.remove(web)
        engine.create(web, made.body)
        engine.start(web)
    elif happened == "stopped":
        engine.stop(web, timeout=0)
    elif happened == "paused":
        engine.pause(web)
    elif happened == "old manifest":
        for machine in manifest.machines:
            del machine.parts["container"]  # type: ignore[attr-defined]
    if happened == "moved":
        elsewhere = IPv4Network("192.168.71.0/24")
        gone = restore(provider, lab, manifest, track, subnet=elsewhere, may_stay=True)
    else:
        gone = restore(provider, lab, manifest, track, may_stay=True)
    assert gone == [machine.name for machine in lab.machines]
    assert set(states(engine, lab).values()) == {"running"}


def test_the_reason_for_recreating_machines_is_reported(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    volumes = running_lab(engine, lab)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("restore") as track:
        manifest = take(provider, lab, track)
        volumes.changed = "/etc/word was changed"
        restore(provider, lab, manifest, track, may_stay=True)
    provider.machines.discard(lab)
    with recorder.step("restore") as track:
        restore(provider, lab, manifest, track, may_stay=True)
    changed, gone = [row.detail for row in recorder.rows() if row.name == "restore"]
    assert changed.endswith(", recreated: web: /etc/word was changed")
    assert gone.endswith(", recreated: broker: it is missing")


@pytest.mark.parametrize("what", ["differ", "changed", "stage", "describe"])
def test_a_failure_while_comparing_leaves_machines_and_containers_unchanged(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, what: str
) -> None:
    volumes = running_lab(engine, lab)
    manifest = take(provider, lab, track)
    before = ids(engine, lab)
    volumes.broken = what
    with pytest.raises(LabError):
        restore(provider, lab, manifest, track, may_stay=True)
    assert "put" not in [asked for asked, _ in volumes.ran]
    assert volumes.ran[-1] == ("unstage", False)
    assert ids(engine, lab) == before


@pytest.mark.parametrize("call", ["remove", "create", "start", "create_bridge"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_any_failure_in_the_exchange_the_restore_can_be_repeated(
    engine: FakeEngine,
    provider: DockerProvider,
    lab: Lab,
    track: Track,
    call: str,
    when: When,
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    subnet = IPv4Network("192.168.71.0/24")
    engine.faults.arm(f"laptop.{call}", when=when)
    with pytest.raises(LabError):
        restore(provider, lab, manifest, track, subnet=subnet)
    engine.faults.disarm()
    restore(provider, lab, manifest, track, subnet=subnet)
    assert states(engine, lab) == {machine.name: "running" for machine in lab.machines}


def test_a_snapshot_can_be_removed_while_its_machines_run_without_leftovers(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    restore(provider, lab, take(provider, lab, track), track)
    removed = provider.snapshots.remove(lab, "first")
    assert len(removed) == 2 * len(lab.machines)
    assert provider.snapshots.kept(lab) == []
    assert set(states(engine, lab).values()) == {"running"}
    marks = {"hashlab.snapshot-of": lab.id}
    assert len(engine.images_with(marks)) == len(lab.machines)
    provider.machines.discard(lab)
    assert engine.images_with(marks) == []


def test_snapshots_of_another_lab_are_not_listed(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    take(provider, lab, track)
    other = replace(lab, name="other")
    assert provider.snapshots.kept(other) == []
    assert provider.snapshots.remove(other, "first") == []
    provider.machines.discard(other)
    assert provider.snapshots.kept(lab) == ["first"]


def test_destroying_the_lab_leaves_its_snapshots(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    manifest = take(provider, lab, track)
    provider.machines.discard(lab)
    assert provider.machines.leftovers(lab) == []
    assert provider.snapshots.missing(lab, manifest) == []


def test_a_volume_shell_does_not_count_as_a_user_of_a_box(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    running_lab(engine, lab)
    helper = {"Image": IMAGE, "Labels": {"hashlab.lab": "", "hashlab.machine": ""}}
    engine.create("helper", helper)
    assert provider.boxes.users() == {
        MANIFEST.recipe: [f"{lab.id}/{machine.name}" for machine in lab.machines]
    }


def helpers(engine: FakeEngine, name: str) -> list[Mapping[str, object]]:
    """Return the create requests of the containers of this name."""
    made = [call.words for call in engine.faults.calls if call.name == "laptop.create"]
    return [body for _, named, body in made if named == name]


def test_scripts_use_the_boxs_tools_and_see_no_other_volumes(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    engine.create_volume("a-database-of-somebody", {})
    manifest = take(provider, lab, track)
    # A machine's root controls the content of a snapshot's images.
    restore(provider, lab, manifest, track, may_stay=False)
    for what in ("snapshot", "restore"):
        [body] = helpers(engine, f"{lab.id}-{what}")
        assert body["Image"] == IMAGE
        host: Any = body["HostConfig"]
        assert set(host["Tmpfs"]) == {"/volumes/a-database-of-somebody"}
        assert host["NetworkMode"] == "none"


def test_if_the_machines_box_is_gone_another_box_is_used(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    running_lab(engine, lab)
    engine.images.pop(IMAGE)
    engine.images["hashlab-box:other"] = {"hashlab.recipe": "other"}
    take(provider, lab, track)
    [body] = helpers(engine, f"{lab.id}-snapshot")
    assert body["Image"] == "hashlab-box:other"
    del engine.images["hashlab-box:other"]
    with pytest.raises(LabError, match="this laptop has no box") as failure:
        take(provider, lab, track, "second")
    assert failure.value.next_step == "hashlab init-box"
