"""A box from elsewhere brings its own members, and nothing that hashlab or Vagrant obeys."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, register_box, run
from test_export_and_import import (
    colleague,
    edit_metadata,
    exported,
    metadata_of,
    refused,
    repacked,
    taken,
)

from hashlab.hashing import file_digest
from hashlab.inputs.plaintar import HEADER_LIMIT
from hashlab.phases.boxes import imports
from hashlab.phases.boxes.contents import travelling
from hashlab.phases.boxes.registry import all_boxes, boxes_folder, registered_boxes
from hashlab.run import workflows

MB = 1 << 20


@pytest.fixture
def box(outside: Outside, tmp_path: Path) -> Path:
    register_box(outside)
    path = exported(outside, tmp_path / "out")
    colleague(outside)
    return path


def registered(outside: Outside) -> Path:
    [found] = registered_boxes(outside.world())
    assert found.registered_at is not None
    return found.registered_at


def inside(box: Path) -> dict[str, Any]:
    with tarfile.open(box) as archive:
        stream = archive.extractfile("hashlab.json")
        assert stream is not None
        value: dict[str, Any] = json.loads(stream.read())
        return value


def test_a_foreign_vagrantfile_is_not_taken_over_nor_is_what_it_may_load(
    outside: Outside, box: Path
) -> None:
    evil = b"system('touch /tmp/owned')\n"
    repacked(box, {"Vagrantfile": evil, "metadata.json": b"{}", "more.rb": evil})
    taken(outside, box)
    folder = registered(outside)
    recipe = inside(box)["recipe"]
    assert (folder / "Vagrantfile").read_text() == f"# {recipe}\n"
    assert json.loads((folder / "metadata.json").read_text()) == {"provider": "docker"}
    names = {path.name for path in folder.iterdir()}
    assert names == {"Vagrantfile", "metadata.json", "hashlab.json"}


def test_a_member_that_the_provider_does_not_trust_is_refused_by_name(
    outside: Outside, box: Path
) -> None:
    repacked(box, {"store.json": b'{"/etc/passwd": {}}'})
    assert "store.json names a file of the laptop" in refused(outside, box).what


def test_a_member_that_is_there_twice_is_refused(outside: Outside, box: Path) -> None:
    with tarfile.open(box) as archive:
        there = {m.name: archive.extractfile(m) for m in archive.getmembers()}
        content = [(name, stream.read()) for name, stream in there.items() if stream]
    with tarfile.open(box, "w") as archive:
        for name, data in [*content, ("store.json", b"{}")]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    assert "has no place in a box" in refused(outside, box).what


def header(name: str, kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (tarfile.XHDTYPE, 200 * MB),
        (tarfile.XGLTYPE, 200 * MB),
        (tarfile.XHDTYPE, HEADER_LIMIT + 1),
        (tarfile.GNUTYPE_LONGNAME, 200 * MB),
        (tarfile.GNUTYPE_LONGLINK, 200 * MB),
        (tarfile.GNUTYPE_SPARSE, 512),
        (tarfile.REGTYPE, 8 << 40),
        (tarfile.REGTYPE, -1),
    ],
)
def test_a_header_cannot_eat_the_laptop(
    outside: Outside, box: Path, kind: bytes, size: int
) -> None:
    with gzip.open(box, "wb") as stream:
        stream.write(header("store.json", kind, size))
        for _ in range(min(max(size, 0), 200 * MB) // MB):
            stream.write(bytes(MB))
        stream.write(bytes(4096))
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    tracemalloc.start()
    try:
        refused(outside, box)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()


def test_an_extended_header_that_gives_a_member_another_name_is_refused(
    outside: Outside, box: Path
) -> None:
    with tarfile.open(box, "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("store.json")
        info.pax_headers = {"path": "../../outside"}
        archive.addfile(info)
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    assert "renames" in refused(outside, box).what


def test_a_box_that_grows_beyond_all_measure_is_refused_while_it_is_small(
    outside: Outside, box: Path
) -> None:
    with gzip.open(box, "wb", compresslevel=9) as stream:
        stream.write(header("store.json", tarfile.REGTYPE, 300 * MB))
        for _ in range(300):
            stream.write(bytes(MB))
    edit_metadata(box, lambda entry: entry.update(checksum=file_digest(box)))
    assert "unpacked it would have more than" in refused(outside, box).what


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{", b"\xff", b"[]", b"1" * 9000])
def test_a_description_inside_that_is_none_is_refused(
    outside: Outside, box: Path, text: bytes
) -> None:
    repacked(box, {"hashlab.json": text})
    refused(outside, box)


def test_a_file_that_is_exchanged_between_check_and_use_is_refused(
    outside: Outside, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = imports._check_checksum

    def exchange(path: Path, offer: imports.Offer) -> None:
        check(path, offer)
        said = metadata_of(box)
        repacked(box, {"store.json": b'{"other": {}}'})
        box.with_name("metadata.json").write_text(json.dumps(said))

    monkeypatch.setattr(imports, "_check_checksum", exchange)
    assert "changed while it was read" in refused(outside, box).what


@pytest.mark.parametrize(
    "version", ["1.0.0.r", "1.0.0.r#{x}", "1.0.0.rabc\n", "2", "1.0.0.r" + "a" * 65, "../1"]
)
def test_a_version_that_could_be_more_than_a_recipe_is_refused(
    outside: Outside, box: Path, version: str
) -> None:
    said = metadata_of(box)
    said["versions"][0]["version"] = version
    box.with_name("metadata.json").write_text(json.dumps(said))
    assert "is not a box of hashlab's" in refused(outside, box).what


def test_what_a_box_says_of_itself_is_taken_over_only_as_far_as_it_is_well_formed(
    outside: Outside, box: Path
) -> None:
    said = inside(box)
    said["data"] = {
        "os": "Debian",
        "kernel": ["no text"],
        "docker": "x" * 10_000,
        "parts": {"system": "many"},
        "packages": {"curl": 5},
        "images": {"a": -1},
        "folder": "/home/somebody",
        "other": {},
    }
    repacked(box, {"hashlab.json": json.dumps(said).encode()})
    taken(outside, box)
    [found] = all_boxes(outside.world())
    mine = str(outside.lab.folder.resolve())
    assert found.data == {"os": "Debian", "packages": {"curl": 5}, "folder": mine}


def test_an_exported_box_names_no_path_of_its_builder(outside: Outside, tmp_path: Path) -> None:
    go(outside, workflows.INIT_BOX)
    [own] = registered_boxes(outside.world())
    assert own.data["folder"] == str(outside.lab.folder.resolve())
    box = exported(outside, tmp_path / "out")
    with tarfile.open(box) as archive:
        content = b"".join(stream.read() for m in archive if (stream := archive.extractfile(m)))
    assert b"folder" not in content
    assert str(tmp_path).encode() not in content
    assert str(tmp_path) not in box.with_name("metadata.json").read_text()
    assert travelling(own.data) == {k: v for k, v in own.data.items() if k != "folder"}


def test_a_failed_write_is_told_and_leaves_nothing(
    outside: Outside, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    assert "No space left" in refused(outside, box).what
    assert not boxes_folder(outside.environ).exists()


def test_who_wants_a_signature_gets_no_box_without(outside: Outside, box: Path) -> None:
    signers = box.with_name("signers")
    signers.write_text("")
    error = run(outside, workflows.box_import(str(box), signers=signers)).error
    assert error is not None
    assert "is not signed" in error.what
