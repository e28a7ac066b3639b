"""Bytecode without its numbers, so that one method can be compared in a file and in a running JVM.

When HotSpot redefines a class it merges the constants of the old and the new one and numbers them
anew. A short `ldc` becomes a long one where its number has grown, and then every jump across it is
longer. So constants are named by what they are, and jumps by the instruction they lead to.
"""

from __future__ import annotations

from classfile import Malformed, Pool
from octets import Octets, Truncated

Instruction = tuple[object, ...]

LDC, LDC_WIDE, WIDE = 0x12, 0x13, 0xC4
TABLESWITCH, LOOKUPSWITCH = 0xAA, 0xAB
INVOKEINTERFACE, INVOKEDYNAMIC, MULTIANEWARRAY = 0xB9, 0xBA, 0xC5
IINC = 0x84
_LAST = 0xC9
_FAR = {0xC8: 0xA7, 0xC9: 0xA8}  # goto and jsr, where a jump has grown too long for two bytes

# Bytes after the opcode: those of a constant's number first, then plain ones.
_CONSTANT = {
    **dict.fromkeys((LDC,), (1, 0)),
    **dict.fromkeys((LDC_WIDE, 0x14, *range(0xB2, 0xB9), 0xBB, 0xBD, 0xC0, 0xC1), (2, 0)),
    INVOKEINTERFACE: (2, 2),
    INVOKEDYNAMIC: (2, 2),
    MULTIANEWARRAY: (2, 1),
}
_JUMP = {**dict.fromkeys((*range(0x99, 0xA9), 0xC6, 0xC7), 2), 0xC8: 4, 0xC9: 4}
_PLAIN = {
    **dict.fromkeys((0x10, *range(0x15, 0x1A), *range(0x36, 0x3B), 0xA9, 0xBC), 1),
    **dict.fromkeys((0x11, IINC), 2),
}


class _Jump:
    """An operand that is a place in the code, until all places are known."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


def instructions(code: bytes, pool: Pool) -> tuple[list[Instruction], set[int]]:
    """The instructions of a method, and the bootstrap methods (by number) that it uses.

    Raises Malformed.
    """
    octets = Octets(code)
    numbers: dict[int, int] = {}
    read: list[list[object]] = []
    bootstraps: set[int] = set()
    try:
        while octets.position < len(code):
            numbers[octets.position] = len(read)
            read.append(_instruction(octets, pool, bootstraps))
        return [_settled(one, numbers) for one in read], bootstraps
    except (Truncated, KeyError) as error:
        raise Malformed(f"the code cannot be read: {error}") from error


def _settled(instruction: list[object], numbers: dict[int, int]) -> Instruction:
    return tuple(
        ("to", numbers[part.place]) if isinstance(part, _Jump) else part for part in instruction
    )


def _instruction(octets: Octets, pool: Pool, bootstraps: set[int]) -> list[object]:
    start = octets.position
    opcode = octets.number(1)
    if opcode in _CONSTANT:
        size, more = _CONSTANT[opcode]
        index = octets.number(size)
        bootstrap = pool.bootstrap(index)
        if bootstrap is not None:
            bootstraps.add(bootstrap)
        opcode = LDC if opcode == LDC_WIDE else opcode
        return [opcode, pool.symbol(index), octets.take(more)]
    if opcode in _JUMP:
        return [_FAR.get(opcode, opcode), _Jump(start + octets.signed(_JUMP[opcode]))]
    if opcode in (TABLESWITCH, LOOKUPSWITCH):
        return _switch(opcode, start, octets)
    if opcode == WIDE:
        widened = octets.number(1)
        return [WIDE, widened, octets.take(4 if widened == IINC else 2)]
    if opcode > _LAST:
        raise Malformed(f"there is no instruction {opcode:#x}")
    return [opcode, octets.take(_PLAIN.get(opcode, 0))]


def _switch(opcode: int, start: int, octets: Octets) -> list[object]:
    octets.take(-octets.position % 4)  # how much padding there is depends on where it stands
    read: list[object] = [opcode, _Jump(start + octets.signed(4))]
    if opcode == TABLESWITCH:
        low, high = octets.signed(4), octets.signed(4)
        keys = range(low, high + 1)
        return [*read, low, *(_Jump(start + octets.signed(4)) for _ in keys)]
    for _ in range(octets.number(4)):
        read += [octets.signed(4), _Jump(start + octets.signed(4))]
    return read
