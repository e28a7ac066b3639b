"""Layers that an engine has are left out of saved images."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, write_files

from hashlab.errors import LabError
from hashlab.phases.layers import saved_layers, without
from hashlab.run import workflows

BASE, CODE, OTHER = ("1",), ("1", "2"), ("1", "3")
NAMES = {BASE: "a/layer.tar", CODE: "b/layer.tar", OTHER: "c/layer.tar"}


def archive(folder: Path, *, links: dict[str, str] | None = None, **changes: object) -> Path:
    """Write an archive of two images on one base, as engines before 25 do."""
    documents: dict[str, object] = {
        "manifest.json": [
            {"Config": "one.json", "Layers": [NAMES[BASE], NAMES[CODE]]},
            {"Config": "two.json", "Layers": [NAMES[BASE], NAMES[OTHER]]},
        ],
        "one.json": {"rootfs": {"diff_ids": CODE}},
        "two.json": {"rootfs": {"diff_ids": OTHER}},
        **changes,
    }
    path = folder / "images.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as opened:
        for name in NAMES.values():
            entry = tarfile.TarInfo(name)
            entry.pax_headers = {"comment": "ü" * 200}
            if name in (links or {}):
                entry.type, entry.linkname = tarfile.SYMTYPE, (links or {})[name]
                opened.addfile(entry)
                continue
            entry.size = 1000
            opened.addfile(entry, io.BytesIO(name.encode().ljust(1000)))
        for name, value in documents.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            opened.addfile(entry, io.BytesIO(data))
    return path


def contents(path: Path, known: set[tuple[str, ...]]) -> dict[str, bytes]:
    """Return the members of what is sent to an engine that knows these layers."""
    data = b"".join(without(path, known))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {
            member.name: (opened.extractfile(member) or io.BytesIO()).read()
            for member in opened
            if member.isreg()
        }


def test_each_layer_is_found_with_those_below_it(tmp_path: Path) -> None:
    assert saved_layers(archive(tmp_path)) == NAMES


def test_without_known_layers_everything_is_sent_as_it_is(tmp_path: Path) -> None:
    path = archive(tmp_path)
    sent = contents(path, set())
    assert set(sent) == {*NAMES.values(), "manifest.json", "one.json", "two.json"}
    assert sent[NAMES[CODE]].rstrip() == NAMES[CODE].encode()


def test_a_known_layer_is_left_out(tmp_path: Path) -> None:
    path = archive(tmp_path)
    assert NAMES[BASE] not in contents(path, {BASE})
    assert set(contents(path, {BASE, CODE, OTHER})) == {"manifest.json", "one.json", "two.json"}


def test_the_same_content_on_other_layers_is_another_layer(tmp_path: Path) -> None:
    assert NAMES[CODE] in contents(archive(tmp_path), {BASE, ("2",), ("3", "2")})


def test_the_target_of_a_layer_that_is_a_link_is_sent_although_it_is_known(tmp_path: Path) -> None:
    path = archive(tmp_path, links={NAMES[OTHER]: "../b/layer.tar"})
    assert NAMES[CODE] in contents(path, {BASE, CODE})
    assert NAMES[CODE] not in contents(path, {BASE, CODE, OTHER})


@pytest.mark.parametrize("changes", [{"manifest.json": b"{"}, {"one.json": b""}])
def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="the archive of saved images has no valid"):
        saved_layers(archive(tmp_path, **changes))


def test_an_image_that_several_machines_lack_is_saved_once_and_its_base_is_not_sent(
    outside: Outside,
) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    write_files(outside.lab.folder, {"site/run.sh": "exec run --faster\n"})
    go(outside, workflows.REFRESH)
    assert outside.faults.names().count("laptop.save_images") == 1
    row = next(row for row in go(outside, workflows.REFRESH).rows if row.name == "images")
    assert row.status == "skipped"


def test_no_archive_is_left_after_a_run(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    write_files(outside.lab.folder, {"site/run.sh": "exec run --faster\n"})
    go(outside, workflows.REFRESH)
    assert not outside.state.images.exists()


def test_the_archives_of_a_killed_run_go_with_the_lab(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.state.images.mkdir()
    (outside.state.images / "0.tar").write_bytes(b"half")
    go(outside, workflows.DESTROY)
    assert not outside.state.images.exists()
