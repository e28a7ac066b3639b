"""Seed: builds a box's system as an image, and fills its image store on a temporary machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from engine_labs import IMAGE, MANIFEST, STORE, broken, seed_answers
from fakes import Behaviour, FakeEngine

from hashlab.config.model import BoxSettings, Lab
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import BuildSettings
from hashlab.providers import seed as seed_module
from hashlab.providers.isolation import Isolation
from hashlab.providers.seed import Seed, labels, system_files


@pytest.fixture
def seed(engine: FakeEngine, tmp_path: Path) -> Seed:
    isolation = Isolation(engine=lambda: engine, cache=tmp_path / "state/engine.json")
    return Seed(engine=lambda: engine, isolation=isolation)


def fill(seed: Seed, folder: Path, track: Track) -> None:
    """Fill the store of the box, whose image exists."""
    archive = folder / "images.tar"
    seed.fill_store(MANIFEST, image=IMAGE, volume=STORE, archive=archive, track=track)


def test_a_file_of_the_system_is_read_unchanged() -> None:
    folder = Path(seed_module.__file__).parent / "system"
    assert system_files("setup.sh") == {"setup.sh": (folder / "setup.sh").read_text()}


@pytest.mark.parametrize("target", ["container", "virtual-machine"])
def test_the_system_is_built_from_the_labs_base_and_packages(
    engine: FakeEngine, seed: Seed, lab: Lab, track: Track, target: str
) -> None:
    box = BoxSettings("debian:sid", ("curl", "jq"))
    seed.build_system(replace(lab, box=box), MANIFEST, IMAGE, target=target, track=track)
    [call] = [call for call in engine.faults.calls if call.name == "laptop.build_image"]
    settings = BuildSettings({"BASE": "debian:sid", "PACKAGES": "curl jq"}, target)
    assert call.words[1:] == (IMAGE, settings)
    assert engine.images[IMAGE] == {"hashlab.recipe": "abc", "hashlab.box": "hashlab/small"}


def test_the_seed_machine_is_removed_after_the_store_was_filled(
    engine: FakeEngine, seed: Seed, track: Track, tmp_path: Path
) -> None:
    engine.images[IMAGE] = {}
    seed_answers(engine)
    fill(seed, tmp_path, track)
    assert not engine.all
    asked = [call.words[2] for call in engine.faults.calls if call.name == "laptop.execute"]
    assert [words[0] for words in asked] == ["docker", "docker", "systemctl"]


def test_the_seed_machine_has_the_store_and_a_read_only_archive(
    engine: FakeEngine, seed: Seed, track: Track, tmp_path: Path
) -> None:
    engine.images[IMAGE] = {}
    seed_answers(engine)
    fill(seed, tmp_path, track)
    [body] = [
        call.words[2]
        for call in engine.faults.calls
        if call.name == "laptop.create" and call.words[1] == f"{STORE}-seed"
    ]
    assert body["HostConfig"]["Binds"] == [f"{STORE}:/var/lib/docker", f"{tmp_path}:/images:ro"]


@pytest.mark.parametrize("step", ["load", "stop"])
def test_a_failed_seed_machine_leaves_neither_itself_nor_a_partial_store(
    engine: FakeEngine, seed: Seed, track: Track, tmp_path: Path, step: str
) -> None:
    engine.images[IMAGE] = {}
    seed_answers(engine, **{step: broken})
    with pytest.raises(LabError) as failure:
        fill(seed, tmp_path, track)
    assert failure.value.output == "no\n"
    assert not engine.all
    assert not engine.volume_labels


def test_a_seed_machine_whose_engine_never_answers_is_given_up_with_its_log(
    engine: FakeEngine,
    seed: Seed,
    track: Track,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine.images[IMAGE] = {}
    seed_answers(engine, info=broken)
    engine.behave(f"{STORE}-seed", Behaviour(log="systemd: failed\n"))
    monkeypatch.setattr(seed_module, "SEED_SECONDS", -1)
    with pytest.raises(LabError, match="engine does not start") as failure:
        fill(seed, tmp_path, track)
    assert failure.value.output == "systemd: failed\n"
    assert not engine.all


def test_a_store_is_replaced_not_extended(
    engine: FakeEngine, seed: Seed, track: Track, tmp_path: Path
) -> None:
    engine.create_volume(STORE, {"left": "by a killed run"})
    engine.images |= {"x": {}, IMAGE: {}}
    engine.create(f"{STORE}-seed", {"Image": "x"})
    seed_answers(engine)
    fill(seed, tmp_path, track)
    assert engine.volume_labels[STORE] == labels(MANIFEST)
    assert labels(MANIFEST) == {"hashlab.box": "hashlab/small", "hashlab.recipe": "abc"}
