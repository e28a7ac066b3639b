"""Read secrets and configs: where their content comes from, and how services mount them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hashlab.config.artifacts import absolute
from hashlab.config.compose import keys
from hashlab.config.compose.mounts import target_of
from hashlab.config.compose.scalars import file_mode, integer
from hashlab.config.model import Content
from hashlab.config.nodes import Node
from hashlab.config.readers import At, Context, Draft, Table, any_text, list_of, table, text
from hashlab.config.report import Wrong
from hashlab.config.sources import exists, is_file, is_folder

_LARGEST_ID = 2**31 - 1


class FileReference(NamedTuple):
    """A secret or config as a service refers to it. ``target`` is an absolute path."""

    name: str
    target: str
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


_owner = integer(low=0, high=_LARGEST_ID)
FILE_KEYS = Table(
    noun="a secret or config of a service",
    readers={
        "source": text,
        "target": text,
        "mode": file_mode,
        "uid": _owner,
        "gid": _owner,
    },
    required=("source",),
    expected="a name, or a mapping with source, target, mode, uid and gid",
)


def secrets(node: Node, context: Context) -> tuple[At[FileReference], ...]:
    """Read the secrets of a service. Each is mounted at /run/secrets/NAME."""
    return _references(node, context, "/run/secrets/")


def configs(node: Node, context: Context) -> tuple[At[FileReference], ...]:
    """Read the configs of a service. Each is mounted at /NAME."""
    return _references(node, context, "/")


def _references(node: Node, context: Context, folder: str) -> tuple[At[FileReference], ...]:
    def read(item: Node, context: Context) -> At[FileReference]:
        if isinstance(item.value, str):
            name = text(item, context)
            return At(FileReference(name, folder + name), item.line)
        draft = table(FILE_KEYS)(item, context)
        source = draft.get("source", "")
        target = draft.get("target", source)
        if not target.startswith("/"):
            target = folder + target
        target = target_of(target, Node(target, draft.line_of("target")), context)
        own = draft.pick("mode", "uid", "gid")
        return At(FileReference(source, target, **own), item.line)

    return list_of(read, "a list of names")(node, context)


def _secret_file(node: Node, context: Context) -> Path:
    """Read the file of a secret; return its absolute path.

    An empty file is refused, except one that hashlab generates: the service would run without a
    secret.
    """
    path = _file(node, context)
    if is_file(path) and path.stat().st_size == 0 and not context.will_exist(path):
        raise Wrong(node.line, f"'{node.value}' is empty, so it is not a secret", "Write it.")
    return path


def _file(node: Node, context: Context) -> Path:
    """Read the file of a secret or config; return its absolute path."""
    written = text(node, context)
    path = absolute(context.folder, written)
    if is_folder(path):
        raise Wrong(node.line, f"'{written}' is a folder, not a file", "Name one file.")
    if exists(path) and not is_file(path):
        raise Wrong(node.line, f"'{written}' is not a regular file", "Name one file.")
    if not exists(path) and not context.will_exist(path):
        hint = f'Create it, or add "{path.name}" to [secrets] generate of hashlab.toml.'
        if path.parent.name != "secrets" or path.parent.parent.name != ".hashlab":
            hint = 'Create it, or use ./.hashlab/secrets/NAME with [secrets] generate = ["NAME"].'
        raise Wrong(node.line, f"'{written}' does not exist", hint)
    return path


def _variable(node: Node, context: Context) -> Content | None:
    """Read the variable that holds a secret or config. None means that it is not set, which is
    reported if a service mounts it.
    """
    name = text(node, context)
    value = context.environ.get(name)
    return None if value is None else Content(value, environment=name)


def _content(node: Node, context: Context) -> Content:
    return Content(any_text(node, context))


SECRET_KEYS = Table(
    noun="a secret",
    readers={"file": _secret_file, "environment": _variable},
    others=keys.SECRET,
    expected="a mapping with file or environment",
)
CONFIG_KEYS = Table(
    noun="a config",
    readers={"file": _file, "environment": _variable, "content": _content},
    others=keys.CONFIG,
    expected="a mapping with file, environment or content",
)


def secret(node: Node, context: Context) -> Draft:
    """Read one secret of the top level."""
    return _with_one_source(SECRET_KEYS, node, context)


def config(node: Node, context: Context) -> Draft:
    """Read one config of the top level."""
    return _with_one_source(CONFIG_KEYS, node, context)


def _with_one_source(rows: Table, node: Node, context: Context) -> Draft:
    draft = table(rows)(node, context)
    given = [key for key in rows.readers if draft.has(key)]
    if len(given) > 1:
        message = f"'{given[0]}' and '{given[1]}' of {rows.noun} exclude each other"
        context.report.add(draft.line_of(given[1]), message, "Keep one of the two.")
    elif not given and not draft.has("external"):
        known = ", ".join(rows.readers)
        context.report.add(draft.line, f"{rows.noun} needs one of: {known}", "Write file: ./PATH")
    return draft


def source_of(draft: Draft) -> Path | Content | None:
    """Return what a secret or config consists of; None if its variable is not set."""
    source: Path | Content | None = draft.get("file") or draft.get("environment")
    return source or draft.get("content")
