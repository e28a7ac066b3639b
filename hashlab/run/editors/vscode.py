"""VS Code's launch.json: an entry that attaches to a service, and its place in the file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path, PurePath

from hashlab.config.model import Debugger
from hashlab.run.editors.jsonc import Value, parse

FILE = PurePath(".vscode/launch.json")
VERSION = "0.2.0"
_INDENT = "    "


def entry(name: str, debugger: Debugger, port: int, root: Path) -> dict[str, object]:
    """Return the entry of launch.json. ``port``: of 127.0.0.1; ``root``: the opened folder."""
    sources = _relative(debugger.sources, root)
    common: dict[str, object] = {"name": name, "request": "attach"}
    host = "127.0.0.1"
    match debugger.kind:
        case "jdwp":
            own: dict[str, object] = {
                "type": "java",
                "hostName": host,
                "port": port,
                "sourcePaths": [sources],
            }
        case "debugpy":
            own = {
                "type": "debugpy",
                "connect": {"host": host, "port": port},
                "pathMappings": [{"localRoot": sources, "remoteRoot": debugger.inside}],
            }
        case "inspector":
            own = {
                "type": "node",
                "address": host,
                "port": port,
                "localRoot": sources,
                "remoteRoot": debugger.inside,
            }
        case "delve":
            own = {
                "type": "go",
                "mode": "remote",
                "host": host,
                "port": port,
                "substitutePath": [{"from": sources, "to": debugger.inside}],
            }
    return {**common, **own}


def _relative(sources: Path, root: Path) -> str:
    if not sources.is_relative_to(root):
        return str(sources)
    below = sources.relative_to(root).as_posix()
    return "${workspaceFolder}" if below == "." else f"${{workspaceFolder}}/{below}"


def added(text: str, own: dict[str, object]) -> str:
    """Return the text of launch.json with an entry. If it has one of this name, only its port
    changes. Raises ValueError if the text has no place for it.
    """
    if not text.strip():
        return f"{json.dumps({'version': VERSION, 'configurations': [own]}, indent=4)}\n"
    tree = parse(text)
    if tree.members is None:
        raise ValueError("it is not an object")
    listed = tree.members.get("configurations")
    if listed is None:
        member = f'{_INDENT}"configurations": [\n{_shown(own)}\n{_INDENT}]'
        return _appended(text, tree, list(tree.members.values()), member, closing="")
    if listed.items is None:
        raise ValueError("'configurations' is not a list")
    for item in listed.items:
        if item.members and (name := item.members.get("name")) and name.plain == own["name"]:
            return _with_port(text, item, own)
    return _appended(text, listed, listed.items, _shown(own), closing=_INDENT)


def _shown(own: dict[str, object]) -> str:
    return textwrap.indent(json.dumps(own, indent=4), _INDENT * 2)


def _appended(
    text: str, container: Value, existing: Sequence[Value], lines: str, *, closing: str
) -> str:
    """Put lines behind the last member or item of a container. ``closing``: the indentation of its
    closing bracket, if that has no line of its own.
    """
    end = container.end - 1
    body = text[:end].rstrip()
    gap = text[len(body) : end]
    if existing and not container.comma:
        last = existing[-1].end
        body = f"{body[:last]},{body[last:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    more = f"\n{lines}".replace("\n", newline)
    return f"{body}{more}{gap if newline in gap else newline + closing}{text[end:]}"


def _with_port(text: str, item: Value, own: dict[str, object]) -> str:
    members = item.members or {}
    if "type" not in members or members["type"].plain != own["type"]:
        raise ValueError(f"its entry {own['name']!r} is of another debugger: remove it")
    if "connect" in own:
        members = members["connect"].members or {} if "connect" in members else {}
        connect = own["connect"]
        port = connect["port"] if isinstance(connect, dict) else None
    else:
        port = own["port"]
    place = members.get("port")
    if place is None:
        raise ValueError(f"its entry {own['name']!r} has no port")
    return f"{text[: place.start]}{port}{text[place.end :]}"
