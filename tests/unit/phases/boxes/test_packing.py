"""A .box file and the metadata.json beside it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from fakes import track_of

from hashlab.phases.boxes.packing import local_metadata, metadata, pack
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import BoxManifest

MANIFEST = BoxManifest(
    "hashlab/small", "1.0.0.rabc", "abc", "docker", {"a:1": "x"}, {"kernel": "k"}
)


@pytest.mark.parametrize(("compressed", "magic"), [(True, b"\x1f\x8b"), (False, b"meta")])
def test_a_box_holds_the_providers_files_and_its_own_description(
    tmp_path: Path, compressed: bool, magic: bytes
) -> None:
    (tmp_path / "disk").write_bytes(b"\0disk")
    files: dict[str, str | Path] = {"metadata.json": "{}", "box.img": tmp_path / "disk"}
    with track_of() as track:
        box = pack(tmp_path / "one.box", MANIFEST, files, track, compressed=compressed)
    assert box.read_bytes().startswith(magic)
    with tarfile.open(box) as archive:
        names = archive.getnames()
        members = {name: archive.extractfile(name) for name in names}
        content = {name: stream.read() for name, stream in members.items() if stream}
    assert names == ["metadata.json", "box.img", "hashlab.json"]
    assert content["box.img"] == b"\0disk"
    assert content["metadata.json"] == b"{}"
    assert json.loads(content["hashlab.json"]) == {
        "name": "hashlab/small",
        "version": "1.0.0.rabc",
        "recipe": "abc",
        "provider": "docker",
        "images": {"a:1": "x"},
        "data": {"kernel": "k"},
    }


def test_a_box_does_not_say_who_packed_it(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"disk")
    with track_of() as track:
        box = pack(
            tmp_path / "one.box", MANIFEST, {"disk": tmp_path / "disk"}, track, compressed=False
        )
    with tarfile.open(box) as archive:
        assert {(m.uid, m.uname, m.mtime) for m in archive.getmembers()} == {(0, "", 0)}


def test_packing_ends_when_the_run_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"disk")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled), track_of(cancel=cancel) as track:
        pack(tmp_path / "one.box", MANIFEST, {"disk": tmp_path / "disk"}, track, compressed=False)


def test_the_catalogue_names_the_box_with_its_checksum(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    with track_of() as track:
        box = pack(folder / "one.box", MANIFEST, {}, track, compressed=True)
    said = local_metadata(MANIFEST, box)
    assert said["name"] == "hashlab/small"
    [version] = said["versions"]
    [provider] = version["providers"]
    assert version["version"] == "1.0.0.rabc"
    assert provider["checksum_type"] == "sha256"
    assert provider["checksum"] == hashlib.sha256(box.read_bytes()).hexdigest()
    assert provider["url"] == f"file://{folder}/one.box".replace(" ", "%20")
    assert "architecture" not in provider


def test_a_box_for_others_names_its_architecture() -> None:
    said = metadata(MANIFEST, "one.box", "0" * 64, arch="amd64")
    provider = said["versions"][0]["providers"][0]
    assert (provider["architecture"], provider["default_architecture"]) == ("amd64", True)
    assert provider["url"] == "one.box"
