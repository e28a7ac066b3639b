"""Machines: subnets and ports that are free, boxes that fit, endpoints that are remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, register_box, rows, run, running, small_lab, track_of
from fakes.outside import Silent

from hashlab.config.model import ForwardedPort
from hashlab.errors import EngineHangs, EngineStopped, LabError, LaptopError
from hashlab.phases import connect as connecting
from hashlab.phases.addresses import CANDIDATES, SSH_PORTS, choose_subnet, plan_machines, subnet_of
from hashlab.phases.boxes.registry import recipe_manifest, require_box
from hashlab.phases.connect import connect, reconnect
from hashlab.phases.prepare import prepare
from hashlab.pipeline import CancelToken, Recorder
from hashlab.protocols import SSH_PORT, Endpoint, ObservedMachine, PlannedMachine
from hashlab.providers.vagrant import BootPlan
from hashlab.run import workflows

WANTED = IPv4Network("192.168.60.0/24")


def nets(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "192.168.60.0/24"),
        (["172.17.0.0/16"], "192.168.60.0/24"),
        (["192.168.60.0/24"], "192.168.61.0/24"),
        (["192.168.60.128/25"], "192.168.61.0/24"),
        (["192.168.60.7/32"], "192.168.61.0/24"),
        (["192.168.60.0/23"], "192.168.62.0/24"),
        (["192.168.60.0/24", "192.168.61.0/24", "192.168.62.0/24"], "192.168.63.0/24"),
        (["192.168.0.0/17"], None),
        (["192.168.0.0/16"], None),
    ],
)
def test_the_wanted_subnet_is_taken_else_the_next_free_one(
    taken: list[str], chosen: str | None
) -> None:
    if chosen is None:
        with pytest.raises(LaptopError, match="no other is free"):
            choose_subnet(WANTED, nets(*taken), [])
        return
    assert choose_subnet(WANTED, nets(*taken), []) == IPv4Network(chosen)


TUNNEL = ("0.0.0.0/1", "128.0.0.0/1")


@pytest.mark.parametrize(
    ("routes", "chosen"),
    [
        (TUNNEL, "192.168.60.0/24"),
        ((*TUNNEL, "192.168.60.0/24"), "192.168.61.0/24"),
        (["192.168.60.9/32"], "192.168.61.0/24"),
        # Of those that a wider route contains, one outside of it is better.
        (["192.168.60.0/23"], "192.168.62.0/24"),
        (["192.168.0.0/18"], "192.168.64.0/24"),
        (["192.168.0.0/16"], "192.168.60.0/24"),
        (["192.168.0.0/16", "192.168.60.0/24"], "192.168.61.0/24"),
        (["10.0.0.0/8"], "192.168.60.0/24"),
    ],
)
def test_a_route_counts_by_how_wide_it_is(routes: list[str], chosen: str) -> None:
    assert choose_subnet(WANTED, [], nets(*routes)) == IPv4Network(chosen)


def test_a_wanted_subnet_that_is_no_24_may_lie_in_a_wider_route() -> None:
    wanted = IPv4Network("10.7.0.0/20")
    assert choose_subnet(wanted, [], nets("10.0.0.0/8")) == wanted


def test_a_subnet_that_is_no_24_has_no_substitute() -> None:
    wide = IPv4Network("10.7.0.0/16")
    assert choose_subnet(wide, [], []) == wide
    with pytest.raises(LaptopError, match=r"subnet 10\.7\.0\.0/16 is in use"):
        choose_subnet(wide, nets("10.7.3.0/24"), [])


def test_every_candidate_is_private_and_in_the_range_virtualbox_allows_or_above() -> None:
    assert all(candidate.is_private and candidate.prefixlen == 24 for candidate in CANDIDATES)


def test_the_subnet_is_the_one_that_planned_machines_are_in(tmp_path: Path) -> None:
    machine = small_lab(tmp_path).machines[0]
    planned = PlannedMachine(machine, IPv4Address("192.168.63.5"), {})
    assert subnet_of({machine.name: planned}) == IPv4Network("192.168.63.0/24")


def addresses(plan: Mapping[str, PlannedMachine]) -> dict[str, IPv4Address]:
    return {name: planned.address for name, planned in plan.items()}


def ports_of(plan: Mapping[str, PlannedMachine]) -> dict[str, Mapping[int, int]]:
    """Without those of sshd: by machine, guest → laptop."""
    return {
        name: {guest: host for guest, host in planned.ports.items() if guest != SSH_PORT}
        for name, planned in plan.items()
    }


def ssh_ports(plan: Mapping[str, PlannedMachine]) -> list[int]:
    return [planned.ports[SSH_PORT] for planned in plan.values()]


def test_without_anything_in_the_way_addresses_and_ports_are_as_configured(
    outside: Outside,
) -> None:
    world = outside.world()
    plan = plan_machines(world, {})
    assert addresses(plan) == {
        "broker": IPv4Address("192.168.60.5"),
        "web": IPv4Address("192.168.60.6"),
        "spare": IPv4Address("192.168.60.7"),
    }
    assert ports_of(plan) == {"broker": {}, "web": {80: 8080}, "spare": {}}
    assert world.facts.notes == []


def test_a_subnet_in_use_moves_every_address_alike_and_is_told(outside: Outside) -> None:
    outside.provider.subnets_in_use = ["192.168.60.0/24"]
    world = outside.world()
    plan = plan_machines(world, {})
    assert [str(a) for a in addresses(plan).values()] == [
        "192.168.61.5",
        "192.168.61.6",
        "192.168.61.7",
    ]
    assert world.facts.notes == ["subnet 192.168.60.0/24 is in use; this lab took 192.168.61.0/24"]


def test_a_route_of_the_laptop_counts_as_a_subnet_in_use(outside: Outside) -> None:
    world = replace(outside.world(), routes=lambda: nets("192.168.60.0/24"))
    assert str(plan_machines(world, {})["web"].address) == "192.168.61.6"


def test_a_network_of_the_laptops_interfaces_is_in_use_however_wide_it_is(
    outside: Outside,
) -> None:
    world = replace(outside.world(), interfaces=lambda: nets("192.168.0.0/17"))
    with pytest.raises(LaptopError, match="no other is free"):
        plan_machines(world, {})


def test_a_subnet_inside_the_route_of_a_vpn_is_told(outside: Outside) -> None:
    world = replace(outside.world(), routes=lambda: nets("192.168.56.0/21"))
    assert str(plan_machines(world, {})["web"].address) == "192.168.64.6"
    world = replace(outside.world(), routes=lambda: nets("192.168.0.0/16"))
    assert str(plan_machines(world, {})["web"].address) == "192.168.60.6"
    assert world.facts.notes == [
        "subnet 192.168.60.0/24 is in the route 192.168.0.0/16 (a VPN?), as all free ones are; "
        "its addresses now lead to the lab"
    ]


def test_the_labs_own_network_of_an_earlier_run_is_not_in_its_way(outside: Outside) -> None:
    """It is a route of the laptop, although no machine is there."""
    outside.network = WANTED
    world = outside.world()
    assert WANTED in world.routes()
    assert str(plan_machines(world, {})["web"].address) == "192.168.60.6"
    assert world.facts.notes == []


def test_a_port_in_use_is_replaced_and_told(outside: Outside) -> None:
    outside.ports_in_use = {8080}
    world = outside.world()
    assert ports_of(plan_machines(world, {}))["web"] == {80: 40001}
    assert world.facts.notes == ["port 8080 (site) is in use; using 40001"]


def with_ports(outside: Outside, **ports: int) -> None:
    """Each of these machines forwards its port 80 to this port of the laptop."""
    machines_then = tuple(
        replace(
            machine,
            forwarded_ports=(ForwardedPort(machine.name, 80, ports[machine.name]),)
            if machine.name in ports
            else (),
        )
        for machine in outside.lab.machines
    )
    outside.lab = replace(outside.lab, machines=machines_then)


def test_of_two_machines_that_want_one_port_the_second_gets_another(outside: Outside) -> None:
    with_ports(outside, broker=8080, web=8080)
    world = outside.world()
    ports = ports_of(plan_machines(world, {}))
    assert (ports["broker"], ports["web"]) == ({80: 8080}, {80: 40001})
    assert world.facts.notes == ["port 8080 (web) is in use; using 40001"]


def test_a_free_port_that_another_machine_was_just_given_is_not_given_twice(
    outside: Outside,
) -> None:
    with_ports(outside, broker=8080, web=8081, spare=8082)
    outside.ports_in_use = {8080, 8081, 8082}
    offered = iter([40001, 40001, 40002, 40001, 40002, 40003])
    world = replace(outside.world(), free_port=lambda: next(offered))
    ports = ports_of(plan_machines(world, {}))
    assert [ports[name][80] for name in ("broker", "web", "spare")] == [40001, 40002, 40003]


def test_machines_that_exist_keep_their_ports_even_though_they_are_in_use(
    outside: Outside,
) -> None:
    outside.ports_in_use = {8080, 45678}
    world = outside.world()
    there = ObservedMachine("web", "running", IPv4Address("192.168.60.6"), None, {80: 45678})
    assert ports_of(plan_machines(world, {"web": there}))["web"] == {80: 45678}


def test_each_machine_gets_a_port_of_its_own_for_ssh_and_each_lab_its_own_hundred(
    outside: Outside, tmp_path: Path
) -> None:
    ports = ssh_ports(plan_machines(outside.world(), {}))
    assert ports == [ports[0], ports[0] + 1, ports[0] + 2]
    assert ports[0] in SSH_PORTS
    # Two folders may hash to one hundred, ten do not.
    others = [small_lab(tmp_path / str(number)) for number in range(10)]
    taken = [ssh_ports(plan_machines(replace(outside.world(), lab=one), {})) for one in others]
    assert any(not set(one) & set(ports) for one in taken)


def test_a_taken_port_for_ssh_is_silently_replaced_and_that_of_a_machine_kept(
    outside: Outside,
) -> None:
    outside.ports_in_use = set(ssh_ports(plan_machines(outside.world(), {}))[:2]) | {22}
    world = outside.world()
    there = ObservedMachine(
        "spare", "running", IPv4Address("192.168.60.7"), Endpoint("127.0.0.1", 22999, "core"), {}
    )
    assert ssh_ports(plan_machines(world, {"spare": there})) == [40001, 40002, 22999]
    assert world.facts.notes == []


def test_dev_keeps_addresses_and_ports_of_machines_that_exist(outside: Outside) -> None:
    outside.runner.prepare("ssh")
    outside.provider.subnets_in_use = ["192.168.60.0/24"]
    outside.ports_in_use = {8080}
    running(outside)
    before = {name: (m.address, m.forwarded) for name, m in outside.machines.items()}
    outside.provider.subnets_in_use = []
    outside.ports_in_use = {40001}
    go(outside, workflows.DEV)
    vagrantfile = json.loads(outside.state.vagrantfile.read_text())
    web = next(one for one in vagrantfile["machines"] if one["name"] == "web")
    assert web["address"] == str(before["web"][0]) == "192.168.61.6"
    assert web["forwarded_ports"] == [{"id": "site", "guest": 80, "host": 40001}]


def test_a_stopped_machine_whose_port_another_program_has_is_named(outside: Outside) -> None:
    web = running(outside).machines["web"]
    web.state = "stopped"
    outside.ports_in_use = {8080}
    result = run(outside, workflows.DEV)
    assert "another program has its port 8080" in str(result.error)
    outside.ports_in_use = set()
    go(outside, workflows.DEV)


def test_a_new_machine_in_a_running_lab_alone_is_booted(outside: Outside) -> None:
    lab = outside.lab
    outside.lab = replace(lab, machines=lab.machines[:2])
    running(outside)
    outside.lab = lab
    go(outside, workflows.DEV)
    booted = [call.words for call in outside.faults.calls if call.name == "vagrant.up"]
    prepared = [call.words for call in outside.faults.calls if call.name == "provider.prepare"]
    assert booted == prepared == [("spare",)]


def test_machines_that_hashlab_chose_are_noted_when_they_are_made(outside: Outside) -> None:
    outside.lab = replace(outside.lab, own_machines=False)
    go(outside, workflows.INIT_BOX)
    chosen = (
        "hashlab chose the machines of lab small: broker (queue, migrate), web (site), spare (). "
        "To choose: hashlab init"
    )
    for notes in ((chosen,), ()):
        world = outside.world()
        with track_of() as track:
            prepare(world, track, "")
        assert tuple(note for note in world.facts.notes if "chose" in note) == notes
        go(outside, workflows.DEV)


def test_a_half_built_machine_of_a_killed_run_is_made_anew_and_told(outside: Outside) -> None:
    running(outside)
    outside.provider.half_built = ["web"]
    world = outside.world()
    with track_of() as track:
        prepare(world, track, "")
    assert "an earlier run left machine web half built; it is created again" in world.facts.notes
    assert world.facts.prepared is not None
    assert "web" not in world.facts.prepared.observed


def test_without_a_box_dev_says_init_box(outside: Outside) -> None:
    told = "lab small has no box"
    with track_of() as track, pytest.raises(LaptopError, match=told) as failure:
        require_box(outside.world(), track)
    assert failure.value.next_step == "hashlab init-box"


def test_a_box_whose_image_is_gone_is_told_apart_from_no_box(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    outside.stores.clear()
    told = "is gone from this laptop"
    with track_of() as track, pytest.raises(LaptopError, match=told) as failure:
        require_box(outside.world(), track)
    assert failure.value.next_step == "hashlab init-box"


def test_a_machine_on_an_older_box_is_told(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].recipe = "old"
    world = outside.world()
    with track_of() as track:
        prepare(world, track, "")
    assert world.facts.notes == ["web: on an older box. To renew: hashlab dev --replace"]


def test_connect_waits_until_the_machine_is_up(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    web = outside.machines.pop("web")
    world = outside.world()
    looks = 0
    ask = outside.provider.observe

    def later(lab: Any, name: str) -> ObservedMachine | None:
        nonlocal looks
        looks += 1
        if looks == 3:
            outside.machines["web"] = web
        return ask(lab, name)

    monkeypatch.setattr(outside.provider, "observe", later)
    with track_of() as track:
        connect(world, track, "web")
    assert looks == 3
    assert world.link("web").machine == "web"


def test_connect_gives_up_with_the_last_reason(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside).machines["web"].state = "stopped"
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0)
    with pytest.raises(LabError, match="the machine is not up yet"), track_of() as track:
        connect(outside.world(), track, "web")


def test_connect_waits_until_sshd_answers(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0)
    monkeypatch.setattr(type(outside.connector), "answers", lambda *_: False)
    with pytest.raises(LabError, match="sshd does not answer yet"), track_of() as track:
        connect(outside.world(), track, "web")


def test_connect_waits_for_the_host_key(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    running(outside).machines["web"].host_key = ""
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0)
    with pytest.raises(LabError, match="no host key yet"), track_of() as track:
        connect(outside.world(), track, "web")


def detail_of_reconnect(outside: Outside, machine: str = "web") -> str:
    """Reconnect to one machine in a new world; return the row's detail."""
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("connect") as track:
        reconnect(outside.world(), track, machine)
    return recorder.rows()[0].detail


def asked_provider(outside: Outside) -> bool:
    return any(name.startswith("provider.") for name in outside.faults.names())


def reached_at(outside: Outside) -> str:
    return f"192.168.60.6, SSH on port {outside.machines['web'].port}"


def test_reconnect_reads_the_endpoint_from_the_cache_and_asks_nobody(outside: Outside) -> None:
    assert detail_of_reconnect(running(outside)) == reached_at(outside)
    assert not asked_provider(outside)


def test_the_cache_remembers_forwarded_ports_for_urls(outside: Outside) -> None:
    outside.ports_in_use = {8080}
    running(outside)
    world = outside.world()
    with track_of() as track:
        reconnect(world, track, "web")
    assert world.urls() == {"site": "http://127.0.0.1:40001"}


def test_reconnect_asks_the_provider_when_the_port_changed(outside: Outside) -> None:
    running(outside).machines["web"].port = 2299
    assert detail_of_reconnect(outside) == "192.168.60.6, SSH on port 2299"
    outside.faults.calls.clear()
    assert detail_of_reconnect(outside) == "192.168.60.6, SSH on port 2299"
    assert not asked_provider(outside)


def test_reconnect_takes_a_machine_that_was_made_anew_with_its_new_host_key(
    outside: Outside,
) -> None:
    running(outside).machines["web"].host_key = "ssh-ed25519 NEW"
    detail_of_reconnect(outside)
    assert "ssh-ed25519 NEW" in (outside.state.ssh / "known_hosts").read_text()


@pytest.mark.parametrize("lost", ["machines", "key", "ssh_config", "ssh"])
def test_reconnect_recovers_from_lost_local_files(outside: Outside, lost: str) -> None:
    running(outside)
    path = getattr(outside.state, lost)
    path.rename(path.with_name("lost"))
    assert detail_of_reconnect(outside) == reached_at(outside)
    assert path.exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"web": null}', '{"web": {}}', '{"web": {"host": 1, "port": "x"}}'],
)
def test_reconnect_recovers_from_a_broken_cache(outside: Outside, text: str) -> None:
    running(outside)
    outside.state.machines.write_text(text)
    assert detail_of_reconnect(outside) == reached_at(outside)


def test_one_machine_with_an_old_cache_does_not_make_the_others_forgotten(
    outside: Outside,
) -> None:
    """The others were reached by the cache, before or after that one."""
    running(outside).machines["broker"].port = 2299
    for name in ("broker", "web", "spare"):  # the order in which threads may do it
        detail_of_reconnect(outside, name)
    assert set(json.loads(outside.state.machines.read_text())) == {"broker", "web", "spare"}
    config = outside.state.ssh_config.read_text()
    assert [name for name in ("broker", "web", "spare") if f"Host {name}\n" not in config] == []


@pytest.mark.parametrize(
    ("state", "told"), [("stopped", "the machine is stopped"), ("paused", "the machine is paused")]
)
def test_reconnect_to_a_machine_that_does_not_run_says_dev(
    outside: Outside, state: Any, told: str
) -> None:
    running(outside).machines["web"].state = state
    with pytest.raises(LabError) as failure:
        detail_of_reconnect(outside)
    assert (failure.value.what, failure.value.next_step) == (told, "hashlab dev")


def test_reconnect_to_a_machine_that_is_not_there_says_dev(outside: Outside) -> None:
    del running(outside).machines["web"]
    with pytest.raises(LabError) as failure:
        detail_of_reconnect(outside)
    assert failure.value.what == "the machine is not there"


@pytest.mark.parametrize("moved", [False, True])
def test_a_refresh_says_at_once_that_an_engine_is_stopped(outside: Outside, moved: bool) -> None:
    web = running(outside).machines["web"]
    web.engine_stopped = True
    web.port += moved  # the provider is asked then
    with pytest.raises(EngineStopped) as failure:
        detail_of_reconnect(outside)
    assert failure.value.where == "web"
    assert "connector.start_engine" not in outside.faults.names()


def test_dev_starts_an_engine_that_is_stopped(outside: Outside) -> None:
    running(outside).machines["web"].engine_stopped = True
    world = outside.world()
    with track_of() as track:
        connect(world, track, "web")
    assert world.facts.notes == ["the Docker Engine of machine web was stopped, and was started"]
    assert world.link("web").engine.answers(1)


def test_a_refresh_reports_an_engine_that_hangs_without_trying_again(outside: Outside) -> None:
    running(outside).machines["web"].engine_hangs = True
    before = outside.faults.names().count("connector.connect")
    with pytest.raises(EngineHangs) as failure:
        detail_of_reconnect(outside)
    assert failure.value.where == "web"
    assert outside.faults.names().count("connector.connect") == before + 1
    assert "connector.start_engine" not in outside.faults.names()


def test_dev_restarts_an_engine_that_hangs(outside: Outside) -> None:
    running(outside).machines["web"].engine_hangs = True
    world = outside.world()
    with track_of() as track:
        connect(world, track, "web")
    assert world.facts.notes == [
        "the Docker Engine of machine web did not answer, and was restarted"
    ]
    assert world.link("web").engine.answers(1)


def test_dev_gives_up_on_an_engine_that_hangs_again_and_again(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside).machines["web"].engine_hangs = True
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", -1.0)
    with pytest.raises(EngineHangs), track_of() as track:
        connect(outside.world(), track, "web")


def test_an_engine_that_does_not_start_is_a_failure_at_once(outside: Outside) -> None:
    running(outside).machines["web"].engine_stopped = True
    failure = outside.faults.arm("connector.start_engine")
    with pytest.raises(LabError) as found, track_of() as track:
        connect(outside.world(), track, "web")
    assert found.value is failure


def test_people_can_reach_machines_by_openssh_with_pinned_keys_only(outside: Outside) -> None:
    running(outside)
    config = outside.state.ssh_config.read_text()
    web = config.split("Host ")[2]
    assert web.startswith("web\n")
    port = outside.machines["web"].port
    for line in (
        f"Port {port}",
        "User core",
        "StrictHostKeyChecking yes",
        "IdentitiesOnly yes",
    ):
        assert f"  {line}\n" in web
    known = (outside.state.ssh / "known_hosts").read_text().splitlines()
    assert f"{outside.lab.id}-web ssh-ed25519 HOSTKEYweb" in known


def test_boot_starts_only_machines_that_do_not_run(outside: Outside) -> None:
    running(outside).machines["web"].state = "stopped"
    result = go(outside, workflows.DEV)
    assert rows(result, "boot")[0].detail == "web up"
    assert [c.words for c in outside.faults.calls if c.name == "vagrant.up"] == [("web",)]


def test_boot_follows_the_providers_plan_step_by_step(outside: Outside) -> None:
    """Calls at once are rows of their own; a call alone is the phase itself."""
    outside.provider.order = lambda names: [[names[:1]], [[name] for name in names[1:]]]
    register_box(outside)
    result = go(outside, workflows.DEV)
    first, *rest = [call.words for call in outside.faults.calls if call.name == "vagrant.up"]
    assert first == ("broker",)
    assert sorted(rest) == [("spare",), ("web",)]
    told = rows(result, "vagrant up")
    assert sorted((row.machine, row.depth, row.status) for row in told) == [
        ("spare", 1, "ok"),
        ("web", 1, "ok"),
    ]


def test_a_failed_boot_ends_the_wait_of_connect_at_once(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    told = outside.faults.arm("vagrant.up")
    result = run(outside, workflows.DEV)
    assert result.error is told
    assert {row.status for row in rows(result, "connect")} == {"cancelled"}


def test_vagrant_creates_machines_only_once_their_disks_are_filled(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    outside.faults.calls.clear()
    go(outside, workflows.DEV)
    assert outside.provider.filled == {"broker", "web", "spare"}
    vagrantfile = json.loads(outside.state.vagrantfile.read_text())
    assert str(outside.state.disks_ready) in vagrantfile["wait_for_disk"]


def test_a_disk_of_an_earlier_run_does_not_let_vagrant_begin_too_early(outside: Outside) -> None:
    running(outside)
    assert outside.state.disks_ready.exists()
    world = outside.world()
    with track_of() as track:
        prepare(world, track, "")
    assert not outside.state.disks_ready.exists()


def test_machines_that_exist_keep_their_disks(outside: Outside) -> None:
    result = go(running(outside), workflows.DEV)
    assert rows(result, "disks")[0].status == "skipped"
    assert "provider.fill_disks" not in outside.faults.names()


def first_alone(machines: Sequence[str]) -> BootPlan:
    return [[machines[:1]], [[name] for name in machines[1:]]]


def test_machines_boot_in_the_steps_that_the_provider_says(outside: Outside) -> None:
    outside.provider.order = first_alone
    go(outside, workflows.INIT_BOX)
    result = go(outside, workflows.DEV)
    first, *others = [c.words for c in outside.faults.calls if c.name == "vagrant.up"]
    assert first == ("broker",)
    assert set(others) == {("web",), ("spare",)}
    assert {row.machine for row in rows(result, "vagrant up")} == {"web", "spare"}
    assert rows(result, "boot")[0].detail == "broker, web, spare up"


def test_a_step_of_the_boot_that_fails_is_the_last(outside: Outside) -> None:
    outside.provider.order = first_alone
    go(outside, workflows.INIT_BOX)
    told = outside.faults.arm("vagrant.up")
    assert run(outside, workflows.DEV).error is told
    assert [c.words for c in outside.faults.calls if c.name == "vagrant.up"] == [("broker",)]


def test_a_box_that_holds_no_images_boots_machines_that_are_sent_theirs(outside: Outside) -> None:
    outside.provider.holds_images = False
    built = go(outside, workflows.INIT_BOX)
    assert rows(built, "store")[0].status == "skipped"
    result = go(outside, workflows.DEV)
    sent = {row.machine: row.detail for row in rows(result, "images")}
    assert sent["broker"] == "sent small/queue"
    assert sent["web"] == "sent small/site"
    again = go(outside, workflows.INIT_BOX)
    assert rows(again, "recipe")[0].status == "skipped"


def test_an_image_that_changes_makes_no_box_stale_that_holds_none(outside: Outside) -> None:
    outside.provider.holds_images = False
    before = recipe_manifest(outside.world()).recipe
    (outside.lab.folder / "site/run.sh").write_text("exec other\n")
    assert recipe_manifest(outside.world()).recipe == before
    outside.provider.holds_images = True
    assert recipe_manifest(outside.world()).recipe != before
