"""A port that a service publishes is on the laptop, as under Compose, without a second mention."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashlab.config.compose.resolved import resolved
from hashlab.config.model import ForwardedPort, Lab, Port

Load = Callable[..., Lab]

TOML = "[machines]\none = {}\ntwo = {}\n"


def on(machine: str) -> str:
    return f'deploy: {{placement: {{constraints: ["node.hostname == {machine}"]}}}}'


def compose(**ports: str) -> str:
    """Services named ``NAME`` or ``NAME_MACHINE`` with lists of ports; by default on one."""
    lines = []
    for name, listed in ports.items():
        service, _, machine = name.partition("_")
        lines.append(f"  {service}: {{image: x, ports: [{listed}], {on(machine or 'one')}}}\n")
    return "services:\n" + "".join(lines)


def forwarded(lab: Lab) -> list[tuple[str, str, int, int, str]]:
    return [
        (machine.name, port.id, port.guest, port.host, port.scheme)
        for machine in lab.machines
        for port in machine.forwarded_ports
    ]


def test_the_id_is_the_service_or_with_several_ports_service_and_port(load: Load) -> None:
    lab = load(
        toml=TOML, compose=compose(Web="'8080:80'", db_two="'5432:5432', '8443-8444:443-444'")
    )
    assert forwarded(lab) == [
        ("one", "web", 8080, 8080, "http"),
        ("two", "db-5432", 5432, 5432, "tcp"),
        ("two", "db-8443", 8443, 8443, "https"),
        ("two", "db-8444", 8444, 8444, "http"),
    ]
    assert all(port.tunnel for machine in lab.machines for port in machine.forwarded_ports)
    assert lab.notes == ()


def test_an_entry_of_hashlab_toml_replaces_that_of_the_same_port(load: Load) -> None:
    toml = TOML.replace(
        "one = {}", 'one = {forwarded_ports = [{id = "x", guest = 80, host = 8090}]}'
    )
    lab = load(toml=toml, compose=compose(web="'80:80', '81:81'"))
    assert forwarded(lab) == [("one", "x", 80, 8090, "http"), ("one", "web-81", 81, 81, "http")]
    assert [port.tunnel for port in lab.machines[0].forwarded_ports] == [False, True]


def test_a_port_of_two_machines_is_once_on_the_laptop_and_once_beside_it(load: Load) -> None:
    lab = load(toml=TOML, compose=compose(a="'8080:80'", b_two="'8080:80'"))
    assert forwarded(lab) == [("one", "a", 8080, 8080, "http"), ("two", "b", 8080, 8081, "http")]
    assert lab.notes == ("compose.yaml:3: port 8080 of the laptop is taken; that of 'b' is 8081",)


def test_an_id_that_another_port_has_gets_a_number(load: Load) -> None:
    lab = load(
        toml=TOML, compose=compose(a="'80:80', '81:81'", **{"a-80": "'82:82'", "A-80": "'83:83'"})
    )
    assert [port[1] for port in forwarded(lab)] == ["a-80", "a-81", "a-80-82", "a-80-83"]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_on_the_loopback_of_the_machine_is_forwarded_too(load: Load, address: str) -> None:
    lab = load(toml=TOML, compose=compose(a=f"'{address}:8080:80'"))
    assert lab.machines[0].forwarded_ports == (ForwardedPort("a", 8080, 8080, tunnel=True),)


def test_an_entry_for_a_port_on_the_loopback_needs_a_tunnel(load: Load) -> None:
    toml = TOML.replace(
        "one = {}", 'one = {forwarded_ports = [{id = "x", guest = 80, host = 8090}]}'
    )
    lab = load(toml=toml, compose=compose(web="'127.0.0.1:80:80'"))
    assert lab.machines[0].forwarded_ports == (ForwardedPort("x", 80, 8090, tunnel=True),)


@pytest.mark.parametrize(
    ("ports", "note"),
    [
        ("'53:53/udp'", "only ports of TCP are on the laptop's 127.0.0.1"),
        ("'80'", "a port that the engine chooses is not on the laptop's 127.0.0.1"),
        ("'8000-8100:8000-8100'", "the 101 ports of 'a' are not on the laptop's 127.0.0.1"),
    ],
)
def test_a_port_that_is_not_on_the_laptop_is_noted(load: Load, ports: str, note: str) -> None:
    lab = load(toml=TOML, compose=compose(a=ports))
    assert forwarded(lab) == []
    assert lab.notes[0].startswith(f"compose.yaml:2: {note}")


def test_a_global_service_is_on_the_laptop_from_its_first_machine(load: Load) -> None:
    lab = load(
        toml=TOML, compose="services: {a: {image: x, ports: ['80:80'], deploy: {mode: global}}}\n"
    )
    assert forwarded(lab) == [("one", "a", 80, 80, "http")]


def test_the_highest_port_makes_room_below(load: Load) -> None:
    lab = load(toml=TOML, compose=compose(a="'65535:80'", b_two="'65535:80'"))
    assert [port[3] for port in forwarded(lab)] == [65535, 1024]


def test_a_port_that_the_machine_needs_has_its_number_on_the_laptop_only(load: Load) -> None:
    lab = load(toml=TOML, compose=compose(git="'22:22', '80:80'", other_two="'2377:1'"))
    assert forwarded(lab) == [
        ("one", "git-22", 10022, 22, "tcp"),
        ("one", "git-80", 80, 80, "http"),
        ("two", "other", 12377, 2377, "http"),
    ]
    assert lab.service("git").ports[0] == Port(22, 10022, laptop=22)
    shown = resolved(lab)["services"]["git"]["ports"][0]
    assert (shown["target"], shown["published"]) == (22, "22")
    assert any("belongs to SSH: the machine publishes 10022 for it" in n for n in lab.notes)
