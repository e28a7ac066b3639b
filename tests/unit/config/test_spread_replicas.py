"""Replicas on several machines: how many each machine gets, and what the file must allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hashlab.config.model import Lab
from hashlab.config.placement import everywhere
from hashlab.errors import ConfigError

Load = Callable[..., Lab]
TOML = '[lab]\nname = "lab"\n' + "".join(
    f'[machines.{name}]\naddress = "192.168.60.{number}"\n'
    for number, name in enumerate(("one", "two", "three"), start=5)
)


def replicas(lab: Lab) -> dict[str, int]:
    return {service.name: service.replicas for service in lab.services}


def file(deploy: str, more: str = "") -> str:
    return f"services:\n  qa: {{image: x, deploy: {{{deploy}}}{more}}}\n"


@pytest.mark.parametrize(
    ("deploy", "expected"),
    [
        # Without a word on machines, they stay together.
        ("replicas: 3", {"qa": 3}),
        (
            "replicas: 2, placement: {max_replicas_per_node: 1}",
            {"qa.one": 1, "qa.two": 1},
        ),
        (
            "replicas: 5, placement: {max_replicas_per_node: 2}",
            {"qa.one": 2, "qa.two": 2, "qa.three": 1},
        ),
        (
            "replicas: 4, placement: {preferences: [{spread: node.id}]}",
            {"qa.one": 2, "qa.two": 1, "qa.three": 1},
        ),
        (
            "replicas: 2, placement: {preferences: [{spread: node.id}],"
            ' constraints: ["node.hostname!=one"]}',
            {"qa.two": 1, "qa.three": 1},
        ),
        ("placement: {max_replicas_per_node: 1}", {"qa": 1}),
    ],
)
def test_replicas_are_spread_as_the_file_says(
    load: Load, deploy: str, expected: dict[str, int]
) -> None:
    lab = load(toml=TOML, compose=file(deploy))
    assert replicas(lab) == expected
    for service in lab.services:
        assert service.family == "qa"
        assert service.name == "qa" or "qa" in service.aliases


def test_further_replicas_are_where_the_fewest_services_are(load: Load) -> None:
    busy = '  db: {image: x, deploy: {placement: {constraints: ["node.hostname==one"]}}}\n'
    lab = load(toml=TOML, compose=file("replicas: 2, placement: {max_replicas_per_node: 1}") + busy)
    assert replicas(lab) == {"qa.two": 1, "qa.three": 1, "db": 1}


def test_replicas_stay_where_they_ran_last() -> None:
    class Draft(dict[str, Any]):
        """As much of a draft as is asked."""

    service = Draft(
        deploy=Draft(replicas=2, placement=Draft(max_replicas_per_node=1, preferences=()))
    )
    machines: dict[str, dict[str, str]] = {"one": {}, "two": {}, "three": {}}
    known = {"qa.three": "three", "qa.one": "one"}
    found = everywhere({"qa": service}, machines, {}, known)  # type: ignore[dict-item]
    assert found == {"qa": {"one": 1, "three": 1}}


def test_more_replicas_than_the_machines_may_have_are_refused(load: Load) -> None:
    with pytest.raises(ConfigError) as error:
        load(toml=TOML, compose=file("replicas: 4, placement: {max_replicas_per_node: 1}"))
    assert "4 replicas of 'qa', at most 1 on a machine, need 4 machines; 3 suit" in str(error.value)


def test_one_replica_on_each_machine_may_publish_a_port(load: Load) -> None:
    ports = ", ports: ['8080:80']"
    lab = load(toml=TOML, compose=file("replicas: 2, placement: {max_replicas_per_node: 1}", ports))
    assert [port.host for machine in lab.machines for port in machine.forwarded_ports] == [8080]
    with pytest.raises(ConfigError, match="cannot all publish port 8080"):
        load(toml=TOML, compose=file("replicas: 2", ports))


def test_a_lab_without_machines_gets_as_many_as_the_replicas_need(load: Load) -> None:
    lab = load(
        toml='[lab]\nname = "lab"\n',
        compose=file("replicas: 2, placement: {max_replicas_per_node: 1}"),
    )
    assert len(lab.machines) == 2


def test_a_preference_for_a_label_is_noted(load: Load) -> None:
    deploy = "replicas: 2, placement: {preferences: [{spread: node.labels.zone}]}"
    lab = load(toml=TOML, compose=file(deploy))
    assert any("not over the values of node.labels.zone" in note for note in lab.notes)


def test_those_that_depend_on_it_depend_on_all_of_its_machines(load: Load) -> None:
    web = "  web: {image: x, depends_on: [qa]}\n"
    lab = load(toml=TOML, compose=file("replicas: 2, placement: {max_replicas_per_node: 1}") + web)
    [found] = [service for service in lab.services if service.name == "web"]
    assert len(found.depends_on) == 2
