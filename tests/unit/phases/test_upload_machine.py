"""What lies on machines: hashed only where it changed, and no broken record is believed."""

from __future__ import annotations

import json
from functools import wraps
from typing import Any

import pytest
from fakes import FakeShell, Outside, connected, go, running

from hashlab.errors import LabError
from hashlab.phases.upload import machine
from hashlab.phases.upload.laptop import plain
from hashlab.phases.upload.machine import (
    BETWEEN,
    MachineFiles,
    Placed,
    Process,
    observe_files,
    parse,
    write_manifest,
    write_processes,
)
from hashlab.protocols import Completed
from hashlab.run import workflows

HOME = "/var/lib/hashlab/small"
PAGE = f"{HOME}/files/static/index.html"
NAMES = ["plain", "new\nline", "ünïcode ☃", "'quote\"", "-rf", "hashlab", "=", "caf\udce9"]
WANTED = [
    "files/conf/site.conf",
    "files/out/app/main.bin",
    "files/static/index.html",
    "files/static/style/site.css",
    "secrets/secret/password/400",
]


@pytest.fixture
def lab(outside: Outside) -> Outside:
    return running(outside)


def observe(outside: Outside, wanted: list[str] | None = None) -> MachineFiles:
    """What machine web is found to have; the calls are those of this one look."""
    world = connected(outside)
    outside.faults.calls.clear()
    shell = world.link("web").shell
    return observe_files(shell, outside.lab, "web", wanted=WANTED if wanted is None else wanted)


def hashed(outside: Outside) -> int:
    return outside.faults.names().count("shell.hash")


def disk(outside: Outside) -> Any:
    return outside.machines["web"].disk


def test_what_is_the_same_as_it_was_is_not_hashed_again(lab: Outside) -> None:
    found = observe(lab)
    assert lab.faults.names() == ["shell.observe"]
    assert all(placed.content for placed in found.files.values())
    files = {name: placed for name, placed in found.files.items() if placed.kind == "f"}
    assert files == {n: p for n, p in found.manifest.items() if n in files}


def test_a_refresh_in_which_nothing_changed_hashes_nothing_on_any_machine(lab: Outside) -> None:
    go(lab, workflows.REFRESH)
    assert hashed(lab) == 0
    # Of two of them in the same program that looks into their containers.
    assert [lab.faults.names().count(f"shell.{n}") for n in ("observe", "read_inside")] == [1, 2]


def test_after_an_edit_only_the_file_that_was_sent_is_hashed(
    lab: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    answer = FakeShell._hash

    @wraps(answer)
    def spy(shell: FakeShell, words: list[str], stdin: bytes) -> Completed:
        asked.append(stdin)
        return answer(shell, words, stdin)

    monkeypatch.setattr(FakeShell, "_hash", spy)
    (lab.lab.folder / "static/index.html").write_text("edited")
    go(lab, workflows.REFRESH)
    assert asked == [b"files/static/index.html\0"]


def test_a_file_changed_behind_hashlabs_back_is_hashed(lab: Outside) -> None:
    before = observe(lab).files["files/static/index.html"]
    file = disk(lab).files[PAGE]
    file.content = bytes(reversed(file.content))
    found = observe(lab)
    assert hashed(lab) == 1
    assert found.files["files/static/index.html"].content == f"{file.digest}:644" != before.content
    assert found.manifest["files/static/index.html"] == before


def test_a_file_that_became_executable_is_another_content(lab: Outside) -> None:
    before = observe(lab).files["files/static/index.html"].content
    disk(lab).files[PAGE].mode = 0o755
    after = observe(lab).files["files/static/index.html"].content
    assert plain(after) == f"{plain(before)}+x"


def test_a_file_that_nobody_wants_is_listed_and_not_hashed(lab: Outside) -> None:
    disk(lab).put(f"{HOME}/files/static/log", b"a container wrote it")
    found = observe(lab)
    assert found.files["files/static/log"].content == ""
    assert hashed(lab) == 0
    assert observe(lab, [*WANTED, "files/static/log"]).files["files/static/log"].content
    assert hashed(lab) == 1


def test_what_hashlab_once_put_there_is_known_even_when_it_is_wanted_no_more(lab: Outside) -> None:
    assert observe(lab, []).files["files/static/index.html"].content


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"text"',
        '{"files/static/index.html": "ab"}',
        '{"files/static/index.html": []}',
        '{"files/static/index.html": ["a", "b", "c"]}',
        '{"files/static/index.html": 1}',
        '{"files/static/index.html": null}',
        "files/static/index.html\0files/conf/site.conf\0",
    ],
)
def test_a_broken_manifest_is_not_believed_and_everything_is_hashed(
    lab: Outside, text: str
) -> None:
    whole, manifest = observe(lab).files, observe(lab).manifest
    disk(lab).files[f"{HOME}/manifest"].content = text.encode()
    assert observe(lab).files == whole
    assert hashed(lab) == 1
    go(lab, workflows.REFRESH)
    assert observe(lab).manifest == manifest
    assert hashed(lab) == 0


PROCESS = {"started_at": "now", "build": "b", "fixed": "f", "files": {"/a": "1"}, "reloaded": []}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"id": None},
        {"id": "text"},
        {"id": {}},
        {"id": {**PROCESS, "files": None}},
        {"id": {**PROCESS, "files": ["/a"]}},
        {"id": {**PROCESS, "reloaded": None}},
        {"id": {name: PROCESS[name] for name in PROCESS if name != "started_at"}},
    ],
)
def test_a_broken_record_of_processes_says_nothing(lab: Outside, value: object) -> None:
    disk(lab).put(f"{HOME}/processes", json.dumps({"id": PROCESS}).encode())
    assert observe(lab).processes == {"id": Process("now", "b", "f", {"/a": "1"})}
    disk(lab).put(f"{HOME}/processes", json.dumps(value).encode())
    assert observe(lab).processes == {}


@pytest.mark.parametrize("name", NAMES)
def test_listings_of_machines_keep_unusual_names(name: str) -> None:
    manifest = json.dumps({f"files/{name}": ["i", "c"], "secrets/gone": ["i", "c"]})
    listing = f"f:1:644\0files/{name}\0=\0l:2:777\0secrets/{name}\0={name}\0"
    listing += f"{BETWEEN}{manifest}{BETWEEN}{BETWEEN}"
    found = parse(listing)[0]
    assert found.files == {
        f"files/{name}": Placed("f:1:644"),
        f"secrets/{name}": Placed("l:2:777", f"link:{name}"),
    }
    assert found.own == {f"files/{name}"}


def test_a_link_called_like_what_parts_a_listing_does_not_part_it() -> None:
    listing = f"l:1:777\0files/hashlab\0=hashlab\0f:2:644\0files/z\0=\0{BETWEEN * 4}rest"
    found, rest = parse(listing)
    assert set(found.files) == {"files/hashlab", "files/z"}
    assert rest == "rest"


def test_an_empty_listing_is_a_machine_without_files() -> None:
    assert parse("")[0] == MachineFiles()
    assert parse(BETWEEN * 4)[0] == MachineFiles()


def test_records_are_readable_by_the_machines_user_alone(lab: Outside) -> None:
    shell = connected(lab).link("web").shell
    write_manifest(shell, lab.lab, "web", {"files/a": Placed("i", "c")})
    write_processes(shell, lab.lab, "web", {"id": Process("now", "b", "f", {"/a": "1"}, ("/a",))})
    for record in ("manifest", "processes"):
        assert disk(lab).files[f"{HOME}/{record}"].mode == 0o600
    found = observe(lab)
    assert found.manifest == {"files/a": Placed("i", "c")}
    assert found.processes == {"id": Process("now", "b", "f", {"/a": "1"}, ("/a",))}


class _Failing:
    """A shell one of whose scripts fails."""

    def __init__(self, shell: Any, script: str) -> None:
        self._shell, self._script = shell, script

    def run(self, command: list[str], **how: Any) -> Completed:
        if self._script in command:
            return Completed(1, "", "disk on fire")
        done: Completed = self._shell.run(command, **how)
        return done


@pytest.mark.parametrize("script", ["OBSERVE", "HASH"])
def test_a_machine_that_cannot_tell_is_named(lab: Outside, script: str) -> None:
    shell: Any = _Failing(connected(lab).link("web").shell, getattr(machine, script))
    disk(lab).delete(f"{HOME}/manifest")
    with pytest.raises(LabError, match="cannot list the files of the machine") as failure:
        observe_files(shell, lab.lab, "web", wanted=WANTED)
    assert (failure.value.where, failure.value.output) == ("web", "disk on fire")


def test_a_record_that_cannot_be_written_is_a_failure(lab: Outside) -> None:
    shell: Any = _Failing(connected(lab).link("web").shell, machine.RECORD)
    with pytest.raises(LabError, match="cannot write to the machine") as failure:
        write_manifest(shell, lab.lab, "web", {})
    assert (failure.value.where, failure.value.output) == ("web", "disk on fire")
