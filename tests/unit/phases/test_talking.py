"""Who talks to whom, from the kernels' lists of connections."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from fakes import Outside, change_service, running, track_of

from hashlab.config.model import Port
from hashlab.documents.picture import Picture, Talk
from hashlab.errors import LabError
from hashlab.phases.status import status_document
from hashlab.phases.talking import SHOWN_SECONDS, address_of, observe_talks, pairs, picture

NOW = 1_796_000_000.0


def place(address: str) -> str:
    """An IPv4 address as the kernel lists it."""
    return IPv4Address(address).packed[::-1].hex().upper()


def seen(
    outside: Outside, before: tuple[Talk, ...] = (), *, now: float = NOW
) -> tuple[tuple[Talk, ...], Picture]:
    world = outside.world()
    try:
        with track_of() as track:
            status = status_document(world, track)
            talks = observe_talks(world, track, before, now=now)
            return talks, picture(world, talks, status.urls)
    finally:
        world.close()


def address(outside: Outside, machine: str, name: str) -> str:
    world = outside.world()
    try:
        with track_of() as track:
            status_document(world, track)
        found = world.facts.containers.found[machine].containers
        [container] = [each for each in found if each.name == name]
        return next(iter(container.networks.values())).address
    finally:
        world.close()


def test_both_ends_of_a_connection_name_the_same_pair() -> None:
    pids, owners = {7: "web", 9: "db"}, {"10.0.1.2": "web", "10.0.1.3": "db"}
    out = pairs(f"7 out {place('10.0.1.3')} 1538\n", pids, owners)
    into = pairs(f"9 in {place('10.0.1.2')} 1538\n", pids, owners)
    assert out == into == {("web", "db", 5432)}


def test_connections_to_itself_and_to_strangers_are_left_out() -> None:
    pids, owners = {7: "web"}, {"10.0.1.2": "web"}
    answer = f"7 out {place('10.0.1.2')} 0050\n7 in {place('172.18.0.1')} 0050\n"
    assert pairs(answer, pids, owners) == set()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("0301000A", "10.0.1.3"),
        ("0000000000000000FFFF00000301000A", "10.0.1.3"),
        ("B80D0120000000000000000001000000", ""),
    ],
)
def test_addresses_are_read_in_the_order_of_the_kernel(listed: str, expected: str) -> None:
    assert address_of(listed) == expected


def test_a_connection_between_machines_is_part_of_the_picture(outside: Outside) -> None:
    running(outside)
    queue = address(outside, "broker", "small-queue-1")
    outside.machines["web"].connections["small-site-2"] = [f"out {place(queue)} 1628"]
    talks, drawn = seen(outside)
    assert talks == drawn.talks == (Talk("site", "queue", 5672, NOW),)
    site = next(each for each in drawn.services if each.name == "site")
    assert site.machine == "web"
    assert "queue" in site.needs
    assert site.urls == ()


def test_a_service_has_the_addresses_of_the_ports_that_it_publishes(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", ports=(Port(80, 80),), replicas=1)
    running(outside)
    _, drawn = seen(outside)
    site = next(each for each in drawn.services if each.name == "site")
    assert site.urls == ("http://127.0.0.1:8080",)


def test_a_closed_connection_is_shown_for_a_while_and_then_forgotten(outside: Outside) -> None:
    running(outside)
    old = (Talk("site", "queue", 5672, NOW),)
    assert seen(outside, old, now=NOW + SHOWN_SECONDS - 1)[0] == old
    assert seen(outside, old, now=NOW + SHOWN_SECONDS + 1)[0] == ()


def test_a_lab_without_machines_is_a_picture_without_connections(outside: Outside) -> None:
    talks, drawn = seen(outside)
    assert talks == ()
    assert [each.name for each in drawn.services] == ["queue", "migrate", "site"]


def test_a_machine_that_cannot_be_asked_is_named(outside: Outside) -> None:
    running(outside)
    outside.faults.arm("shell.connections", always=True)
    with pytest.raises(LabError, match="connections"):
        seen(outside)
