"""Network: engines join one Swarm, only what is missing is done, and a lost Swarm is made again."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from fakes import Outside, carry_out, connected, go, phase_of, rows, running, track_of
from fakes.machine import FakeShell
from fakes.outside import Silent

from hashlab.errors import LabError
from hashlab.phases.containers.networking import settings_of
from hashlab.phases.network import is_leader, is_member
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.protocols import Completed, SwarmState
from hashlab.run import workflows

HERE = IPv4Address("192.168.60.5")
LEADER = SwarmState(True, True, "N1", str(HERE), ("N1",), joined=True)
WORKER = SwarmState(True, False, "N2", "192.168.60.6", ("N1",), joined=True)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LEADER, True),
        (SwarmState(False, False), False),
        (SwarmState(False, True, "N1", str(HERE), ("N1",), joined=True), False),
        (SwarmState(True, True, "N1", "192.168.61.5", ("N1",), joined=True), False),
        (WORKER, False),
    ],
)
def test_an_engine_leads_where_it_is_an_active_manager_at_its_address(
    state: SwarmState, expected: bool
) -> None:
    assert is_leader(state, HERE) is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (WORKER, True),
        (SwarmState(False, False), False),
        (SwarmState(False, False, "N2", "192.168.60.6", ("N1",), joined=True), False),
        (SwarmState(True, False, "N2", "192.168.60.6", ("N9",), joined=True), False),
        (SwarmState(True, False, "N2", "192.168.60.6", (), joined=True), False),
        (SwarmState(True, True, "N1", "192.168.60.6", ("N1",), joined=True), False),
    ],
)
def test_an_engine_belongs_where_it_is_a_worker_of_this_very_manager(
    state: SwarmState, expected: bool
) -> None:
    assert is_member(state, LEADER) is expected


def join(outside: Outside) -> tuple[Row, str]:
    """Run the phase in a new world; return its row and the network's id."""
    world = connected_without_network(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("network") as track:
        carry_out(world, phase_of(workflows.REFRESH, "network"), track)
    return recorder.rows()[0], world.facts.network.ids["small_default"]


def connected_without_network(outside: Outside) -> World:
    """A new world with links to every machine."""
    world = outside.world()
    phase = next(phase for phase in workflows.REFRESH if phase.name == "connect")
    with track_of() as track:
        for name in world.machine_names():
            phase.run(world, track, name)
    outside.faults.calls.clear()
    return world


def changes(outside: Outside) -> list[tuple[str, object]]:
    return [
        (call.name.removeprefix("engine."), call.words[0])
        for call in outside.faults.calls
        if call.changes
    ]


def test_all_machines_join_the_first_ones_swarm(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    cluster = outside.clusters["192.168.60.5"]
    assert cluster.members == {"192.168.60.5", "192.168.60.6", "192.168.60.7"}
    assert set(cluster.overlays) == {"small_default"}
    [network] = outside.lab.networks
    assert cluster.overlays["small_default"].labels == {
        "hashlab.lab": outside.lab.id,
        "hashlab.network": settings_of(network),
    }


def test_a_second_run_joins_nothing(outside: Outside) -> None:
    row, network = join(running(outside))
    assert (row.status, row.detail) == ("skipped", "joined already")
    assert network == outside.clusters["192.168.60.5"].overlays["small_default"].id
    assert changes(outside) == []


@pytest.mark.parametrize(
    ("kept", "asked"), [(True, {"broker", "spare"}), (False, {"broker", "web", "spare"})]
)
def test_engines_of_machines_that_run_since_an_earlier_run_are_not_asked_for_their_swarm(
    outside: Outside, kept: bool, asked: set[str]
) -> None:
    """The one that no container runs on is, and its manager: it has no network to tell it by."""
    world = joined_before(running(outside), kept=kept)
    calls = [call for call in outside.faults.calls if call.name == "engine.swarm"]
    assert {call.words[0] for call in calls} == asked
    assert (
        world.facts.network.ids["small_default"]
        == outside.clusters["192.168.60.5"].overlays["small_default"].id
    )
    assert changes(outside) == []


def test_a_kept_machine_that_left_the_swarm_joins_it_again(outside: Outside) -> None:
    running(outside).machines["web"].engine.swarm_leave()
    joined_before(outside, kept=True)
    assert changes(outside) == [("swarm_join", "web")]


def joined_before(outside: Outside, *, kept: bool) -> World:
    """Run the phase over links that were open before, or were not; return its world."""
    world = connected_without_network(outside)
    links = world.facts.machines.links
    links.update({name: replace(link, kept=kept) for name, link in links.items()})
    with track_of() as track:
        carry_out(world, phase_of(workflows.REFRESH, "network"), track)
    return world


def test_only_the_machine_that_is_missing_joins(outside: Outside) -> None:
    running(outside).machines["web"].engine.swarm_leave()
    row, _ = join(outside)
    assert row.status == "ok"
    assert changes(outside) == [("swarm_join", "web")]


def test_only_the_network_that_is_missing_is_made(outside: Outside) -> None:
    running(outside).clusters["192.168.60.5"].overlays.clear()
    join(outside)
    assert changes(outside) == [("create_overlay", "broker")]


def test_after_the_first_machine_was_made_anew_the_others_leave_the_dead_swarm_and_join(
    outside: Outside,
) -> None:
    """They still believe to be members: the new manager has the same address."""
    running(outside).machines["broker"].engine.swarm_leave()
    assert outside.machines["web"].engine.swarm().active
    join(outside)
    done = changes(outside)
    assert done[:2] == [("swarm_init", "broker"), ("create_overlay", "broker")]
    # In turn, each to its end: see network.parts.
    turns = {tuple(done[2:4]), tuple(done[4:])}
    expected = {(("swarm_leave", name), ("swarm_join", name)) for name in ("web", "spare")}
    assert turns == expected


def test_an_engine_that_still_listens_for_the_swarm_it_left_is_restarted_before_it_joins(
    outside: Outside,
) -> None:
    running(outside).machines["broker"].engine.swarm_leave()
    for machine in outside.machines.values():
        machine.engine.hesitates = True
    join(outside)
    assert not any(machine.engine.deaf for machine in outside.machines.values())


def test_an_engine_that_listens_and_cannot_be_restarted_is_told(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside).machines["web"].engine.swarm_leave()
    failed = Completed(1, "", "Job for docker.service failed")
    monkeypatch.setattr(FakeShell, "_free_gossip_port", lambda *_: failed)
    with pytest.raises(LabError) as failure:
        join(outside)
    assert failure.value.where == "web"
    assert failure.value.output == "Job for docker.service failed"
    assert "hashlab ssh web" in failure.value.next_step


def test_a_worker_whose_swarm_does_not_answer_leaves_before_it_joins(outside: Outside) -> None:
    """Docker calls it pending then, and would refuse a second Swarm."""
    running(outside).machines["web"].engine.pending = True
    join(outside)
    assert changes(outside) == [("swarm_leave", "web"), ("swarm_join", "web")]


def test_a_first_machine_that_is_a_worker_elsewhere_leaves_first(outside: Outside) -> None:
    running(outside)
    broker, web = (outside.machines[name].engine for name in ("broker", "web"))
    web.swarm_leave()
    web.swarm_init("192.168.60.6")
    broker.swarm_leave()
    broker.swarm_join("192.168.60.5", manager="192.168.60.6:2377", token=web.swarm_token())
    join(outside)
    assert outside.clusters["192.168.60.5"].members == {
        "192.168.60.5",
        "192.168.60.6",
        "192.168.60.7",
    }


def test_after_a_new_swarm_every_container_is_on_the_new_network(outside: Outside) -> None:
    running(outside).machines["broker"].engine.swarm_leave()
    result = go(outside, workflows.REFRESH)
    network = outside.clusters["192.168.60.5"].overlays["small_default"].id
    for machine in outside.machines.values():
        for container in machine.engine.all.values():
            expected = {"small_default": network} if container.name.endswith(".sandbox") else {}
            assert container.networks == expected
    assert rows(result, "proof")[0].detail == "4 containers run what was built"


def test_a_lab_of_one_machine_is_a_swarm_of_one(outside: Outside) -> None:
    lab = outside.lab
    services = tuple(replace(service, machine="broker") for service in lab.services)
    outside.lab = replace(lab, machines=lab.machines[:1], services=services)
    running(outside)
    assert outside.clusters["192.168.60.5"].members == {"192.168.60.5"}


def test_a_failed_join_tells_what_to_type(outside: Outside) -> None:
    running(outside).machines["web"].engine.swarm_leave()
    outside.faults.arm("engine.swarm_join")
    with pytest.raises(LabError) as failure:
        join(outside)
    assert failure.value.next_step.startswith("run it again")


def test_the_phase_tells_its_network_to_those_that_follow(outside: Outside) -> None:
    world = connected(running(outside))
    assert (
        world.facts.network.ids["small_default"]
        == outside.clusters["192.168.60.5"].overlays["small_default"].id
    )
