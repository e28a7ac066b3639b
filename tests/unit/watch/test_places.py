"""Which folders are watched, and which changes in them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import change_service, small_lab, write_files

from hashlab.config.model import Artifact, BindMount, Lab, Watch
from hashlab.watch.places import Places, find_places, names_of, wanted_files, wanted_of


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = small_lab(tmp_path / "lab")
    return replace(made, sources=(made.folder / "hashlab.toml", made.folder / ".env"))


def places_of(lab: Lab) -> Places:
    return find_places(wanted_of(lab))


def with_inputs(lab: Lab, *inputs: str, output: str = "out/app") -> Lab:
    artifact = Artifact("app", inputs=inputs, output=lab.folder / output, command=("make", "app"))
    return replace(lab, artifacts=(artifact,))


def counting(lab: Lab, names: Sequence[str]) -> list[str]:
    places = places_of(lab)
    return [name for name in names if places.counts(lab.folder / name)]


def test_inputs_contexts_mounts_and_the_labs_files_count(lab: Lab) -> None:
    names = [
        "src/main.txt",
        "src/deep/new/file",
        "queue/Dockerfile",
        "site/run.sh",
        "static/style/site.css",
        "conf/site.conf",
        "hashlab.toml",
        ".env",
        "src",
    ]
    assert counting(lab, names) == names


def test_outputs_state_version_control_and_what_is_beside_do_not_count(lab: Lab) -> None:
    names = [
        "out/app/main.bin",
        "out/app",
        ".hashlab/secrets/password",
        ".hashlab/lock",
        "static/.git/index",
        ".git/HEAD",
        "conf/other.conf",
        "README.md",
        "hashlab.toml~",
    ]
    assert counting(lab, names) == []


def test_an_output_inside_an_input_does_not_count(lab: Lab) -> None:
    inside = with_inputs(lab, "src", output="src/target/app")
    assert counting(inside, ["src/target/app/x", "src/target/application", "src/x"]) == [
        "src/target/application",
        "src/x",
    ]


def test_only_folders_that_are_there_are_watched_and_files_by_their_folder(lab: Lab) -> None:
    folders = places_of(with_inputs(lab, "src", "missing/folder")).folders()
    root = lab.folder
    assert folders.deep == {root / "src", root / "queue", root / "site", root / "static"}
    assert folders.flat == {root, root / "conf"}


def test_an_input_that_is_made_later_counts_from_its_first_folder_on(lab: Lab) -> None:
    later = with_inputs(lab, "one/two")
    before = places_of(later)
    assert before.counts(lab.folder / "one")
    (lab.folder / "one").mkdir()
    between = places_of(later)
    assert between.identities != before.identities
    assert between.counts(lab.folder / "one/two")
    (lab.folder / "one/two").mkdir()
    assert lab.folder / "one/two" in places_of(later).folders().deep


def test_a_folder_that_was_made_anew_is_another_one(lab: Lab) -> None:
    before = places_of(lab)
    (lab.folder / "src").rename(lab.folder / "old")
    write_files(lab.folder, {"src/main.txt": "anew"})
    assert places_of(lab).folders() == before.folders()
    assert places_of(lab).identities != before.identities


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.xml", ["pom.xml"], ["pom.yml", "a/pom.xml"]),
        ("*/src", ["a/src/X", "a/src", "b"], ["a/target/X"]),
        ("a/**/*.java", ["a/X.java", "a/src/deep/X.java"], ["a/X.class", "b/X.java"]),
        ("a/**", ["a/anything/at/all"], ["b/x"]),
        ("a/x?.txt", ["a/x1.txt"], ["a/x.txt"]),
    ],
)
def test_globs_are_watched_where_they_can_match(
    lab: Lab, pattern: str, yes: list[str], no: list[str]
) -> None:
    write_files(lab.folder, {"a/src/X": "", "a/pom.xml": "", "pom.xml": ""})
    alone = replace(with_inputs(lab, pattern), services=(), images=())
    assert counting(alone, yes) == yes
    assert counting(alone, no) == []


def test_names_with_the_signs_of_globs_are_taken_as_they_are(lab: Lab) -> None:
    write_files(lab.folder, {"pages/[id]/index.html": "x"})
    mount = BindMount(lab.folder / "pages/[id]", "/pages")
    service = replace(lab.services[2], binds=(mount,))
    odd = replace(lab, services=(service,))
    assert counting(odd, ["pages/[id]/index.html", "pages/i/index.html"]) == [
        "pages/[id]/index.html"
    ]


def test_mounts_beside_the_lab_are_watched_too(lab: Lab, tmp_path: Path) -> None:
    write_files(tmp_path, {"shared/a.txt": "x", "more/b.txt": "x"})
    service = replace(lab.services[2], binds=(BindMount(tmp_path / "shared", "/shared"),))
    places = places_of(replace(lab, services=(service,)))
    assert places.counts(tmp_path / "shared/a.txt")
    assert not places.counts(tmp_path / "more/b.txt")


def test_the_file_behind_a_link_counts_by_its_own_name(lab: Lab, tmp_path: Path) -> None:
    write_files(tmp_path, {"elsewhere/real.css": "x", "elsewhere/other.css": "x"})
    (lab.folder / "static/linked.css").symlink_to(tmp_path / "elsewhere/real.css")
    places = places_of(lab)
    assert places.counts(tmp_path / "elsewhere/real.css")
    assert not places.counts(tmp_path / "elsewhere/other.css")


def test_a_linked_folder_is_watched_under_the_name_of_the_link(lab: Lab, tmp_path: Path) -> None:
    write_files(tmp_path, {"elsewhere/x": "x"})
    (lab.folder / "linked").symlink_to(tmp_path / "elsewhere")
    places = places_of(with_inputs(lab, "linked"))
    assert lab.folder / "linked" in places.folders().deep
    assert places.counts(lab.folder / "linked/x")
    assert places.counts(lab.folder / "linked")


def test_folders_inside_watched_ones_are_not_watched_twice(lab: Lab) -> None:
    assert (
        lab.folder / "src/deep" not in places_of(with_inputs(lab, "src", "src/deep")).folders().deep
    )


def test_without_a_lab_its_files_alone_are_watched(tmp_path: Path) -> None:
    places = find_places(wanted_files([tmp_path / "hashlab.toml", tmp_path / "compose.yaml"]))
    assert places.folders().flat == {tmp_path}
    assert places.counts(tmp_path / "compose.yaml")
    assert not places.counts(tmp_path / "other.yaml")


def test_people_are_told_what_is_there_and_no_secrets(lab: Lab) -> None:
    (lab.folder / "hashlab.toml").write_text("")
    assert names_of(lab) == ["hashlab.toml", "queue", "site", "static", "conf/site.conf", "src"]


def test_files_of_editors_never_count(lab: Lab) -> None:
    names = ["static/.index.html.swp", "src/main.txt~", "site/4913", "src/.#main.txt", ".env~"]
    assert counting(lab, [*names, "static/.idea/workspace.xml"]) == []


def watching(lab: Lab, *rules: Watch) -> Lab:
    return change_service(lab, "site", watch=rules)


def test_what_a_watch_rule_ignores_in_a_mount_does_not_count(lab: Lab) -> None:
    rule = Watch(lab.folder / "static", "sync", ignore=("*.tmp", "**/cache", "!keep.tmp"))
    names = ["static/x.tmp", "static/style/cache/x", "static/keep.tmp", "static/style/x.tmp"]
    assert counting(watching(lab, rule), names) == ["static/keep.tmp", "static/style/x.tmp"]


def test_what_one_of_two_services_ignores_counts(lab: Lab) -> None:
    ignoring = watching(lab, Watch(lab.folder / "static", "sync", ignore=("*.tmp",)))
    binds = (BindMount(lab.folder / "static", "/static"),)
    both = change_service(ignoring, "queue", binds=binds)
    assert counting(both, ["static/x.tmp"]) == ["static/x.tmp"]


def test_what_a_rule_ignores_counts_where_something_else_reads_it(lab: Lab) -> None:
    ignoring = watching(lab, Watch(lab.folder / "static", "sync", ignore=("*.tmp",)))
    assert counting(with_inputs(ignoring, "static"), ["static/x.tmp"]) == ["static/x.tmp"]


def test_what_docker_is_not_sent_does_not_count(lab: Lab) -> None:
    write_files(lab.folder, {"site/.dockerignore": "*.md\n"})
    names = ["site/notes.md", "site/run.sh", "site/.dockerignore", "site/Dockerfile"]
    assert counting(lab, names) == names[1:]


def test_what_a_rebuild_rule_ignores_does_not_count(lab: Lab) -> None:
    rule = Watch(lab.folder / "site", "rebuild", ignore=("docs/",))
    assert counting(watching(lab, rule), ["site/docs/x", "site/run.sh"]) == ["site/run.sh"]


def test_a_broken_dockerignore_ignores_nothing_until_it_is_right(lab: Lab) -> None:
    write_files(lab.folder, {"site/.dockerignore": "[\n"})
    assert counting(lab, ["site/run.sh"]) == ["site/run.sh"]


def test_inputs_behind_a_link_to_a_folder_count(lab: Lab) -> None:
    write_files(lab.folder, {"shared/deep/file": ""})
    (lab.folder / "src/link").symlink_to("../shared")
    (lab.folder / "shared/loop").symlink_to("..")
    places = places_of(with_inputs(lab, "src"))
    assert places.counts(lab.folder / "shared/deep/file")


@pytest.mark.parametrize("refused", ["is_dir", "iterdir", "stat"])
def test_a_folder_that_goes_or_may_not_be_read_is_no_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    real = getattr(Path, refused)

    def refuse(path: Path, *args: object, **options: object) -> object:
        if path == lab.folder / "src":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(Path, refused, refuse)
    places = places_of(with_inputs(lab, "src", "src/*"))
    assert places.counts(lab.folder / "static/index.html")
