"""A box of the provider docker is exported from one laptop and imported on another; its contents
are read.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from engine_labs import IMAGE, MANIFEST, STORE, with_store
from fakes import Behaviour, FakeEngine
from fakes.engine import saved

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.providers.contents import parse_contents
from hashlab.providers.docker import DockerProvider
from hashlab.providers.docker.boxes import image_names

LABELS = {"hashlab.box": "hashlab/small", "hashlab.recipe": "abc"}
SAID = """\
os\tDebian GNU/Linux 12 (bookworm)
docker\tDocker version 20.10.24+dfsg1, build 5d6db84
part\t446000000\t/
part\t356000000\t/store
package\t147576\tdocker.io
package\t98393\tcontainerd
"""


@pytest.fixture
def whole(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, tmp_path: Path
) -> DockerProvider:
    """A laptop with the box, whose containers for packing and unpacking work."""
    with_store(engine, provider, lab, track, tmp_path)
    for what in ("export", "import"):
        engine.behave(f"{STORE}-{what}", Behaviour(exits=0))
    return provider


def arrived(engine: FakeEngine, folder: Path, images: bytes | None = None) -> BoxManifest:
    """The box as `vagrant box add` leaves it on a laptop that has nothing else of it."""
    folder.mkdir(exist_ok=True)
    (folder / "system.tar").write_bytes(saved({IMAGE: LABELS}) if images is None else images)
    (folder / "store.tar").write_bytes(b"store")
    engine.images.pop(IMAGE, None)
    engine.volume_labels.clear()
    return replace(MANIFEST, registered_at=folder)


def test_the_exported_members_are_system_and_store(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    files = whole.boxes.export_files(MANIFEST, tmp_path, track=track)
    assert set(files) == {"metadata.json", "Vagrantfile", "system.tar", "store.tar"}
    with tarfile.open(Path(files["system.tar"])) as archive:
        assert "manifest.json" in archive.getnames()
    assert f"{STORE}-export" not in [c.name for c in engine.all.values()]


def test_the_exported_store_is_the_boxs_own_and_is_only_read(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    whole.boxes.export_files(MANIFEST, tmp_path, track=track)
    made = [call.words for call in engine.faults.calls if call.name == "laptop.create"]
    [host] = [body["HostConfig"] for _, name, body in made if name == f"{STORE}-export"]
    assert host["Binds"] == [f"{tmp_path}:/out", f"{STORE}:/store:ro"]
    assert host["NetworkMode"] == "none"


def test_a_store_that_cannot_be_packed_fails_the_export(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    engine.behave(f"{STORE}-export", Behaviour(exits=2, log="tar: no space\n"))
    with pytest.raises(LabError, match="cannot pack") as failure:
        whole.boxes.export_files(MANIFEST, tmp_path, track=track)
    assert failure.value.output == "tar: no space\n"


def test_a_box_is_imported_completely_and_its_tar_files_are_removed(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    box = arrived(engine, tmp_path / "box")
    assert not whole.boxes.present(box)
    assert whole.boxes.take_in(box, track=track)
    assert whole.boxes.present(box)
    assert list((tmp_path / "box").iterdir()) == []


@pytest.mark.parametrize("missing", ["system.tar", "store.tar"])
def test_a_box_without_its_tar_files_is_not_imported(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path, missing: str
) -> None:
    box = arrived(engine, tmp_path / "box")
    (tmp_path / "box" / missing).unlink()
    assert not whole.boxes.take_in(box, track=track)
    assert not whole.boxes.take_in(MANIFEST, track=track)
    assert not whole.boxes.present(box)


@pytest.mark.parametrize(
    "images",
    [
        saved({"debian:trixie-slim": LABELS}),
        saved({IMAGE: LABELS, "debian:trixie-slim": {}}),
        saved({}),
        saved({IMAGE: {**LABELS, "hashlab.recipe": "evil"}}),
        b"no archive",
    ],
    ids=["another image", "one more image", "none", "another recipe", "no archive"],
)
def test_only_the_boxs_own_system_is_imported(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path, images: bytes
) -> None:
    engine.images["debian:trixie-slim"] = {"mine": "yes"}
    box = arrived(engine, tmp_path / "box", images)
    with pytest.raises(LabError):
        whole.boxes.take_in(box, track=track)
    assert engine.images["debian:trixie-slim"] == {"mine": "yes"}
    assert IMAGE not in engine.images


def test_a_box_that_cannot_be_unpacked_leaves_nothing_behind(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    box = arrived(engine, tmp_path / "box")
    engine.behave(f"{STORE}-import", Behaviour(exits=2, log="tar: broken\n"))
    with pytest.raises(LabError, match="cannot unpack"):
        whole.boxes.take_in(box, track=track)
    assert not whole.boxes.present(box)
    assert IMAGE not in engine.images
    assert STORE not in engine.volume_labels


def test_the_system_itself_lists_the_contents_of_a_box(
    whole: DockerProvider, engine: FakeEngine, track: Track, tmp_path: Path
) -> None:
    engine.behave(f"{STORE}-contents", Behaviour(exits=0, log=SAID))
    inside = whole.boxes.contents(MANIFEST, tmp_path, track=track)
    assert (inside.os, inside.docker) == ("Debian GNU/Linux 12 (bookworm)", "20.10.24+dfsg1")
    assert inside.kernel == ""
    assert inside.parts == {"system": 446_000_000, "image store": 356_000_000}
    assert inside.packages["docker.io"] == 147_576 * 1024


def test_a_kernel_is_listed_if_the_box_has_one() -> None:
    assert parse_contents(f"{SAID}kernel\t6.1.0-37-cloud-amd64\n").kernel == "6.1.0-37-cloud-amd64"


def test_a_system_without_output_is_a_failure() -> None:
    with pytest.raises(LabError):
        parse_contents("sh: not found\n")


def test_one_machine_is_discarded_with_its_disk_and_others_stay(
    whole: DockerProvider, engine: FakeEngine, lab: Lab
) -> None:
    for name in ("web", "broker"):
        engine.create_volume(f"{lab.id}-{name}-images", {"hashlab.lab": lab.id})
    whole.machines.discard_machine(lab, "web")
    whole.machines.discard_machine(lab, "web")
    assert f"{lab.id}-broker-images" in engine.volume_labels
    assert f"{lab.id}-web-images" not in engine.volume_labels


def image_tar(folder: Path, lists: Mapping[str, object]) -> Path:
    path = folder / "image.tar"
    with tarfile.open(path, "w") as archive:
        for name, value in lists.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_names_are_read_from_every_list_that_an_engine_may_use(tmp_path: Path) -> None:
    own = {"manifest.json": [{"RepoTags": [IMAGE]}]}
    named = {"annotations": {"io.containerd.image.name": "docker.io/library/debian:trixie"}}
    index = {"manifests": [named, {"annotations": None}]}
    assert image_names(image_tar(tmp_path, own)) == [IMAGE]
    assert image_names(image_tar(tmp_path, {**own, "index.json": index})) == [
        "debian:trixie",
        IMAGE,
    ]
    old = {"debian": {"trixie": "abc"}}
    assert "debian:trixie" in image_names(image_tar(tmp_path, {**own, "repositories": old}))


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"manifest.json": b"{"},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": {"a": 1}},
        {"index.json": []},
        {"manifest.json": b" " * 2_000_000},
    ],
)
def test_an_archive_without_a_list_of_images_is_refused(
    tmp_path: Path, lists: dict[str, object]
) -> None:
    with pytest.raises(LabError, match="cannot read the names of its images"):
        image_names(image_tar(tmp_path, lists))
