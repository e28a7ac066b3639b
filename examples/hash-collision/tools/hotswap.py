#!/usr/bin/env python3
"""Puts changed classes into the running JVM of a service, and reads back what it runs.

    hotswap.py swap     replaces the code of loaded classes and tells the process its build id
    hotswap.py prove    compares the code of loaded classes with class files

hashlab says by HASHLAB_DEBUGGER where the JVM takes a debugger, or a first word HOST:PORT does.
What is asked for comes as JSON on stdin, what came of it goes as JSON to stdout. Imports little,
because it runs at every refresh.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable

import debugport
import jdwp
from classfile import FINAL, ClassFile, Key, Malformed
from differences import (
    CONSTRUCTOR,
    LAMBDA,
    STATIC_INITIALISER,
    changed_methods,
    exchanged_lambdas,
    schema,
    shown,
    stale,
)
from running import INITIALIZED, PREPARED, Loaded, Process, Running, Unable

# Where the application keeps which build it is, and which class files were swapped in.
BUILD_CLASS, BUILD_ID, BUILD_CLASSES = "hashcollision.common.Build", "id", "swapped"
# Marks methods that ran when the process started, and will not run again.
AT_START = "Lhashcollision/common/AtStart;"
# How long a thread may be at work in a method before it counts as one that stays there.
WORK_SECONDS = 0.3
POLL_SECONDS = 0.05
USAGE = 2

ERRORS = {
    60: "the JVM does not take it for a class file",
    61: "it inherits from itself",
    62: "its bytecode does not pass the JVM's checks",
    63: "it adds a method",
    64: "it adds, removes or changes a field",
    66: "its superclass or its interfaces change",
    67: "it removes a method",
    68: "it was compiled for a newer Java than the one that runs",
    69: "the class file has another name than the class",
    70: "its modifiers (such as public, final, abstract) change",
    71: "it changes the modifiers of a method",
    72: "it changes its nest, the components of a record, or what may extend it",
}


class NotTaken(Exception):
    """The process goes on as it was, or must be started anew; the text says why."""


class Wrong(Exception):
    """The tool was called in a way that it does not understand."""


class Order:
    """What hashlab asks for: the build id, and which files of the container lie where here."""

    __slots__ = ("build", "files")

    def __init__(self, text: str) -> None:
        try:
            told = json.loads(text)
            self.build: str = told["build"]
            self.files: dict[str, str] = told["files"]
        except (ValueError, TypeError, KeyError) as error:
            raise Wrong(f"the order on stdin cannot be read: {error!r}") from error


class Files:
    """The class files of an order by path in the container; of the others, what is wrong."""

    def __init__(self, order: Order) -> None:
        self.classes: dict[str, ClassFile] = {}
        self.others: dict[str, str] = {}
        for path, local in order.files.items():
            if not path.endswith(".class"):
                self.others[path] = "it is no class file, and such files are read at the start"
                continue
            try:
                with open(local, "rb") as opened:  # noqa: PTH123 - pathlib costs time here
                    self.classes[path] = ClassFile(opened.read())
            except Malformed as error:
                self.others[path] = f"it is no whole class file: {error}"


def swap(process: Process, order: Order) -> str:
    """Replaces all or nothing; how much it was. Raises NotTaken."""
    files = Files(order)
    for path, why in files.others.items():
        raise NotTaken(f"{path}: {why}")
    classes = {file.name: file for file in files.classes.values()}
    found = process.loaded([*classes, BUILD_CLASS])
    build = _build(found[BUILD_CLASS])
    loaded = [one for name in classes for one in found[name]]
    running = process.read([one for one in loaded if one.status & PREPARED])
    changed = [(one, changed_methods(one, classes[one.name])) for one in running]
    for one, methods in changed:
        _check(process, one, classes[one.name], methods)
    _wait_for_work(process, changed)
    _redefine(process, loaded, running, classes)
    names = {one.name for one in loaded}
    _tell(process, build, order.build, {name: classes[name] for name in names})
    waiting = len(classes) - len(names)
    parts = [_count(len(names))] if names else []
    if waiting:
        parts.append(f"{waiting if names else _count(waiting)} not loaded yet")
    return ", ".join(parts)


def _count(number: int) -> str:
    return "1 class" if number == 1 else f"{number} classes"


def prove(process: Process, order: Order) -> dict[str, str]:
    """The files that are not what runs, each with the reason. Raises NotTaken for all of them."""
    files = Files(order)
    found = process.loaded([*{file.name for file in files.classes.values()}, BUILD_CLASS])
    build = _build(found[BUILD_CLASS])
    shows, record = process.texts(build, [BUILD_ID, BUILD_CLASSES])
    if shows != order.build:
        raise NotTaken(f"the running process says it is build {shows}")
    digests = _digests(record)
    prepared = [
        one for file in files.classes.values() for one in found[file.name] if one.status & PREPARED
    ]
    running: dict[bytes, Running] = {one.loaded.reference: one for one in process.read(prepared)}
    answer = dict(files.others)
    for path, file in files.classes.items():
        for one in found[file.name]:
            why = _stale(running.get(one.reference), file, digests)
            if why:
                answer[path] = why
    return answer


def _stale(one: Running | None, file: ClassFile, digests: dict[str, str]) -> str | None:
    if one is None:
        return "the running process has loaded it, but not far enough to show its code"
    if digests.get(file.name, _digest(file)) != _digest(file):
        return "what was swapped in last is another file"
    return stale(one, file)


def _build(found: list[Loaded]) -> Loaded:
    """The class that holds the build id; before it is initialised, that would undo what is set."""
    ready = [one for one in found if one.status & INITIALIZED]
    if len(ready) != 1:
        raise NotTaken("the process has not come far enough in its start to know its build id")
    return ready[0]


def _check(process: Process, one: Running, file: ClassFile, changed: set[Key]) -> None:
    """Refuses changes that the JVM would take without effect."""
    why = _without_effect(process, one, file, changed)
    if why:
        raise NotTaken(f"{file.name}: {'; '.join([*_members(process, one, file), why])}")


def _without_effect(
    process: Process, one: Running, file: ClassFile, changed: set[Key]
) -> str | None:
    names = {name for name, _ in changed}
    if STATIC_INITIALISER in names and one.loaded.status & INITIALIZED:
        return "it changes what static fields begin as, and those have begun"
    if CONSTRUCTOR in names:
        count = process.instances([one.loaded])[0]
        if count:
            objects = "1 object is" if count == 1 else f"{count} objects are"
            return f"it changes a constructor or what fields begin as, and {objects} there already"
        if not file.flags & FINAL:
            return (
                "it changes a constructor or what fields begin as, and objects of its subclasses"
                " may be there already"
            )
    for key in sorted(changed):
        if _at_start(file, key[0]):
            return f"{shown(key)} runs only at the start of the process"
    exchanged = exchanged_lambdas(one, file, changed)
    if exchanged:
        where = shown(exchanged[0])
        return f"its lambdas have changed places, objects made of them would too ({where})"
    return None


def _at_start(file: ClassFile, name: str) -> bool:
    """Whether a method is marked as one that runs at the start, or is a lambda in such a method."""
    if AT_START in file.annotations:
        return True
    marked = {key[0] for key, method in file.methods.items() if AT_START in method.annotations}
    return name in marked or any(name.startswith(f"{LAMBDA}{one}$") for one in marked)


def _wait_for_work(process: Process, changed: list[tuple[Running, set[Key]]]) -> None:
    """Waits until every thread has left the changed methods once: what is at work stays old.

    Raises NotTaken for a thread that does not leave them, such as one that loops there.
    """
    watched = {
        (one.loaded.reference, identity): (one.name, key)
        for one, methods in changed
        for identity, key in one.ids.items()
        if key in methods
    }
    if not watched:
        return
    deadline = time.monotonic() + WORK_SECONDS * _patience()
    busy = {work for work in process.at_work() if work[:2] in watched}
    while busy:
        if time.monotonic() > deadline:
            work = min(busy)
            name, key = watched[work[:2]]
            raise NotTaken(
                f"{name}: {shown(key)} is at work in the thread {process.thread_name(work[2])} and"
                " would keep its old code until it returns"
            )
        time.sleep(POLL_SECONDS)
        busy &= process.at_work()


def _redefine(
    process: Process, loaded: list[Loaded], running: list[Running], classes: dict[str, ClassFile]
) -> None:
    if not loaded:
        return
    try:
        process.redefine([(one, classes[one.name].data) for one in loaded])
    except jdwp.Refused as refused:
        found = []
        for one in running:
            words = _members(process, one, classes[one.name])
            if words:
                found.append(f"{one.name}: {'; '.join(words)}")
        names = ", ".join(sorted({one.name for one in loaded}))
        plain = ERRORS.get(refused.code, f"the JVM refuses it with error {refused.code}")
        raise NotTaken("; ".join(found) or f"{names}: {plain}") from refused


def _members(process: Process, one: Running, file: ClassFile) -> list[str]:
    """What differs in the hierarchy and in the members: one clause for each."""
    above, beside = process.hierarchy(one.loaded)
    words = []
    if above != file.superclass:
        words.append(f"it extends {file.superclass} and no longer {above}")
    if sorted(beside) != sorted(file.interfaces):
        before, after = (", ".join(names) or "nothing" for names in (beside, file.interfaces))
        words.append(f"it implements {after}, before {before}")
    return words + schema(one, file)


def _tell(process: Process, build: Loaded, shows: str, classes: dict[str, ClassFile]) -> None:
    """Sets the build id, and notes which class files are in, in the process itself."""
    digests = _digests(process.texts(build, [BUILD_CLASSES])[0])
    digests.update({name: _digest(file) for name, file in classes.items()})
    record = "\n".join(f"{name} {digest}" for name, digest in sorted(digests.items()))
    process.set_texts(build, {BUILD_ID: shows, BUILD_CLASSES: record})


def _digests(record: str | None) -> dict[str, str]:
    return dict(line.split(" ") for line in (record or "").splitlines())


def _digest(file: ClassFile) -> str:
    return hashlib.blake2b(file.data, digest_size=16).hexdigest()


def _patience() -> float:
    text = os.environ.get("HASHLAB_PATIENCE", "1")
    try:
        return max(float(text), 1.0)
    except ValueError as error:
        raise Wrong(f"HASHLAB_PATIENCE is no number: {text}") from error


def _with_process(place: str, act: Callable[[Process], object]) -> object:
    """What comes of an act on the JVM at a place. Raises NotTaken for whatever is in its way."""
    try:
        connection = jdwp.Connection(debugport.place(place), _patience())
    except jdwp.Unreachable as error:
        raise NotTaken(str(error)) from error
    try:
        return act(Process(connection))
    except (jdwp.Lost, jdwp.Refused, Unable) as error:
        raise NotTaken(str(error)) from error
    finally:
        connection.end()


def answer(place: str, word: str, order: Order) -> dict[str, object]:
    """What the tool prints."""
    if word == "swap":
        try:
            detail = _with_process(place, lambda process: swap(process, order))
        except NotTaken as reason:
            return {"taken": False, "why": str(reason)}
        return {"taken": True, "detail": detail}
    try:
        return {"stale": _with_process(place, lambda process: prove(process, order))}
    except NotTaken as reason:
        return {"stale": dict.fromkeys(order.files, str(reason))}


def main(words: list[str]) -> int:
    """The exit code: 0 for every answer, 2 for a call that cannot be understood."""
    try:
        if len(words) not in (1, 2) or words[-1] not in ("swap", "prove"):
            raise Wrong("usage: hotswap.py [HOST:PORT] swap|prove < ORDER.json")
        place = words[0] if len(words) == 2 else ""
        print(json.dumps(answer(place, words[-1], Order(sys.stdin.read()))))
    except (Wrong, debugport.Wrong) as wrong:
        print(f"hotswap: {wrong}", file=sys.stderr)
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
