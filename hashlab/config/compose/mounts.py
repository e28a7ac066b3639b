"""Read the mounts of a container: volumes, bind mounts, tmpfs."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from hashlab.config.artifacts import absolute
from hashlab.config.compose import keys
from hashlab.config.compose.scalars import boolean, container_path, file_mode, size, texts
from hashlab.config.model import BindMount, MachineMount, TmpfsMount, VolumeMount
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    At,
    Context,
    Draft,
    Table,
    either,
    list_of,
    one_of,
    table,
    text,
)
from hashlab.config.report import Wrong
from hashlab.config.sources import exists, is_folder, is_readable, refuse_state
from hashlab.config.units import compose_bytes

Mount = BindMount | MachineMount | VolumeMount | TmpfsMount

_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]")
_LONGEST_NAME = 255
_UPLOADED = "Write a path next to this file (./folder), which is uploaded, or name a volume."

# On a machine the lab's name is put in front; both together are the name of a folder.
VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}")
_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_NO_EFFECT = frozenset(("z", "Z", "cached", "delegated", "consistent"))
# Options that the engine passes on to mount(8).
_TMPFS_OPTION = re.compile(
    r"rw|ro|(no)?(exec|suid|dev|atime|diratime)|relatime|strictatime|r?private|r?shared|r?slave"
    r"|(uid|gid|nr_inodes|nr_blocks)=\d{1,10}[kmg]?|size=\d{1,3}%|mpol=\S+|mode=[0-7]{1,4}"
)
_EXPECTED = "a mount such as ./site:/srv/site"


BIND_KEYS = Table(
    noun="bind",
    readers={
        "create_host_path": boolean,
        "propagation": one_of(*sorted(_PROPAGATIONS)),
        "recursive": one_of("enabled", "disabled", "writable", "readonly"),
    },
    others=keys.MOUNT_BIND,
)
VOLUME_KEYS = Table(noun="volume", readers={"nocopy": boolean, "labels": texts, "subpath": text})
TMPFS_KEYS = Table(noun="tmpfs", readers={"size": size, "mode": file_mode})


def _mount_target(node: Node, context: Context) -> str:
    target = container_path(node, context)
    if target == "/":
        raise Wrong(node.line, "a mount cannot replace / of a container", "Name a folder.")
    return target


MOUNT_KEYS = Table(
    noun="a mount",
    readers={
        "type": one_of("bind", "volume", "tmpfs"),
        "source": text,
        "target": _mount_target,
        "read_only": boolean,
        "bind": table(BIND_KEYS),
        "volume": table(VOLUME_KEYS),
        "tmpfs": table(TMPFS_KEYS),
    },
    others=keys.MOUNT,
    required=("type", "target"),
    expected=_EXPECTED,
)


def volumes(node: Node, context: Context) -> tuple[At[Mount], ...]:
    """Read the volumes of a service: bind mounts, volumes and tmpfs, in short or long form."""
    groups = list_of(_mounts_of_item, "a list of mounts")(node, context)
    return tuple(At(mount, line) for group in groups for mount, line in group)


def _mounts_of_item(node: Node, context: Context) -> tuple[At[Mount], ...]:
    if isinstance(node.value, str):
        return (At(_short(node, context), node.line),)
    draft = table(MOUNT_KEYS)(node, context)
    if draft.get("type") is None or draft.get("target") is None:
        return ()
    return (At(_long(draft, node.line, context), node.line),)


def _short(node: Node, context: Context) -> Mount:
    source, *rest = text(node, context).split(":")
    if not rest:
        return VolumeMount("", target_of(source, node, context))
    if len(rest) > 2 or (len(source) == 1 and rest[0].startswith("\\")):
        raise Wrong(node.line, f"'{node.value}' is not a valid mount", "Write ./site:/srv/site:ro.")
    modes = _modes(rest[1], node.line, context) if len(rest) > 1 else frozenset()
    target, read_only = target_of(rest[0], node, context), "ro" in modes
    if VOLUME_NAME.fullmatch(source):
        return VolumeMount(source, target, read_only, nocopy="nocopy" in modes)
    options: dict[str, Any] = {"read_only": read_only}
    if propagation := modes & _PROPAGATIONS:
        options["propagation"] = min(propagation)
    return _bind(source, target, node.line, context, **options)


def target_of(written: str, node: Node, context: Context) -> str:
    """Read the path of a mount that is a part of ``node``."""
    return _mount_target(Node(written, node.line, raw=written), context)


def _modes(written: str, line: int, context: Context) -> frozenset[str]:
    modes = frozenset(filter(None, written.split(",")))
    for unknown in sorted(modes - {"ro", "rw", "nocopy"} - _PROPAGATIONS - _NO_EFFECT):
        message = f"the mount mode '{unknown}' is unknown: it has no effect, as in Compose"
        context.report.note(line, message)
    for mode in sorted(modes & _NO_EFFECT):
        why = "machines do not use SELinux" if mode in "zZ" else "a machine reads its own disk"
        context.report.note(line, f"the mount mode '{mode}' has no effect: {why}")
    return modes


def _bind(
    source: str, target: str, line: int, context: Context, *, create: bool = True, **options: Any
) -> Mount:
    """Return the mount of a path: of the machine if it is absolute, else of an uploaded one.

    ``create``: a missing folder is made, as Docker makes it.
    """
    path = _path(source, line, context)
    if path is None:
        message = "an absolute path is the machine's own, not the laptop's"
        context.report.note(line, message)
        source = posixpath.normpath(source).replace("//", "/", 1)
        return MachineMount(source, target, create=create, **options)
    upload, made = True, False
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in path.parts):
        raise Wrong(line, f"'{source}' has a name that is too long for a disk", "Shorten it.")
    context.report.add_source(path)
    if not exists(path) and not context.will_exist(path):
        if not create:
            hint = "Create it, or remove 'create_host_path: false'."
            raise Wrong(line, f"'{source}' does not exist", hint)
        made = True
        context.report.note(
            line, f"'{source}' does not exist here: an empty folder is made on the machine"
        )
    elif is_folder(path) and not is_readable(path):
        upload, made = False, True
        context.report.note(
            line, f"'{source}' is not uploaded: you may not read it, so it is the machine's data"
        )
    refuse_state(path, source, line)
    return BindMount(path, target, upload=upload, create=made, **options)


def on_laptop(source: str, line: int, context: Context) -> bool:
    """Return whether a source is a path of the laptop, not of the machine."""
    return _path(source, line, context) is not None


def _path(source: str, line: int, context: Context) -> Path | None:
    """Return the laptop's path behind a source; None for a path of the machine."""
    if _WINDOWS_PATH.match(source):
        message = f"'{source}' is a path of Windows, which machines do not have"
        raise Wrong(line, message, _UPLOADED)
    home = context.environ.get("HOME", "")
    in_home = source.startswith("~")
    if in_home:
        source = f"{home or '/home'}{source[1:]}"
    if not source.startswith("/"):
        if not source.startswith("."):
            message = f"'{source}' is neither the name of a volume nor a path"
            raise Wrong(line, message, f"For a path write ./{source}")
        return absolute(context.folder, source)
    path = absolute(context.folder, source)
    if path.is_relative_to(context.folder):
        return path
    if in_home or (home not in ("", "/") and path.is_relative_to(home)):
        message = f"'{source}' is in the laptop's home folder, which machines do not have"
        raise Wrong(line, message, _UPLOADED)
    return None


_OPTIONS = ("propagation", "recursive", "nocopy", "labels", "subpath")


def _long(draft: Draft, line: int, context: Context) -> Mount:
    for other in ("bind", "volume", "tmpfs"):
        if draft.has(other) and other != draft.get("type"):
            message = f"'{other}' does not belong to a mount of type {draft.get('type')}"
            raise Wrong(draft.line_of(other), message, "Remove it.")
    target, source = draft.get("target"), draft.get("source", "")
    read_only = draft.get("read_only", False)
    if draft.get("type") == "tmpfs":
        return TmpfsMount(target, **draft.get("tmpfs", Draft()).pick("size", "mode"))
    options = draft.get(draft.get("type"), Draft()).pick(*_OPTIONS)
    if draft.get("type") == "volume":
        if source and not VOLUME_NAME.fullmatch(source):
            hint = "Write type: bind for a path, or the name of a volume."
            raise Wrong(draft.line_of("source"), f"'{source}' is not a valid volume name", hint)
        return VolumeMount(source, target, read_only, **options)
    if not source:
        raise Wrong(line, "a bind mount needs 'source'", "Write source: ./folder")
    written = source.startswith((".", "/", "~")) or _WINDOWS_PATH.match(source)
    path = source if written else f"./{source}"
    create = draft.get("bind", Draft()).get("create_host_path", True)
    options |= {"read_only": read_only, "create": create}
    return _bind(path, target, draft.line_of("source"), context, **options)


def tmpfs(node: Node, context: Context) -> tuple[At[TmpfsMount], ...]:
    """Read tmpfs: a path or a list of paths, each with options such as /run:size=64m,mode=1770."""
    return either(_single_tmpfs, list_of(_tmpfs, "a path or a list of paths"), when=str)(
        node, context
    )


def _single_tmpfs(node: Node, context: Context) -> tuple[At[TmpfsMount], ...]:
    return (_tmpfs(node, context),)


def _tmpfs(node: Node, context: Context) -> At[TmpfsMount]:
    path, _, written = text(node, context).partition(":")
    numbers: dict[str, int] = {}
    others = []
    for option in filter(None, written.split(",")):
        name, _, value = option.partition("=")
        number = compose_bytes(value) if name == "size" else None
        if name == "mode" and re.fullmatch(r"[0-7]{1,4}", value):
            number = int(value, 8)
        if number is not None:
            numbers[name] = number
        elif _TMPFS_OPTION.fullmatch(option):
            others.append(option)
        else:
            hint = "Write /run:size=64m,mode=1770,noexec (mode is octal)."
            raise Wrong(node.line, f"the tmpfs option '{option}' is not supported", hint)
    mount = TmpfsMount(target_of(path, node, context), options=tuple(others), **numbers)
    return At(mount, node.line)
