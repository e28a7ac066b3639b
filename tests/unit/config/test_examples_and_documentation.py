"""The examples and every block of docs/reference/config.md load without problems."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.config.compose.service import SERVICE_KEYS
from hashlab.config.load import load_lab
from hashlab.config.model import Lab

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "config.md"
BLOCK = re.compile(r"^```(toml|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LAB = '[lab]\nname = "shop"\n'
MACHINES = "".join(
    f'[machines.{name}]\naddress = "192.168.60.{number}"\n'
    for number, name in enumerate(("broker", "services", "web"), 5)
)
SERVICES = """\
services:
  web: {image: web, ports: ['80:8080', '15672:15672', '5005:5005']}
  user: {image: user, volumes: ['./user/target/app:/app:ro']}
volumes: {cache: }
"""
FILES = dict.fromkeys(
    (
        "images/web/Dockerfile",
        "images/web/release.Dockerfile",
        "site/index.html",
        "app.env",
        "pom.xml",
        "user/pom.xml",
        "user/src/Main.java",
        "ui/src/app.ts",
        "user/target/app/classes/Main.class",
        "tools/seed.py",
        "tools/verify.py",
        "nginx.conf",
    ),
    "",
)
FILES |= {
    "database/compose.yaml": "services: {db: {image: postgres}}\n",
    "tools/compose.yaml": "services: {tool: {image: tool}}\n",
    "tools/lab.yaml": "services: {tool: {user: '1000'}}\n",
    "tools/lab.env": "",
    "common.yaml": "services: {web: {image: web}}\n",
}


def blocks(language: str) -> list[tuple[int, str]]:
    """Return (line, text) of each code block of the page in one language."""
    page = PAGE.read_text(encoding="utf-8")
    found = [match for match in BLOCK.finditer(page) if match[1] == language]
    return [(page.count("\n", 0, match.start()) + 1, match[2]) for match in found]


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """Return a PATH on which the programs of the examples are found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("mvn", "npm", "java", "sh"):
        (folder / name).touch(mode=0o755)
    return str(folder)


@pytest.fixture
def load_page(write_lab: Callable[..., Path], programs: str) -> Callable[..., Lab]:
    """Load a block of the page, completed by what it leaves out."""

    def read(*, toml: str, compose: str = SERVICES) -> Lab:
        folder = write_lab(toml=toml, compose=compose, files=FILES)
        (folder / "ui" / "build.sh").touch(mode=0o755)
        return load_lab(folder, environ={"PATH": programs})

    return read


@pytest.mark.parametrize("name", ["hash-collision", "hello"])
def test_an_example_loads_without_problems_before_anything_is_built(
    name: str, programs: str
) -> None:
    lab = load_lab(ROOT / "examples" / name, environ={"PATH": programs})
    assert lab.name == name
    assert lab.notes == ()


@pytest.mark.parametrize(
    "block", [pytest.param(text, id=f"line {line}") for line, text in blocks("toml")]
)
def test_each_toml_block_of_the_page_loads(block: str, load_page: Callable[..., Lab]) -> None:
    before = "" if "[lab]" in block else LAB
    after = "" if "[machines." in block else MACHINES
    complete = before + block + after
    assert load_page(toml=complete)


@pytest.mark.parametrize(
    "block", [pytest.param(text, id=f"line {line}") for line, text in blocks("yaml")]
)
def test_each_yaml_block_of_the_page_loads(block: str, load_page: Callable[..., Lab]) -> None:
    toml = LAB + MACHINES + '[secrets]\ngenerate = ["db_password"]\n'
    assert load_page(compose=block, toml=toml)


def test_the_page_names_every_key_of_a_service_that_acts() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for key in SERVICE_KEYS.readers:
        assert f"`{key}`" in page, key
