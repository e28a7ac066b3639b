"""A lab is read with what runs have left in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import write_files

from hashlab.run.labs import known_places, read_folder
from hashlab.state.files import StateFolder

COMPOSE = "services: {a: {image: x}, b: {image: x}, c: {image: x}}\n"


def test_services_are_where_they_ran_last(tmp_path: Path) -> None:
    write_files(tmp_path, {"compose.yaml": COMPOSE})
    first = {s.name: s.machine for s in read_folder(tmp_path, None).services}
    turned = {"a": first["b"], "b": first["c"], "c": first["a"]}
    text = str(turned).replace("'", '"')
    write_files(tmp_path, {".hashlab/places.json": text})
    assert {s.name: s.machine for s in read_folder(tmp_path, None).services} == turned


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', "null"])
def test_damaged_places_count_as_missing(tmp_path: Path, text: str) -> None:
    write_files(tmp_path, {".hashlab/places.json": text})
    assert known_places(StateFolder(tmp_path / ".hashlab", "")) == {}
