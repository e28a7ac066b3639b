"""The classes of a running JVM: reads them, replaces their code, sets what their fields hold."""

from __future__ import annotations

import jdwp
from classfile import ABSTRACT, NATIVE, Key, Method, Pool, Type
from octets import Octets

PREPARED, INITIALIZED = 2, 4
CAN_GET_BYTECODES, CAN_REDEFINE, CAN_COUNT, CAN_GET_CONSTANTS = 2, 7, 15, 19
NO_CODE = NATIVE | ABSTRACT
MEMBER_FLAGS = 0xFFFF  # above them the JVM keeps bits of its own
EVERY_FRAME = b"\xff\xff\xff\xff"
TRIES = 5


class Unable(Exception):
    """The JVM can be reached, but not do what is needed; the text says what."""


class Loaded:
    """A class that a JVM has loaded: its id, how far it has come, and its name."""

    __slots__ = ("name", "reference", "status")

    def __init__(self, name: str, reference: bytes, status: int) -> None:
        self.name = name
        self.reference = reference
        self.status = status


class Running(Type):
    """A loaded class with its code, and the ids of its methods."""

    def __init__(
        self,
        loaded: Loaded,
        pool: Pool,
        fields: dict[Key, int],
        methods: dict[Key, Method],
        ids: dict[bytes, Key],
    ) -> None:
        super().__init__(loaded.name, pool, fields, methods)
        self.loaded = loaded
        self.ids = ids


class Process:
    """A JVM at the other end of a connection. Raises Unable when it lacks what is needed."""

    def __init__(self, connection: jdwp.Connection) -> None:
        self._connection = connection
        able = connection.begin()
        if not (able[CAN_REDEFINE] and able[CAN_GET_BYTECODES] and able[CAN_GET_CONSTANTS]):
            raise Unable("this JVM can neither replace nor show the code of its classes")
        self._can_count = able[CAN_COUNT]

    def loaded(self, names: list[str]) -> dict[str, list[Loaded]]:
        """The loaded classes of each name: none, one, or one for each class loader that has it."""
        asks = [(jdwp.CLASSES_BY_SIGNATURE, _text(_signature(name))) for name in names]
        found: dict[str, list[Loaded]] = {}
        for name, reply in zip(names, self._connection.ask(asks), strict=True):
            found[name] = []
            for _ in range(reply.good().number(4)):
                reply.take(1)  # class or interface
                found[name].append(Loaded(name, reply.id("type"), reply.number(4)))
        return found

    def read(self, classes: list[Loaded]) -> list[Running]:
        """The members, constants and code of classes. All must be prepared. Raises Refused."""
        kinds = (jdwp.FIELDS, jdwp.METHODS, jdwp.CONSTANT_POOL)
        replies = iter(
            self._connection.ask([(kind, one.reference) for one in classes for kind in kinds])
        )
        read = []
        for one in classes:
            fields = {key: flags for _, key, flags in _members(next(replies), "field")}
            methods = _members(next(replies), "method")
            made = {key: Method(flags, None) for _, key, flags in methods}
            ids = {identity: key for identity, key, _ in methods}
            read.append(Running(one, _pool(next(replies)), fields, made, ids))
        self._read_code(read)
        return read

    def _read_code(self, classes: list[Running]) -> None:
        wanted = [
            (one.methods[key], one.loaded.reference + identity)
            for one in classes
            for identity, key in one.ids.items()
            if not one.methods[key].flags & NO_CODE
        ]
        replies = self._connection.ask([(jdwp.BYTECODES, data) for _, data in wanted])
        for (method, _), reply in zip(wanted, replies, strict=True):
            method.code = reply.good().take(reply.number(4))

    def redefine(self, classes: list[tuple[Loaded, bytes]]) -> None:
        """Replaces the code of all these classes, or of none. Raises Refused."""
        data = b"".join(
            one.reference + len(content).to_bytes(4, "big") + content for one, content in classes
        )
        self._connection.one(jdwp.REDEFINE_CLASSES, len(classes).to_bytes(4, "big") + data)

    def hierarchy(self, loaded: Loaded) -> tuple[str, list[str]]:
        """Names of the superclass and of the interfaces of a class."""
        above, beside = self._connection.ask(
            [(jdwp.SUPERCLASS, loaded.reference), (jdwp.INTERFACES, loaded.reference)]
        )
        ids = [beside.id("type") for _ in range(beside.good().number(4))]
        if not above.error:  # an interface has no superclass
            ids.insert(0, above.id("type"))
        replies = self._connection.ask([(jdwp.SIGNATURE, one) for one in ids])
        names = [reply.good().text()[1:-1].replace("/", ".") for reply in replies]
        return ("java.lang.Object", names) if above.error else (names[0], names[1:])

    def instances(self, classes: list[Loaded]) -> list[int]:
        """How many objects of each class can be reached. The JVM stands while it counts."""
        if not self._can_count or not classes:
            return [0] * len(classes)
        asked = b"".join(one.reference for one in classes)
        reply = self._connection.one(jdwp.INSTANCE_COUNTS, len(classes).to_bytes(4, "big") + asked)
        return [reply.number(8) for _ in range(reply.number(4))]

    def at_work(self) -> set[tuple[bytes, bytes, bytes]]:
        """Every method on a stack, as ids of class, method and thread.

        All threads stand for two round trips. They go on even if this process dies meanwhile,
        because its connection ends then.
        """
        connection = self._connection
        try:
            suspended, reply = connection.ask([(jdwp.SUSPEND, b""), (jdwp.ALL_THREADS, b"")])
            suspended.good()
            threads = [reply.id("object") for _ in range(reply.good().number(4))]
            stacks = connection.ask(
                [(jdwp.FRAMES, thread + bytes(4) + EVERY_FRAME) for thread in threads]
            )
        finally:
            connection.ask([(jdwp.RESUME, b"")])
        found: set[tuple[bytes, bytes, bytes]] = set()
        for thread, stack in zip(threads, stacks, strict=True):
            if stack.error:
                continue  # a thread that has not begun, or has just ended, has no stack
            for _ in range(stack.number(4)):
                stack.id("frame")
                stack.take(1)  # class or interface
                found.add((stack.id("type"), stack.id("method"), thread))
                stack.take(8)  # where in the method
        return found

    def thread_name(self, thread: bytes) -> str:
        """What a thread is called. Raises Refused when it has ended."""
        return self._connection.one(jdwp.THREAD_NAME, thread).text()

    def texts(self, loaded: Loaded, names: list[str]) -> list[str | None]:
        """What static fields of type String hold. Raises Unable, Refused."""
        ids = self._field_ids(loaded, names)
        reply = self._connection.one(
            jdwp.GET_VALUES, loaded.reference + len(ids).to_bytes(4, "big") + b"".join(ids)
        )
        values = []
        for _ in range(reply.number(4)):
            reply.take(1)  # kind of value
            values.append(reply.id("object"))
        asked = [one for one in values if any(one)]
        replies = iter(self._connection.ask([(jdwp.STRING_VALUE, one) for one in asked]))
        return [next(replies).good().text() if any(one) else None for one in values]

    def set_texts(self, loaded: Loaded, values: dict[str, str]) -> None:
        """Sets static fields of type String, all at once. Raises Unable, Refused."""
        ids = self._field_ids(loaded, list(values))
        for left in reversed(range(TRIES)):
            try:
                pairs = zip(ids, map(self._string, values.values()), strict=True)
                data = b"".join(field + text for field, text in pairs)
                count = len(ids).to_bytes(4, "big")
                self._connection.one(jdwp.SET_VALUES, loaded.reference + count + data)
                return
            except jdwp.Refused as refused:
                # Until a new string is held on to, the JVM may collect it.
                if refused.code != jdwp.INVALID_OBJECT or not left:
                    raise

    def _string(self, text: str) -> bytes:
        created = self._connection.one(jdwp.CREATE_STRING, _text(text)).id("object")
        self._connection.one(jdwp.DISABLE_COLLECTION, created)
        return created

    def _field_ids(self, loaded: Loaded, names: list[str]) -> list[bytes]:
        members = _members(self._connection.one(jdwp.FIELDS, loaded.reference), "field")
        known = {key: identity for identity, key, _ in members}
        missing = [name for name in names if (name, "Ljava/lang/String;") not in known]
        if missing:
            raise Unable(f"{loaded.name} has no field {missing[0]} that is a String")
        return [known[(name, "Ljava/lang/String;")] for name in names]


def _members(reply: jdwp.Reply, kind: str) -> list[tuple[bytes, Key, int]]:
    found = []
    for _ in range(reply.good().number(4)):
        identity = reply.id(kind)
        key = (reply.text(), reply.text())
        found.append((identity, key, reply.number(4) & MEMBER_FLAGS))
    return found


def _pool(reply: jdwp.Reply) -> Pool:
    count = reply.good().number(4)
    return Pool(Octets(reply.take(reply.number(4))), count)


def _signature(name: str) -> str:
    return f"L{name.replace('.', '/')};"


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4, "big") + encoded
