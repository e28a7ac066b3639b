"""Artifacts: what did not change is not built, what did is built once per build tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running, track_of, write_files
from fakes.outside import Silent

from hashlab.config.model import Artifact, Builder, Incremental
from hashlab.documents.run import Cause
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.phases.artifacts import (
    Change,
    Order,
    Recipe,
    build_artifacts,
    compare,
    output_digest,
    plan,
    recipe_of,
)
from hashlab.pipeline import Cancelled, CancelToken, Recorder, run_workflow
from hashlab.protocols import BuildAnswer, BuildRequest
from hashlab.run import workflows


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
    with pytest.raises(LabError, match="the build did not make out/app"):
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
    tmp_path: Path, change: dict[str, Any]
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


# Causes


def causes_of(outside: Outside) -> list[Cause]:
    """Why the phase had something to do."""
    world = outside.world()
    with track_of() as track:
        build_artifacts(world, track, "")
    return world.facts.causes


def test_the_inputs_that_changed_are_the_cause(outside: Outside) -> None:
    folder = outside.lab.folder
    write_files(folder, {"src/a.txt": "1", "src/b.txt": "1", "src/c.txt": "1"})
    assert causes_of(outside) == [
        Cause("artifact app", ("src/a.txt", "src/b.txt", "src/c.txt", "src/main.txt"))
    ]
    assert causes_of(outside) == []
    write_files(folder, {"src/b.txt": "2", "src/new.txt": "1"})
    (folder / "src/a.txt").unlink()
    assert causes_of(outside) == [Cause("artifact app", ("src/b.txt", "src/new.txt", "src/a.txt"))]


def test_an_output_that_is_gone_is_a_cause_without_files(outside: Outside) -> None:
    build(outside)
    (outside.lab.folder / "out/app/main.bin").unlink()
    assert causes_of(outside) == [Cause("artifact app", ())]


def test_a_whole_refresh_tells_an_edit_of_a_source_once(outside: Outside) -> None:
    """What was built of it and sent is its effect, no cause of its own."""
    running(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    (outside.lab.folder / "static/index.html").write_text("two\n")
    world = outside.world()
    result = run_workflow(
        workflows.REFRESH,
        world,
        machines=world.machine_names(),
        listener=Silent(),
        cancel=CancelToken(),
    )
    assert result.error is None
    assert world.facts.causes == [
        Cause("artifact app", ("src/main.txt",)),
        Cause("files of web", ("static/index.html",)),
    ]


# Incremental builds by workers

JAVAC = Builder("javac", ("java", "Main.java"), worker=True)


@pytest.fixture
def quick(outside: Outside) -> Outside:
    """Artifact app was built; a worker is enough for changes below src."""
    write_files(outside.lab.folder, {"pom.xml": "<p/>", "src/other.txt": "1"})
    artifact = replace(
        outside.lab.artifacts[0],
        inputs=("src", "pom.xml"),
        target="app",
        incremental=Incremental("javac", ("src",)),
    )
    outside.lab = replace(outside.lab, builders=(JAVAC,), artifacts=(artifact,))
    build(outside)
    outside.runner.ran.clear()
    done(outside)
    return outside


def done(outside: Outside) -> None:
    """From now on the worker makes what the clean build would make."""

    def answer(_: BuildRequest) -> BuildAnswer:
        outside._make(())
        return BuildAnswer("done", "2 classes")

    outside.workers.prepare("java", answer)


def save(outside: Outside, text: str = "source 2\n") -> None:
    (outside.lab.folder / "src/main.txt").write_text(text)


def output_of(outside: Outside) -> str:
    return (outside.lab.folder / "out/app/main.bin").read_text()


def requests(outside: Outside) -> list[BuildRequest]:
    return [request for _, request in outside.workers.asked]


def test_a_change_for_which_a_worker_is_enough_is_asked_of_it(quick: Outside) -> None:
    folder = quick.lab.folder
    save(quick)
    write_files(folder, {"src/deep/new.txt": "1"})
    (folder / "src/other.txt").unlink()
    assert build(quick) == ("ok", "built app (2 classes)")
    assert quick.workers.asked == [
        (
            ("java", "Main.java"),
            BuildRequest(
                "app", "out/app", ("src/main.txt", "src/deep/new.txt"), ("src/other.txt",)
            ),
        )
    ]
    assert commands(quick) == []
    assert build(quick) == ("skipped", "1 unchanged")


def test_a_worker_is_told_only_what_changed_since_its_last_answer(quick: Outside) -> None:
    save(quick)
    build(quick)
    write_files(quick.lab.folder, {"src/other.txt": "2"})
    build(quick)
    assert [request.changed for request in requests(quick)] == [
        ("src/main.txt",),
        ("src/other.txt",),
    ]


def test_the_first_build_is_a_clean_one(outside: Outside, quick: Outside) -> None:
    outside.state.artifact("app").unlink()
    assert build(outside) == ("ok", "built app")
    assert requests(outside) == []
    assert commands(outside) == [("make", "app")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "pom.xml").write_text("<other/>"),
        lambda folder: (folder / "pom.xml").unlink(),
        lambda folder: (folder / "out/app/main.bin").write_text("by hand"),
        lambda folder: (folder / "out/app/main.bin").unlink(),
        lambda folder: (folder / "out/app/more").write_text("by hand"),
    ],
    ids=["other input", "other input gone", "output changed", "output gone", "output added to"],
)
def test_whatever_else_changed_needs_a_clean_build(
    quick: Outside, spoil: Callable[[Path], object]
) -> None:
    save(quick)
    spoil(quick.lab.folder)
    assert build(quick) == ("ok", "built app")
    assert requests(quick) == []
    assert commands(quick) == [("make", "app")]


def test_another_way_of_making_it_needs_a_clean_build(quick: Outside) -> None:
    save(quick)
    other = replace(quick.lab.artifacts[0], command=("make", "app", "-O"))
    quick.lab = replace(quick.lab, artifacts=(other,))
    build(quick)
    assert requests(quick) == []


def test_a_name_that_only_begins_like_the_workers_folder_is_not_below_it() -> None:
    artifact = Artifact(
        "app", ("src", "src-test"), Path("/out"), incremental=Incremental("javac", ("src",))
    )
    recipe = Recipe("how", {"src-test/a": "2"})
    record = {"how": "how", "inputs": {"src-test/a": "1"}, "output": "made"}
    change = compare(artifact, recipe, record, "made", {"javac": JAVAC})
    assert change == Change(artifact, recipe, ("src-test/a",), (), None)
    inner = replace(artifact, incremental=Incremental("javac", ("src-test/a",)))
    assert compare(inner, recipe, record, "made", {"javac": JAVAC}) == Change(
        inner, recipe, ("src-test/a",), (), JAVAC
    )


def test_a_source_that_is_wrong_is_told_and_the_record_stays(quick: Outside) -> None:
    """The worker left the output as it was, so the old source needs no build."""
    said = BuildAnswer("failed", "", "src/main.txt:3: no such symbol\n")
    quick.workers.prepare("java", lambda _: said)
    save(quick)
    with pytest.raises(LabError) as failure:
        build(quick)
    told = failure.value
    assert (told.what, told.where) == ("javac failed", "artifact app")
    assert told.output == "src/main.txt:3: no such symbol\n"
    assert "the running services were not touched" in told.next_step
    assert commands(quick) == []
    save(quick, "source 1\n")
    assert build(quick) == ("skipped", "1 unchanged")


@pytest.fixture
def sharing(quick: Outside) -> Outside:
    """Two artifacts of one source, both built, for both of which the worker is enough."""
    app = quick.lab.artifacts[0]
    more = replace(app, name="more", target="more")
    quick.lab = replace(quick.lab, artifacts=(app, more))
    build(quick)
    save(quick)
    return quick


def test_an_error_in_a_source_that_two_artifacts_share_is_told_once(sharing: Outside) -> None:
    said = BuildAnswer("failed", "", "src/main.txt:3: no such symbol\n")
    sharing.workers.prepare("java", lambda _: said)
    with pytest.raises(LabError) as failure:
        build(sharing)
    assert failure.value.where == "artifact app, more"
    assert failure.value.output == "src/main.txt:3: no such symbol\n"


def test_what_a_worker_built_beside_a_failure_is_not_built_again(sharing: Outside) -> None:
    sharing.workers.prepare(
        "java", lambda r: BuildAnswer("failed" if r.target == "app" else "done", "", "no\n")
    )
    with pytest.raises(LabError, match="javac failed") as failure:
        build(sharing)
    assert failure.value.where == "artifact app"
    done(sharing)
    sharing.workers.asked.clear()
    assert build(sharing) == ("ok", "built app (2 classes)")
    assert [request.target for request in requests(sharing)] == ["app"]


def test_after_a_wrong_source_the_worker_is_told_all_changes_since_the_last_good_build(
    quick: Outside,
) -> None:
    quick.workers.prepare("java", lambda _: BuildAnswer("failed"))
    save(quick)
    with pytest.raises(LabError):
        build(quick)
    write_files(quick.lab.folder, {"src/other.txt": "2"})
    done(quick)
    build(quick)
    assert requests(quick)[-1].changed == ("src/main.txt", "src/other.txt")


def test_what_a_worker_cannot_do_is_built_clean_and_the_reason_is_told(quick: Outside) -> None:
    quick.workers.prepare("java", lambda _: BuildAnswer("rebuild", "a resource changed"))
    save(quick)
    listener = Silent()
    recorder = Recorder(listener, CancelToken())
    with recorder.step("artifacts") as track:
        build_artifacts(quick.world(), track, "")
    assert recorder.rows()[0].detail == "built app"
    assert "app: clean build: a resource changed" in listener.lines
    assert commands(quick) == [("make", "app")]
    assert output_of(quick) == "compiled source 2\n"


def test_a_worker_that_dies_is_a_failure_and_what_it_spoilt_is_built_clean(quick: Outside) -> None:
    def die(_: BuildRequest) -> BuildAnswer:
        (quick.lab.folder / "out/app/main.bin").write_text("half")
        raise LabError("the worker ended with exit code 3 instead of an answer")

    quick.workers.prepare("java", die)
    save(quick)
    with pytest.raises(LabError, match="the worker ended"):
        build(quick)
    done(quick)
    assert build(quick) == ("ok", "built app")
    assert output_of(quick) == "compiled source 2\n"


def test_a_worker_that_makes_nothing_is_a_failure(quick: Outside) -> None:
    def remove(_: BuildRequest) -> BuildAnswer:
        (quick.lab.folder / "out/app/main.bin").unlink()
        (quick.lab.folder / "out/app").rmdir()
        return BuildAnswer("done")

    quick.workers.prepare("java", remove)
    save(quick)
    with pytest.raises(LabError, match="the build did not make out/app"):
        build(quick)


def test_an_input_saved_while_a_worker_builds_is_asked_of_it_by_the_next_run(
    quick: Outside,
) -> None:
    def save_meanwhile(_: BuildRequest) -> BuildAnswer:
        quick._make(())
        save(quick, "source 3\n")
        return BuildAnswer("done")

    save(quick)
    quick.workers.prepare("java", save_meanwhile)
    build(quick)
    done(quick)
    build(quick)
    assert [request.changed for request in requests(quick)] == [("src/main.txt",)] * 2
    assert output_of(quick) == "compiled source 3\n"


def test_a_worker_builds_what_it_can_while_others_need_a_clean_build(quick: Outside) -> None:
    folder = quick.lab.folder
    write_files(folder, {"b/x": "1"})
    other = Artifact("b", ("b",), folder / "out/b", command=("make", "b"))
    quick.lab = replace(quick.lab, artifacts=(*quick.lab.artifacts, other))
    quick.runner.prepare("make", "b", effect=lambda _: write_files(folder, {"out/b/made": "1"}))
    save(quick)
    assert build(quick) == ("ok", "built app (2 classes), b")
    assert commands(quick) == [("make", "b")]
    assert build(quick) == ("skipped", "2 unchanged")


def test_workers_end_with_the_world(quick: Outside) -> None:
    world = quick.world()
    world.close()
    assert quick.workers.closed == 1
