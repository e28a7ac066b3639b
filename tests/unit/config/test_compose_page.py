"""docs/reference/compose.md is made from the tables of keys, and is current."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

from hashlab.config import compose
from hashlab.config.compose.service import SERVICE_KEYS
from hashlab.config.readers import Noted, Refused, Table

PATH = Path(__file__).parents[3] / "docs/reference/make_compose.py"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """Return the program that makes the page."""
    spec = importlib.util.spec_from_file_location("make_compose", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_keys_is_current(made: ModuleType) -> None:
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run: inv docs-compose"


def test_each_kind_of_key_has_its_row(made: ModuleType) -> None:
    rows = made.page().splitlines()
    assert "| `image` | acts | |" in rows
    kinds = {Noted: "note", Refused: "**error**"}
    for key, other in SERVICE_KEYS.others.items():
        assert any(row.startswith(f"| `{key}` | {kinds[type(other)]} | ") for row in rows), key


def test_the_page_has_every_table_of_keys(made: ModuleType) -> None:
    names = [f"{compose.__name__}.{module.name}" for module in iter_modules(compose.__path__)]
    named = {
        f"{module}.{name}": value
        for module in names
        for name, value in vars(import_module(module)).items()
        if isinstance(value, Table) and not name.startswith("_")
    }
    assert len(named) > 20
    listed = [*made.TABLES.values()]
    assert [name for name, table in named.items() if table not in listed] == []
