"""Provider docker on a fake engine: boxes, image stores, networks, machines, leftovers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from fakes import Behaviour, FakeEngine, small_lab, track_of
from fakes.engine import Container

from hashlab.config.model import BoxSettings, Lab
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, Completed, Endpoint
from hashlab.providers import docker
from hashlab.providers.docker import DockerProvider, _observed

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "docker", {"a:1": "x", "b:1": "y"})
SUBNET = IPv4Network("192.168.60.0/24")
KEY = "ssh-ed25519 AAAA hashlab"
GIVE_KEY = 'printf "%s\\n" "$0" > "$1" && chown core:core "$1" && chmod 0600 "$1"'


def fine(_: Container) -> Completed:
    return Completed(0, "", "")


def broken(_: Container) -> Completed:
    return Completed(1, "", "no\n")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return small_lab(tmp_path / "lab")


@pytest.fixture
def engine() -> FakeEngine:
    """A laptop's engine on which privileged containers work."""
    made = FakeEngine()
    made.behave("hashlab-probe", Behaviour(exits=0))
    return made


@pytest.fixture
def provider(engine: FakeEngine, tmp_path: Path) -> DockerProvider:
    return DockerProvider(engine=lambda: engine, cache=tmp_path / "state/engine.json")


@pytest.fixture
def track() -> Iterator[Track]:
    with track_of() as made:
        yield made


def built(engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track) -> None:
    """The box's image is there."""
    engine.images["debian:bookworm-slim"] = {}
    provider.build_system(lab, MANIFEST, track=track)


def with_store(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, folder: Path
) -> None:
    """The box is there whole."""
    built(engine, provider, lab, track)
    seed_answers(engine)
    provider.build_store(lab, MANIFEST, folder / "images.tar", track=track)
    engine.behave(f"{lab.id}-clone", Behaviour(exits=0))


def seed_answers(engine: FakeEngine, **answers: Any) -> None:
    """What the seed machine says to what it is asked."""
    load = ("docker", "load", "--quiet", "--input", "/images/images.tar")
    engine.executes[("docker", "info")] = answers.get("info", fine)
    engine.executes[load] = answers.get("load", fine)
    stop = ("systemctl", "stop", "docker.service", "docker.socket")
    engine.executes[stop] = answers.get("stop", fine)


def machine(engine: FakeEngine, lab: Lab, name: str, **labels: str) -> str:
    """A machine's container that runs."""
    if lab.id not in engine.networks():
        engine.create_bridge(lab.id, str(SUBNET), {"hashlab.lab": lab.id})
    engine.images["hashlab-box:abc"] = {}
    body = {
        "Image": "hashlab-box:abc",
        "Labels": {"hashlab.lab": lab.id, "hashlab.machine": name, "hashlab.recipe": "abc"}
        | labels,
        "NetworkingConfig": {"EndpointsConfig": {lab.id: {}}},
    }
    container = engine.create(f"{lab.id}-{name}", body)
    engine.start(container)
    return container


# The laptop


@pytest.mark.parametrize("driver", ["overlay2", "overlayfs"])
def test_a_linux_engine_with_overlay_works(
    engine: FakeEngine, provider: DockerProvider, driver: str
) -> None:
    engine.host["Driver"] = driver
    provider.check()


@pytest.mark.parametrize(
    ("fact", "value", "told"),
    [
        ("OSType", "windows", "runs windows containers"),
        ("Driver", "vfs", "stores images with 'vfs', not overlay2"),
        ("Driver", "btrfs", "stores images with 'btrfs'"),
    ],
)
def test_an_engine_that_cannot_hold_a_lab_is_refused_with_a_next_step(
    engine: FakeEngine, provider: DockerProvider, fact: str, value: str, told: str
) -> None:
    engine.host[fact] = value
    with pytest.raises(LaptopError, match=told) as failure:
        provider.check()
    assert failure.value.next_step


def test_the_tools_are_those_that_phases_call(provider: DockerProvider) -> None:
    commands = {tool.command for tool in provider.tools(building=False)}
    assert commands == {"vagrant", "ssh", "ssh-keygen", "rsync"}


# The box


def test_the_recipe_holds_every_file_the_system_is_built_from(provider: DockerProvider) -> None:
    folder = Path(docker.__file__).parent / "system"
    inputs = provider.recipe_inputs()
    assert set(inputs) == {path.name for path in folder.iterdir() if path.is_file()}
    for name, text in inputs.items():
        assert text == (folder / name).read_text()


def test_the_system_is_built_from_the_labs_base_and_packages(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    box = BoxSettings("debian:sid", ("curl", "jq"))
    provider.build_system(replace(lab, box=box), MANIFEST, track=track)
    [call] = [call for call in engine.faults.calls if call.name == "laptop.build_image"]
    assert call.words[1:] == (
        "hashlab-box:abc",
        {"BASE": "debian:sid", "PACKAGES": "curl jq"},
        "",
    )
    assert engine.images["hashlab-box:abc"] == {
        "hashlab.recipe": "abc",
        "hashlab.box": "hashlab/small",
    }


def test_a_box_is_present_once_image_and_store_are(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    assert not provider.box_present(MANIFEST)
    built(engine, provider, lab, track)
    assert not provider.box_present(MANIFEST)
    with_store(engine, provider, lab, track, tmp_path)
    assert provider.box_present(MANIFEST)
    assert not provider.box_present(replace(MANIFEST, recipe="other"))


def test_the_seed_machine_is_gone_after_the_store_was_filled(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    assert not engine.all
    asked = [call.words[2] for call in engine.faults.calls if call.name == "laptop.execute"]
    assert [words[0] for words in asked] == ["docker", "docker", "systemctl"]


@pytest.mark.parametrize("step", ["load", "stop"])
def test_a_seed_machine_that_fails_leaves_neither_itself_nor_half_a_store(
    engine: FakeEngine,
    provider: DockerProvider,
    lab: Lab,
    track: Track,
    tmp_path: Path,
    step: str,
) -> None:
    built(engine, provider, lab, track)
    seed_answers(engine, **{step: broken})
    with pytest.raises(LabError) as failure:
        provider.build_store(lab, MANIFEST, tmp_path / "images.tar", track=track)
    assert failure.value.output == "no\n"
    assert not engine.all
    assert not engine.volume_labels


def test_a_seed_machine_whose_engine_never_answers_is_given_up_with_its_log(
    engine: FakeEngine,
    provider: DockerProvider,
    lab: Lab,
    track: Track,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built(engine, provider, lab, track)
    seed_answers(engine, info=broken)
    engine.behave("hashlab-box-abc-seed", Behaviour(log="systemd: failed\n"))
    monkeypatch.setattr(docker, "SEED_SECONDS", -1)
    with pytest.raises(LabError, match="engine does not start") as failure:
        provider.build_store(lab, MANIFEST, tmp_path / "images.tar", track=track)
    assert failure.value.output == "systemd: failed\n"
    assert not engine.all


def test_a_store_is_begun_anew_not_added_to(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    engine.create_volume("hashlab-box-abc", {"left": "by a killed run"})
    engine.images["x"] = {}
    engine.create("hashlab-box-abc-seed", {"Image": "x"})
    with_store(engine, provider, lab, track, tmp_path)
    assert engine.volume_labels["hashlab-box-abc"] == {
        "hashlab.box": "hashlab/small",
        "hashlab.recipe": "abc",
    }


def test_the_box_names_its_image_and_its_provider(provider: DockerProvider) -> None:
    files = provider.box_files(MANIFEST)
    assert json.loads(str(files["metadata.json"])) == {"provider": "docker"}
    assert 'docker.image = "hashlab-box:abc"' in str(files["Vagrantfile"])


def test_a_removed_box_leaves_nothing_and_other_boxes_stay(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.create_volume("other", {"hashlab.box": "hashlab/small", "hashlab.recipe": "other"})
    assert provider.remove_box(MANIFEST) == ["image hashlab-box:abc", "volume hashlab-box-abc"]
    assert provider.remove_box(MANIFEST) == []
    assert list(engine.volume_labels) == ["other"]


# Isolation


def flags(provider: DockerProvider, lab: Lab) -> list[str]:
    args: list[str] = provider.machine_settings(lab, lab.machines[0], MANIFEST)["create_args"]
    return args


def test_where_privileged_containers_work_machines_are_privileged(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.images["hashlab-box:abc"] = {}
    args = flags(provider, lab)
    assert "--privileged" in args
    assert "--cap-add" not in args
    assert args[:5] == ["--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/tmp"]


@pytest.mark.parametrize(
    "message", ["unable to apply caps: operation not permitted", "operation not permitted"]
)
def test_where_they_do_not_the_same_is_given_piece_by_piece(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, message: str
) -> None:
    engine.images["hashlab-box:abc"] = {}
    engine.faults.arm("laptop.start", LabError(message))
    args = " ".join(flags(provider, lab))
    assert "--privileged" not in args
    assert "--cap-add ALL --cap-drop SYS_RESOURCE" in args
    assert "--security-opt seccomp=unconfined" in args
    assert "--security-opt apparmor=unconfined" in args
    assert "--security-opt systempaths=unconfined" in args


def test_the_probe_is_made_once_and_its_container_is_gone(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.images["hashlab-box:abc"] = {}
    flags(provider, lab)
    flags(provider, lab)
    assert engine.faults.names().count("laptop.create") == 1
    assert not engine.all


def test_another_engine_is_probed_anew(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.images["hashlab-box:abc"] = {}
    flags(provider, lab)
    engine.host["ID"] = "another"
    flags(provider, lab)
    assert engine.faults.names().count("laptop.create") == 2


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_cache_means_probing_again(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path, text: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/engine.json").write_text(text)
    engine.images["hashlab-box:abc"] = {}
    assert "--privileged" in flags(provider, lab)


def test_a_probe_that_fails_for_another_reason_is_a_failure_and_not_remembered(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path
) -> None:
    engine.images["hashlab-box:abc"] = {}
    engine.faults.arm("laptop.start", LabError("no space left on device"))
    with pytest.raises(LabError, match="no space left"):
        flags(provider, lab)
    assert not (tmp_path / "state/engine.json").exists()
    assert not engine.all


# Machines


def test_a_machine_is_told_its_limits_and_labels(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.images["hashlab-box:abc"] = {}
    limited = replace(lab.machines[0], memory=1 << 30, cpus=1.5)
    settings = provider.machine_settings(lab, limited, MANIFEST)
    args = " ".join(settings["create_args"])
    assert f"--memory {1 << 30} --cpus 1.5" in args
    for label in (f"hashlab.lab={lab.id}", "hashlab.machine=broker", "hashlab.recipe=abc"):
        assert f"--label {label}" in args
    assert settings["container"] == f"{lab.id}-broker"
    assert settings["volume"] == f"{lab.id}-broker-images:/var/lib/docker"
    free = replace(limited, memory=None, cpus=None)
    args = " ".join(provider.machine_settings(lab, free, MANIFEST)["create_args"])
    assert "--memory" not in args
    assert "--cpus" not in args


def prepare(provider: DockerProvider, lab: Lab, track: Track, subnet: IPv4Network = SUBNET) -> None:
    provider.prepare(lab, lab.machines, MANIFEST, subnet, track=track)
    provider.fill_disks(lab, lab.machines, MANIFEST, track=track)


def test_new_machines_get_a_network_and_a_store_cloned_from_the_boxs(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    prepare(provider, lab, track)
    assert engine.networks()[lab.id] == (str(SUBNET),)
    assert engine.networks_with({"hashlab.lab": lab.id}) == [lab.id]
    assert engine.volumes({"hashlab.lab": lab.id}) == sorted(
        f"{lab.id}-{machine.name}-images" for machine in lab.machines
    )
    [clone] = [
        call.words[2]
        for call in engine.faults.calls
        if call.name == "laptop.create" and call.words[1] == f"{lab.id}-clone"
    ]
    script = clone["Entrypoint"][2]
    assert script.count("cp -al /volumes/hashlab-box-abc/_data/overlay2") == len(lab.machines)
    for one in lab.machines:
        assert f"/volumes/{lab.id}-{one.name}-images/_data" in script
    assert clone["HostConfig"]["Binds"] == ["/var/lib/docker/volumes:/volumes"]
    assert not engine.all


def test_a_clone_that_fails_is_a_failure_with_its_log(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.behave(f"{lab.id}-clone", Behaviour(exits=1, log="cp: no space\n"))
    with pytest.raises(LabError, match="cannot clone") as failure:
        prepare(provider, lab, track)
    assert failure.value.output == "cp: no space\n"
    assert not engine.all


def test_a_network_that_fits_is_kept_and_another_is_made_anew(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    prepare(provider, lab, track)
    first = engine.network_id(lab.id)
    prepare(provider, lab, track)
    assert engine.network_id(lab.id) == first
    prepare(provider, lab, track, IPv4Network("192.168.61.0/24"))
    assert engine.networks()[lab.id] == ("192.168.61.0/24",)


def test_a_store_left_by_a_machine_that_is_gone_is_made_anew(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.create_volume(f"{lab.id}-broker-images", {"old": "1"})
    prepare(provider, lab, track)
    assert "old" not in engine.volume_labels[f"{lab.id}-broker-images"]


def test_the_labs_own_subnet_is_told_apart_from_those_of_others(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    assert provider.own_subnet(lab) == ""
    engine.create_bridge("another", "10.5.0.0/16", {})
    engine.create_bridge(lab.id, str(SUBNET), {})
    assert provider.own_subnet(lab) == str(SUBNET)
    assert "10.5.0.0/16" in provider.used_subnets(lab)
    assert str(SUBNET) not in provider.used_subnets(lab)


def inspected(status: str = "running", **settings: Any) -> dict[str, Any]:
    """What the engine says of a machine's container."""
    return {
        "State": {"Status": status},
        "Config": {"Labels": {"hashlab.recipe": "abc"}},
        "NetworkSettings": {
            "Ports": {
                "22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2200"}],
                "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                "9000/tcp": None,
            },
            "Networks": {
                "bridge": {"IPAddress": "172.17.0.2", "IPAMConfig": None},
                "small-1": {"IPAddress": "192.168.60.6", "IPAMConfig": {}},
            },
        }
        | settings,
    }


def test_a_running_machine_is_reached_by_its_forwarded_port() -> None:
    found = _observed("web", inspected())
    assert found.state == "running"
    assert found.endpoint == Endpoint("127.0.0.1", 2200, "core")
    assert found.forwarded == {80: 8080}
    assert found.address == IPv4Address("192.168.60.6")
    assert found.recipe == "abc"


def test_a_stopped_machine_keeps_the_address_it_was_asked_to_have() -> None:
    networks = {
        "bridge": {"IPAddress": ""},
        "small-1": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "192.168.60.6"}},
    }
    found = _observed("web", inspected("exited", Ports={}, Networks=networks))
    assert (found.state, found.endpoint) == ("stopped", None)
    assert found.address == IPv4Address("192.168.60.6")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("running", "running"),
        ("paused", "paused"),
        ("exited", "stopped"),
        ("created", "stopped"),
        ("dead", "stopped"),
        ("restarting", "stopped"),
    ],
)
def test_every_state_of_a_container_is_one_of_a_machine(status: str, state: str) -> None:
    assert _observed("web", inspected(status)).state == state


def test_a_machine_that_is_on_no_network_yet_has_no_address() -> None:
    only_bridge = {"bridge": {"IPAddress": "172.17.0.2"}}
    assert _observed("web", inspected(Networks=only_bridge)).address is None
    assert _observed("web", inspected(Networks=None, Ports=None)).address is None


def test_machines_are_those_of_the_lab_in_the_files_order(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    for name in ("web", "broker", "gone-from-the-file"):
        machine(engine, lab, name)
    machine(engine, replace(lab, folder=lab.folder / "other"), "spare")
    assert [found.name for found in provider.machines(lab)] == ["broker", "web"]
    assert provider.machine(lab, "spare") is None
    one = provider.machine(lab, "web")
    assert one is not None
    assert (one.name, one.recipe) == ("web", "abc")


def test_machines_that_never_started_or_are_on_no_network_are_half_built(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "broker")
    half = machine(engine, lab, "web")
    engine.by_name(half).networks = frozenset()
    never = machine(engine, lab, "spare")
    engine.by_name(never).state = "created"
    assert sorted(provider.discard_half_built(lab)) == ["spare", "web"]
    assert [found.name for found in provider.machines(lab)] == ["broker"]
    assert provider.discard_half_built(lab) == []


def test_a_stopped_machine_is_not_half_built(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.stop(machine(engine, lab, "web"), timeout=0)
    assert provider.discard_half_built(lab) == []


def test_lost_ids_and_keys_are_given_back(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path
) -> None:
    web, broker = machine(engine, lab, "web"), machine(engine, lab, "broker")
    engine.stop(broker, timeout=0)
    given: list[str] = []
    words = ("sh", "-c", GIVE_KEY, KEY, "/home/core/.ssh/authorized_keys")
    engine.executes[words] = lambda c: given.append(c.id) or Completed(0, "", "")  # type: ignore[func-returns-value]
    kept = tmp_path / "vagrant/machines/broker/docker"
    kept.mkdir(parents=True)
    (kept / "id").write_text("what Vagrant wrote")
    provider.adopt(lab, tmp_path / "vagrant", KEY)
    assert (tmp_path / "vagrant/machines/web/docker/id").read_text() == web
    assert (kept / "id").read_text() == "what Vagrant wrote"
    assert given == [web]


def test_a_machine_that_takes_no_key_is_named(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path
) -> None:
    web = machine(engine, lab, "web")
    engine.executes["sh", "-c", GIVE_KEY, KEY, "/home/core/.ssh/authorized_keys"] = broken
    with pytest.raises(LabError, match="cannot give the machine our key") as failure:
        provider.adopt(lab, tmp_path / "vagrant", KEY)
    assert (failure.value.where, failure.value.output) == (web, "no\n")


def test_the_host_key_is_read_through_the_engine(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "web")
    words = ("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    engine.executes[words] = lambda _: Completed(0, "ssh-ed25519 AAAA root@web\n", "")
    assert provider.host_key(lab, "web") == "ssh-ed25519 AAAA"
    engine.executes[words] = broken
    assert provider.host_key(lab, "web") == ""


def test_halting_stops_running_machines_at_once(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "web")
    engine.stop(machine(engine, lab, "broker"), timeout=0)
    engine.faults.calls.clear()
    provider.halt(lab)
    stopped = [call.words[1:] for call in engine.faults.calls if call.name == "laptop.stop"]
    assert stopped == [(engine.by_name(f"{lab.id}-web").id, 0)]


def test_leftovers_are_everything_with_the_labs_label_and_nothing_else(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    other = replace(lab, folder=lab.folder / "other")
    for one in (lab, other):
        machine(engine, one, "web")
        engine.create_volume(f"{one.id}-web-images", {"hashlab.lab": one.id})
    everything = [
        f"container {lab.id}-web",
        f"volume {lab.id}-web-images",
        f"network {lab.id}",
    ]
    assert provider.leftovers(lab) == everything
    assert provider.discard(lab) == everything
    assert provider.leftovers(lab) == []
    assert len(provider.leftovers(other)) == 3
    assert "containers, volumes and networks" in provider.looked_for()
