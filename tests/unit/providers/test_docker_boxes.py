"""Boxes of the provider docker on a fake engine: an image with the system, a volume with the
store.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from engine_labs import (
    IMAGE,
    MANIFEST,
    STORE,
    SYSTEM,
    built,
    copied_into,
    machine,
    with_store,
)
from fakes import FakeEngine

from hashlab.config.model import Lab
from hashlab.errors import LaptopError
from hashlab.pipeline import Track
from hashlab.providers.docker import DockerProvider

# The laptop


@pytest.mark.parametrize("driver", ["overlay2", "overlayfs"])
def test_a_linux_engine_with_overlay_works(
    engine: FakeEngine, provider: DockerProvider, driver: str
) -> None:
    engine.host["Driver"] = driver
    provider.check()


@pytest.mark.parametrize(
    ("fact", "value", "message"),
    [
        ("OSType", "windows", "runs windows containers"),
        ("Driver", "vfs", "stores images with 'vfs', not overlay2"),
        ("Driver", "btrfs", "stores images with 'btrfs'"),
    ],
)
def test_an_unsuitable_engine_is_refused_with_a_next_step(
    engine: FakeEngine, provider: DockerProvider, fact: str, value: str, message: str
) -> None:
    engine.host[fact] = value
    with pytest.raises(LaptopError, match=message) as failure:
        provider.check()
    assert failure.value.next_step


def test_the_tools_are_the_ones_that_phases_call(provider: DockerProvider) -> None:
    commands = {tool.command for tool in provider.tools(building=False)}
    assert commands == {"vagrant", "ssh", "ssh-keygen", "rsync"}


# The box


def test_the_recipe_contains_every_file_of_the_system(provider: DockerProvider) -> None:
    inputs = provider.boxes.inputs()
    assert set(inputs) == copied_into("container")
    assert {"setup.sh", "container-init.sh"} <= set(inputs)
    for name, text in inputs.items():
        assert text == (SYSTEM / name).read_text()


def test_the_system_of_a_box_boots_as_a_container(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track
) -> None:
    built(engine, provider, lab, track)
    [call] = [call for call in engine.faults.calls if call.name == "laptop.build_image"]
    assert (call.words[1], call.words[2].target) == (IMAGE, "container")


def test_a_box_is_present_once_image_and_store_exist(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    assert not provider.boxes.present(MANIFEST)
    built(engine, provider, lab, track)
    assert not provider.boxes.present(MANIFEST)
    with_store(engine, provider, lab, track, tmp_path)
    assert provider.boxes.present(MANIFEST)
    assert not provider.boxes.present(replace(MANIFEST, recipe="other"))


def test_the_box_names_its_image_and_its_provider(provider: DockerProvider, tmp_path: Path) -> None:
    files = provider.boxes.files(MANIFEST, tmp_path)
    assert json.loads(str(files["metadata.json"])) == {"provider": "docker"}
    assert f'docker.image = "{IMAGE}"' in str(files["Vagrantfile"])


def test_the_users_of_a_box_are_machines_of_any_lab(
    engine: FakeEngine, provider: DockerProvider, lab: Lab
) -> None:
    other = replace(lab, folder=lab.folder / "other")
    for one in (lab, other):
        machine(engine, one, "web")
    machine(engine, lab, "broker", **{"hashlab.recipe": "old"})
    assert provider.boxes.users() == {
        "abc": [f"{lab.id}/web", f"{other.id}/web"],
        "old": [f"{lab.id}/broker"],
    }


def test_a_removed_box_leaves_nothing_and_other_boxes_stay(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> None:
    with_store(engine, provider, lab, track, tmp_path)
    engine.create_volume("other", {"hashlab.box": "hashlab/small", "hashlab.recipe": "other"})
    assert provider.boxes.remove(MANIFEST) == [f"image {IMAGE}", f"volume {STORE}"]
    assert provider.boxes.remove(MANIFEST) == []
    assert list(engine.volume_labels) == ["other"]
