"""A box on its way to a colleague: written, described, checked, taken in; or refused."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, register_box, rows, run, track_of

from hashlab.errors import ExitCode, HashlabError, LabError, LaptopError, UsageError
from hashlab.hashing import file_digest
from hashlab.phases.boxes import imports
from hashlab.phases.boxes.export import box_url
from hashlab.phases.boxes.packing import architecture
from hashlab.phases.boxes.registry import boxes_folder, registered_boxes
from hashlab.pipeline import RunResult
from hashlab.run import workflows

WEB = "https://boxes.example/team"


def exported(outside: Outside, target: Path, base_url: str = "") -> Path:
    """The lab's box, exported; the .box file."""
    go(outside, workflows.box_export(target, base_url))
    folder = target.parent if target.name.endswith(".box") else target
    [box] = folder.glob("*.box")
    return box


def colleague(outside: Outside) -> Outside:
    """Another laptop: no box is registered, and nothing it could stand on is there."""
    shutil.rmtree(boxes_folder(outside.environ), ignore_errors=True)
    outside.systems.clear()
    outside.stores.clear()
    return outside


def taken(outside: Outside, source: str | Path) -> RunResult:
    return go(outside, workflows.box_import(str(source)))


def refused(outside: Outside, source: str | Path) -> HashlabError:
    """The error with which an import ends; nothing may be left of it."""
    error = run(outside, workflows.box_import(str(source))).error
    assert error is not None
    assert registered_boxes(outside.world()) == []
    assert outside.stores == {}
    assert not (outside.state.own / "import").exists()
    return error


def metadata_of(box: Path) -> Any:
    return json.loads(box.with_name("metadata.json").read_text())


def edit_metadata(box: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what metadata.json says of the one box in it."""
    said = metadata_of(box)
    change(said["versions"][0]["providers"][0])
    box.with_name("metadata.json").write_text(json.dumps(said))


def repacked(box: Path, members: dict[str, bytes | tarfile.TarInfo]) -> None:
    """Change members of a box, and its checksum so that it fits."""
    with tarfile.open(box) as archive:
        there = {m.name: archive.extractfile(m) for m in archive.getmembers()}
        content: dict[str, Any] = {name: s.read() for name, s in there.items() if s} | members
    with tarfile.open(box, "w:gz") as archive:
        for name, data in content.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))


@pytest.fixture
def box(outside: Outside, tmp_path: Path) -> Path:
    """An exported box, on a laptop that does not know it yet."""
    register_box(outside)
    path = exported(outside, tmp_path / "out")
    colleague(outside)
    return path


# Export


def test_an_export_writes_the_box_and_its_description(outside: Outside, tmp_path: Path) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "a" / "out")
    assert {path.name for path in box.parent.iterdir()} == {box.name, "metadata.json"}
    [own] = registered_boxes(outside.world())
    said = metadata_of(box)
    [version] = said["versions"]
    assert (said["name"], version["version"]) == (own.name, own.version)
    assert version["providers"] == [
        {
            "name": "docker",
            "url": box.name,
            "checksum_type": "sha256",
            "checksum": file_digest(box),
            "architecture": architecture(),
            "default_architecture": True,
        }
    ]


def test_an_export_can_name_its_file_and_the_server_it_will_lie_on(
    outside: Outside, tmp_path: Path
) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "small.box", WEB)
    assert box.name == "small.box"
    assert metadata_of(box)["versions"][0]["providers"][0]["url"] == f"{WEB}/small.box"


def test_a_base_that_is_no_address_is_refused() -> None:
    assert box_url("a.box", "") == "a.box"
    assert box_url("a.box", f"{WEB}/") == f"{WEB}/a.box"
    with pytest.raises(UsageError, match="is not a valid address"):
        box_url("a.box", "boxes.example")


def test_the_same_export_again_does_nothing(outside: Outside, tmp_path: Path) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "out")
    before = file_digest(box)
    result = go(outside, workflows.box_export(tmp_path / "out", ""))
    assert rows(result, "export")[0].status == "skipped"
    assert file_digest(box) == before


def test_another_address_is_written_without_writing_the_box_again(
    outside: Outside, tmp_path: Path
) -> None:
    register_box(outside)
    exported(outside, tmp_path / "out")
    box = exported(outside, tmp_path / "out", WEB)
    assert metadata_of(box)["versions"][0]["providers"][0]["url"] == f"{WEB}/{box.name}"
    assert "provider.box_export" not in outside.faults.names()


def test_an_export_that_was_damaged_is_written_again(outside: Outside, tmp_path: Path) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "out")
    box.write_bytes(b"damaged")
    exported(outside, tmp_path / "out")
    assert file_digest(box) == metadata_of(box)["versions"][0]["providers"][0]["checksum"]


def test_a_file_that_is_no_export_of_this_box_is_not_overwritten(
    outside: Outside, tmp_path: Path
) -> None:
    register_box(outside)
    mine = tmp_path / "mine.box"
    mine.write_text("precious")
    error = run(outside, workflows.box_export(mine, "")).error
    assert isinstance(error, UsageError)
    assert "remove it" in error.next_step
    assert mine.read_text() == "precious"


def test_the_description_of_another_box_is_not_overwritten(
    outside: Outside, tmp_path: Path
) -> None:
    register_box(outside)
    exported(outside, tmp_path / "out")
    outside.provider.system = "system 2"
    register_box(outside)
    error = run(outside, workflows.box_export(tmp_path / "out", "")).error
    assert isinstance(error, UsageError)
    assert "another folder" in error.next_step


def test_a_failed_export_leaves_nothing_half(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    register_box(outside)
    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "addfile", full)
        error = run(outside, workflows.box_export(tmp_path / "out", "")).error
    assert isinstance(error, LaptopError)
    assert "No space left on device" in error.what
    assert list((tmp_path / "out").iterdir()) == []
    assert not (outside.state.own / "export").exists()
    exported(outside, tmp_path / "out")


def test_a_stale_box_is_exported_with_a_note(outside: Outside, tmp_path: Path) -> None:
    register_box(outside)
    outside.provider.system = "system 2"
    world = outside.world()
    for phase in workflows.box_export(tmp_path / "out", ""):
        with track_of() as track:
            phase.run(world, track, "")
    assert any("stale" in note for note in world.facts.notes)


# Import


@pytest.mark.parametrize("source", ["folder", "metadata.json", "box", "file address"])
def test_a_colleague_takes_in_the_box_and_boots_a_lab_from_it(
    outside: Outside, box: Path, source: str
) -> None:
    places = {
        "folder": str(box.parent),
        "metadata.json": str(box.with_name("metadata.json")),
        "box": str(box),
        "file address": box.with_name("metadata.json").as_uri(),
    }
    taken(outside, places[source])
    [registered] = registered_boxes(outside.world())
    assert registered.data["folder"] == str(outside.lab.folder.resolve())
    go(outside, workflows.DEV)
    assert not (outside.state.own / "import").exists()


@pytest.mark.parametrize("base_url", ["", WEB])
@pytest.mark.parametrize("source", [f"{WEB}/metadata.json", f"{WEB}/", WEB, f"{WEB}/small.box"])
def test_a_box_is_taken_in_from_a_web_server(
    outside: Outside, tmp_path: Path, base_url: str, source: str
) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "small.box", base_url)
    for path in (box, box.with_name("metadata.json")):
        outside.web[f"{WEB}/{path.name}"] = path.read_bytes()
        path.unlink()
    colleague(outside)
    taken(outside, source)
    go(outside, workflows.DEV)


def test_a_box_that_is_registered_already_is_not_fetched(outside: Outside, tmp_path: Path) -> None:
    register_box(outside)
    box = exported(outside, tmp_path / "out")
    result = taken(outside, box)
    assert rows(result, "import")[0].status == "skipped"
    assert outside.faults.changes() == []


def test_a_box_brought_by_vagrant_alone_is_taken_in_by_dev(outside: Outside, box: Path) -> None:
    edit_metadata(box, lambda entry: entry.update(url=box.as_uri()))
    with track_of() as track:
        outside.vagrant.box_add(box.with_name("metadata.json"), track=track)
    go(outside, workflows.DEV)
    assert "provider.take_in" in outside.faults.names()
    assert rows(go(outside, workflows.INIT_BOX), "recipe")[0].status == "skipped"


def test_a_tampered_box_is_refused_by_name(outside: Outside, box: Path) -> None:
    content = bytearray(box.read_bytes())
    content[len(content) // 2] ^= 1
    box.write_bytes(content)
    error = refused(outside, box)
    assert error.exit_code == ExitCode.LAB
    assert "hashlab/small" in error.what
    assert "SHA-256" in error.what
    assert "vagrant.box_add" not in outside.faults.names()


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.pop("checksum"),
        lambda entry: entry.update(checksum_type="md5"),
        lambda entry: entry.update(checksum="abc"),
    ],
)
def test_a_box_without_a_sha256_is_refused(
    outside: Outside, box: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edit_metadata(box, change)
    assert "no SHA-256 checksum" in refused(outside, box).what


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "hashlab/other"),
        ("version", "1.0.0.rfff"),
        ("provider", "libvirt"),
        ("recipe", "fff"),
    ],
)
def test_a_box_whose_inside_says_something_else_is_refused(
    outside: Outside, box: Path, field: str, value: str
) -> None:
    with tarfile.open(box) as archive:
        stream = archive.extractfile("hashlab.json")
        assert stream is not None
        inside = json.loads(stream.read())
    repacked(box, {"hashlab.json": json.dumps({**inside, field: value}).encode()})
    assert "what is in the box is not hashlab/small" in refused(outside, box).what


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "evil",
    [
        member("/etc/passwd"),
        member("../outside"),
        member("folder/file"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("hard", tarfile.LNKTYPE, "hashlab.json"),
        member("device", tarfile.CHRTYPE),
        member("folder", tarfile.DIRTYPE),
    ],
    ids=lambda info: str(info.name),
)
def test_a_box_with_anything_but_plain_files_is_refused(
    outside: Outside, box: Path, evil: tarfile.TarInfo
) -> None:
    repacked(box, {"evil": evil})
    assert "has no place in a box" in refused(outside, box).what


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8bbroken"])
def test_what_is_no_box_is_refused(outside: Outside, box: Path, content: bytes) -> None:
    box.write_bytes(content)
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    assert isinstance(refused(outside, box), LabError)


def test_a_box_of_another_provider_says_how_to_take_it(outside: Outside, box: Path) -> None:
    edit_metadata(box, lambda entry: entry.update(name="libvirt"))
    error = refused(outside, box)
    assert error.exit_code == ExitCode.CONFIG
    assert "--provider libvirt" in error.next_step


def test_a_box_for_another_processor_is_refused(outside: Outside, box: Path) -> None:
    edit_metadata(box, lambda entry: entry.update(architecture="s390x"))
    assert "s390x" in refused(outside, box).what


@pytest.mark.parametrize("text", ["{", "[]", '"a"', "{}", '{"name": "x", "versions": 5}'])
def test_a_description_that_is_none_is_refused(outside: Outside, box: Path, text: str) -> None:
    box.with_name("metadata.json").write_text(text)
    refused(outside, box.parent)


@pytest.mark.parametrize("source", ["nowhere", "nowhere/metadata.json", "ftp://host/box.box"])
def test_a_source_that_is_not_there_is_wrong_usage(outside: Outside, source: str) -> None:
    assert refused(outside, source).exit_code == ExitCode.CONFIG


def test_a_description_whose_box_is_missing_is_refused(outside: Outside, box: Path) -> None:
    box.unlink()
    assert "which metadata.json names" in refused(outside, box.parent).what


def test_a_web_server_cannot_name_a_file_of_this_laptop() -> None:
    with pytest.raises(LabError, match="not on a web server"):
        imports.box_place("file:///etc/shadow", f"{WEB}/metadata.json")


@pytest.mark.parametrize("call", ["vagrant.box_add", "provider.take_in"])
def test_a_failed_import_registers_nothing_and_the_next_one_completes(
    outside: Outside, box: Path, call: str
) -> None:
    outside.faults.arm(call)
    refused(outside, box)
    taken(outside, box)
    go(outside, workflows.DEV)


def test_a_box_that_does_not_hold_what_it_stands_on_is_not_registered(
    outside: Outside, box: Path
) -> None:
    with tarfile.open(box) as archive:
        kept = {
            name: stream.read()
            for name in ("metadata.json", "Vagrantfile", "hashlab.json")
            if (stream := archive.extractfile(name))
        }
    with tarfile.open(box, "w:gz") as archive:
        for name, data in kept.items():
            info = member(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    assert "does not contain everything it is based on" in refused(outside, box).what


def test_a_box_that_this_lab_does_not_use_is_told(outside: Outside, box: Path) -> None:
    world = outside.world(replace(outside.lab, name="other"))
    with track_of() as track:
        imports.import_box(world, track, "", source=str(box))
    assert world.facts.notes == ["hashlab/small is not the box of this lab, which is hashlab/other"]
