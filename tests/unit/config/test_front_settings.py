"""Fronts of services: where they run, whose names they take, and what cannot have one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hashlab.config.fronts.haproxy import configuration
from hashlab.config.fronts.making import without_fronts
from hashlab.config.model import Dependency, Lab
from hashlab.errors import ConfigError

Load = Callable[..., Lab]
MACHINES = '[lab]\nname = "lab"\n' + "".join(
    f'[machines.{name}]\naddress = "192.168.60.{number}"\n'
    for number, name in enumerate(("one", "two", "three"), start=5)
)
FORWARDED = 'forwarded_ports = [{ id = "qa", guest = 80, host = 8081 }]\n'
FRONT = "[services.qa]\nfront = true\n"
SPREAD = "deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}"


def compose(more: str = 'expose: ["8080"]', deploy: str = SPREAD) -> str:
    there = 'deploy: {placement: {constraints: ["node.hostname == three"]}}'
    return (
        f"services:\n  qa: {{image: x, {deploy}, {more}}}\n"
        f"  web: {{image: y, depends_on: [qa], {there}}}\n"
    )


@pytest.mark.parametrize(
    ("toml", "more", "machine"),
    [
        # Where no replica is, so that the end of a replica's machine is not the end of the front.
        (FRONT, 'expose: ["8080"]', "three"),
        # Where a port of the laptop leads to.
        (FORWARDED + FRONT, 'ports: ["80:8080"]', "three"),
        # Where the port was before there was a front.
        (FRONT, 'ports: ["80:8080"]', "one"),
        ('[services.qa]\nfront = { machine = "two" }\n', 'expose: ["8080"]', "two"),
    ],
)
def test_a_front_runs_where_its_port_is_or_no_replica_is(
    load: Load, toml: str, more: str, machine: str
) -> None:
    lab = load(toml=MACHINES + toml, compose=compose(more))
    assert lab.service("qa-front").machine == machine
    assert {each.machine for each in lab.services if each.family == "qa"} == {"one", "two"}


def test_a_front_takes_names_and_ports_of_its_service_and_dependents_wait_for_it(
    load: Load,
) -> None:
    lab = load(toml=MACHINES + FRONT, compose=compose('ports: ["80:8080"], expose: ["9090/tcp"]'))
    front, replica = lab.service("qa-front"), lab.service("qa.one")
    assert (front.front_of, front.aliases, front.expose) == ("qa", ("qa",), ("8080", "9090"))
    assert [port.published for port in front.ports] == [80]
    assert (replica.front, replica.aliases, replica.ports) == ("qa-front", (), ())
    assert Dependency("qa-front") in lab.service("web").depends_on
    assert "hashlab/front" in {image.name for image in lab.images}


def test_who_waits_for_the_end_of_a_service_does_not_wait_for_its_front(load: Load) -> None:
    text = compose().replace(
        "depends_on: [qa]", "depends_on: {qa: {condition: service_completed_successfully}}"
    )
    depends_on = load(toml=MACHINES + FRONT, compose=text).service("web").depends_on
    assert [each.service for each in depends_on] == ["qa.one", "qa.two"]


def test_replicas_on_one_machine_may_publish_a_port_through_their_front(load: Load) -> None:
    text = compose('ports: ["80:8080"]', "deploy: {replicas: 3}")
    lab = load(toml=MACHINES + FRONT, compose=text)
    assert [port.published for port in lab.service("qa-front").ports] == [80]
    with pytest.raises(ConfigError, match="front = true"):
        load(toml=MACHINES, compose=text)


def test_an_image_of_the_users_choice_is_not_built(load: Load) -> None:
    toml = MACHINES + '[services.qa]\nfront = { image = "haproxy:lts", mode = "tcp" }\n'
    lab = load(toml=toml, compose=compose())
    [image] = [each for each in lab.images if each.name == "haproxy:lts"]
    assert image.build is None
    assert lab.service("qa-front").image == "haproxy:lts"


@pytest.mark.parametrize("deploy", [SPREAD, "deploy: {replicas: 2}"])
def test_without_its_fronts_a_lab_is_that_of_the_compose_file(load: Load, deploy: str) -> None:
    text = compose('expose: ["8080"], networks: {default: {aliases: [questions]}}', deploy)
    with_front = load(toml=MACHINES + FRONT, compose=text)
    plain = load(toml=MACHINES, compose=text)
    assert without_fronts(with_front) == replace(plain, sources=with_front.sources)


def test_false_makes_no_front(load: Load) -> None:
    lab = load(toml=MACHINES + "[services.qa]\nfront = false\n", compose=compose())
    assert [service.name for service in lab.services] == ["qa.one", "qa.two", "web"]


def test_only_http_is_sent_again_and_only_reads() -> None:
    text = configuration("tasks.qa", [80], mode="http", replicas=2)
    assert "retry-on conn-failure empty-response\n" in text
    assert "disable-l7-retry unless METH_GET" in text
    assert "retry-on" not in configuration("tasks.qa", [80], mode="tcp", replicas=2)


def test_there_are_places_for_as_many_replicas_as_scale_allows_or_the_file_has() -> None:
    for replicas, places in ((2, 100), (250, 250)):
        text = configuration("tasks.qa", [80], mode="http", replicas=replicas)
        assert f"server-template replica 1-{places} tasks.qa:80 " in text


@pytest.mark.parametrize(
    ("toml", "text", "told"),
    [
        (FRONT, compose("init: true"), "the front of 'qa' knows no port of it"),
        (FRONT, compose('ports: ["53:53/udp"]'), "a front knows tcp only"),
        ("[services.qu]\nfront = true\n", compose(), "unknown service 'qu'"),
        ("[services.qa]\nfronts = true\n", compose(), "unknown key 'fronts'"),
        ("[services.qa]\nfront = 'yes'\n", compose(), "expected true, or a table"),
        ("[services.qa]\nfront = { mode = 'udp' }\n", compose(), "'udp' is not an allowed value"),
        ("[services.qa]\nfront = { machine = 'on' }\n", compose(), "unknown machine 'on'"),
        (
            FRONT,
            compose() + "  qa-front: {image: z}\n",
            "the front of 'qa' is called 'qa-front', as another service is",
        ),
        (
            FRONT,
            "services:\n  qa: {image: x, network_mode: host, expose: ['80']}\n",
            "'qa' has a network_mode",
        ),
    ],
)
def test_what_cannot_have_a_front_is_reported(load: Load, toml: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(toml=MACHINES + toml, compose=text)
    assert any(told in problem.message for problem in caught.value.problems)
