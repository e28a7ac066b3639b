"""Watch rules without a mount: files are copied into the container's own file system."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, change_service, go, rows, running, write_files
from fakes.engine import Container, OwnFile

from hashlab.config.model import Hook, Image, Watch, WatchAction
from hashlab.phases.images import image_inputs
from hashlab.pipeline import RunResult
from hashlab.protocols import Completed
from hashlab.run import workflows
from hashlab.watch.places import find_places, wanted_of


def rule(outside: Outside, action: WatchAction = "sync") -> Watch:
    return Watch(outside.lab.folder / "code", action, "/code")


def watched(outside: Outside, *rules: Watch) -> Outside:
    """Let service site have these watch rules, besides that of its mount."""
    static = Watch(outside.lab.folder / "static", "sync")
    lab = change_service(outside.lab, "site", watch=(static, *rules), replicas=1)
    images = [
        replace(image, watched=((static, *rules),)) if image.name == "small/site" else image
        for image in lab.images
    ]
    outside.lab = replace(lab, images=tuple(images))
    return outside


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab that runs; what is in code/ is copied to /code of service site."""
    write_files(outside.lab.folder, {"code/main.py": "one", "code/lib/a.py": "a"})
    (outside.lab.folder / "code/link").symlink_to("main.py")
    return running(watched(outside, rule(outside)))


def site(outside: Outside) -> Container:
    return outside.machines["web"].engine.by_name("small-site-1")


def refresh(outside: Outside) -> RunResult:
    return go(outside, workflows.REFRESH)


def detail(result: RunResult) -> str:
    return next((row.detail for row in rows(result, "container") if row.service == "site"), "")


def test_a_new_container_has_the_files_before_it_starts(lab: Outside) -> None:
    assert site(lab).own == {
        "/code/main.py": OwnFile(b"one", 0o644),
        "/code/lib/a.py": OwnFile(b"a", 0o644),
        "/code/link": OwnFile(b"", 0o644, "main.py"),
    }
    lab.machines["web"].engine.remove("small-site-1")
    refresh(lab)
    order = [n for n in lab.faults.names() if n in ("engine.create", "engine.put", "engine.start")]
    assert order == ["engine.create", "engine.put", "engine.start"]


def test_an_edit_is_copied_into_the_container_that_goes_on_running(lab: Outside) -> None:
    before, build = site(lab), site(lab).labels["hashlab.build"]
    write_files(lab.lab.folder, {"code/main.py": "two", "code/new.py": "new"})
    result = refresh(lab)
    assert site(lab) is before
    assert site(lab).labels["hashlab.build"] == build
    assert site(lab).own["/code/main.py"].content == b"two"
    assert site(lab).own["/code/new.py"].content == b"new"
    assert detail(result) == "synchronised: 2 copied"
    assert rows(result, "containers")[0].detail == "1 synchronised"
    assert rows(result, "proof")[0].detail == "3 containers run what was built"
    again = refresh(lab)
    assert rows(again, "containers")[0].status == "skipped"


def test_a_file_that_is_gone_is_deleted_in_the_container(lab: Outside) -> None:
    (lab.lab.folder / "code/lib/a.py").unlink()
    assert detail(refresh(lab)) == "synchronised: 1 deleted"
    assert set(site(lab).own) == {"/code/main.py", "/code/link"}
    assert rows(refresh(lab), "containers")[0].status == "skipped"


def test_a_container_without_rm_is_replaced_when_a_file_is_gone(lab: Outside) -> None:
    words = ("rm", "-f", "--", "/code/lib/a.py")
    lab.machines["web"].engine.executes[words] = lambda _: Completed(127, "", "no such file")
    (lab.lab.folder / "code/lib/a.py").unlink()
    before = site(lab)
    assert detail(refresh(lab)) == "replaced: cannot delete files in the container"
    assert site(lab) is not before
    assert set(site(lab).own) == {"/code/main.py", "/code/link"}


def test_what_somebody_changed_in_the_container_is_noticed_and_copied_again(lab: Outside) -> None:
    site(lab).own["/code/main.py"] = OwnFile(b"by hand", 0o644)
    assert detail(refresh(lab)) == "synchronised: 1 copied"
    assert site(lab).own["/code/main.py"].content == b"one"


def test_sync_and_restart_replaces_the_container(outside: Outside) -> None:
    write_files(outside.lab.folder, {"code/main.py": "one"})
    lab = running(watched(outside, rule(outside, "sync+restart")))
    before = site(lab)
    write_files(lab.lab.folder, {"code/main.py": "two"})
    assert detail(refresh(lab)) == "replaced: its build changed"
    assert site(lab) is not before
    assert site(lab).own["/code/main.py"].content == b"two"


def test_sync_and_exec_runs_a_command_in_the_container_after_an_edit(lab: Outside) -> None:
    hook = Hook(("reload", "--now"), user="app")
    ran: list[str] = []

    def reload(container: Container) -> Completed:
        ran.append(container.own["/code/main.py"].content.decode())
        return Completed(0, "", "")

    lab.machines["web"].engine.executes[hook.command] = reload
    watched(lab, replace(rule(lab, "sync+exec"), exec=hook))
    refresh(lab)
    assert ran == []
    before = site(lab)
    write_files(lab.lab.folder, {"code/main.py": "two"})
    assert detail(refresh(lab)) == "synchronised: 1 copied"
    assert ran == ["two"]
    assert site(lab) is before


def test_a_container_whose_command_fails_after_an_edit_is_replaced(lab: Outside) -> None:
    hook = Hook(("reload",))
    lab.machines["web"].engine.executes[hook.command] = lambda _: Completed(3, "", "bad syntax\n")
    watched(lab, replace(rule(lab, "sync+exec"), exec=hook))
    before = site(lab)
    write_files(lab.lab.folder, {"code/main.py": "two"})
    result = refresh(lab)
    assert site(lab) is not before
    assert detail(result).startswith("replaced: the develop.watch.exec hook reload of site ended")


def test_restart_copies_nothing(outside: Outside) -> None:
    write_files(outside.lab.folder, {"code/main.py": "one"})
    lab = running(watched(outside, replace(rule(outside, "restart"), target="")))
    before = site(lab)
    write_files(lab.lab.folder, {"code/main.py": "two"})
    assert detail(refresh(lab)) == "replaced: its build changed"
    assert site(lab) is not before
    assert site(lab).own == {}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"ignore": ("lib",)}, {"main.py", "link"}),
        ({"include": ("**/*.py",)}, {"main.py", "lib/a.py"}),
        ({"include": ("**/*.py",), "ignore": ("lib/",)}, {"main.py"}),
    ],
)
def test_only_files_that_the_rule_includes_are_copied(
    lab: Outside, changes: dict[str, Any], names: set[str]
) -> None:
    watched(lab, replace(rule(lab), **changes))
    refresh(lab)
    assert {path.removeprefix("/code/") for path in site(lab).own} == names


def test_a_file_of_a_more_specific_rebuild_rule_is_not_copied(lab: Outside) -> None:
    watched(lab, rule(lab), Watch(lab.lab.folder / "code/lib", "rebuild"))
    refresh(lab)
    assert set(site(lab).own) == {"/code/main.py", "/code/link"}


def test_private_files_are_never_copied(lab: Outside) -> None:
    write_files(lab.lab.folder, {"code/.hashlab/key": "secret", "code/.git/config": "x"})
    refresh(lab)
    assert not [path for path in site(lab).own if re.search(r"hashlab|git", path)]


def test_synchronised_files_are_no_reason_to_build_an_image(outside: Outside) -> None:
    folder = outside.lab.folder
    write_files(folder, {"site/app.py": "one"})
    image = next(image for image in outside.lab.images if image.name == "small/site")
    rules = (Watch(folder / "site", "sync", "/app"), Watch(folder / "site/Dockerfile", "rebuild"))

    def inputs(*watched: tuple[Watch, ...]) -> str:
        return image_inputs(outside.world(), Image(image.name, image.build, watched))

    before = inputs(rules), inputs(rules, ())
    write_files(folder, {"site/app.py": "two"})
    assert inputs(rules) == before[0]
    assert inputs(rules, ()) != before[1], "another service runs the image as it was built"
    write_files(folder, {"site/Dockerfile": "FROM scratch\nLABEL a=b\n"})
    assert inputs(rules) != before[0]


def test_files_of_watch_rules_are_watched(lab: Outside) -> None:
    watched(lab, replace(rule(lab), ignore=("*.tmp",)))
    places = find_places(wanted_of(lab.lab))
    folder: Path = lab.lab.folder
    assert places.counts(folder / "code/main.py")
    assert not places.counts(folder / "code/x.tmp")
