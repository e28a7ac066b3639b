"""A lab needs no hashlab.toml: its name, machines and addresses have defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.config.defaults import lab_name, project_name
from hashlab.config.load import load_lab
from hashlab.config.model import Lab
from hashlab.errors import ConfigError


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Lab]:
    """Load a folder named "My Shop_2" with a Compose file, and a hashlab.toml if ``toml``."""

    def loaded(compose: str, *, toml: str | None = None, **environ: str) -> Lab:
        folder = tmp_path / "My Shop_2"
        folder.mkdir(exist_ok=True)
        (folder / "docker-compose.yml").write_text(compose)
        if toml is not None:
            (folder / "hashlab.toml").write_text(toml)
        return load_lab(folder, environ=environ)

    return loaded


def services(number: int, keys: str = "image: x") -> str:
    return "services:\n" + "".join(f"  s{n}: {{{keys}}}\n" for n in range(number))


def test_a_compose_file_alone_is_a_lab_named_like_its_folder(load: Callable[..., Lab]) -> None:
    lab = load(services(4))
    assert (lab.name, lab.provider, lab.own_machines) == ("myshop-2", "auto", False)
    assert [(m.name, str(m.address)) for m in lab.machines] == [
        ("one", "192.168.60.5"),
        ("two", "192.168.60.6"),
        ("three", "192.168.60.7"),
    ]
    assert {service.machine for service in lab.services} == {"one", "two", "three"}
    assert lab.folder / "hashlab.toml" in lab.sources


def test_the_name_comes_from_the_environment_then_the_compose_file_then_the_folder(
    load: Callable[..., Lab],
) -> None:
    compose = "name: ${SHOP:-book_shop}\n" + services(1, "image: 'x:${COMPOSE_PROJECT_NAME}'")
    assert (lab := load(compose)).name == "book-shop"
    assert lab.services[0].image == "x:book_shop"
    assert load(compose, SHOP="toys").name == "toys"
    assert load(compose, COMPOSE_PROJECT_NAME="9_lives").name == "lab-9-lives"
    assert load(compose, toml='[lab]\nname = "third"\n').name == "third"


@pytest.mark.parametrize(
    ("folder", "project", "lab"),
    [
        ("Shop", "shop", "shop"),
        ("_my.App 2", "myapp2", "myapp2"),
        ("2048", "2048", "lab-2048"),
        ("日本", "", "lab"),
        ("host", "host", "host-lab"),
        ("a" * 40, "a" * 40, "a" * 31),
    ],
)
def test_any_folder_has_a_name_that_machines_can_carry(folder: str, project: str, lab: str) -> None:
    assert project_name(folder) == project
    assert lab_name(project) == lab


@pytest.mark.parametrize(("number", "machines"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_there_are_no_more_machines_than_services(
    load: Callable[..., Lab], number: int, machines: int
) -> None:
    assert len(load(services(number)).machines) == machines


def test_services_of_one_volume_count_as_one(load: Callable[..., Lab]) -> None:
    lab = load(services(4, "image: x, volumes: ['data:/data']") + "volumes: {data: }\n")
    assert [machine.name for machine in lab.machines] == ["one"]
    assert {service.machine for service in lab.services} == {"one"}


def test_machines_that_constraints_name_are_there(load: Callable[..., Lab]) -> None:
    compose = services(3) + (
        '  db: {image: x, deploy: {placement: {constraints: ["node.hostname == store"]}}}\n'
    )
    lab = load(compose)
    assert [machine.name for machine in lab.machines] == ["store", "one", "two"]
    assert lab.services[3].machine == "store"


def test_a_global_service_alone_has_one_machine(load: Callable[..., Lab]) -> None:
    lab = load("services: {agent: {image: x, deploy: {mode: global}}}\n")
    assert [service.name for service in lab.services] == ["agent.one"]


def test_a_machine_without_an_address_gets_the_first_that_no_other_has(
    load: Callable[..., Lab],
) -> None:
    toml = '[lab]\nsubnet = "192.168.70.0/24"\n[machines]\na = {}\nc = {address = "192.168.70.5"}\n'
    lab = load(services(2), toml=toml)
    assert {m.name: str(m.address) for m in lab.machines} == {
        "a": "192.168.70.6",
        "c": "192.168.70.5",
    }
    assert lab.own_machines


@pytest.mark.parametrize("toml", ["", "# nothing\n", "[lab]\n", "[machines]\n"])
def test_everything_in_hashlab_toml_may_be_left_out(load: Callable[..., Lab], toml: str) -> None:
    lab = load(services(3), toml=toml)
    assert (lab.name, len(lab.machines)) == ("myshop-2", 3)


def test_a_folder_without_any_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"compose.yaml: does not exist in"):
        load_lab(tmp_path, environ={})
