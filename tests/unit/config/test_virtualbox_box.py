"""[box.virtualbox] names a box by address and checksum; its mistakes are reported together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashlab.config.model import Lab, VirtualBoxBase
from hashlab.errors import Problem

URL = "https://boxes.example/debian/12.box"
CHECKSUM = "sha256:" + "0123456789abcdef" * 4
Load = Callable[..., Lab]
Problems = Callable[..., tuple[Problem, ...]]
Edits = tuple[tuple[str, str], ...]


def box(**changes: str | None) -> Edits:
    """Add [box.virtualbox] as line 31 of hashlab.toml; None leaves a key out."""
    values = {"url": URL, "checksum": CHECKSUM, "kind": "debian", **changes}
    lines = [f'{key} = "{value}"' for key, value in values.items() if value is not None]
    return (
        ('"verify.py"]\n', '"verify.py"]\n\n' + "\n".join(["[box.virtualbox]", *lines]) + "\n"),
    )


def test_the_user_defaults_to_that_of_the_kind_of_box(load: Load) -> None:
    found = load(toml=box(), provider="virtualbox").box.virtualbox
    assert found == VirtualBoxBase(URL, CHECKSUM, "debian", "vagrant")
    flatcar = load(toml=box(kind="flatcar")).box.virtualbox
    assert flatcar is not None
    assert flatcar.user == "core"
    named = load(toml=box(user="admin")).box.virtualbox
    assert named is not None
    assert named.user == "admin"


@pytest.mark.parametrize(
    "url",
    [
        "http://boxes.example/a.box",
        "file:///srv/boxes/a.box",
        "https://boxes.example:8443/a/b?version=1",
    ],
)
def test_boxes_on_the_web_and_on_the_laptop_are_accepted(load: Load, url: str) -> None:
    found = load(toml=box(url=url)).box.virtualbox
    assert found is not None
    assert found.url == url


def test_a_sha512_checksum_is_accepted(load: Load) -> None:
    checksum = "sha512:" + "ab" * 64
    found = load(toml=box(checksum=checksum)).box.virtualbox
    assert found is not None
    assert found.checksum == checksum


MISTAKES = [
    ("url", "debian/bookworm64", "HashiCorp's catalogue, which closes on 2026-12-31", "file:///"),
    ("url", "bookworm.box", "is not the address of a .box file", "https://"),
    ("url", "./boxes/a.box", "is not the address of a .box file", "https://"),
    ("url", "https:///a.box", "is not the address of a .box file", "https://"),
    ("url", "file://a.box", "is not the address of a .box file", "file:///"),
    ("url", "ftp://boxes.example/a.box", "is not the address of a .box file", "https://"),
    ("url", "https://boxes.example/a b.box", "is not the address of a .box file", "https://"),
    ("url", "https://[boxes.example/a.box", "is not the address of a .box file", "https://"),
    ("url", "https://boxes.example/a.json", "is a list of boxes", "url and checksum"),
    ("checksum", "0123456789abcdef" * 4, "does not begin with sha256: or sha512:", "sha256:…"),
    ("checksum", "md5:0123", "does not begin with sha256: or sha512:", "sha256:…"),
    ("checksum", "sha256:0123", "is not a valid sha256 checksum", "64 digits"),
    ("checksum", "sha512:" + "ab" * 32, "is not a valid sha512 checksum", "128"),
    ("kind", "ubuntu", "'ubuntu' is not an allowed value", "flatcar, debian"),
    ("user", "Core User", "is not a valid user name", 'user = "vagrant"'),
]


@pytest.mark.parametrize(("key", "value", "says", "hint"), MISTAKES)
def test_each_mistake_is_reported_on_its_line_with_the_correct_form(
    problems_of: Problems, key: str, value: str, says: str, hint: str
) -> None:
    (problem,) = problems_of(toml=box(**{key: value}))
    assert problem.line == {"url": 32, "checksum": 33, "kind": 34, "user": 35}[key]
    assert says in problem.message
    assert hint in problem.hint


def test_all_mistakes_are_reported_together(problems_of: Problems) -> None:
    problems = problems_of(toml=box(url="a/b", checksum="x", kind="y"))
    assert [problem.line for problem in problems] == [32, 33, 34]


@pytest.mark.parametrize("key", ["url", "checksum", "kind"])
def test_url_checksum_and_kind_are_required(problems_of: Problems, key: str) -> None:
    (problem,) = problems_of(toml=box(**{key: None}))
    assert (problem.line, problem.message) == (31, f"[box.virtualbox] needs '{key}'")


def test_the_provider_virtualbox_needs_a_box_and_others_do_not(problems_of: Problems) -> None:
    (problem,) = problems_of(provider="virtualbox")
    assert problem.message == "the provider virtualbox needs [box.virtualbox]"
    assert "[box.virtualbox]" in problem.hint
    assert problems_of(provider="docker") == ()


def test_packages_that_flatcar_cannot_install_are_noted(load: Load) -> None:
    edits = ("[box.virtualbox]\n", '[box]\npackages = ["curl"]\n\n[box.virtualbox]\n')
    flatcar = ((box(kind="flatcar")[0][0], box(kind="flatcar")[0][1].replace(*edits)),)
    debian = ((box()[0][0], box()[0][1].replace(*edits)),)
    notes = load(toml=flatcar, provider="virtualbox").notes
    assert any("Flatcar has no packages" in note for note in notes)
    assert not any("Flatcar" in note for note in load(toml=flatcar).notes)
    assert not any("Flatcar" in note for note in load(toml=debian, provider="virtualbox").notes)
