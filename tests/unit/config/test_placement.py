"""Services without a constraint are spread evenly; another service moves few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from hashlab.config.model import Lab
from hashlab.errors import ConfigError

Load = Callable[..., Lab]

TOML = '[lab]\nname = "x"\n' + "".join(
    f'[machines.{name}]\naddress = "192.168.60.{number}"\n'
    for number, name in enumerate(("one", "two", "three"), 5)
)


def services(*lines: str) -> str:
    return "services:\n" + "".join(f"  {line}\n" for line in lines)


def on(machine: str) -> str:
    return f'deploy: {{placement: {{constraints: ["node.hostname=={machine}"]}}}}'


def places(lab: Lab) -> dict[str, str]:
    return {service.name: service.machine for service in lab.services}


def test_services_are_spread_evenly_in_any_order_of_the_file(load: Load) -> None:
    lines = [f"s{n}: {{image: x}}" for n in range(5)]
    lab = load(toml=TOML, compose=services(*lines))
    assert sorted(Counter(places(lab).values()).values()) == [1, 2, 2]
    assert places(load(toml=TOML, compose=services(*reversed(lines)))) == places(lab)


@pytest.mark.parametrize("number", range(2, 13))
def test_another_service_moves_hardly_any_of_those_that_are_there(load: Load, number: int) -> None:
    lines = [f"service-{n}: {{image: x}}" for n in range(number)]
    before = places(load(toml=TOML, compose=services(*lines)))
    after = places(load(toml=TOML, compose=services("new: {image: x}", *lines)))
    assert sum(before[name] != after[name] for name in before) <= 2


def test_a_service_stays_where_it_ran_last_whatever_is_added(load: Load) -> None:
    compose = services("c: {image: x}", "a: {image: x}", "b: {image: x}")
    lab = load(toml=TOML, compose=compose, ran={"a": "two", "b": "two"})
    assert (places(lab)["a"], places(lab)["b"]) == ("two", "two")
    assert places(lab)["c"] in ("one", "three")


@pytest.mark.parametrize("ran", [{"a": "gone"}, {"z": "one"}])
def test_a_place_that_no_longer_is_one_does_not_count(load: Load, ran: dict[str, str]) -> None:
    compose = services("a: {image: x}", "b: {image: x}")
    before = places(load(toml=TOML, compose=compose))
    assert places(load(toml=TOML, compose=compose, ran=ran)) == before


def test_a_constraint_moves_a_service_from_where_it_ran(load: Load) -> None:
    compose = services(f"a: {{image: x, {on('one')}}}")
    assert places(load(toml=TOML, compose=compose, ran={"a": "two"})) == {"a": "one"}


def test_services_with_a_constraint_are_counted_first_in_any_order(load: Load) -> None:
    lab = load(
        toml=TOML,
        compose=services(
            "a: {image: x}",
            "b: {image: x}",
            f"c: {{image: x, {on('one')}}}",
            f"d: {{image: x, {on('two')}}}",
        ),
    )
    assert sorted(Counter(places(lab).values()).values()) == [1, 1, 2]
    assert "three" in (places(lab)["a"], places(lab)["b"])


def test_services_of_other_profiles_are_not_placed_but_their_images_are_known(load: Load) -> None:
    compose = services(
        "tool: {image: tool, profiles: [tools]}", "a: {image: x}", "b: {image: y, profiles: [b]}"
    )
    lab = load(toml=TOML, compose=compose)
    assert list(places(lab)) == ["a"]
    assert [image.name for image in lab.images] == ["tool", "x", "y"]


INACTIVE = (
    "gpus: all",
    "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
    "networks: [unknown]",
    "volumes: [unknown:/x]",
    "depends_on: [unknown]",
    "build: ./missing",
    "colour: red",
)


@pytest.mark.parametrize("line", INACTIVE)
def test_a_mistake_in_a_service_of_an_inactive_profile_is_noted(load: Load, line: str) -> None:
    compose = services("a: {image: x}", f"b: {{image: y, profiles: [b], {line}}}")
    lab = load(toml=TOML, compose=compose)
    assert [service.name for service in lab.services] == ["a"]
    assert [note for note in lab.notes if "a profile that is not active" in note] == list(lab.notes)
    with pytest.raises(ConfigError):
        load(toml=TOML, compose=compose, environ={"COMPOSE_PROFILES": "b"})


def test_an_inactive_service_without_an_image_is_not_in_the_box(load: Load) -> None:
    compose = services("a: {image: x}", "b: {profiles: [b]}", "c: {build: ./no, profiles: [b]}")
    assert [image.name for image in load(toml=TOML, compose=compose).images] == ["x"]


def test_compose_profiles_selects_profiles_from_the_environment_or_env_file(load: Load) -> None:
    compose = services(
        "a: {image: x, profiles: [one]}", "b: {image: x, profiles: [two, three]}", "c: {image: x}"
    )

    def names(**changes: object) -> list[str]:
        lab = load(toml=TOML, compose=compose, **changes)
        return [service.name for service in lab.services]

    inactive = (("a", ("one",)), ("b", ("two", "three")))
    assert load(toml=TOML, compose=compose).inactive == inactive
    assert names() == ["c"]
    assert names(environ={"COMPOSE_PROFILES": "one"}) == ["a", "c"]
    assert names(environ={"COMPOSE_PROFILES": " one, three "}) == ["a", "b", "c"]
    assert names(environ={"COMPOSE_PROFILES": "*"}) == ["a", "b", "c"]
    assert names(files={".env": "COMPOSE_PROFILES=two\n"}) == ["b", "c"]


def test_an_optional_dependency_on_another_profile_is_dropped(load: Load) -> None:
    compose = services(
        "a: {image: x, depends_on: {b: {condition: service_started, required: false}}}",
        "b: {image: x, profiles: [b]}",
    )
    assert load(toml=TOML, compose=compose).services[0].depends_on == ()


SHARED = (
    "a: {image: x, volumes: ['v:/v', 'own:/own']}",
    "b: {image: x}",
    "c: {image: x, volumes: ['v:/v', 'w:/w']}",
    "d: {image: x, volumes: [{type: volume, source: w, target: /w}]}",
)
VOLUMES = "volumes: {v: , w: , own: }\n"


def test_services_that_share_a_volume_go_to_one_machine(load: Load) -> None:
    lab = load(toml=TOML, compose=services(*SHARED) + VOLUMES)
    where = places(lab)
    assert where["a"] == where["c"] == where["d"] != where["b"]
    assert lab.notes == ()


def test_a_constraint_of_one_service_takes_those_that_share_its_volume_along(load: Load) -> None:
    lines = (*SHARED[:3], f"d: {{image: x, volumes: ['w:/w'], {on('three')}}}")
    lab = load(toml=TOML, compose=services(*lines) + VOLUMES)
    assert places(lab) == {"a": "three", "b": "one", "c": "three", "d": "three"}


APART = services(
    f"a: {{image: x, volumes: ['v:/v'], {on('one')}}}",
    f"b: {{image: x, volumes: ['v:/v'], {on('two')}}}",
)


def test_a_shared_volume_on_two_machines_is_refused_unless_it_is_split(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"compose.yaml:3: services 'a' and 'b' share the volume"):
        load(toml=TOML, compose=APART + "volumes: {v: }\n")
    toml = TOML + "[volumes.v]\nsplit = true\n"
    lab = load(toml=toml, compose=APART + "volumes: {v: }\n")
    assert places(lab) == {"a": "one", "b": "two"}


def test_a_volume_that_only_hashlab_toml_knows_is_refused(load: Load) -> None:
    toml = TOML + "[volumes.w]\nsplit = true\n"
    with pytest.raises(ConfigError, match=r"hashlab.toml:\d+: unknown volume 'w'"):
        load(toml=toml, compose=APART + "volumes: {v: }\n")


LABELLED = TOML.replace("[machines.two]\n", '[machines.two]\nlabels = { disk = "ssd" }\n')


def where(constraint: str) -> str:
    return services(f'a: {{image: x, deploy: {{placement: {{constraints: ["{constraint}"]}}}}}}')


@pytest.mark.parametrize(
    ("constraint", "machine"),
    [
        ("node.labels.disk == ssd", "two"),
        ("node.labels.disk != ssd", "one"),
        ("node.hostname != one", "two"),
    ],
)
def test_a_constraint_chooses_among_machines_by_name_or_label(
    load: Load, constraint: str, machine: str
) -> None:
    lab = load(toml=LABELLED, compose=where(constraint))
    assert (places(lab), lab.notes) == ({"a": machine}, ())


@pytest.mark.parametrize("constraint", ["node.role == manager", "node.labels.gpu == yes"])
def test_a_constraint_that_no_machine_can_mean_is_noted(load: Load, constraint: str) -> None:
    lab = load(toml=LABELLED, compose=where(constraint))
    assert places(lab) == places(load(toml=LABELLED, compose=services("a: {image: x}")))
    assert "has no effect" in lab.notes[0]


def test_a_machine_of_production_is_noted_where_hashlab_chooses_the_machines(load: Load) -> None:
    lab = load(toml="", compose=where("node.hostname == db7.example.org"))
    (note,) = [note for note in lab.notes if "db7" in note]
    assert note.endswith(
        ": the constraint on 'db7.example.org' has no effect: the lab has no such machine"
    )
    assert places(lab) == {"a": "one"}


def test_a_label_that_no_machine_has_the_value_of_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="no machine satisfies all constraints of service 'a'"):
        load(toml=LABELLED, compose=where("node.labels.disk == tape"))


def test_a_global_service_is_on_each_machine_that_suits_it_under_one_name(load: Load) -> None:
    compose = services(
        "agent: {image: x, deploy: {mode: global}}",
        "a: {image: x, depends_on: [agent]}",
        'ssd: {image: x, deploy: {mode: global, placement: {constraints: ["node.hostname!=one"]}}}',
    )
    lab = load(toml=TOML, compose=compose)
    assert places(lab) == {
        "agent.one": "one",
        "agent.two": "two",
        "agent.three": "three",
        "a": "three",
        "ssd.two": "two",
        "ssd.three": "three",
    }
    assert lab.services[0].aliases == ("agent",)
    assert [d.service for d in lab.services[3].depends_on] == [
        "agent.one",
        "agent.two",
        "agent.three",
    ]
    assert {service.image for service in lab.services} == {"x"}


def test_a_forwarded_port_may_lead_to_a_service_of_another_profile(load: Load) -> None:
    toml = TOML + 'forwarded_ports = [{ id = "a", guest = 80, host = 8080 }]\n'
    lab = load(
        toml=toml,
        compose=services("a: {image: x}", "b: {image: x, profiles: [b], ports: ['80:80']}"),
    )
    assert lab.machines[2].forwarded_ports[0].guest == 80
