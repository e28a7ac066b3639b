"""Class files as values: members, code and constants, the latter as symbols instead of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from octets import Octets, Truncated

Symbol = tuple[object, ...]
Key = tuple[str, str]  # name and descriptor of a member

MAGIC = 0xCAFEBABE
FINAL, NATIVE, ABSTRACT = 0x0010, 0x0100, 0x0400

UTF8, INTEGER, FLOAT, LONG, DOUBLE, NAME_AND_TYPE, METHOD_HANDLE = 1, 3, 4, 5, 6, 12, 15
_NUMBERS = {INTEGER: ("Integer", 4), FLOAT: ("Float", 4), LONG: ("Long", 8), DOUBLE: ("Double", 8)}
_NAMED = {7: "Class", 8: "String", 16: "MethodType", 19: "Module", 20: "Package"}
_MEMBERS = {9: "Fieldref", 10: "Methodref", 11: "InterfaceMethodref"}
_DYNAMIC = {17: "Dynamic", 18: "InvokeDynamic"}


class Malformed(ValueError):
    """These bytes are no class file."""


class Pool:
    """A constant pool. Two pools number the same constants differently; their symbols are equal.

    The symbol of a dynamic constant leaves its bootstrap method out: that is a number into a table
    which a running JVM does not show.
    """

    def __init__(self, octets: Octets, count: int) -> None:
        self._entries: list[tuple[int, bytes]] = [(0, b"")] * count
        self._symbols: dict[int, Symbol] = {}
        index = 1
        while index < count:
            tag = octets.number(1)
            self._entries[index] = (tag, octets.take(_size(tag, octets)))
            index += 2 if tag in (LONG, DOUBLE) else 1

    def symbol(self, index: int) -> Symbol:
        """The constant at an index, in full."""
        found = self._symbols.get(index)
        if found is None:
            found = self._symbols[index] = self._resolve(index)
        return found

    def text(self, index: int) -> str:
        """The text of a Utf8 constant."""
        tag, raw = self._entry(index)
        if tag != UTF8:
            raise Malformed(f"constant {index} is no text")
        return raw.decode("utf-8", "backslashreplace")

    def symbols(self) -> set[Symbol]:
        """All constants."""
        return {self.symbol(index) for index, (tag, _) in enumerate(self._entries) if tag}

    def bootstrap(self, index: int) -> int | None:
        """The number of the bootstrap method of a dynamic constant; None for any other."""
        tag, raw = self._entry(index)
        return int.from_bytes(raw[:2], "big") if tag in _DYNAMIC else None

    def _entry(self, index: int) -> tuple[int, bytes]:
        if not 0 < index < len(self._entries):
            raise Malformed(f"there is no constant {index}")
        return self._entries[index]

    def _resolve(self, index: int) -> Symbol:
        tag, raw = self._entry(index)
        if tag == UTF8:
            return ("Utf8", raw)
        if tag in _NUMBERS:
            return (_NUMBERS[tag][0], raw)
        first, second = int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:], "big")
        if tag in _NAMED:
            return (_NAMED[tag], self._entry(first)[1])
        if tag == NAME_AND_TYPE:
            return ("NameAndType", self._entry(first)[1], self._entry(second)[1])
        if tag in _MEMBERS:
            return (_MEMBERS[tag], self.symbol(first)[1], *self.symbol(second)[1:])
        if tag == METHOD_HANDLE:
            return ("MethodHandle", raw[0], self.symbol(int.from_bytes(raw[1:], "big")))
        if tag in _DYNAMIC:
            return (_DYNAMIC[tag], *self.symbol(second)[1:])
        raise Malformed(f"constant {index} is missing")


def _size(tag: int, octets: Octets) -> int:
    if tag == UTF8:
        return octets.number(2)
    if tag in _NUMBERS:
        return _NUMBERS[tag][1]
    if tag in _NAMED:
        return 2
    if tag == METHOD_HANDLE:
        return 3
    if tag == NAME_AND_TYPE or tag in _MEMBERS or tag in _DYNAMIC:
        return 4
    raise Malformed(f"a constant of the unknown kind {tag}")


class Method:
    """A method: flags, code (None for one without), and the types of its annotations."""

    __slots__ = ("annotations", "code", "flags")

    def __init__(
        self, flags: int, code: bytes | None, annotations: frozenset[str] = frozenset()
    ) -> None:
        self.flags = flags
        self.code = code
        self.annotations = annotations


class Type:
    """A class as a file or a running JVM has it: what both can tell."""

    def __init__(
        self, name: str, pool: Pool, fields: dict[Key, int], methods: dict[Key, Method]
    ) -> None:
        self.name = name
        self.pool = pool
        self.fields = fields
        self.methods = methods


class ClassFile(Type):
    """A class file, as far as its code goes. Raises Malformed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        try:
            self._read(Octets(data))
        except (Truncated, IndexError) as error:
            raise Malformed(str(error)) from error

    def _read(self, octets: Octets) -> None:
        if octets.number(4) != MAGIC:
            raise Malformed("it does not begin like one")
        octets.take(4)  # versions
        pool = Pool(octets, octets.number(2))
        self.flags = octets.number(2)
        name = _class_name(pool, octets.number(2))
        self.superclass = _class_name(pool, octets.number(2))
        self.interfaces = [_class_name(pool, octets.number(2)) for _ in range(octets.number(2))]
        fields = {key: flags for flags, key, _ in _members(octets, pool)}
        methods = {
            key: Method(flags, _code(attributes), _annotations(attributes, pool))
            for flags, key, attributes in _members(octets, pool)
        }
        super().__init__(name, pool, fields, methods)
        attributes = dict(_attributes(octets, pool))
        self.bootstraps = _bootstraps(attributes, pool)
        self.annotations = _annotations(attributes, pool)


def _class_name(pool: Pool, index: int) -> str:
    if not index:
        return ""  # only java.lang.Object has no superclass
    return str(pool.symbol(index)[1], "utf-8", "backslashreplace").replace("/", ".")  # type: ignore[call-overload,no-any-return]


def _members(octets: Octets, pool: Pool) -> list[tuple[int, Key, dict[str, bytes]]]:
    found = []
    for _ in range(octets.number(2)):
        flags = octets.number(2)
        key = (pool.text(octets.number(2)), pool.text(octets.number(2)))
        found.append((flags, key, dict(_attributes(octets, pool))))
    return found


def _attributes(octets: Octets, pool: Pool) -> list[tuple[str, bytes]]:
    return [
        (pool.text(octets.number(2)), octets.take(octets.number(4)))
        for _ in range(octets.number(2))
    ]


def _code(attributes: dict[str, bytes]) -> bytes | None:
    attribute = attributes.get("Code")
    if attribute is None:
        return None
    octets = Octets(attribute, 4)
    return octets.take(octets.number(4))


def _bootstraps(attributes: dict[str, bytes], pool: Pool) -> Sequence[frozenset[Symbol]]:
    """For each bootstrap method of the file: the method and its arguments."""
    octets = Octets(attributes.get("BootstrapMethods", b"\0\0"))
    found = []
    for _ in range(octets.number(2)):
        method = pool.symbol(octets.number(2))
        arguments = [pool.symbol(octets.number(2)) for _ in range(octets.number(2))]
        found.append(frozenset((method, *arguments)))
    return found


def _annotations(attributes: dict[str, bytes], pool: Pool) -> frozenset[str]:
    octets = Octets(attributes.get("RuntimeInvisibleAnnotations", b"\0\0"))
    return frozenset(_annotation(octets, pool) for _ in range(octets.number(2)))


def _annotation(octets: Octets, pool: Pool) -> str:
    """The type of the next annotation; its values are read over."""
    kind = pool.text(octets.number(2))
    for _ in range(octets.number(2)):
        octets.take(2)
        _skip_value(octets, pool)
    return kind


def _skip_value(octets: Octets, pool: Pool) -> None:
    tag = octets.take(1)
    if tag == b"e":
        octets.take(4)
    elif tag == b"@":
        _annotation(octets, pool)
    elif tag == b"[":
        for _ in range(octets.number(2)):
            _skip_value(octets, pool)
    else:
        octets.take(2)
