"""Build ids: they change with everything that went into a service, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import change_service, small_lab, write_files

from hashlab.config.model import (
    BindMount,
    Dependency,
    Healthcheck,
    Lab,
    Limits,
    Port,
    Reload,
    TmpfsMount,
    Ulimit,
    VolumeMount,
    Watch,
)
from hashlab.hashing import Digests
from hashlab.phases.builds import Build, build_id, service_build
from hashlab.phases.upload.laptop import LaptopFiles

SECRET = ".hashlab/secrets/password"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    write_files(tmp_path, {SECRET: "one", "out/app/main.bin": "main"})
    return small_lab(tmp_path)


def build(lab: Lab, service: str = "site", inputs: str = "1" * 12) -> Build:
    """What the service should be running, from the files as they are now."""
    found = next(one for one in lab.services if one.name == service)
    return service_build(lab, found, inputs, LaptopFiles(lab, Digests()))


ALL: dict[str, Any] = {
    "environment": (("GREETING", "good evening"),),
    "command": ("serve",),
    "entrypoint": ("/entry",),
    "ports": (Port(81),),
    "expose": ("9000",),
    "volumes": (VolumeMount("other", "/data"),),
    "tmpfs": (TmpfsMount("/tmp"),),
    "healthcheck": Healthcheck(("CMD", "other")),
    "limits": Limits(cpus=0.5),
    "restart": "always",
    "user": "core",
    "working_dir": "/srv",
    "labels": (("team", "a"),),
    "init": True,
    "stop_signal": "SIGINT",
    "stop_grace_period": 3.0,
    "cap_add": ("NET_ADMIN",),
    "cap_drop": ("ALL",),
    "read_only": True,
    "security_opt": ("no-new-privileges",),
    "ulimits": (Ulimit("nofile", 1, 2),),
    "sysctls": (("net.core.somaxconn", "1"),),
    "extra_hosts": ("db:10.0.0.1",),
    "hostname": "site",
    "image": "small/queue",
}


@pytest.mark.parametrize("attribute", ALL)
def test_the_build_id_changes_with_each_part_of_the_definition(lab: Lab, attribute: str) -> None:
    changed = change_service(lab, "site", **{attribute: ALL[attribute]})
    assert build(changed).id != build(lab).id


def test_the_build_id_changes_with_what_the_image_is_built_from(lab: Lab) -> None:
    assert build(lab, inputs="2" * 12).id != build(lab).id


def test_the_build_id_changes_with_where_a_folder_is_mounted(lab: Lab) -> None:
    site = next(service for service in lab.services if service.name == "site")
    moved = tuple(replace(bind, target=f"/moved{bind.target}") for bind in site.binds)
    assert build(change_service(lab, "site", binds=moved)).id != build(lab).id


def test_the_build_id_changes_with_a_mount_becoming_writable(lab: Lab) -> None:
    site = next(service for service in lab.services if service.name == "site")
    writable = tuple(replace(bind, read_only=False) for bind in site.binds)
    assert build(change_service(lab, "site", binds=writable)).id != build(lab).id


@pytest.mark.parametrize(
    "edit",
    [
        lambda folder: write_files(folder, {"out/app/main.bin": "edited"}),
        lambda folder: write_files(folder, {"out/app/more.bin": "added"}),
        lambda folder: (folder / "out/app/main.bin").unlink(),
        lambda folder: (folder / "out/app/main.bin").rename(folder / "out/app/other.bin"),
        lambda folder: write_files(folder, {"conf/site.conf": "edited"}),
        lambda folder: write_files(folder, {SECRET: "two"}),
    ],
    ids=["edited", "added", "deleted", "renamed", "single file edited", "secret changed"],
)
def test_a_change_that_needs_a_restart_changes_both_ids(
    lab: Lab, edit: Callable[[Path], object]
) -> None:
    before = build(lab)
    edit(lab.folder)
    after = build(lab)
    assert after.start_id != before.start_id
    assert after.id != before.id


@pytest.mark.parametrize(
    "edit",
    [
        lambda folder: write_files(folder, {"static/index.html": "edited"}),
        lambda folder: write_files(folder, {"static/new.html": "added"}),
        lambda folder: (folder / "static/index.html").unlink(),
    ],
    ids=["edited", "added", "deleted"],
)
def test_a_synchronised_change_changes_the_build_id_and_not_the_start_id(
    lab: Lab, edit: Callable[[Path], object]
) -> None:
    before = build(lab)
    edit(lab.folder)
    after = build(lab)
    assert after.start_id == before.start_id
    assert after.id != before.id


@pytest.mark.parametrize(
    "changes",
    [
        {"depends_on": ()},
        {"depends_on": (Dependency("queue", required=False),)},
        {"replicas": 7},
        {"watch": (Watch(Path("/nowhere"), "rebuild"),)},
    ],
    ids=["no dependencies", "other dependencies", "replicas", "watch elsewhere"],
)
def test_what_a_container_cannot_see_does_not_change_the_start_id(
    lab: Lab, changes: dict[str, Any]
) -> None:
    static = Watch(lab.folder / "static", "sync")
    if "watch" in changes:
        changes = {"watch": (static, *changes["watch"])}
    assert build(change_service(lab, "site", **changes)).start_id == build(lab).start_id


@pytest.mark.parametrize(
    "name", ["src/main.txt", "site/run.sh", "queue/queue.conf", "README", "static.txt"]
)
def test_files_that_are_not_mounted_do_not_change_the_build_id(lab: Lab, name: str) -> None:
    before = build(lab)
    write_files(lab.folder, {name: "edited"})
    assert build(lab) == before


def test_another_service_or_machine_does_not_change_the_build_id(lab: Lab) -> None:
    before = build(lab)
    changed = change_service(lab, "queue", environment=(("X", "1"),))
    changed = replace(changed, machines=(*changed.machines, replace(lab.machines[0], name="new")))
    assert build(changed) == before


def test_the_ids_of_two_services_with_one_definition_differ(lab: Lab) -> None:
    queue = next(service for service in lab.services if service.name == "queue")
    twice = replace(lab, services=(*lab.services, replace(queue, name="twin")))
    assert build(twice, "twin").id != build(twice, "queue").id


def test_an_id_is_twelve_hex_digits(lab: Lab) -> None:
    for name in ("site", "queue", "migrate"):
        made = build(lab, name)
        assert len(made.id) == len(made.start_id) == 12
        assert set(made.id + made.start_id) <= set("0123456789abcdef")


def test_without_synchronised_files_the_build_id_is_the_start_id(lab: Lab) -> None:
    made = build(lab, "queue")
    assert made.id == made.start_id
    assert build_id("abc", {}) == "abc"


def test_files_are_named_as_the_container_sees_them(lab: Lab) -> None:
    made = build(lab)
    assert set(made.start_files) == {"/app/main.bin", "/etc/site.conf", "/run/secrets/password"}
    assert set(made.sync_files) == {"/static/index.html", "/static/style/site.css"}


def test_a_target_with_a_slash_at_its_end_is_no_other_place(lab: Lab) -> None:
    bind = BindMount(lab.folder / "conf", "/conf/")
    made = build(change_service(lab, "site", binds=(bind,)))
    assert set(made.start_files) == {"/conf/site.conf", "/run/secrets/password"}


@pytest.mark.parametrize(
    ("entries", "synchronised"),
    [
        ([], False),
        ([("static", "sync")], True),
        ([("static", "sync+restart")], False),
        ([("static", "rebuild")], False),
        ([("", "sync")], True),
        ([("", "sync"), ("static/style", "sync+restart")], False),
        ([("static/style", "sync+restart"), ("", "sync")], False),
        ([("", "sync+restart"), ("static/style", "sync")], True),
        ([("static", "sync+restart"), ("static/style/site.css", "sync")], True),
        ([("static/styl", "sync")], False),
        ([("elsewhere", "sync")], False),
    ],
)
def test_the_most_specific_watch_entry_decides_and_without_one_a_file_restarts(
    lab: Lab, entries: list[tuple[str, Any]], synchronised: bool
) -> None:
    watch = tuple(Watch(lab.folder / path, action) for path, action in entries)
    made = build(change_service(lab, "site", watch=watch))
    assert ("/static/style/site.css" in made.sync_files) is synchronised
    assert ("/static/style/site.css" in made.start_files) is not synchronised


def test_what_watch_rules_ignore_and_editors_leave_is_not_synchronised(lab: Lab) -> None:
    before = build(lab)
    write_files(lab.folder, {"static/x.tmp": "", "static/keep.tmp": "", "static/.x.swp": ""})
    rules = (
        Watch(lab.folder / "static", "sync", ignore=("*.tmp", "!keep.tmp")),
        Watch(lab.folder / "static/style", "rebuild"),
    )
    made = build(change_service(lab, "site", watch=rules))
    files = {**made.start_files, **made.sync_files}
    assert set(files) == {*before.start_files, *before.sync_files, "/static/keep.tmp"}


def test_a_rule_that_ignores_a_file_leaves_it_to_the_next_rule(lab: Lab) -> None:
    rules = (
        Watch(lab.folder / "static", "sync"),
        Watch(lab.folder / "static/style", "sync+restart", ignore=("*.css",)),
    )
    made = build(change_service(lab, "site", watch=rules))
    assert "/static/style/site.css" in made.sync_files


def test_a_file_mounted_by_itself_restarts_even_where_a_watch_entry_synchronises_it(
    lab: Lab,
) -> None:
    """Its mount is its inode: only a new container sees the file in its place."""
    watch = (Watch(lab.folder / "conf/site.conf", "sync"),)
    made = build(change_service(lab, "site", watch=watch))
    assert "/etc/site.conf" in made.start_files


def test_the_build_id_changes_with_a_secrets_mode(lab: Lab) -> None:
    """Its mount is its inode: only a new container sees the file with the other mode."""
    site = next(service for service in lab.services if service.name == "site")
    files = (replace(site.files[0], mode=0o444),)
    assert build(change_service(lab, "site", files=files)).id != build(lab).id


@pytest.mark.parametrize("name", ["out/app/main.bin", "static/index.html"])
def test_the_build_id_changes_with_a_file_becoming_executable(lab: Lab, name: str) -> None:
    before = build(lab)
    (lab.folder / name).chmod(0o755)
    assert build(lab).id != before.id


def test_without_a_reload_no_file_can_be_taken_in_and_the_fixed_part_is_everything(
    lab: Lab,
) -> None:
    before = build(lab)
    assert (before.reloadable, before.reload_files) == ({}, {})
    write_files(lab.folder, {"out/app/main.bin": "edited"})
    assert build(lab).fixed != before.fixed


def reloaded(lab: Lab, *paths: str) -> Lab:
    """The lab with a reload of service site for these paths."""
    places = tuple(lab.folder / path for path in paths)
    return replace(lab, reloads=(Reload("site", ("swap",), places),))


def test_what_can_be_reloaded_is_named_by_the_container_and_found_on_the_laptop(lab: Lab) -> None:
    made = build(reloaded(lab, "out/app"))
    assert made.reloadable == {"/app/main.bin": lab.folder / "out/app/main.bin"}
    assert made.reload_files == {"/app/main.bin": made.start_files["/app/main.bin"]}


def test_a_reload_is_no_part_of_the_build_id(lab: Lab) -> None:
    """Whoever adds one to hashlab.toml need not restart what runs already."""
    assert build(reloaded(lab, "out/app")).id == build(lab).id


def test_a_file_that_can_be_reloaded_changes_the_build_id_and_not_the_fixed_part(lab: Lab) -> None:
    lab = reloaded(lab, "out/app")
    before = build(lab)
    write_files(lab.folder, {"out/app/main.bin": "edited"})
    after = build(lab)
    assert after.start_id != before.start_id
    assert after.fixed == before.fixed


@pytest.mark.parametrize(
    "edit",
    [
        lambda folder: write_files(folder, {"conf/site.conf": "edited"}),
        lambda folder: write_files(folder, {SECRET: "two"}),
        lambda folder: write_files(folder, {"out/app/lib/other.jar": "edited"}),
    ],
    ids=["single file", "secret", "beside the paths"],
)
def test_anything_else_that_restarts_changes_the_fixed_part(
    lab: Lab, edit: Callable[[Path], object]
) -> None:
    write_files(lab.folder, {"out/app/lib/other.jar": "one", "out/app/classes/A.class": "one"})
    lab = reloaded(lab, "out/app/classes")
    before = build(lab)
    edit(lab.folder)
    assert build(lab).fixed != before.fixed


@pytest.mark.parametrize("changes", [{"environment": (("A", "2"),)}, {"command": ("other",)}])
def test_the_definition_is_in_the_fixed_part(lab: Lab, changes: dict[str, Any]) -> None:
    lab = reloaded(lab, "out/app")
    assert build(change_service(lab, "site", **changes)).fixed != build(lab).fixed
    assert build(lab, inputs="2" * 12).fixed != build(lab).fixed


@pytest.mark.parametrize("path", ["static", "conf"])
def test_what_is_synchronised_or_mounted_by_itself_is_never_reloaded(lab: Lab, path: str) -> None:
    assert build(reloaded(lab, path)).reloadable == {}


def test_a_reload_of_another_service_takes_nothing_in(lab: Lab) -> None:
    lab = replace(lab, reloads=(Reload("queue", ("swap",), (lab.folder / "out/app",)),))
    assert build(lab).reloadable == {}
