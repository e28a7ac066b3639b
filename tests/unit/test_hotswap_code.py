"""The class-file and bytecode readers of the example's hot-swap tool, on bytes made by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "examples" / "hash-collision" / "tools"
MODULES = ("octets", "classfile", "bytecode", "debugport", "jdwp", "running", "differences")

GOTO, IFEQ, ICONST_0, POP, RETURN, ALOAD = 0xA7, 0x99, 0x03, 0x57, 0xB1, 0x19
LDC, LDC_W, LDC2_W, INVOKEDYNAMIC = 0x12, 0x13, 0x14, 0xBA
TABLESWITCH, LOOKUPSWITCH, WIDE, IINC, GOTO_W = 0xAA, 0xAB, 0xC4, 0x84, 0xC8


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tool's folder, which is on nobody's path."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def classfile(tools: None) -> ModuleType:
    return import_module("classfile")


def two(number: int) -> bytes:
    return number.to_bytes(2, "big", signed=number < 0)


def four(number: int) -> bytes:
    return number.to_bytes(4, "big", signed=True)


def utf8(text: str) -> bytes:
    return b"\1" + two(len(text)) + text.encode()


def string(index: int) -> bytes:
    return b"\x08" + two(index)


def pool(*entries: bytes, after: int = 0) -> Any:
    """A pool of entries that begin at 1, or behind `after` others."""
    classfile, octets = import_module("classfile"), import_module("octets")
    filled = [utf8(f"filler {n}") for n in range(after)]
    data = b"".join((*filled, *entries))
    wide = sum(entry[0] in (5, 6) for entry in entries)
    return classfile.Pool(octets.Octets(data), 1 + after + len(entries) + wide)


def read(code: bytes, constants: Any) -> Any:
    return import_module("bytecode").instructions(code, constants)[0]


def test_a_long_ldc_is_a_short_one_and_a_jump_across_it_leads_to_the_same_instruction() -> None:
    short = bytes((ICONST_0, IFEQ)) + two(6) + bytes((LDC, 2, POP, RETURN))
    wide = bytes((ICONST_0, IFEQ)) + two(7) + bytes((LDC_W, *two(302), POP, RETURN))
    one = read(short, pool(utf8("coin"), string(1)))
    assert one == read(wide, pool(utf8("coin"), string(301), after=300))
    assert one[1] == (IFEQ, ("to", 4))


@pytest.mark.parametrize("text", ["coins", "Coin", ""])
def test_another_text_is_another_instruction(text: str) -> None:
    code = bytes((LDC, 2, POP, RETURN))
    before, after = pool(utf8("coin"), string(1)), pool(utf8(text), string(1))
    assert read(code, before) != read(code, after)


def test_numbers_are_compared_by_kind_and_value() -> None:
    code = bytes((LDC, 1, RETURN))
    whole, same, other = (b"\3" + four(number) for number in (7, 7, 8))
    assert read(code, pool(whole)) == read(code, pool(same))
    assert read(code, pool(whole)) != read(code, pool(other))
    assert read(code, pool(whole)) != read(code, pool(b"\4" + four(7)))


def test_a_long_number_takes_two_places_in_the_pool() -> None:
    constants = pool(b"\5" + bytes(7) + b"\1", utf8("behind"))
    assert constants.symbol(1) == ("Long", bytes(7) + b"\1")
    assert constants.symbol(3) == ("Utf8", b"behind")
    with pytest.raises(import_module("classfile").Malformed):
        constants.symbol(2)


def test_a_member_is_named_in_full() -> None:
    member = b"\x0a" + two(2) + two(3)
    names = (
        b"\7" + two(4),
        b"\x0c" + two(5) + two(6),
        utf8("shop/Till"),
        utf8("open"),
        utf8("()V"),
    )
    assert pool(member, *names).symbol(1) == ("Methodref", b"shop/Till", b"open", b"()V")


def test_a_switch_is_the_same_wherever_it_stands() -> None:
    table = four(0) + four(1) + four(2)
    for before in range(4):
        start = before
        padding = bytes(-(start + 1) % 4)
        length = 1 + len(padding) + 12 + 8
        code = bytes([ICONST_0] * before) + bytes((TABLESWITCH,)) + padding
        code += four(length) + table[4:] + four(length) + four(length + 1) + bytes((POP, RETURN))
        switch = read(code, pool())[before]
        to = before + 1
        assert switch == (TABLESWITCH, ("to", to), 1, ("to", to), ("to", to + 1))


def test_a_lookup_has_keys_and_jumps_back() -> None:
    code = bytes((ICONST_0, LOOKUPSWITCH, 0, 0)) + four(-1) + four(1) + four(-5) + four(-1)
    assert read(code, pool())[1] == (LOOKUPSWITCH, ("to", 0), -5, ("to", 0))


def test_wide_instructions_keep_their_operands() -> None:
    code = bytes((WIDE, IINC)) + two(300) + two(5) + bytes((WIDE, ALOAD)) + two(301)
    assert read(code, pool()) == [(WIDE, IINC, two(300) + two(5)), (WIDE, ALOAD, two(301))]


def test_a_far_jump_is_a_near_one() -> None:
    near, far = bytes((GOTO, 0, 3, RETURN)), bytes((GOTO_W, 0, 0, 0, 5, RETURN))
    assert read(near, pool()) == read(far, pool())


def test_a_dynamic_call_is_named_and_its_bootstrap_method_is_told() -> None:
    call = b"\x12" + two(4) + two(2)
    constants = pool(call, b"\x0c" + two(3) + two(4), utf8("run"), utf8("()LRunnable;"))
    code = bytes((INVOKEDYNAMIC, 0, 1, 0, 0, RETURN))
    instructions, bootstraps = import_module("bytecode").instructions(code, constants)
    assert instructions[0] == (INVOKEDYNAMIC, ("InvokeDynamic", b"run", b"()LRunnable;"), bytes(2))
    assert bootstraps == {4}


@pytest.mark.parametrize(
    "code",
    [
        bytes((0xCA,)),  # no such instruction
        bytes((LDC,)),  # cut short
        bytes((LDC, 9)),  # no such constant
        bytes((GOTO, 0, 1)),  # into itself
        bytes((GOTO, 0, 9)),  # out of the code
        bytes((TABLESWITCH, 0, 0, 0)) + four(0) + four(0) + four(2_000_000_000),
    ],
)
def test_code_that_cannot_be_is_refused(code: bytes, classfile: ModuleType) -> None:
    with pytest.raises(classfile.Malformed):
        read(code, pool())


@pytest.mark.parametrize("data", [b"", b"PK\3\4", bytes.fromhex("cafebabe00000041000201")])
def test_what_is_no_class_file_is_refused(data: bytes, classfile: ModuleType) -> None:
    with pytest.raises(classfile.Malformed):
        classfile.ClassFile(data)


def member(name: int, descriptor: int, *attributes: bytes) -> bytes:
    return two(1) + two(name) + two(descriptor) + two(len(attributes)) + b"".join(attributes)


def attribute(name: int, content: bytes) -> bytes:
    return two(name) + four(len(content)) + content


def test_a_class_file_tells_its_members_its_code_and_what_is_marked(classfile: ModuleType) -> None:
    entries = (
        b"\7" + two(2),
        utf8("shop/Till"),
        b"\7" + two(4),
        utf8("java/lang/Object"),
        utf8("open"),
        utf8("()V"),
        utf8("Code"),
        utf8("RuntimeInvisibleAnnotations"),
        utf8("LMarked;"),
        utf8("value"),
        utf8("coins"),
        utf8("I"),
    )
    code = attribute(7, two(1) + two(1) + four(1) + bytes((RETURN,)) + two(0) + two(0))
    values = b"[" + two(2) + b"s" + two(2) + b"e" + two(2) + two(2)
    marks = attribute(8, two(2) + two(12) + two(1) + two(10) + values + two(9) + two(0))
    data = (
        bytes.fromhex("cafebabe 0000003d")
        + two(1 + len(entries))
        + b"".join(entries)
        + (two(0x21) + two(1) + two(3) + two(0))
        + (two(1) + member(11, 12))
        + (two(1) + member(5, 6, code, marks))
        + two(0)
    )
    read = classfile.ClassFile(data)
    assert (read.name, read.superclass, read.interfaces) == ("shop.Till", "java.lang.Object", [])
    assert read.fields == {("coins", "I"): 1}
    method = read.methods["open", "()V"]
    assert (method.code, method.annotations) == (bytes((RETURN,)), {"I", "LMarked;"})


@pytest.mark.parametrize(
    ("name", "descriptor", "words"),
    [
        ("foo", "(Ljava/lang/String;[IJ)V", "foo(String, int[], long)"),
        ("of", "([[Ljava/util/Map$Entry;)Z", "of(Map.Entry[][])"),
        ("<init>", "()V", "the constructor ()"),
        ("<clinit>", "()V", "its static initialiser"),
        ("lambda$open$12", "()V", "a lambda in open()"),
    ],
)
def test_a_method_is_named_as_people_write_it(name: str, descriptor: str, words: str) -> None:
    assert import_module("differences").shown((name, descriptor)) == words
