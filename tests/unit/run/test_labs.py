"""A lab is read with what runs have left in its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fakes import write_files

from hashlab.run import execution
from hashlab.run.execution import Options
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


def test_a_service_that_is_named_is_active_with_its_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "services: {a: {image: x}, b: {image: x, profiles: [tools, debug]}}\n"
    toml = '[lab]\nprovider = "docker"\n'
    write_files(tmp_path, {"compose.yaml": text, "hashlab.toml": toml, ".env": ""})
    monkeypatch.setenv("COMPOSE_PROFILES", "more")
    monkeypatch.setattr(execution, "make_world", lambda lab, **_: lab)

    def services(*named: str) -> list[str]:
        lab: Any = Options(tmp_path, services=named).world()
        return [service.name for service in lab.services]

    assert services("a") == ["a"]
    assert os.environ["COMPOSE_PROFILES"] == "more"
    assert services("b") == ["a", "b"]
    assert os.environ["COMPOSE_PROFILES"] == "more,tools,debug"
