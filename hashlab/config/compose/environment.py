"""Read the environment of a service: its own variables override those of its env_files."""

from __future__ import annotations

from pathlib import Path

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


def env_file(node: Node, context: Context) -> Pairs:
    """Read one or several files of NAME=value lines. Later files override earlier ones."""
    items = node.value if isinstance(node.value, list) else [node]
    merged_variables: dict[str, str] = {}
    listed = Node(items, node.line)
    for variables in list_of(_file, "a path or a list of paths")(listed, context):
        merged_variables.update(variables)
    return tuple(merged_variables.items())


def _file(node: Node, context: Context) -> dict[str, str]:
    if isinstance(node.value, str):
        written, required, raw = text(node, context), True, False
    else:
        draft = table(ENV_FILE_KEYS)(node, context)
        written, raw = draft.get("path", ""), draft.has("format")
        required = draft.get("required", True)
        if not written:
            return {}
    path = absolute(context.folder, written)
    context.report.add_source(path)
    if not is_file(path):
        if required:
            hint = "Create it, or write {path: …, required: false}."
            raise Wrong(node.line, f"the env_file '{written}' does not exist", hint)
        return {}
    report = context.report.for_file(str(Path(context.report.file).parent / written))
    return read_dotenv(path, environ=context.environ, report=report, raw=raw)


def merged(env_files: Pairs, own: Pairs) -> tuple[tuple[str, str], ...]:
    """Return the variables of a container. A variable that is None in ``own`` is left out."""
    together = {**dict(env_files), **dict(own)}
    return tuple((name, value) for name, value in together.items() if value is not None)
