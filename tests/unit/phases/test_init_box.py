"""The box: its recipe, which registered one is taken, how it is packed, what it stands on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, change_service, go, rows, run, running, track_of, write_files

from hashlab.config.model import BoxSettings, Image, Lab
from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.base import make_bases
from hashlab.phases.boxes.registry import (
    boxes_folder,
    recipe_manifest,
    registered_box,
    registered_boxes,
)
from hashlab.phases.recipe import check_recipe
from hashlab.run import workflows


def recipe(outside: Outside) -> str:
    return recipe_manifest(outside.world()).recipe


@pytest.mark.parametrize(
    "change",
    [
        lambda lab: replace(lab, box=BoxSettings(base="debian:sid-slim")),
        lambda lab: replace(lab, box=BoxSettings(packages=("curl",))),
        lambda lab: replace(lab, images=lab.images[:1]),
        lambda lab: replace(lab, images=(*lab.images, Image("redis:7"))),
    ],
    ids=["base", "packages", "an image less", "an image more"],
)
def test_the_recipe_changes_with_what_the_lab_asks_for(
    outside: Outside, change: Callable[[Lab], Lab]
) -> None:
    before = recipe(outside)
    outside.lab = change(outside.lab)
    assert recipe(outside) != before


@pytest.mark.parametrize("name", ["site/Dockerfile", "site/run.sh", "queue/new.conf"])
def test_the_recipe_changes_with_every_file_an_image_is_built_from(
    outside: Outside, name: str
) -> None:
    before = recipe(outside)
    write_files(outside.lab.folder, {name: "FROM scratch\n# edited\n"})
    assert recipe(outside) != before


@pytest.mark.parametrize("change", [{"args": (("LEVEL", "2"),)}, {"target": "debug"}])
def test_the_recipe_changes_with_how_an_image_is_built(
    outside: Outside, change: dict[str, Any]
) -> None:
    before = recipe(outside)
    first, second = outside.lab.images
    assert second.build is not None
    changed = replace(second, build=replace(second.build, **change))
    outside.lab = replace(outside.lab, images=(first, changed))
    assert recipe(outside) != before


def test_the_recipe_changes_with_the_system_the_provider_builds(outside: Outside) -> None:
    before = recipe(outside)
    outside.provider.system = "system 2"
    assert recipe(outside) != before


def test_the_recipe_changes_with_the_provider(outside: Outside) -> None:
    before = recipe(outside)
    outside.provider.name = "libvirt"
    assert recipe(outside) != before


def test_sources_mounts_and_services_are_no_part_of_the_recipe(outside: Outside) -> None:
    before = recipe(outside)
    write_files(outside.lab.folder, {"src/main.txt": "2", "static/index.html": "2"})
    outside.lab = change_service(outside.lab, "site", environment=(("A", "1"),), replicas=5)
    assert recipe(outside) == before


def test_an_image_that_is_only_named_is_part_of_the_recipe_by_its_name(outside: Outside) -> None:
    outside.lab = replace(outside.lab, images=(Image("redis:7"),))
    assert recipe_manifest(outside.world()).images == {"redis:7": "pulled"}


def test_the_version_begins_with_a_number_and_ends_with_the_recipe(outside: Outside) -> None:
    manifest = recipe_manifest(outside.world())
    assert manifest.version == f"1.0.0.r{manifest.recipe}"
    assert manifest.name == "hashlab/small"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"VAGRANT_HOME": "/v", "HOME": "/home/me"}, "/v/boxes"),
        ({"HOME": "/home/me"}, "/home/me/.vagrant.d/boxes"),
    ],
)
def test_boxes_are_where_vagrant_keeps_them(environ: dict[str, str], folder: str) -> None:
    assert boxes_folder(environ) == Path(folder)


def test_a_registered_box_is_read_without_calling_vagrant(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    outside.vagrant_allowed = False
    world = outside.world()
    box, wanted = registered_box(world), recipe_manifest(world)
    assert box is not None
    assert (box.name, box.version, box.images) == (wanted.name, wanted.version, wanted.images)
    assert world.facts.notes == []


def test_without_any_box_there_is_none(outside: Outside) -> None:
    assert registered_box(outside.world()) is None
    assert registered_boxes(outside.world()) == []


def two_boxes(outside: Outside) -> tuple[str, str]:
    """Two boxes of two recipes, the second an hour newer; their recipes."""
    recipes = []
    for text in ("system 1", "system 2"):
        outside.provider.system = text
        go(outside, workflows.INIT_BOX)
        recipes.append(recipe(outside))
    now = 1_700_000_000
    for age, one in zip((3600, 0), recipes, strict=True):
        for path in boxes_folder(outside.environ).glob(f"*/1.0.0.r{one}/docker/hashlab.json"):
            os.utime(path, (now - age, now - age))
    return recipes[0], recipes[1]


def test_the_box_of_exactly_this_recipe_is_taken_even_when_another_is_newer(
    outside: Outside,
) -> None:
    older, newer = two_boxes(outside)
    outside.provider.system = "system 1"
    world = outside.world()
    box = registered_box(world)
    assert box is not None
    assert box.recipe == older != newer
    assert world.facts.notes == []


def test_else_the_newest_box_is_taken(outside: Outside) -> None:
    _, newer = two_boxes(outside)
    outside.provider.system = "system 3"
    world = outside.world()
    box = registered_box(world)
    assert box is not None
    assert box.recipe == newer


def test_a_box_of_another_lab_or_provider_is_none_of_ours(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    assert registered_boxes(outside.world(replace(outside.lab, name="other"))) == []
    outside.provider.name = "libvirt"
    assert registered_boxes(outside.world()) == []


def test_a_box_whose_description_is_broken_is_passed_over(outside: Outside) -> None:
    two_boxes(outside)
    paths = list(boxes_folder(outside.environ).rglob("hashlab.json"))
    paths[0].write_text("{")
    assert len(registered_boxes(outside.world())) == 1


def test_a_changed_recipe_is_built_and_the_old_box_stays_registered(outside: Outside) -> None:
    two_boxes(outside)
    assert len(registered_boxes(outside.world())) == 2


def test_a_registered_box_whose_store_is_gone_is_built_again(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    outside.stores.clear()
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "register")[0].status == "ok"
    assert len(outside.stores) == 1


def test_a_registered_box_says_when_where_and_of_what_it_was_made(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    [box] = registered_boxes(outside.world())
    assert box.data["folder"] == str(outside.lab.folder.resolve())
    assert datetime.fromisoformat(box.data["created"]).tzinfo is not None
    assert box.data["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert box.data["parts"] == {"system": 400_000_000, "image store": 300_000_000}
    assert set(box.data["images"]) == {"small/queue", "small/site"}


def test_two_labs_with_the_same_images_have_boxes_of_their_own(outside: Outside) -> None:
    other = replace(outside.lab, name="other")
    assert recipe(outside) != recipe_manifest(outside.world(other)).recipe


@pytest.mark.parametrize(
    "call",
    ["laptop.save_images", "provider.build_system", "provider.build_store", "vagrant.box_add"],
)
def test_a_failed_init_box_leaves_no_big_file_and_no_box_behind(
    outside: Outside, call: str
) -> None:
    outside.faults.arm(call)
    assert run(outside, workflows.INIT_BOX).error is not None
    left = [path for path in outside.state.root.rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {".gitignore"}
    assert registered_boxes(outside.world()) == []
    go(outside, workflows.INIT_BOX)


def test_a_good_init_box_leaves_no_work_folder_behind(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    assert not (outside.state.root / "box").exists()


def test_a_full_disk_is_told_as_such(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(outside.laptop), "save_images", full)
    error = run(outside, workflows.INIT_BOX).error
    assert isinstance(error, LaptopError)
    assert "No space left on device" in error.what


def test_the_base_is_pulled_where_a_registry_answers(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "base")[0].detail == "debian:trixie-slim pulled"


def test_a_base_that_is_there_is_not_pulled(outside: Outside) -> None:
    outside.laptop.images["debian:trixie-slim"] = {}
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "base")[0].status == "skipped"
    assert "laptop.pull" not in outside.faults.names()


def test_every_debian_that_images_are_built_from_is_brought(outside: Outside) -> None:
    text = (
        "# FROM debian:never\nFROM --platform=linux/amd64 debian:bookworm AS build\nFROM scratch\n"
    )
    dockerfile = outside.lab.folder / "site/Dockerfile"
    dockerfile.write_text(text + "from debian:trixie-slim\nFROM alpine:3\nFROM build\n")
    outside.laptop.images["debian:trixie-slim"] = {}
    outside.laptop.registry.add("debian:bookworm")
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "base")[0].detail == "debian:bookworm pulled"
    pulled = [call for call in outside.faults.calls if call.name == "laptop.pull"]
    assert len(pulled) == 1


def mmdebstrap(outside: Outside) -> None:
    """No registry answers, mmdebstrap works."""

    def make(words: Sequence[str]) -> None:
        Path(words[-1]).write_bytes(b"root file system")

    outside.laptop.registry.clear()
    outside.runner.prepare("mmdebstrap", effect=make)


def test_without_a_registry_a_debian_base_is_made_with_mmdebstrap(outside: Outside) -> None:
    mmdebstrap(outside)
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "base")[0].detail == "debian:trixie-slim made with mmdebstrap"
    [command] = [r.command for r in outside.runner.ran if r.command[0] == "mmdebstrap"]
    assert command[-2] == "trixie"
    assert "debian:trixie-slim" in outside.laptop.images
    assert not Path(command[-1]).exists()


def test_a_failed_mmdebstrap_tells_its_output_and_leaves_no_file(outside: Outside) -> None:
    outside.laptop.registry.clear()
    outside.runner.prepare("mmdebstrap", code=25, stderr="E: no mirror\n")
    error = run(outside, workflows.INIT_BOX).error
    assert isinstance(error, LabError)
    assert (error.what, error.output) == ("mmdebstrap failed", "E: no mirror\n")
    assert not list(outside.state.root.rglob("base.tar"))


@pytest.mark.parametrize("base", ["alpine:3", "debian", "registry.example/debian:bookworm"])
def test_a_base_that_can_neither_be_pulled_nor_made_tells_both_ways_out(
    outside: Outside, base: str
) -> None:
    mmdebstrap(outside)
    outside.lab = replace(outside.lab, box=BoxSettings(base=base))
    error = run(outside, workflows.INIT_BOX).error
    assert isinstance(error, LaptopError)
    assert error.what == f"cannot pull the base image {base}"
    assert "docker pull" in error.next_step
    assert "mmdebstrap" in error.next_step


def test_without_mmdebstrap_a_base_that_cannot_be_pulled_is_a_failure(outside: Outside) -> None:
    outside.laptop.registry.clear()
    (outside.root / "bin/mmdebstrap").unlink()
    world = outside.world()
    with pytest.raises(LaptopError, match="cannot pull the base image"), track_of() as track:
        check_recipe(world, track, "")
        make_bases(world, track, "")


def test_destroying_the_box_removes_it_what_it_stands_on_and_the_labs_own_images(
    outside: Outside,
) -> None:
    outside.lab = replace(outside.lab, images=(*outside.lab.images, Image("redis:7")))
    outside.laptop.registry.add("redis:7")
    running(outside)
    outside.laptop.images[f"hashlab-stage/{outside.lab.id}:a-0"] = {}
    result = go(outside, workflows.destroying(box=True))
    assert "box hashlab/small" in rows(result, "box")[0].detail
    assert "1 images of build stages" in rows(result, "box")[0].detail
    assert outside.stores == {}
    assert set(outside.laptop.images) == {"debian:trixie-slim", "redis:7"}
    assert rows(go(outside, workflows.destroying(box=True)), "box")[0].detail == "no box"


def test_a_box_that_machines_of_another_lab_stand_on_stays(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of one lab have one box."""
    running(outside)
    recipe = recipe_manifest(outside.world()).recipe
    users = outside.provider.users()

    def with_others() -> dict[str, list[str]]:
        there = outside.machines.values()
        own = users if there else {}
        return {recipe: [*own.get(recipe, ()), "small-ffffff/web"]}

    monkeypatch.setattr(outside.provider, "users", with_others)
    result = go(outside, workflows.destroying(box=True))
    assert "box hashlab/small" not in rows(result, "box")[0].detail
    assert outside.stores != {}
