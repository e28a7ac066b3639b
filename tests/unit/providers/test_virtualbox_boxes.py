"""Boxes of the provider virtualbox: downloaded, checked, repacked under hashlab's name, removed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import small_lab, track_of
from fakes.vboxmanage import FakeVirtualBox
from fakes.virtualbox import VirtualBoxRunner

from hashlab.config.model import BoxSettings, Lab, VirtualBoxBase
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.providers.virtualbox import VirtualBoxProvider
from tests.fakes.vagrant import vagrant_in

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "virtualbox", {})
MEMBERS = {
    "box.ovf": "<Envelope/>",
    "metadata.json": '{"provider": "virtualbox"}',
    "Vagrantfile": "# the maker's own\n",
    "deep/disk.vmdk": "disk",
}


class Web:
    """protocols.Download that has one file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fetched: list[str] = []

    def __call__(self, url: str, target: Path, *, limit: int, track: Track) -> None:
        self.fetched.append(url)
        assert len(self.content) < limit
        target.write_bytes(self.content)


def packed(members: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


BOX = packed(MEMBERS)


def base(content: bytes = BOX, *, url: str = "https://boxes.example/a.box") -> VirtualBoxBase:
    return VirtualBoxBase(url, f"sha256:{hashlib.sha256(content).hexdigest()}", "debian", "vagrant")


@pytest.fixture
def track() -> Iterator[Track]:
    with track_of() as made:
        yield made


@pytest.fixture
def virtualbox() -> FakeVirtualBox:
    return FakeVirtualBox()


class Bench:
    """A provider, its lab, and the web from which it downloads."""

    def __init__(self, virtualbox: FakeVirtualBox, folder: Path, box: VirtualBoxBase) -> None:
        self.web = Web(BOX)
        self.work = folder / "work"
        self.lab: Lab = small_lab(folder / "lab", box=BoxSettings(virtualbox=box))
        self.boxes = VirtualBoxProvider(
            vagrant=vagrant_in(folder, "virtualbox"),
            runner=VirtualBoxRunner(virtualbox),
            download=self.web,
            base=box,
            work=self.work,
            platform="linux",
        ).boxes


@pytest.fixture
def bench(virtualbox: FakeVirtualBox, tmp_path: Path) -> Bench:
    return Bench(virtualbox, tmp_path, base())


def test_a_box_is_downloaded_once_and_its_checksum_is_verified(bench: Bench, track: Track) -> None:
    for _ in range(2):
        bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert bench.web.fetched == ["https://boxes.example/a.box"]


def test_a_box_with_another_checksum_is_refused_and_removed(bench: Bench, track: Track) -> None:
    bench.web.content = packed({**MEMBERS, "more": "evil"})
    with pytest.raises(LabError, match="not the one that hashlab") as failure:
        bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert base().checksum in failure.value.output
    assert hashlib.sha256(bench.web.content).hexdigest() in failure.value.output
    assert list(bench.work.iterdir()) == []


def test_a_partly_downloaded_box_is_downloaded_again(bench: Bench, track: Track) -> None:
    bench.work.mkdir()
    (bench.work / "base.box").write_bytes(BOX[:100])
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert (bench.work / "base.box").read_bytes() == BOX


def test_a_box_on_the_laptop_is_checked_and_used_in_place(
    virtualbox: FakeVirtualBox, tmp_path: Path, track: Track
) -> None:
    path = tmp_path / "my boxes/a.box"
    path.parent.mkdir()
    path.write_bytes(BOX)
    bench = Bench(virtualbox, tmp_path, base(url=path.as_uri()))
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert bench.web.fetched == []
    assert set(bench.boxes.files(MANIFEST, bench.work)) == set(MEMBERS)
    path.write_bytes(BOX + b"x")
    with pytest.raises(LabError, match="not the one"):
        bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert path.exists()
    path.unlink()
    with pytest.raises(LaptopError, match="cannot read the box"):
        bench.boxes.build_system(bench.lab, MANIFEST, track=track)


def test_a_sha512_checksum_is_verified_as_well(
    virtualbox: FakeVirtualBox, tmp_path: Path, track: Track
) -> None:
    longer = replace(base(), checksum=f"sha512:{hashlib.sha512(BOX).hexdigest()}")
    bench = Bench(virtualbox, tmp_path, longer)
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    assert bench.web.fetched


def test_all_members_of_the_base_box_are_kept(bench: Bench, track: Track) -> None:
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    files = bench.boxes.files(MANIFEST, bench.work)
    assert {name: Path(path).read_text() for name, path in files.items()} == MEMBERS
    contents = bench.boxes.contents(MANIFEST, bench.work, track=track)
    assert contents.parts == {name: len(text) for name, text in MEMBERS.items()}


@pytest.mark.parametrize(
    "members",
    [
        {**MEMBERS, "metadata.json": '{"provider": "libvirt"}'},
        {**MEMBERS, "metadata.json": "no json"},
        {**MEMBERS, "metadata.json": "[]"},
        {name: text for name, text in MEMBERS.items() if name != "metadata.json"},
        {name: text for name, text in MEMBERS.items() if name != "box.ovf"},
    ],
)
def test_a_box_for_something_else_is_refused(
    virtualbox: FakeVirtualBox, tmp_path: Path, track: Track, members: Mapping[str, str]
) -> None:
    content = packed(members)
    bench = Bench(virtualbox, tmp_path, base(content))
    bench.web.content = content
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    with pytest.raises(LabError, match="not a box for VirtualBox"):
        bench.boxes.files(MANIFEST, bench.work)


@pytest.mark.parametrize(
    "content", [b"not a tar", packed({"../out": "x"})], ids=["no tar", "a path that leads out"]
)
def test_a_file_that_is_not_a_box_is_refused(
    virtualbox: FakeVirtualBox, tmp_path: Path, track: Track, content: bytes
) -> None:
    bench = Bench(virtualbox, tmp_path, base(content))
    bench.web.content = content
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    with pytest.raises(LabError, match="cannot unpack the box"):
        bench.boxes.files(MANIFEST, bench.work)
    assert not (tmp_path / "out").exists()


def test_another_checksum_kind_or_user_is_another_recipe_and_another_address_is_not(
    virtualbox: FakeVirtualBox, tmp_path: Path
) -> None:
    def inputs(box: VirtualBoxBase) -> Mapping[str, str]:
        return Bench(virtualbox, tmp_path, box).boxes.inputs()

    same = inputs(base())
    assert inputs(base(url="https://mirror.example/a.box")) == same
    assert inputs(base(b"other")) != same
    assert inputs(replace(base(), kind="flatcar")) != same
    assert inputs(replace(base(), user="admin")) != same


def registered(bench: Bench, folder: Path) -> BoxManifest:
    for name, text in {**MEMBERS, "hashlab.json": "{}", "master_id": "123"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return replace(MANIFEST, registered_at=folder)


def test_a_registered_box_is_present_as_long_as_its_files_exist(
    bench: Bench, tmp_path: Path
) -> None:
    manifest = registered(bench, tmp_path / "box")
    assert bench.boxes.present(manifest)
    (tmp_path / "box/box.ovf").unlink()
    assert not bench.boxes.present(manifest)
    assert not bench.boxes.present(MANIFEST)


def test_the_exported_box_has_no_files_of_this_laptops_vagrant(
    bench: Bench, tmp_path: Path, track: Track
) -> None:
    manifest = registered(bench, tmp_path / "box")
    files = bench.boxes.export_files(manifest, bench.work, track=track)
    assert set(files) == set(MEMBERS)
    assert bench.boxes.take_in(manifest, track=track)


def test_removing_a_box_removes_the_master_of_its_clones(
    bench: Bench, virtualbox: FakeVirtualBox, tmp_path: Path
) -> None:
    manifest = registered(bench, tmp_path / "box")
    virtualbox.add_vm("someone-elses")
    master = virtualbox.add_vm("base_17")
    assert bench.boxes.remove(manifest) == []
    (tmp_path / "box/master_id").write_text(master["id"])
    assert bench.boxes.remove(manifest) == ["machine base_17"]
    assert set(virtualbox.state["vms"]) == {"someone-elses"}
    assert bench.boxes.remove(MANIFEST) == []


def test_machines_that_use_a_box_are_recognised_by_their_notes(
    bench: Bench, virtualbox: FakeVirtualBox
) -> None:
    notes = {"hashlab/lab": "small-1", "hashlab/machine": "web", "hashlab/recipe": "abc"}
    virtualbox.add_vm("small-1-web", notes=notes)
    virtualbox.add_vm("someone-elses")
    assert bench.boxes.users() == {"abc": ["small-1/web"]}


def test_the_description_of_a_box_is_plain_json(bench: Bench, track: Track) -> None:
    bench.boxes.build_system(bench.lab, MANIFEST, track=track)
    contents = bench.boxes.contents(MANIFEST, bench.work, track=track)
    assert json.loads(json.dumps(contents.parts)) == contents.parts
    assert "debian, from https://boxes.example/a.box" in contents.os
