"""The page of `hashlab box`."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from fakes.documents import NOW, all_boxes, one_box

from hashlab.documents import unix_time
from hashlab.documents.boxes import Box
from hashlab.report import show_boxes
from hashlab.report.formats import age


def shown(*boxes: Box, notes: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    show_boxes(all_boxes(*boxes, notes=notes), stream, now=NOW)
    return stream.getvalue()


def test_the_page_says_what_a_box_is_how_large_how_old_and_who_uses_it() -> None:
    said = shown(one_box())
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
    lines = shown(one_box()).splitlines()
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
    assert "kernel 6.1.0-37-cloud-amd64" in shown(one_box(kernel="6.1.0-37-cloud-amd64"))


def test_a_box_that_says_nothing_of_itself_is_shown() -> None:
    old = one_box(bytes=None, created=None, os=None, docker=None, parts={}, packages={})
    old = replace(old, machines=(), images={"demo/web": None}, current=False, usable=False)
    said = shown(old)
    assert "hashlab/demo" in said
    assert "not usable" in said


def test_without_boxes_the_notes_give_the_next_command() -> None:
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
def test_an_age_is_shown_in_its_largest_unit(created: str | None, told: str) -> None:
    assert age(unix_time(created), NOW) == told
