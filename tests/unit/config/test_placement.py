"""Services without a constraint go to the machine with the fewest services, always the same one."""

from __future__ import annotations

from collections.abc import Callable

from hashlab.config.model import Lab

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


def test_services_fill_the_machines_in_the_order_of_the_files(load: Load) -> None:
    lab = load(toml=TOML, compose=services(*(f"s{n}: {{image: x}}" for n in range(5))))
    assert places(lab) == {"s0": "one", "s1": "two", "s2": "three", "s3": "one", "s4": "two"}


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
    assert places(lab) == {"a": "three", "b": "one", "c": "one", "d": "two"}


def test_services_of_other_profiles_are_not_placed_but_their_images_are_known(load: Load) -> None:
    compose = services(
        "tool: {image: tool, profiles: [tools]}", "a: {image: x}", "b: {image: y, profiles: [b]}"
    )
    lab = load(toml=TOML, compose=compose)
    assert places(lab) == {"a": "one"}
    assert [image.name for image in lab.images] == ["tool", "x", "y"]


def test_compose_profiles_selects_profiles_from_the_environment_or_env_file(load: Load) -> None:
    compose = services(
        "a: {image: x, profiles: [one]}", "b: {image: x, profiles: [two, three]}", "c: {image: x}"
    )

    def names(**changes: object) -> list[str]:
        lab = load(toml=TOML, compose=compose, **changes)
        return [service.name for service in lab.services]

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


def test_a_volume_on_two_machines_is_noted_as_not_shared(load: Load) -> None:
    compose = services(
        f"a: {{image: x, volumes: ['v:/v'], {on('one')}}}",
        f"b: {{image: x, volumes: ['v:/v'], {on('two')}}}",
    )
    lab = load(toml=TOML, compose=compose + "volumes: {v: }\n")
    assert lab.notes == ("compose.yaml:3: volume 'v' is not shared: one and two have one each",)


def test_a_forwarded_port_may_lead_to_a_service_of_another_profile(load: Load) -> None:
    toml = TOML + 'forwarded_ports = [{ id = "a", guest = 80, host = 8080 }]\n'
    lab = load(
        toml=toml,
        compose=services("a: {image: x}", "b: {image: x, profiles: [b], ports: ['80:80']}"),
    )
    assert lab.machines[2].forwarded_ports[0].guest == 80
