"""Read the environment of a service: its own variables override those of its env_files."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hashlab.config.artifacts import absolute
from hashlab.config.compose.scalars import Pairs, boolean, pairs
from hashlab.config.dotenv import read_dotenv
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Table, list_of, one_of, table, text
from hashlab.config.report import Wrong
from hashlab.config.sources import is_file

_RESERVED = "HASHLAB_BUILD"

ENV_FILE_KEYS = Table(
    noun="an env_file",
    readers={"path": text, "required": boolean, "format": one_of("raw")},
    required=("path",),
    expected="a path, or a mapping with path, required and format",
)


def environment(node: Node, context: Context) -> Pairs:
    """Read variables. A name alone takes its value from the laptop; None if it is not set there."""
    variables = pairs(node, context)
    if any(name == _RESERVED for name, _ in variables):
        message = f"hashlab sets {_RESERVED} itself"
        context.report.add(node.key_line, message, "Use another name.")
    return tuple(
        (name, context.environ.get(name) if value is None else value) for name, value in variables
    )


class EnvFile(NamedTuple):
    """One env_file or label_file of a service. ``shown``: its path as messages name it."""

    path: Path
    shown: str
    raw: bool = False


def env_file(node: Node, context: Context) -> tuple[EnvFile, ...]:
    """Read one or several paths of files of NAME=value lines, relative to the Compose file."""
    items = node.value if isinstance(node.value, list) else [node]
    listed = Node(items, node.line)
    files = list_of(_file, "a path or a list of paths")(listed, context)
    return tuple(file for file in files if file is not None)


def _file(node: Node, context: Context) -> EnvFile | None:
    if isinstance(node.value, str):
        written, required, raw = text(node, context), True, False
    else:
        draft = table(ENV_FILE_KEYS)(node, context)
        written, raw = draft.get("path", ""), draft.has("format")
        required = draft.get("required", True)
        if not written:
            return None
    path = absolute(context.folder, written)
    if not required and not is_file(path):
        context.report.add_source(path)
        return None
    hint = "Create it, or write {path: …, required: false}."
    return _existing(written, "env_file", node.line, context, hint=hint)._replace(raw=raw)


def _existing(
    written: str, what: str, line: int, context: Context, *, hint: str = "Create it."
) -> EnvFile:
    path = absolute(context.folder, written)
    context.report.add_source(path)
    if not is_file(path):
        raise Wrong(line, f"the {what} '{written}' does not exist", hint)
    return EnvFile(path, str(Path(context.report.file).parent / written))


def label_file(node: Node, context: Context) -> tuple[EnvFile, ...]:
    """Read one or several paths of files of NAME=value lines that are labels."""
    items = node.value if isinstance(node.value, list) else [node]

    def read(item: Node, context: Context) -> EnvFile:
        return _existing(text(item, context), "label_file", item.line, context)

    return list_of(read, "a path or a list of paths")(node.holding(items), context)


def read_env_files(files: Iterable[EnvFile], own: Pairs, context: Context) -> Pairs:
    """Return the variables of all env_files; later files override earlier ones.

    Their values may contain variables of the laptop, of the service (``own``) and of earlier files,
    in this order.
    """
    variables: dict[str, str] = {}
    of_service = {name: value for name, value in own if value is not None}
    known = ChainMap(dict(context.environ), of_service)
    for file in files:
        report = context.report.for_file(file.shown)
        variables |= read_dotenv(
            file.path, environ=known, earlier=variables, report=report, raw=file.raw
        )
    return tuple(variables.items())


def merged(env_files: Pairs, own: Pairs) -> tuple[tuple[str, str], ...]:
    """Return the variables of a container. A variable that is None in ``own`` is left out."""
    together = {**dict(env_files), **dict(own)}
    return tuple((name, value) for name, value in together.items() if value is not None)
