"""Machines of the provider docker on a fake engine: networks, stores, states, keys, leftovers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from engine_labs import IMAGE, MANIFEST, STORE, SUBNET, broken, machine, with_store
from fakes import Behaviour, FakeEngine

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import SSH_PORT, Completed, Endpoint, PlannedMachine
from hashlab.providers.docker import DockerProvider
from hashlab.providers.docker.machines import observed
from hashlab.providers.scripts import AUTHORIZE

KEY = "ssh-ed25519 AAAA hashlab"


def plan(machine: Machine, ports: Mapping[int, int] | None = None) -> PlannedMachine:
    """Return the machine at the address and ports of hashlab.toml."""
    return PlannedMachine(machine, machine.address, {SSH_PORT: 22001, **(ports or {})})


def test_a_machine_is_created_with_its_limits_and_labels(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.images[IMAGE] = {}
    limited = replace(lab.machines[0], memory=1 << 30, cpus=1.5)
    settings = provider.machines.settings(lab, plan(limited), MANIFEST, KEY)
    args = " ".join(settings["create_args"])
    assert f"--memory {1 << 30} --cpus 1.5" in args
    assert "--privileged" in args
    for label in (f"hashlab.lab={lab.id}", "hashlab.machine=broker", "hashlab.recipe=abc"):
        assert f"--label {label}" in args
    assert settings["container"] == f"{lab.id}-broker"
    assert settings["volume"] == f"{lab.id}-broker-images:/var/lib/docker"
    assert settings["public_key"] == KEY
    assert settings["ssh_port"] == 22001
    assert settings["network"] == lab.id
    free = replace(limited, memory=None, cpus=None)
    settings = provider.machines.settings(lab, plan(free), MANIFEST, KEY)
    args = " ".join(settings["create_args"])
    assert "--memory" not in args
    assert "--cpus" not in args


def prepare(provider: DockerProvider, lab: Lab, track: Track, subnet: IPv4Network = SUBNET) -> None:
    planned = [plan(machine) for machine in lab.machines]
    provider.machines.prepare(lab, planned, MANIFEST, subnet, track=track)
    provider.machines.fill_disks(lab, lab.machines, MANIFEST, track=track)


def test_new_machines_get_a_network_and_a_clone_of_the_boxs_store(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    prepare(provider, lab, track)
    assert engine.networks()[lab.id] == (str(SUBNET),)
    assert [*engine.networks_with({"hashlab.lab": lab.id})] == [lab.id]
    assert engine.volumes({"hashlab.lab": lab.id}) == sorted(
        f"{lab.id}-{machine.name}-images" for machine in lab.machines
    )
    [clone] = [
        call.words[2]
        for call in engine.faults.calls
        if call.name == "laptop.create" and call.words[1] == f"{lab.id}-clone"
    ]
    _, _, script, _, *words = clone["Entrypoint"]
    assert 'cp -al "$from/overlay2"' in script
    stores = [f"/volumes/{lab.id}-{machine.name}-images/_data" for machine in lab.machines]
    assert words == ["clone", f"/volumes/{STORE}/_data", *stores]
    assert clone["HostConfig"]["Binds"] == ["/var/lib/docker/volumes:/volumes"]
    # So destroy finds it when a run was killed while it worked.
    assert clone["Labels"] == {"hashlab.lab": lab.id}
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


def test_a_suitable_network_is_kept_and_another_is_replaced(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    prepare(provider, lab, track)
    first = engine.network(lab.id)
    prepare(provider, lab, track)
    assert engine.network(lab.id) == first
    prepare(provider, lab, track, IPv4Network("192.168.61.0/24"))
    assert engine.networks()[lab.id] == ("192.168.61.0/24",)


def test_a_store_left_by_a_removed_machine_is_replaced(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.create_volume(f"{lab.id}-broker-images", {"old": "1"})
    prepare(provider, lab, track)
    assert "old" not in engine.volume_labels[f"{lab.id}-broker-images"]


def test_the_container_of_a_killed_run_that_fills_stores_goes_before_the_stores(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.create_volume(f"{lab.id}-broker-images", {"hashlab.lab": lab.id})
    engine.faults.calls.clear()
    prepare(provider, lab, track)
    removed = [
        c for c in engine.faults.calls if c.name in ("laptop.remove", "laptop.remove_volume")
    ]
    assert removed[0].name == "laptop.remove"
    assert f"{lab.id}-clone" in removed[0].words
    assert removed[1].name == "laptop.remove_volume"


def test_the_labs_own_subnet_is_distinguished_from_others(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    assert provider.machines.own_subnet(lab) == ""
    engine.create_bridge("another", "10.5.0.0/16", {})
    engine.create_bridge(lab.id, str(SUBNET), {})
    assert provider.machines.own_subnet(lab) == str(SUBNET)
    assert "10.5.0.0/16" in provider.machines.used_subnets(lab)
    assert str(SUBNET) not in provider.machines.used_subnets(lab)


def inspected(status: str = "running", **settings: Any) -> dict[str, Any]:
    """Return the engine's description of a machine's container."""
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
    found = observed("web", inspected())
    assert found.state == "running"
    assert found.endpoint == Endpoint("127.0.0.1", 2200, "core")
    assert found.forwarded == {80: 8080}
    assert found.address == IPv4Address("192.168.60.6")
    assert found.recipe == "abc"


def test_a_stopped_machine_keeps_its_requested_address() -> None:
    networks = {
        "bridge": {"IPAddress": ""},
        "small-1": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "192.168.60.6"}},
    }
    found = observed("web", inspected("exited", Ports={}, Networks=networks))
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
def test_every_state_of_a_container_maps_to_a_state_of_a_machine(status: str, state: str) -> None:
    assert observed("web", inspected(status)).state == state


def test_a_machine_without_a_network_has_no_address() -> None:
    only_bridge = {"bridge": {"IPAddress": "172.17.0.2"}}
    assert observed("web", inspected(Networks=only_bridge)).address is None
    assert observed("web", inspected(Networks=None, Ports=None)).address is None


def test_machines_are_those_of_the_lab_in_the_files_order(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    for name in ("web", "broker", "gone-from-the-file"):
        machine(engine, lab, name)
    machine(engine, replace(lab, folder=lab.folder / "other"), "spare")
    assert [found.name for found in provider.machines.observe_all(lab)] == ["broker", "web"]
    assert provider.machines.observe(lab, "spare") is None
    one = provider.machines.observe(lab, "web")
    assert one is not None
    assert (one.name, one.recipe) == ("web", "abc")


def test_machines_that_never_started_or_lack_a_network_are_half_built(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "broker")
    half = machine(engine, lab, "web")
    engine.by_name(half).networks = {}
    never = machine(engine, lab, "spare")
    engine.by_name(never).state = "created"
    assert sorted(provider.machines.discard_half_built(lab)) == ["spare", "web"]
    assert [found.name for found in provider.machines.observe_all(lab)] == ["broker"]
    assert provider.machines.discard_half_built(lab) == []


def test_a_stopped_machine_is_not_half_built(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    engine.stop(machine(engine, lab, "web"), timeout=0)
    assert provider.machines.discard_half_built(lab) == []


def test_discarding_one_machine_removes_its_disk_and_keeps_the_others(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    for name in ("web", "broker"):
        machine(engine, lab, name)
        engine.create_volume(f"{lab.id}-{name}-images", {"hashlab.lab": lab.id})
    provider.machines.discard_machine(lab, "web")
    provider.machines.discard_machine(lab, "web")
    assert [found.name for found in provider.machines.observe_all(lab)] == ["broker"]
    assert engine.volumes({"hashlab.lab": lab.id}) == [f"{lab.id}-broker-images"]


def test_all_machines_boot_in_one_call(provider: DockerProvider) -> None:
    assert provider.machines.boot_plan(["broker", "web"], MANIFEST) == [[["broker", "web"]]]


def test_lost_ids_and_keys_are_restored(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path
) -> None:
    web, broker = machine(engine, lab, "web"), machine(engine, lab, "broker")
    engine.stop(broker, timeout=0)
    given: list[str] = []
    words = ("sh", "-c", AUTHORIZE, "sh", KEY, "/home/core/.ssh/authorized_keys")
    engine.executes[words] = lambda c: given.append(c.id) or Completed(0, "", "")  # type: ignore[func-returns-value]
    kept = tmp_path / "docker/vagrant/machines/broker/docker"
    kept.mkdir(parents=True)
    (kept / "id").write_text("what Vagrant wrote")
    provider.machines.adopt(lab, KEY)
    assert (tmp_path / "docker/vagrant/machines/web/docker/id").read_text() == web
    assert (kept / "id").read_text() == "what Vagrant wrote"
    assert given == [web]


def test_a_machine_that_refuses_the_key_is_named(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, tmp_path: Path
) -> None:
    web = machine(engine, lab, "web")
    engine.executes["sh", "-c", AUTHORIZE, "sh", KEY, "/home/core/.ssh/authorized_keys"] = broken
    with pytest.raises(LabError, match="cannot install hashlab's key on the machine") as failure:
        provider.machines.adopt(lab, KEY)
    assert (failure.value.where, failure.value.output) == (web, "no\n")


def test_the_host_key_is_read_through_the_engine(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "web")
    words = ("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    engine.executes[words] = lambda _: Completed(0, "ssh-ed25519 AAAA root@web\n", "")
    assert provider.machines.host_key(lab, "web") == "ssh-ed25519 AAAA"
    engine.executes[words] = broken
    assert provider.machines.host_key(lab, "web") == ""


def test_suspended_machines_are_frozen_until_they_are_resumed(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "web")
    provider.machines.suspend(lab, ["web"])
    assert [found.state for found in provider.machines.observe_all(lab)] == ["paused"]
    provider.machines.resume(lab, ["web"])
    assert [found.state for found in provider.machines.observe_all(lab)] == ["running"]


def test_halting_stops_running_machines_at_once(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    machine(engine, lab, "web")
    engine.stop(machine(engine, lab, "broker"), timeout=0)
    engine.faults.calls.clear()
    provider.machines.halt(lab)
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
    assert provider.machines.leftovers(lab) == everything
    assert provider.machines.discard(lab) == everything
    assert provider.machines.leftovers(lab) == []
    assert len(provider.machines.leftovers(other)) == 3
    assert "containers, volumes and networks" in provider.machines.leftover_kinds()


def test_a_stopped_machine_keeps_its_requested_ports() -> None:
    """The engine lists a container's published ports only while it runs."""
    inspected = {
        "NetworkSettings": {"Ports": {}, "Networks": {}},
        "HostConfig": {
            "PortBindings": {
                "22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "22000"}],
                "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
            }
        },
        "State": {"Status": "exited"},
        "Config": {"Labels": {}},
    }
    found = observed("web", inspected)
    assert found.endpoint is None
    assert found.forwarded == {22: 22000, 80: 8080}
