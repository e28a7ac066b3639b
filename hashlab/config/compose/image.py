"""Read the image of a service: its name, or how to build it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hashlab.config.artifacts import absolute
from hashlab.config.compose import keys
from hashlab.config.compose.host_settings import unless_blank
from hashlab.config.compose.running import extra_hosts
from hashlab.config.compose.scalars import pairs, size, texts
from hashlab.config.compose.secret_files import secrets as build_secrets
from hashlab.config.model import Build
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Table, matching, one_of, table, text
from hashlab.config.report import Wrong
from hashlab.config.sources import exists, is_file, is_folder, refuse_state
from hashlab.errors import ConfigError
from hashlab.inputs.contexts import read_patterns

UNREADABLE = "Check its permissions."
IMAGE_CONTEXT = "docker-image://"
SERVICE_CONTEXT = "service:"
_AGENT = "default"
_REMOTE = re.compile(r"[a-z+]+://|git@|github\.com/")

_image = matching(
    r"(?:[A-Za-z0-9.-]+(?::\d{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    "'{value}' is not a valid image name",
    "Write name, name:tag or registry/name:tag in lower case.",
)


def image(node: Node, context: Context) -> str:
    """Read the name of an image."""
    if isinstance(node.value, str) and node.value.endswith(":"):
        message = f"the image '{node.value}' has no tag after ':'"
        raise Wrong(node.line, message, "Is a variable not set? Write one, or ${NAME:-latest}.")
    return _image(node, context)


def _args(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read build arguments; a name alone takes its value from the environment."""
    return tuple(
        (name, context.environ[name] if value is None else value)
        for name, value in pairs(node, context)
        if value is not None or name in context.environ
    )


def _contexts(node: Node, context: Context) -> tuple[tuple[str, Path | str], ...]:
    """Read further contexts: folders of the laptop, images as docker-image://NAME, or those of
    services as service:NAME.
    """
    contexts: list[tuple[str, Path | str]] = []
    for name, value in texts(node, context):
        if value.startswith((IMAGE_CONTEXT, SERVICE_CONTEXT)):
            contexts.append((name, value))
        else:
            folder = _folder(value, node.key_line, context)
            _check_ignore_file(folder, None, context)
            contexts.append((name, folder))
    return tuple(contexts)


def context_service(context: Path | str) -> str:
    """Return the service whose image is a further context, or ""."""
    is_service = isinstance(context, str) and context.startswith(SERVICE_CONTEXT)
    return str(context).removeprefix(SERVICE_CONTEXT) if is_service else ""


def _secrets(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read the secrets of a build; each is known to the Dockerfile by its target."""
    found = build_secrets(node, context)
    return tuple((at.value.target.rpartition("/")[2], at.value.name) for at in found)


def _ssh(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read the SSH agent ("default", "") and keys that a build may use, by id. A key is a file of
    the laptop, or the socket of an agent.
    """
    if isinstance(node.value, str):
        node = node.holding([node])
    found: list[tuple[str, str]] = []
    for name, value in pairs(node, context):
        if not value and name != _AGENT:
            message = f"the SSH key '{name}' has no file"
            raise Wrong(node.key_line, message, f"Write {name}=FILE, or default for your agent.")
        home = context.environ.get("HOME", "") if value and value.startswith("~/") else ""
        path = f"{home}{value[1:]}" if home and value else value
        found.append((name, str(absolute(context.folder, path)) if path else ""))
    return tuple(found)


BUILD_KEYS = Table(
    noun="build",
    readers={
        "context": unless_blank(text),
        "dockerfile": unless_blank(text),
        "dockerfile_inline": text,
        "args": _args,
        "target": unless_blank(text),
        "labels": texts,
        "network": unless_blank(one_of("default", "host", "none")),
        "shm_size": size,
        "extra_hosts": extra_hosts,
        "additional_contexts": _contexts,
        "secrets": _secrets,
        "ssh": _ssh,
    },
    others=keys.BUILD,
    expected="a folder or a mapping with context, dockerfile, args and target",
)
_AS_THEY_ARE = (
    *("args", "target", "dockerfile_inline", "labels", "network", "shm_size", "extra_hosts"),
    *("additional_contexts", "secrets", "ssh"),
)


def build(node: Node, context: Context) -> Build:
    """Read a build: a mapping, or just the folder."""
    if isinstance(node.value, str):
        node = node.holding({"context": node} if node.value else {})
    draft = table(BUILD_KEYS)(node, context)
    folder = _folder(draft.get("context") or ".", draft.line_of("context"), context)
    line, dockerfile = draft.line_of("dockerfile"), None
    if draft.has("dockerfile_inline"):
        if draft.has("dockerfile"):
            message = "'dockerfile' and 'dockerfile_inline' exclude each other"
            raise Wrong(line, message, "Keep one of the two.")
    else:
        dockerfile = _dockerfile(folder, draft.get("dockerfile") or "Dockerfile", line, context)
    _check_ignore_file(folder, dockerfile, context)
    return Build(folder, dockerfile, **draft.pick(*_AS_THEY_ARE))


def _check_ignore_file(folder: Path, dockerfile: Path | None, context: Context) -> None:
    """Report a .dockerignore that Docker refuses, with the file's own name and line."""
    try:
        read_patterns(folder, dockerfile)
    except ConfigError as error:
        for path in error.sources:
            context.report.add_source(path)
        for problem in error.problems:
            name = os.path.relpath(problem.file, context.folder)
            context.report.for_file(name).add(problem.line, problem.message, problem.hint)
    except OSError as error:
        name = os.path.relpath(str(error.filename), context.folder)
        context.report.for_file(name).add(0, f"cannot be read: {error.strerror}", UNREADABLE)


def _folder(written: str, line: int, context: Context) -> Path:
    if _REMOTE.match(written):
        hint = "Clone it next to this file and name the folder."
        raise Wrong(line, f"the build context '{written}' is not on the laptop", hint)
    path = absolute(context.folder, written or ".")
    if not is_folder(path) and not context.will_exist(path):
        what = "is a file, not a folder" if exists(path) else "does not exist"
        raise Wrong(line, f"the build context '{written}' {what}", "Name the Dockerfile's folder.")
    refuse_state(path, written, line)
    return path


def _dockerfile(folder: Path, written: str, line: int, context: Context) -> Path:
    path = absolute(folder, written)
    if not is_file(path) and not context.will_exist(path):
        hint = "Write the file, or name another one with 'dockerfile' (relative to the context)."
        raise Wrong(line, f"the build context {folder.name} has no file '{written}'", hint)
    return path
