"""The page of `hashlab box`."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from hashlab.report import show_boxes
from hashlab.report.boxes import age

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def box(**changes: Any) -> dict[str, Any]:
    """A box that is current and says all of itself."""
    return {
        "name": "hashlab/demo",
        "version": "1.0.0.r5f0c1e9a7b21",
        "recipe": "5f0c1e9a7b21",
        "current": True,
        "usable": True,
        "created": "2026-11-20T11:00:00Z",
        "folder": "/labs/demo",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "docker": "20.10.24",
        "kernel": None,
        "size": 804_000_000,
        "parts": {"system": 448_000_000, "image store": 356_000_000},
        "packages": {"docker.io": 151_000_000},
        "images": {"demo/web": 127_000_000, "demo/db": 225_000_000},
        "machines": ["demo-1a2b3c/web"],
        **changes,
    }


def shown(*boxes: dict[str, Any], notes: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    document = {
        "lab": "demo",
        "provider": "docker",
        "recipe": "5f0c1e9a7b21",
        "promised_size": 1_000_000_000,
        "boxes": list(boxes),
        "notes": list(notes),
    }
    show_boxes(document, stream, now=NOW)
    return stream.getvalue()


def test_the_page_says_what_a_box_is_how_large_how_old_and_who_uses_it() -> None:
    said = shown(box())
    for word in (
        "hashlab/demo",
        "5f0c1e9a7b21",
        "804.0 MB",
        "1.0 GB at most",
        "3 d",
        "current",
        "Debian GNU/Linux 12 (bookworm), Docker 20.10.24",
        "demo-1a2b3c/web",
    ):
        assert word in said


def test_the_page_says_where_the_bytes_are_the_largest_first() -> None:
    lines = shown(box()).splitlines()
    order = [
        next(i for i, line in enumerate(lines) if name in line)
        for name in (
            "system  ",
            "image store",
            "image demo/db",
            "image demo/web",
            "package docker.io",
        )
    ]
    assert order == sorted(order)


def test_a_kernel_is_shown_where_a_box_has_one() -> None:
    assert "kernel 6.1.0-37-cloud-amd64" in shown(box(kernel="6.1.0-37-cloud-amd64"))


def test_a_box_that_says_nothing_of_itself_is_shown() -> None:
    old = box(size=None, created=None, os=None, docker=None, parts={}, packages={}, machines=[])
    said = shown(old | {"images": {"demo/web": None}, "current": False, "usable": False})
    assert "hashlab/demo" in said
    assert "not usable" in said


def test_without_boxes_the_notes_say_what_to_do() -> None:
    said = shown(notes=("lab demo has no box. To build it: hashlab init-box",))
    assert "boxes of this laptop (0)" in said
    assert "hashlab init-box" in said


@pytest.mark.parametrize(
    ("created", "told"),
    [
        (None, ""),
        ("yesterday", ""),
        ("2026-11-23T11:59:30Z", "30 s"),
        ("2026-11-23T11:15:00", "45 min"),
        ("2026-11-23T09:00:00Z", "3 h"),
        ("2026-10-24T12:00:00Z", "30 d"),
        ("2026-11-24T12:00:00Z", "0 s"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(created: str | None, told: str) -> None:
    assert age(created, NOW) == told
