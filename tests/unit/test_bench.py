"""The benches' edits find their places in the example, and their generated labs load."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hashlab.config.load import load_lab

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples/hash-collision"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """Imports a module of bench/, whose modules find each other by being in one folder."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "bench"))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{REPOSITORY}/bench/"):
            del sys.modules[name]


@pytest.fixture
def lab(tmp_path: Path, bench) -> Path:
    for edit in bench("edits").EDITS:
        if edit.file:
            (tmp_path / edit.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(EXAMPLE / edit.file, tmp_path / edit.file)
    return tmp_path


def test_every_edit_changes_the_example_each_time_anew(bench, lab: Path):
    edits = bench("edits")
    for number, edit in enumerate(edits.EDITS * 3):
        edit.apply(lab, number)
        for _, words in edit.shown:
            assert f"{words} {number}" in (lab / edit.file).read_text()


def test_a_hot_swap_changes_nothing_but_a_text(bench, lab: Path):
    edits = bench("edits")
    path = lab / edits.ONE_CLASS
    edits.CLASS.apply(lab, 7)
    before = path.read_text()
    edits.HOT_SWAP.apply(lab, 8)
    assert path.read_text() == before.replace(f"{edits.NO_USER} 7", f"{edits.NO_USER} 8")


def test_an_edit_that_finds_no_place_ends_the_bench(bench, lab: Path):
    edits = bench("edits")
    (lab / edits.ONE_CLASS).write_text("class UserRoutes {}")
    with pytest.raises(SystemExit, match="nothing that the edit 'one method body' could change"):
        edits.HOT_SWAP.apply(lab, 1)


def test_what_was_edited_is_put_back_byte_for_byte(bench, lab: Path):
    edits = bench("edits")
    (lab / edits.STATIC.file).write_bytes(b"\r\nnot what git has, and no text: \xff")
    kept = edits.Kept(lab)
    for edit in edits.EDITS:
        if edit.file:
            (lab / edit.file).write_text("edited")
    kept.restore()
    assert (lab / edits.STATIC.file).read_bytes() == b"\r\nnot what git has, and no text: \xff"
    for file in (edits.ONE_CLASS, edits.DEPENDENCIES.file, edits.ALL_THREE.file):
        assert (lab / file).read_bytes() == (EXAMPLE / file).read_bytes()


@pytest.mark.parametrize(("machines", "services"), [(3, 12), (12, 12), (3, 4), (3, 32)])
def test_generated_labs_of_any_size_load(bench, tmp_path: Path, machines: int, services: int):
    # A smaller lab takes the place of a larger one.
    bench("generated_lab").generate(tmp_path, machines=15, services=40)
    bench("generated_lab").generate(tmp_path, machines=machines, services=services)
    lab = load_lab(tmp_path, environ={})
    assert len(lab.machines) == machines
    assert len(lab.services) == services
    assert {service.machine for service in lab.services} == {m.name for m in lab.machines}


def test_a_picture_has_a_bar_for_each_figure_and_keeps_its_labels_text(bench):
    svg = bench("picture").draw_round_trip(
        {"one class: hashlab": [2.0, 1.0, 3.0], "one class: a<b": [9.0], "floor: sum": [0.5]}
    )
    assert svg.count("<rect") == 3
    assert ">2.00 s<" in svg
    assert ">a&lt;b<" in svg
    assert "prefers-color-scheme: dark" in svg


def test_the_service_of_the_bench_of_replicas_has_two_and_a_front(tmp_path: Path, bench) -> None:
    lab = load_lab(bench("replicas").prepared(tmp_path), environ={"PATH": "/usr/bin:/bin"})
    names = {service.name: service.machine for service in lab.services}
    assert names == {
        "web": "front",
        "greeter.back": "back",
        "greeter.third": "third",
        "greeter-front": "front",
    }
