"""Artifacts: what did not change is not built, what did is built once per build tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, track_of, write_files
from fakes.outside import Silent

from hashlab.config.model import Artifact, Builder
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.phases.artifacts import (
    Change,
    Order,
    Recipe,
    build_artifacts,
    output_digest,
    plan,
    recipe_of,
)
from hashlab.pipeline import Cancelled, CancelToken, Recorder


def build(outside: Outside) -> tuple[str, str]:
    """Run the phase in a new world; return its status and detail."""
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("artifacts") as track:
        build_artifacts(outside.world(), track, "")
    row = recorder.rows()[0]
    return row.status, row.detail


def commands(outside: Outside) -> list[tuple[str, ...]]:
    return [ran.command for ran in outside.runner.ran]


def test_an_artifact_that_was_never_built_is_built(outside: Outside) -> None:
    assert build(outside) == ("ok", "built app")
    assert commands(outside) == [("make", "app")]
    assert outside.runner.ran[0].cwd == outside.lab.folder


def test_an_unchanged_artifact_is_not_built_again(outside: Outside) -> None:
    build(outside)
    assert build(outside) == ("skipped", "1 unchanged")
    assert len(commands(outside)) == 1


def test_a_lab_without_artifacts_skips(outside: Outside) -> None:
    outside.lab = replace(outside.lab, artifacts=())
    assert build(outside) == ("skipped", "none")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: (out / "main.bin").unlink(),
        lambda out: (out / "main.bin").write_text("changed by hand"),
        lambda out: (out / "more.bin").write_text("added by hand"),
        lambda out: (out / "main.bin").rename(out / "other.bin"),
    ],
    ids=["missing", "changed", "added to", "renamed"],
)
def test_an_output_that_is_not_what_was_built_is_built_again(
    outside: Outside, spoil: Callable[[Path], object]
) -> None:
    build(outside)
    spoil(outside.lab.folder / "out/app")
    assert build(outside)[0] == "ok"


def test_a_lost_record_means_building_again(outside: Outside) -> None:
    build(outside)
    outside.state.artifact("app").unlink()
    assert build(outside)[0] == "ok"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"inputs": 1}'])
def test_a_broken_record_means_building_again(outside: Outside, text: str) -> None:
    build(outside)
    outside.state.artifact("app").write_text(text)
    assert build(outside)[0] == "ok"


def test_an_input_saved_while_the_build_runs_is_built_by_the_next_run(outside: Outside) -> None:
    source = outside.lab.folder / "src/main.txt"
    build(outside)
    source.write_text("source 2\n")

    def save_meanwhile(_: object) -> None:
        outside._make(())
        source.write_text("source 3\n")

    outside.runner.prepare("make", "app", effect=save_meanwhile)
    build(outside)
    assert build(outside) == ("ok", "built app")


def test_a_failing_build_tells_its_output_and_keeps_no_record(outside: Outside) -> None:
    build(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    outside.runner.prepare("make", "app", code=2, stdout="compiling\n", stderr="line 3: no\n")
    with pytest.raises(LabError) as failure:
        build(outside)
    assert failure.value.what == "make failed with exit code 2"
    assert failure.value.where == "artifact app"
    assert failure.value.output == "compiling\nline 3: no\n"
    assert not outside.state.artifact("app").exists()


def test_after_a_failed_build_the_old_source_is_built_again_too(outside: Outside) -> None:
    """The failed build may have left half an output behind."""
    source = outside.lab.folder / "src/main.txt"
    build(outside)
    source.write_text("source 2\n")
    outside.faults.arm("runner.make")
    with pytest.raises(LabError):
        build(outside)
    source.write_text("source 1\n")
    assert build(outside) == ("ok", "built app")


def test_a_build_that_makes_nothing_is_a_failure(outside: Outside) -> None:
    outside.runner.prepare("make", "app")
    with pytest.raises(LabError, match="the build made no out/app"):
        build(outside)


def test_a_cancelled_run_builds_nothing(outside: Outside) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled), track_of(cancel=cancel) as track:
        build_artifacts(outside.world(), track, "")
    assert commands(outside) == []


def with_builder(outside: Outside) -> None:
    """Three artifacts: two by one builder, one by its own command."""
    folder = outside.lab.folder
    write_files(folder, {"a/x": "a", "b/x": "b"})
    artifacts = tuple(
        Artifact(name, (name,), folder / f"out/{name}", builder="maven", target=f":{name}")
        for name in ("a", "b")
    )
    builder = Builder("maven", ("mvn", "-pl", "{targets}", "package"))
    outside.lab = replace(
        outside.lab, builders=(builder,), artifacts=(*artifacts, *outside.lab.artifacts)
    )

    def package(words: object) -> None:
        for name in ("a", "b"):
            write_files(folder, {f"out/{name}/made": (folder / name / "x").read_text()})

    outside.runner.prepare("mvn", effect=package)


def test_a_builder_is_called_once_for_all_its_changed_artifacts(outside: Outside) -> None:
    with_builder(outside)
    build(outside)
    assert sorted(commands(outside)) == [("make", "app"), ("mvn", "-pl", ":a,:b", "package")]


def test_a_builder_is_told_only_the_targets_that_changed(outside: Outside) -> None:
    with_builder(outside)
    build(outside)
    (outside.lab.folder / "b/x").write_text("b 2")
    build(outside)
    assert commands(outside)[2:] == [("mvn", "-pl", ":b", "package")]


def test_targets_are_put_wherever_the_command_names_them() -> None:
    folder = Path("/lab")
    artifact = Artifact("one", ("one",), folder / "out", builder="make", target="first")
    one = Change(artifact, Recipe("how", {}), (), ())
    builder = Builder("make", ("make", "--only={targets}", "again", "{targets}"))
    assert plan([one], [builder]) == [
        Order(("make", "--only=first", "again", "first"), (one,)),
    ]


def test_builders_without_changed_artifacts_are_not_called() -> None:
    assert plan([], [Builder("make", ("make", "{targets}"))]) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda src: (src / "main.txt").write_text("edited"),
        lambda src: (src / "new.txt").write_text(""),
        lambda src: (src / "main.txt").unlink(),
        lambda src: (src / "main.txt").rename(src / "other.txt"),
        lambda src: (src / "deep/er/one.txt").write_text("edited"),
        lambda src: (src / "deep").rename(src / "deeper"),
        lambda src: (src / ".hidden").write_text("x"),
    ],
    ids=["edited", "added", "deleted", "renamed", "edited below", "folder renamed", "hidden added"],
)
@pytest.mark.parametrize("pattern", ["src", "src/**/*"])
def test_any_change_of_any_input_changes_the_recipe(
    tmp_path: Path, edit: Callable[[Path], object], pattern: str
) -> None:
    write_files(tmp_path, {"src/main.txt": "main", "src/deep/er/one.txt": "one"})
    artifact = Artifact("app", (pattern,), tmp_path / "out", command=("make",))
    before = recipe_of(tmp_path, artifact, Digests())
    edit(tmp_path / "src")
    assert recipe_of(tmp_path, artifact, Digests()) != before


def test_swapping_the_content_of_two_inputs_changes_the_recipe(tmp_path: Path) -> None:
    artifact = Artifact("app", ("src",), tmp_path / "out", command=("make",))
    write_files(tmp_path, {"src/a": "1", "src/b": "2"})
    before = recipe_of(tmp_path, artifact, Digests())
    write_files(tmp_path, {"src/a": "2", "src/b": "1"})
    assert recipe_of(tmp_path, artifact, Digests()) != before


def test_files_beside_the_inputs_do_not_change_the_recipe(tmp_path: Path) -> None:
    artifact = Artifact("app", ("src", "pom.xml"), tmp_path / "out", command=("make",))
    write_files(tmp_path, {"src/a": "1", "pom.xml": "<p/>"})
    before = recipe_of(tmp_path, artifact, Digests())
    write_files(tmp_path, {"README": "x", "target/a": "y"})
    assert recipe_of(tmp_path, artifact, Digests()) == before


@pytest.mark.parametrize(
    "change", [{"command": ("make", "-O")}, {"builder": "maven"}, {"target": "other"}]
)
def test_how_an_artifact_is_made_is_part_of_its_recipe(
    tmp_path: Path, change: dict[str, object]
) -> None:
    write_files(tmp_path, {"src/a": "1"})
    artifact = Artifact("app", ("src",), tmp_path / "out", command=("make",))
    other = replace(artifact, **change)
    assert recipe_of(tmp_path, other, Digests()) != recipe_of(tmp_path, artifact, Digests())


def test_an_output_that_is_one_file_is_seen_too(tmp_path: Path) -> None:
    assert output_digest(tmp_path / "app.jar", Digests()) == ""
    (tmp_path / "app.jar").write_text("1")
    one = output_digest(tmp_path / "app.jar", Digests())
    (tmp_path / "app.jar").write_text("2")
    assert "" != one != output_digest(tmp_path / "app.jar", Digests())
