"""Reads the label hashlab.debug of a service: where its debugger listens, and its sources."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast, get_args

from hashlab.config.artifacts import absolute
from hashlab.config.model import BindMount, Debugger, DebuggerKind, Watch
from hashlab.config.readers import Context, Draft
from hashlab.config.report import Wrong, suggestion
from hashlab.config.sources import is_folder

DEBUG_LABEL = "hashlab.debug"
_EXAMPLE = 'Write "jdwp 5005 ./src/main/java" or "debugpy 5678 ./app:/app".'
_HIGHEST_PORT = 65535


def debugger_of(draft: Draft, watched: Iterable[Watch], context: Context) -> Debugger | None:
    """Return the debugger of a service with this label; None without one. Reports what is wrong.
    ``watched``: the watch rules of the service.
    """
    written = dict(draft.get("labels", ())).get(DEBUG_LABEL)
    if written is None:
        return None
    line = draft.line_of("labels" if draft.has("labels") else "label_file")
    mounts = [at.value for at in draft.get("volumes", ()) if isinstance(at.value, BindMount)]
    try:
        return _read(written, line, [*mounts, *_synchronised(watched)], context)
    except Wrong as wrong:
        context.report.add_wrong(wrong)
        return None


def _synchronised(watched: Iterable[Watch]) -> Iterable[Watch]:
    return (rule for rule in watched if rule.synchronises and rule.target)


def _read(
    written: str, line: int, shown: Iterable[BindMount | Watch], context: Context
) -> Debugger:
    """Read KIND PORT FOLDER[:CONTAINERFOLDER]. Raises Wrong."""
    words = written.split()
    if len(words) != 3:
        message = f"'{DEBUG_LABEL}' needs three words: the debugger, its port and the sources"
        raise Wrong(line, message, _EXAMPLE)
    kind, port, place = words
    kinds = get_args(DebuggerKind)
    if kind not in kinds:
        hint = suggestion(kind, list(kinds), otherwise=f"One of: {', '.join(kinds)}.")
        raise Wrong(line, f"unknown debugger '{kind}' in '{DEBUG_LABEL}'", hint)
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= _HIGHEST_PORT:
        raise Wrong(line, f"'{port}' is not a valid port number", "Write 1 to 65535.")
    folder, _, inside = place.partition(":")
    sources = absolute(context.folder, folder)
    if not context.will_exist(sources) and not is_folder(sources):
        raise Wrong(line, f"the folder '{folder}' of '{DEBUG_LABEL}' does not exist", "Create it.")
    inside = inside or _place(sources, shown)
    if kind != "jdwp" and not inside.startswith("/"):
        message = f"'{DEBUG_LABEL}' does not say where the container has the folder '{folder}'"
        raise Wrong(line, message, f'Write "{kind} {port} {folder}:/FOLDER".')
    return Debugger(cast(DebuggerKind, kind), int(port), sources, inside)


def _place(sources: Path, shown: Iterable[BindMount | Watch]) -> str:
    """Return where a mount or a watch rule shows a folder of the laptop in the container, or ""."""
    for each in shown:
        top = each.source if isinstance(each, BindMount) else each.path
        if sources.is_relative_to(top):
            return each.place(sources)
    return ""
