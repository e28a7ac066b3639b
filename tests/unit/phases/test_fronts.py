"""A replica is taken out of its front before it stops, and let in again when it is ready."""

from __future__ import annotations

import pytest
from fakes import Outside, behind_front, change_service, go, run, running

from hashlab.phases.containers import fronts
from hashlab.phases.containers.fronts import places_in
from hashlab.run import workflows

STATISTICS = """\
# pxname,svname,qcur,scur,status,addr,
port-80,replica1,0,3,UP,10.0.1.4:80,
port-80,replica2,0,0,DOWN 1/2,10.0.1.5:80,
port-80,replica3,0,0,MAINT (resolution),,

"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fronts, "POLL_SECONDS", 0.001)


@pytest.fixture
def fronted(outside: Outside) -> Outside:
    outside.lab = behind_front(outside.lab, "site", "spare")
    return running(outside)


def edited(outside: Outside, **changes: object) -> None:
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),), **changes)
    outside.faults.calls.clear()


def numbers(outside: Outside) -> dict[str, int]:
    """The number of the replica by the front's name for it."""
    engine = outside.machines["spare"].engine
    asker = engine.by_name("small-site-front-1")
    servers = outside.machines["spare"].front.servers
    found = {}
    for number in (1, 2):
        for address in engine.addresses_of(f"small-site-{number}", asker):
            found[f"port-80/replica{servers.index(address) + 1}"] = number
    return found


def address_of(outside: Outside, number: int) -> str:
    """The address of a replica."""
    engine = outside.machines["spare"].engine
    asker = engine.by_name("small-site-front-1")
    [address] = engine.addresses_of(f"small-site-{number}", asker)
    return address


def story(outside: Outside) -> list[str]:
    """What happened to replicas and in the front, in its order, with the number of the replica."""
    told = []
    known = numbers(outside)
    for call in outside.faults.calls:
        if call.name == "shell.front":
            words = str(call.words[7]).split(";")
            sets = [each.split() for each in words if "set" in each]
            told += [f"{word[-1]} {known[word[2]]}" for word in sets]
        elif call.name in ("engine.stop", "engine.create"):
            name = str(call.words[1])
            told.append(f"{call.name.removeprefix('engine.')} {name}")
    return told


def test_places_are_read_from_the_statistics() -> None:
    up, down = places_in(STATISTICS)
    assert (up.server, up.address, up.sessions, up.port) == (
        "port-80/replica1",
        "10.0.1.4",
        3,
        "80",
    )
    assert up.serves
    assert not down.serves


def test_the_name_leads_to_the_front_and_replicas_have_another(fronted: Outside) -> None:
    front = fronted.machines["spare"].engine.by_name("small-site-front-1.sandbox")
    replica = fronted.machines["web"].engine.by_name("small-site-1.sandbox")
    [on_lab] = front.endpoints.values()
    assert "site" in on_lab["Aliases"]
    [on_lab] = replica.endpoints.values()
    assert "site" not in on_lab["Aliases"]
    assert "tasks.site" in on_lab["Aliases"]


def test_each_replica_is_drained_before_it_stops_and_let_in_before_the_next_goes(
    fronted: Outside,
) -> None:
    edited(fronted)
    go(fronted, workflows.REFRESH)
    told = [each for each in story(fronted) if "front" not in each]
    assert told.index("drain 1") < told.index("create small-site-1")
    assert told.index("create small-site-1") < told.index("ready 1") < told.index("drain 2")
    assert told.index("drain 2") < told.index("create small-site-2") < told.index("ready 2")
    assert not fronted.machines["spare"].front.drained


def test_the_machine_undoes_a_drain_unless_hashlab_does(fronted: Outside) -> None:
    edited(fronted)
    go(fronted, workflows.REFRESH)
    drains = [c.words for c in fronted.faults.calls if c.name == "shell.front" and len(c.words) > 9]
    found = sorted(words[-3:] for words in drains)
    names = {n: server for server, n in numbers(fronted).items()}
    lease = f"hashlab-front-{fronted.lab.id}-small-site"
    assert found == [(f"{lease}-{n}", "190", f"set server {names[n]} state ready") for n in (1, 2)]


def test_a_replica_with_an_open_request_is_waited_for(fronted: Outside) -> None:
    fronted.machines["spare"].front.open_requests = 4
    edited(fronted)
    go(fronted, workflows.REFRESH)
    assert fronted.machines["spare"].front.open_requests == 0


def test_a_request_that_does_not_end_is_noted(fronted: Outside) -> None:
    fronted.lab = change_service(fronted.lab, "site", stop_grace_period=0.0)
    go(fronted, workflows.REFRESH)
    fronted.machines["spare"].front.open_requests = 10**6
    edited(fronted)
    world = fronted.world()
    assert run(fronted, workflows.REFRESH, world).error is None
    assert "small-site-1: 1 requests had not ended after 0 s" in world.facts.notes


def test_the_last_replica_that_serves_is_not_drained(
    fronted: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts, "ANSWER_SECONDS", 0.01)
    fronted.machines["spare"].front.silent = {address_of(fronted, 2)}
    edited(fronted, parallelism=0)
    world = fronted.world()
    run(fronted, workflows.REFRESH, world)
    assert not [each for each in story(fronted) if each.startswith("drain")]


def test_a_replica_that_does_not_answer_its_front_fails_the_run(
    fronted: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts, "ANSWER_SECONDS", 0.01)
    fronted.machines["spare"].front.silent = {address_of(fronted, 2)}
    error = run(fronted, workflows.REFRESH).error
    assert error is not None
    assert "small-site-2: it does not answer its front on port 80" in str(error)
    assert "hashlab logs site-front site" in str(error)


def test_a_replica_that_a_killed_run_left_drained_is_let_in(fronted: Outside) -> None:
    front = fronted.machines["spare"].front
    front.drained = set(front.servers[:1])
    go(fronted, workflows.REFRESH)
    assert not front.drained


def test_a_replica_is_drained_when_it_is_stopped(fronted: Outside) -> None:
    fronted.faults.calls.clear()
    go(fronted, workflows.stopping(["site"]))
    assert {"drain 1", "drain 2"} & set(story(fronted))


def test_a_replica_that_is_no_longer_wanted_is_drained(fronted: Outside) -> None:
    gone = address_of(fronted, 2)
    fronted.lab = change_service(fronted.lab, "site", replicas=1)
    go(fronted, workflows.REFRESH)
    assert fronted.machines["spare"].front.drained == {gone}


def test_replicas_are_restarted_in_turn(fronted: Outside) -> None:
    before = fronted.machines["web"].engine.by_name("small-site-1").id
    fronted.faults.calls.clear()
    go(fronted, workflows.restarting(["site"]))
    told = story(fronted)
    assert told.index("drain 1") < told.index("ready 1") < told.index("drain 2")
    assert fronted.machines["web"].engine.by_name("small-site-1").id == before


def test_a_front_that_does_not_run_is_no_reason_to_fail_a_stop(fronted: Outside) -> None:
    go(fronted, workflows.stopping(["site-front"]))
    fronted.faults.calls.clear()
    go(fronted, workflows.stopping(["site"]))
    assert not [call for call in fronted.faults.calls if call.name == "shell.front"]


def test_a_front_that_takes_no_commands_is_noted(fronted: Outside) -> None:
    world = fronted.world()
    fronted.faults.arm("shell.front", always=True)
    assert run(fronted, workflows.stopping(["site"]), world).error is None
    assert any("was not drained" in note for note in world.facts.notes)
