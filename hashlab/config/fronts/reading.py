"""Read ``front`` of ``[services.NAME]`` of hashlab.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from hashlab.config.fronts.haproxy import Mode
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Table, mismatch, one_of, table, text


@dataclass(frozen=True)
class Front:
    """The settings of a front. ``machine`` "": hashlab chooses; ``image`` "": HAProxy of Debian;
    ``line``: its place in hashlab.toml.
    """

    mode: Mode = "http"
    machine: str = ""
    image: str = ""
    line: int = 0


_KEYS = Table(
    noun="a front",
    readers={"mode": one_of("http", "tcp"), "machine": text, "image": text},
    expected='true, or a table such as { mode = "tcp", machine = "web" }',
    language="toml",
)


def read_front(node: Node, context: Context) -> Front | None:
    """Read the value of ``front``: true, false, or a table of settings."""
    if isinstance(node.value, bool):
        return Front(line=node.line) if node.value else None
    if not isinstance(node.value, dict):
        raise mismatch(node, _KEYS.expected, "Write front = true, without quotes.")
    draft = table(_KEYS)(node, context)
    return Front(
        mode=cast("Mode", draft.get("mode", "http")),
        machine=draft.get("machine", ""),
        image=draft.get("image", ""),
        line=node.line or node.key_line,
    )
