"""Images: what they are built from decides whether a machine's, or the laptop's, will do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, connected, running, track_of, write_files
from fakes.outside import Silent

from hashlab.config.model import Content, Image, RootAccess
from hashlab.errors import FilesChanged, LabError, UsageError
from hashlab.inputs.contexts import BuildContext
from hashlab.phases.agreement import agree
from hashlab.phases.images import bring_images, build_images, hash_images, image_inputs, satisfied
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.protocols import BuildSettings


@pytest.mark.parametrize(
    ("labels", "inputs", "expected"),
    [
        (None, "abc", False),
        (None, "pulled", False),
        ({}, "abc", False),
        ({"hashlab.inputs.artifacts": "old"}, "abc", False),
        ({"hashlab.inputs.artifacts": "abc"}, "abc", True),
        ({}, "pulled", True),
        ({"hashlab.inputs.artifacts": "abc"}, "pulled", True),
    ],
)
def test_an_image_will_do_when_it_was_built_from_the_same(
    labels: dict[str, str] | None, inputs: str, expected: bool
) -> None:
    assert satisfied(labels, inputs) is expected


def inputs(outside: Outside, name: str = "small/site") -> str:
    image = next(image for image in outside.lab.images if image.name == name)
    return image_inputs(outside.world(), image)


@pytest.mark.parametrize(
    "edit",
    [
        lambda context: (context / "run.sh").write_text("edited"),
        lambda context: (context / "more").write_text("added"),
        lambda context: (context / "run.sh").unlink(),
        lambda context: (context / "run.sh").rename(context / "other.sh"),
        lambda context: (context / "Dockerfile").write_text("FROM scratch\n"),
    ],
    ids=["edited", "added", "deleted", "renamed", "Dockerfile"],
)
def test_every_change_in_a_build_context_changes_the_inputs(
    outside: Outside, edit: Callable[[Path], object]
) -> None:
    before = inputs(outside)
    edit(outside.lab.folder / "site")
    assert inputs(outside) != before


def test_a_dockerfile_outside_of_its_context_counts_too(outside: Outside) -> None:
    write_files(outside.lab.folder, {"Dockerfile.site": "FROM a\n"})
    site = outside.lab.images[1]
    assert site.build is not None
    build = replace(site.build, dockerfile=outside.lab.folder / "Dockerfile.site")
    outside.lab = replace(outside.lab, images=(Image("small/site", build),))
    before = inputs(outside)
    write_files(outside.lab.folder, {"Dockerfile.site": "FROM b\n"})
    assert inputs(outside) != before


SETTINGS = {
    "labels": (("a", "b"),),
    "network": "none",
    "shm_size": 1 << 20,
    "extra_hosts": ("router:10.0.0.1",),
    "args": (("LEVEL", "2"),),
    "target": "final",
    "dockerfile_inline": "FROM scratch\n",
}


def with_build(outside: Outside, **changes: object) -> None:
    """Change how the image small/site is built."""
    site = outside.lab.images[1]
    assert site.build is not None
    build = replace(site.build, **changes)  # type: ignore[arg-type]
    outside.lab = replace(outside.lab, images=(outside.lab.images[0], Image("small/site", build)))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_a_build_changes_the_inputs(outside: Outside, name: str) -> None:
    before = inputs(outside)
    changes = {name: SETTINGS[name]}
    with_build(outside, **changes, **({"dockerfile": None} if "inline" in name else {}))
    assert inputs(outside) != before


def test_the_settings_of_a_build_reach_the_engine(outside: Outside) -> None:
    with_build(outside, **SETTINGS, dockerfile=None)
    outside.laptop.images.clear()
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        build_images(world, ["small/site"], track)
    [call] = [call for call in outside.faults.calls if call.name == "laptop.build_image"]
    assert call.words[2] == BuildSettings(
        {"LEVEL": "2"}, "final", "none", 1 << 20, ("router:10.0.0.1",)
    )
    assert outside.laptop.images["small/site"]["a"] == "b"


def test_files_of_a_further_context_count_and_secrets_do_not(outside: Outside) -> None:
    write_files(outside.lab.folder, {"shared/a": "1"})
    contexts = (("shared", outside.lab.folder / "shared"), ("base", "docker-image://debian"))
    with_build(outside, additional_contexts=contexts, secrets=(("key", "token"),))
    outside.lab = replace(outside.lab, secrets=(("token", Content("t")),))
    before = inputs(outside)
    outside.lab = replace(outside.lab, secrets=(("token", Content("other")),))
    assert inputs(outside) == before
    write_files(outside.lab.folder, {"shared/a": "2"})
    assert inputs(outside) != before


def test_further_contexts_and_secrets_reach_the_builder(outside: Outside) -> None:
    write_files(outside.lab.folder, {"shared/a": "1"})
    with_build(
        outside,
        additional_contexts=(
            ("shared", outside.lab.folder / "shared"),
            ("base", "docker-image://a"),
        ),
        secrets=(("key", "token"),),
    )
    outside.lab = replace(outside.lab, secrets=(("token", Content("t")),))
    outside.laptop.images.clear()
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        build_images(world, ["small/site"], track)
    [call] = [call for call in outside.faults.calls if call.name == "laptop.build_image"]
    settings = call.words[2]
    assert isinstance(settings, BuildSettings)
    assert settings.secrets == {"key": Content("t")}
    shared = settings.contexts["shared"]
    assert isinstance(shared, BuildContext)
    assert [entry.name for entry in shared.entries] == ["a"]
    assert settings.contexts["base"] == "docker-image://a"


def test_an_image_is_built_after_the_images_that_are_its_contexts(outside: Outside) -> None:
    with_build(outside, additional_contexts=(("queue", "docker-image://small/queue"),))
    before = inputs(outside)
    outside.laptop.images.clear()
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        built = build_images(world, ["small/site"], track)
    assert built == ["small/queue", "small/site"]
    with track_of() as track:
        assert build_images(world, ["small/site"], track) == []
    write_files(outside.lab.folder, {"queue/new": "1"})
    assert inputs(outside) != before


def test_a_build_gets_no_key_of_the_laptop_before_a_person_agreed(outside: Outside) -> None:
    with_build(outside, ssh=(("default", ""),))
    access = RootAccess("site", "uses your SSH agent in its build", "compose.yaml", 3)
    outside.lab = replace(outside.lab, agent_access=(access,))
    outside.laptop.images.clear()
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        with pytest.raises(UsageError, match="nobody was asked"):
            build_images(world, ["small/site"], track)
        agree(world)
        build_images(world, ["small/site"], track)
    [call] = [call for call in outside.faults.calls if call.name == "laptop.build_image"]
    assert call.words[2].ssh == {"default": ""}


def test_files_that_docker_ignores_do_not_count(outside: Outside) -> None:
    write_files(outside.lab.folder, {"site/.dockerignore": "*.md\n"})
    before = inputs(outside)
    write_files(outside.lab.folder, {"site/notes.md": "ignored"})
    assert inputs(outside) == before


def test_a_context_that_changed_since_it_was_hashed_is_never_built_under_the_old_label(
    outside: Outside,
) -> None:
    world = outside.world()
    outside.laptop.images.clear()
    with track_of() as track:
        hash_images(world, track, "")
        write_files(outside.lab.folder, {"site/run.sh": "edited meanwhile"})
        with pytest.raises(FilesChanged, match="small/site"):
            build_images(world, ["small/site"], track)
    assert "small/site" not in outside.laptop.images


def test_a_declared_file_that_stays_out_of_an_image_is_noted(outside: Outside) -> None:
    outside.lab = replace(outside.lab, declared=(outside.lab.folder / "site/run.sh",))
    outside.laptop.images.clear()
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        build_images(world, ["small/site"], track)
    assert [note.split(" ")[0] for note in world.facts.notes] == ["run.sh"]


def test_the_base_of_the_box_is_not_that_of_images(outside: Outside) -> None:
    before = inputs(outside)
    outside.lab = replace(outside.lab, box=replace(outside.lab.box, base="debian:sid"))
    assert inputs(outside) == before


def test_hashing_tells_the_inputs_of_every_image_of_the_file(outside: Outside) -> None:
    outside.lab = replace(outside.lab, images=(*outside.lab.images, Image("redis:7")))
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
    assert set(world.facts.images.inputs) == {"small/queue", "small/site", "redis:7"}
    assert world.facts.images.inputs["redis:7"] == "pulled"


def bring(outside: Outside, machine: str = "web") -> Row:
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("images", machine=machine) as track:
        bring_images(world, track, machine)
    return recorder.rows()[0]


def test_a_machine_that_has_its_images_is_left_alone(outside: Outside) -> None:
    row = bring(running(outside))
    assert (row.status, row.detail) == ("skipped", "1 up to date")


def test_a_machine_without_services_needs_no_images(outside: Outside) -> None:
    assert bring(running(outside), "spare").detail == "0 up to date"


def test_an_image_the_machine_lost_is_sent_from_the_laptop_without_building(
    outside: Outside,
) -> None:
    del running(outside).machines["web"].engine.images["small/site"]
    row = bring(outside)
    assert row.detail == "sent small/site"
    assert row.bytes_sent > 0
    assert "laptop.build_image" not in outside.faults.names()
    assert "small/site" in outside.machines["web"].engine.images


def test_an_image_lost_everywhere_is_built_and_sent(outside: Outside) -> None:
    del running(outside).machines["web"].engine.images["small/site"]
    outside.laptop.images.clear()
    bring(outside)
    built = [call.words for call in outside.faults.calls if call.name == "laptop.build_image"]
    assert built == [("laptop", "small/site", BuildSettings({"LEVEL": "1"}))]


def test_an_image_that_is_only_named_is_pulled_by_the_laptop(outside: Outside) -> None:
    outside.lab = replace(outside.lab, images=(*outside.lab.images, Image("redis:7")))
    outside.laptop.registry.add("redis:7")
    world = outside.world()
    with track_of() as track:
        hash_images(world, track, "")
        assert build_images(world, ["redis:7"], track) == ["redis:7"]
        assert build_images(world, ["redis:7"], track) == []


def test_a_build_that_fails_names_its_image(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"site/Dockerfile": "FROM scratch\nRUN false\n"})
    with pytest.raises(LabError, match="cannot build image small/site"):
        bring(outside)


def test_a_file_made_executable_changes_the_inputs(outside: Outside) -> None:
    before = inputs(outside)
    (outside.lab.folder / "site/run.sh").chmod(0o755)
    assert inputs(outside) != before
