"""Boxes of the provider libvirt: a disk made in a container, kept by Vagrant, removed from
libvirt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from engine_labs import broken, copied_into, seed_answers
from fakes import Behaviour, FakeEngine
from libvirt_labs import BOX, BOX_VOLUMES, MANIFEST, Laptop

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, Completed
from hashlab.providers.libvirt.names import disk
from hashlab.providers.libvirt.virsh import POOL

SYSTEM = "hashlab-vm:abc"
SEED = "hashlab-vm-seed:abc"
STORE = "hashlab-vm-abc"
MAKE_DISK = f"{STORE}-disk"
SAID = "os\tDebian GNU/Linux 12 (bookworm)\ndocker\tDocker version 20.10.24+dfsg1, build 1\n"


@pytest.fixture
def laptop(lab: Lab, engine: FakeEngine, tmp_path: Path) -> Laptop:
    made = Laptop(lab, tmp_path, engine)
    engine.images["debian:trixie-slim"] = {}
    engine.behave(MAKE_DISK, Behaviour(exits=0))
    engine.behave(f"{STORE}-contents", Behaviour(exits=0, log=SAID))
    made.runner.programs["qemu-img"] = convert
    seed_answers(engine)
    return made


def convert(words: Sequence[str]) -> Completed:
    """Let qemu-img write one file from another."""
    assert words[:4] == ["qemu-img", "convert", "-O", "qcow2"], words
    assert "-c" in words and "compression_type=zstd" in words
    raw, packed = Path(words[-2]), Path(words[-1])
    packed.write_bytes(raw.read_bytes()[:4])
    return Completed(0, "", "")


def built(laptop: Laptop, track: Track) -> Path:
    """Build the box; return the folder of its parts."""
    work = laptop.folder / "box"
    work.mkdir(exist_ok=True)
    # The files that the container writes there.
    for name in ("disk.raw", "vmlinuz", "initrd.img"):
        (work / name).write_text(f"{name}, whole")
    laptop.boxes.build_system(laptop.lab, MANIFEST, track=track)
    laptop.boxes.build_store(laptop.lab, MANIFEST, work / "images.tar", track=track)
    return work


def test_the_recipe_contains_every_file_that_decides_the_contents_of_the_box(
    laptop: Laptop,
) -> None:
    inputs = laptop.boxes.inputs()
    both = copied_into("virtual-machine") | {"make-disk.sh"}
    assert set(inputs) == both
    assert all(inputs.values())


def test_the_seed_machine_is_the_same_system_as_a_container(laptop: Laptop, track: Track) -> None:
    laptop.boxes.build_system(laptop.lab, MANIFEST, track=track)
    builds = [call for call in laptop.engine.faults.calls if call.name.endswith("build_image")]
    assert [(call.words[1], call.words[2].target) for call in builds] == [
        (SYSTEM, "virtual-machine"),
        (SEED, "container"),
    ]
    assert builds[0].words[2].args == builds[1].words[2].args, "both of the same base and packages"


def test_the_disk_is_made_of_the_system_and_the_store_and_is_then_compressed(
    laptop: Laptop, track: Track
) -> None:
    bodies = []
    create = laptop.engine.create

    def watched(name: str, config: dict[str, object]) -> str:
        bodies.append((name, config))
        return create(name, config)

    laptop.engine.create = watched  # type: ignore[method-assign, assignment]
    work = built(laptop, track)
    assert (work / "box.img").read_text() == "disk"
    assert not (work / "disk.raw").exists(), "20 GiB, even if most of them are holes"
    [body] = [body for name, body in bodies if name == MAKE_DISK]
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert host["Binds"] == [f"{work}:/out", f"{STORE}:/store:ro"]
    assert host["NetworkMode"] == "none"
    assert host["CapAdd"] == ["SYS_ADMIN"]
    assert host["SecurityOpt"] == ["apparmor=unconfined"]
    assert "Privileged" not in host
    assert body["Image"] == SYSTEM
    entrypoint = body["Entrypoint"]
    assert isinstance(entrypoint, list)
    shell, option, script, *words = entrypoint
    assert (shell, option, words) == ("/bin/sh", "-c", ["sh", "20G"])
    assert "mke2fs" in script


def test_nothing_but_the_system_is_left_on_the_engine(laptop: Laptop, track: Track) -> None:
    built(laptop, track)
    assert laptop.engine.volume_labels == {}
    # The probe for privileges leaves no container either.
    assert laptop.engine.containers({}) == []
    left = {name for name in laptop.engine.images if not name.startswith("hashlab-stage/")}
    assert left == {"debian:trixie-slim", SYSTEM, SEED}


def test_a_failure_to_make_the_disk_is_reported_and_leaves_nothing(
    laptop: Laptop, track: Track
) -> None:
    laptop.engine.behave(MAKE_DISK, Behaviour(exits=1, log="mke2fs: No space left on device\n"))
    with pytest.raises(LabError, match="cannot make the box's disk") as failure:
        built(laptop, track)
    assert "No space left" in failure.value.output
    assert laptop.engine.volume_labels == {}
    assert laptop.engine.containers({}) == []


def test_a_failure_to_compress_the_disk_is_reported_and_the_raw_disk_is_removed(
    laptop: Laptop, track: Track
) -> None:
    laptop.runner.programs["qemu-img"] = lambda words: Completed(1, "", "qemu-img: no zstd\n")
    with pytest.raises(LabError, match="cannot compress the box's disk") as failure:
        built(laptop, track)
    assert "no zstd" in failure.value.output
    assert not (laptop.folder / "box/disk.raw").exists()
    assert laptop.engine.volume_labels == {}


def test_images_that_cannot_be_loaded_leave_no_store(laptop: Laptop, track: Track) -> None:
    seed_answers(laptop.engine, load=broken)
    with pytest.raises(LabError, match="cannot load the images"):
        built(laptop, track)
    assert laptop.engine.volume_labels == {}


def test_the_box_is_a_disk_with_its_kernel_and_a_vagrantfile_that_boots_it(
    laptop: Laptop, track: Track
) -> None:
    work = built(laptop, track)
    files = laptop.boxes.files(MANIFEST, work)
    metadata = json.loads(str(files["metadata.json"]))
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": 20}
    vagrantfile = str(files["Vagrantfile"])
    for name in ("vmlinuz", "initrd.img"):
        assert f'File.expand_path("../{name}", __FILE__)' in vagrantfile
    paths = {name: path for name, path in files.items() if isinstance(path, Path)}
    assert set(paths) == {"box.img", "vmlinuz", "initrd.img"}
    assert all(path.exists() for path in paths.values())


def test_the_contents_of_a_box_are_its_files_and_its_systems_description(
    laptop: Laptop, track: Track
) -> None:
    work = built(laptop, track)
    found = laptop.boxes.contents(MANIFEST, work, track=track)
    assert (found.os, found.docker) == ("Debian GNU/Linux 12 (bookworm)", "20.10.24+dfsg1")
    sizes = [(work / name).stat().st_size for name in ("box.img", "vmlinuz", "initrd.img")]
    assert list(found.parts.values()) == sizes


def test_the_users_of_a_box_are_machines_of_any_lab(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web", "broker")
    laptop.libvirt.add_domain("someone-elses", description="by hand")
    laptop.libvirt.add_domain(
        "old-1-web", description='{"hashlab": "old-1", "machine": "web", "recipe": "old"}'
    )
    laptop.libvirt.domains["old-1-web"].state = "shut off"
    assert laptop.boxes.users() == {
        "abc": [f"{laptop.lab.id}/web", f"{laptop.lab.id}/broker"],
        "old": ["old-1/web"],
    }


@pytest.mark.parametrize("lost", ["", "box.img", "vmlinuz", "initrd.img"])
def test_a_box_is_present_if_vagrant_has_all_its_files(laptop: Laptop, lost: str) -> None:
    manifest = laptop.registered()
    assert manifest.registered_at
    (manifest.registered_at / (lost or "nothing")).unlink(missing_ok=True)
    assert laptop.boxes.present(manifest) is (lost == "")
    assert not laptop.boxes.present(MANIFEST)


def packed(laptop: Laptop, manifest: BoxManifest, track: Track, target: Path) -> None:
    files = laptop.boxes.export_files(manifest, laptop.folder, track=track)
    target.mkdir()
    for name, content in files.items():
        if isinstance(content, Path):
            (target / name).write_bytes(content.read_bytes())
        else:
            (target / name).write_text(content)


def test_an_exported_box_is_complete_on_another_laptop(laptop: Laptop, track: Track) -> None:
    there = laptop.folder / "there"
    packed(laptop, laptop.registered(), track, there)
    assert {name: (there / name).read_bytes() for name in BOX} == BOX
    assert laptop.boxes.take_in(replace(MANIFEST, registered_at=there), track=track)
    (there / "vmlinuz").unlink()
    assert not laptop.boxes.take_in(replace(MANIFEST, registered_at=there), track=track)


def test_an_incomplete_box_cannot_be_exported(laptop: Laptop, track: Track) -> None:
    manifest = laptop.registered()
    assert manifest.registered_at
    (manifest.registered_at / "box.img").unlink()
    for lost in (manifest, MANIFEST):
        with pytest.raises(LabError, match="is incomplete"):
            laptop.boxes.export_files(lost, laptop.folder, track=track)


def test_a_removed_box_leaves_nothing_and_other_boxes_stay(laptop: Laptop, track: Track) -> None:
    built(laptop, track)
    laptop.prepare(track)
    laptop.libvirt.add_volume(POOL, "other-vmlinuz")
    removed = laptop.boxes.remove(MANIFEST)
    assert {name.removeprefix("volume ") for name in removed[:3]} == BOX_VOLUMES
    assert removed[3:] == [f"image {SYSTEM}", f"image {SEED}"]
    assert set(laptop.libvirt.pools[POOL].volumes) == {"other-vmlinuz"}
    assert laptop.boxes.remove(MANIFEST) == []


def test_the_pool_is_removed_with_the_last_box_even_if_it_is_stopped(
    laptop: Laptop, track: Track
) -> None:
    laptop.prepare(track)
    laptop.libvirt.pools[POOL].active = False
    assert len(laptop.boxes.remove(MANIFEST)) == 3
    assert laptop.libvirt.pools == {}
    assert laptop.boxes.remove(MANIFEST) == []


def test_a_pool_that_contains_a_machines_disk_stays(laptop: Laptop, track: Track) -> None:
    laptop.up(track, "web")
    laptop.boxes.remove(MANIFEST)
    assert set(laptop.libvirt.pools[POOL].volumes) == {disk(laptop.lab, "web")}
