"""The journal's JSON: entries of containers and units, and fields in every form."""

from __future__ import annotations

import pytest
from journals import NOON, begin, line

from hashlab.errors import LabError
from hashlab.logs.entries import Begin, Entry, read


def entry(text: bytes) -> Entry:
    result = read(text)
    assert isinstance(result, Entry)
    return result


def test_a_containers_line_has_its_service_and_build() -> None:
    assert entry(line("hello", 3)) == Entry(
        "c3", NOON + 3, "small-site-1", "site", "b1", "docker", 6, "hello"
    )


def test_a_units_line_names_the_unit_without_its_kind() -> None:
    found = entry(line("started", 1, container="", _SYSTEMD_UNIT="init.scope", UNIT="ssh.service"))
    assert (found.container, found.service, found.unit) == ("", "", "ssh")


def test_text_that_is_not_plain_utf8_comes_as_bytes() -> None:
    assert entry(line("", 1, MESSAGE=[27, 91, 49, 109, 255])).text == "\x1b[1m\ufffd"


def test_a_field_that_is_there_twice_or_not_at_all_is_read() -> None:
    assert entry(line("", 1, MESSAGE=["first", "second"])).text == "first"
    assert entry(line("", 1, MESSAGE=[[102, 111], "second"])).text == "fo"
    assert entry(line("", 1, MESSAGE=None, PRIORITY=None)).text == ""


def test_all_parts_of_a_long_line_but_the_last_go_on() -> None:
    part = {"CONTAINER_PARTIAL_MESSAGE": "true"}
    assert entry(line("a", 1, **part, CONTAINER_PARTIAL_LAST="false")).part
    assert not entry(line("b", 2, **part, CONTAINER_PARTIAL_LAST="true")).part
    assert not entry(line("c", 3)).part


def test_the_first_line_says_what_the_machine_has() -> None:
    assert read(begin("c9")) == Begin(True, NOON, "c9", NOON + 9)
    assert read(begin(driver="json-file")) == Begin(False, NOON, "", 0.0)


@pytest.mark.parametrize(
    "text", [b"sudo: not found", b"[]", b"{}", b"#begin", b'{"__CURSOR": 1}', b"\xff", b"1"]
)
def test_anything_else_is_a_failure_of_the_lab(text: bytes) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        read(text)
