"""Networks of the Compose file: what a lab makes of them, and where each service is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hashlab.config.compose.resolved import resolved
from hashlab.config.model import AddressPool, Attachment, Dependency, Lab, Link, Network
from hashlab.errors import ConfigError
from hashlab.phases.containers.networking import endpoints

TOML = """\
[lab]
name = "small"

[machines.one]
address = "192.168.60.5"

[machines.two]
address = "192.168.60.6"
"""


@pytest.fixture
def load_text(load: Callable[..., Lab]) -> Callable[[str], Lab]:
    """Load a Compose file on two machines."""
    return lambda text: load(toml=TOML, compose=text)


def test_without_networks_all_services_are_on_the_default_one(load_text: Any) -> None:
    lab = load_text("services:\n  a: {image: x}\n")
    assert lab.networks == (Network("default", f"{lab.name}_default"),)
    assert lab.services[0].networks == (Attachment("default"),)


def test_a_lab_has_the_networks_that_its_services_are_on(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, networks: [front, back]}\n  b: {image: x, networks: [back]}\n"
        "networks: {front: , back: {internal: true}, unused: }\n"
    )
    assert {network.key: network.internal for network in lab.networks} == {
        "front": False,
        "back": True,
    }
    assert [each.network for each in lab.services[0].networks] == ["back", "front"]


def test_the_first_network_is_that_of_the_highest_priority(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, networks: {back: , front: {priority: 5, aliases: [y]}}}\n"
        "networks: {front: , back: }\n"
    )
    assert lab.services[0].networks == (
        Attachment("front", ("y",), priority=5),
        Attachment("back"),
    )


NETWORKS = {
    "{name: public}": Network("n", "public"),
    "{external: true}": Network("n", "n", external=True),
    "{external: true, name: there}": Network("n", "there", external=True),
    "{external: {name: there}}": Network("n", "there", external=True),
    "{external: false, driver: bridge}": Network("n", "LAB_n", driver="bridge"),
    "{labels: [a=b]}": Network("n", "LAB_n", labels=(("a", "b"),)),
    "{ipam: {config: [{subnet: 10.5.0.0/24, ip_range: 10.5.0.128/25}]}}": Network(
        "n", "LAB_n", pools=(AddressPool("10.5.0.0/24", "", "10.5.0.128/25"),)
    ),
    "{driver_opts: {com.docker.network.driver.mtu: 1400}}": Network(
        "n", "LAB_n", driver_opts=(("com.docker.network.driver.mtu", "1400"),)
    ),
}


@pytest.mark.parametrize(("written", "expected"), NETWORKS.items(), ids=NETWORKS)
def test_the_settings_of_a_network_are_kept(
    load_text: Any, written: str, expected: Network
) -> None:
    lab = load_text(f"services:\n  a: {{image: x, networks: [n]}}\nnetworks: {{n: {written}}}\n")
    [found] = lab.networks
    assert found.name == expected.name.replace("LAB", lab.name)
    assert (found.driver, found.pools, found.labels, found.external) == (
        *(expected.driver, expected.pools, expected.labels, expected.external),
    )
    assert found.options == dict(expected.driver_opts)
    assert lab.notes == ()


NOTES = {
    "driver_opts: {encrypted: ''}": "the option encrypted has no effect",
    "enable_ipv6: true": "'enable_ipv6' has no effect",
    "attachable: false, ipam: {options: {a: b}}": "'options' has no effect",
    "ipam: {config: [{subnet: 'fd00::/64'}]}": "an IPv6 subnet has no effect",
}


@pytest.mark.parametrize(("written", "note"), NOTES.items(), ids=NOTES)
def test_settings_that_an_overlay_does_not_have_are_noted(
    load_text: Any, written: str, note: str
) -> None:
    lab = load_text(f"services:\n  a: {{image: x}}\nnetworks: {{default: {{{written}}}}}\n")
    [found] = lab.notes
    assert note in found


def test_links_are_an_order_and_further_names(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, links: ['b:base', c]}\n  b: {image: x}\n  c: {image: x}\n"
    )
    service = lab.services[0]
    assert service.links == (Link("b", "base"), Link("c", "c"))
    assert service.depends_on == (Dependency("b", restart=True), Dependency("c", restart=True))


def test_a_link_to_a_service_on_other_networks_is_noted_as_an_order_only(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, links: [b]}\n  b: {image: x, networks: [n]}\nnetworks: {n: }\n"
    )
    [note] = lab.notes
    assert "the link to 'b' is an order only: they share no network" in note


def test_a_dependency_that_the_file_states_itself_wins(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, links: [b], depends_on: {b: {condition: service_healthy}}}\n"
        "  b: {image: x, healthcheck: {test: [CMD, 'true']}}\n"
    )
    assert lab.services[0].depends_on == (Dependency("b", "service_healthy"),)


def test_a_service_in_the_network_of_another_runs_after_it_on_its_machine(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x}\n  b: {image: x}\n  c: {image: x, network_mode: service:b}\n"
    )
    machines = {service.name: service.machine for service in lab.services}
    assert machines["c"] == machines["b"] != machines["a"]
    assert (lab.services[2].joined, lab.services[2].networks) == ("b", ())
    assert lab.services[2].depends_on == (Dependency("b", restart=True),)


def test_global_services_share_the_network_of_the_copy_on_their_machine(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, deploy: {mode: global}}\n"
        "  b: {image: x, deploy: {mode: global}, network_mode: service:a}\n"
    )
    pairs = {(service.machine, service.joined) for service in lab.services if service.joined}
    assert pairs == {(machine.name, f"a.{machine.name}") for machine in lab.machines}


@pytest.mark.parametrize("mode", ["none", "host"])
def test_a_service_without_a_network_of_the_file_publishes_nothing(
    load_text: Any, mode: str
) -> None:
    lab = load_text(f"services:\n  a: {{image: x, network_mode: {mode}, ports: [80]}}\n")
    assert (lab.networks, lab.services[0].networks) == ((), ())
    assert f"publishing the port has no effect: the service has network_mode: {mode}" in " ".join(
        lab.notes
    )


def test_a_service_on_internal_networks_publishes_nothing(load_text: Any) -> None:
    lab = load_text(
        "services:\n  a: {image: x, ports: ['80:80']}\nnetworks: {default: {internal: true}}\n"
    )
    [note] = lab.notes
    assert "publishing the port has no effect: each network of the service is internal" in note
    assert not any(machine.forwarded_ports for machine in lab.machines)


def test_the_mode_bridge_is_noted_as_the_default_network(load_text: Any) -> None:
    lab = load_text("services:\n  a: {image: x, network_mode: bridge}\n")
    assert lab.services[0].networks == (Attachment("default"),)
    [note] = lab.notes
    assert "the service is on the default network of the file" in note


WRONG = {
    "  b: {image: x, network_mode: service:a, hostname: h}\n": (
        "service 'b' runs in the network of 'a', so it has no 'hostname'"
    ),
    "  b: {image: x, network_mode: service:a, ports: [80]}\n": "so it has no 'ports'",
    "  b: {image: x, network_mode: host, mac_address: '02:42:ac:11:00:02'}\n": (
        "service 'b' has network_mode: host, so it has no 'mac_address'"
    ),
    "  b: {image: x, scale: 2, mac_address: '02:42:ac:11:00:02'}\n": (
        "the containers of 'b' cannot all have the address 02:42:ac:11:00:02"
    ),
    "  b: {image: x, network_mode: service:a, deploy: {mode: global}}\n": (
        "'b' and 'a' do not run on the same machines"
    ),
    "  b: {image: x, network_mode: service:c}\n  c: {image: x, network_mode: service:a}\n": (
        "'c' has no network of its own, but that of 'a'"
    ),
    "  b: {image: x, networks: {default: {ipv4_address: 10.5.0.5}}}\n"
    "  c: {image: x, networks: {default: {ipv4_address: 10.5.0.5}}}\n"
    "networks: {default: {ipam: {config: [{subnet: 10.5.0.0/24}]}}}\n": (
        "'c' and 'b' have the same address 10.5.0.5"
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG.values())
def test_services_that_cannot_be_on_a_network_as_written_are_reported(
    load_text: Any, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_text(f"services:\n  a: {{image: x}}\n{text}")
    assert message in str(error.value)


def test_config_shows_networks_as_compose_does(load_text: Any) -> None:
    lab = load_text(
        """\
services:
  a:
    image: x
    networks: { n: { aliases: [y], ipv4_address: 10.5.0.5, priority: 3 }, default: }
    links: ["b:c", b]
  b: { image: x, network_mode: none }
networks:
  n:
    enable_ipv4: true
    ipam: { driver: default, config: [{ subnet: 10.5.0.0/24 }, { subnet: "fd00::/64" }] }
"""
    )
    shape = resolved(lab)
    assert shape["networks"]["n"] == {
        "name": "small_n",
        "enable_ipv4": True,
        "ipam": {
            "driver": "default",
            "config": [{"subnet": "10.5.0.0/24"}, {"subnet": "fd00::/64"}],
        },
    }
    first, second = shape["services"]["a"], shape["services"]["b"]
    assert first["networks"] == {
        "n": {"aliases": ["y"], "ipv4_address": "10.5.0.5", "priority": 3},
        "default": None,
    }
    assert first["links"] == ["b:c", "b"]
    assert first["depends_on"]["b"]["restart"] is True
    assert (second["network_mode"], "networks" in second) == ("none", False)


def test_external_links_are_aliases_without_a_dependency(load_text: Any) -> None:
    lab = load_text("services: {a: {image: x, external_links: ['old-db:db', cache]}}\n")
    assert lab.service("a").links == (Link("old-db", "db", True), Link("cache", "cache", True))
    assert lab.service("a").depends_on == ()
    assert endpoints(lab, lab.service("a"))[f"{lab.name}_default"]["Links"] == ["old-db:db"]
    assert resolved(lab)["services"]["a"]["external_links"] == ["old-db:db", "cache"]
    assert any("external_links" in note for note in lab.notes)
