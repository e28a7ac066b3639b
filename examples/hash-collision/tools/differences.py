"""Compares a loaded class with a class file, and says in words what differs."""

from __future__ import annotations

from bytecode import Instruction, instructions
from classfile import ClassFile, Key, Method, Type
from running import Running

STATIC_INITIALISER, CONSTRUCTOR, LAMBDA = "<clinit>", "<init>", "lambda$"
SYNTHETIC = 0x1000
MOST_WORDS = 4
# The flags that the language knows. A JVM keeps notes of its own among the others.
FIELD_FLAGS, METHOD_FLAGS = 0x50DF, 0x15FF
_BASIC = {
    "B": "byte",
    "C": "char",
    "D": "double",
    "F": "float",
    "I": "int",
    "J": "long",
    "S": "short",
    "V": "void",
    "Z": "boolean",
}


def changed_methods(running: Running, file: ClassFile) -> set[Key]:
    """The methods of both whose code differs. Raises Malformed."""
    known = running.pool.symbols()
    changed = set()
    for key in running.methods.keys() & file.methods.keys():
        old, new = running.methods[key].code, file.methods[key].code
        if old is None or new is None:
            if old is not new:
                changed.add(key)
            continue
        wanted, bootstraps = instructions(new, file.pool)
        # The JVM does not tell which bootstrap arguments a call has, but which ones it could have.
        arguments = {symbol for one in bootstraps for symbol in file.bootstraps[one]}
        if wanted != instructions(old, running.pool)[0] or not arguments <= known:
            changed.add(key)
    return changed


def exchanged_lambdas(running: Running, file: ClassFile, changed: set[Key]) -> list[Key]:
    """The lambdas that now have the number which another one had.

    An object made of the old one would do what the other one should.
    """
    keys = [key for key in changed if key[0].startswith(LAMBDA)]
    before = {key: _instructions(running, running.methods[key]) for key in keys}
    after = {key: _instructions(file, file.methods[key]) for key in keys}
    return sorted(
        key for key in keys if any(after[key] == before[one] for one in keys if one != key)
    )


def _instructions(type_: Type, method: Method) -> list[Instruction]:
    return instructions(method.code or b"", type_.pool)[0]


def schema(running: Running, file: ClassFile) -> list[str]:
    """What differs in the members, which no JVM exchanges: one clause for each."""
    words = _lambdas(running, file)
    words += [
        f"it {verb} the {_kind(flags)}method {shown(key)}"
        for verb, key, flags in _one_sided(
            {key: method.flags for key, method in running.methods.items()},
            {key: method.flags for key, method in file.methods.items()},
        )
        if not key[0].startswith(LAMBDA)
    ]
    words += [
        f"it {verb} the field {key[0]} ({_type(key[1])[0]})"
        for verb, key, _ in _one_sided(running.fields, file.fields)
    ]
    words += [
        f"it changes the modifiers of the method {shown(key)}"
        for key in file.methods
        if key in running.methods
        and (running.methods[key].flags ^ file.methods[key].flags) & METHOD_FLAGS
    ]
    words += [
        f"it changes the modifiers of the field {key[0]}"
        for key in file.fields
        if key in running.fields and (running.fields[key] ^ file.fields[key]) & FIELD_FLAGS
    ]
    if len(words) > MOST_WORDS:
        words = [*words[:MOST_WORDS], f"and {len(words) - MOST_WORDS} more changes of its members"]
    return words


def stale(running: Running, file: ClassFile) -> str | None:
    """How the loaded class is not what the file says; None when it is. Raises Malformed."""
    differs = schema(running, file)
    if differs:
        return "in the running process it is without these changes: " + "; ".join(differs)
    changed = sorted(changed_methods(running, file))
    if changed:
        more = f" and {len(changed) - 1} more methods" if len(changed) > 1 else ""
        return f"the running process has other code of {shown(changed[0])}{more}"
    missing = file.pool.symbols() - running.pool.symbols()
    if missing:
        return f"the running process lacks its constant {_constant(min(missing, key=repr))}"
    return None


def shown(key: Key) -> str:
    """A method as people write it: name and types of the parameters."""
    name, descriptor = key
    parameters, rest = [], descriptor[1:]
    while rest and rest[0] != ")":
        parameter, rest = _type(rest)
        parameters.append(parameter)
    if name == STATIC_INITIALISER:
        return "its static initialiser"
    if name == CONSTRUCTOR:
        name = "the constructor "
    if name.startswith(LAMBDA):
        return f"a lambda in {_enclosing(name)}()"
    return f"{name}({', '.join(parameters)})"


def _lambdas(running: Running, file: ClassFile) -> list[str]:
    """javac makes each lambda a method and numbers them: count, where names would mislead."""
    before, after = _counted(running), _counted(file)
    words = [
        f"it {'adds' if after.get(name, 0) > before.get(name, 0) else 'removes'} a lambda in"
        f" {name}(), of which the compiler makes a method"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, 0) != after.get(name, 0)
    ]
    names = [{key for key in one.methods if key[0].startswith(LAMBDA)} for one in (running, file)]
    if not words and names[0] != names[1]:
        words = ["its lambdas are numbered differently, or take other values along"]
    return words


def _counted(type_: Type) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, _ in type_.methods:
        if name.startswith(LAMBDA):
            enclosing = _enclosing(name)
            counts[enclosing] = counts.get(enclosing, 0) + 1
    return counts


def _enclosing(name: str) -> str:
    """The method that a lambda stands in: lambda$NAME$NUMBER."""
    return name[len(LAMBDA) :].rpartition("$")[0]


def _one_sided(before: dict[Key, int], after: dict[Key, int]) -> list[tuple[str, Key, int]]:
    added = [("adds", key, after[key]) for key in sorted(after.keys() - before.keys())]
    return added + [("removes", key, before[key]) for key in sorted(before.keys() - after.keys())]


def _kind(flags: int) -> str:
    return "compiler's own " if flags & SYNTHETIC else ""


def _type(descriptor: str) -> tuple[str, str]:
    """The first type of a descriptor, without its package, and the rest of the descriptor."""
    if descriptor[0] == "[":
        name, rest = _type(descriptor[1:])
        return f"{name}[]", rest
    if descriptor[0] == "L":
        name, _, rest = descriptor[1:].partition(";")
        return name.rpartition("/")[2].replace("$", "."), rest
    return _BASIC.get(descriptor[0], descriptor[0]), descriptor[1:]


def _constant(symbol: tuple[object, ...]) -> str:
    words = [
        part.decode("utf-8", "backslashreplace") if isinstance(part, bytes) else str(part)
        for part in symbol
    ]
    return " ".join(words)[:120]
