"""Read all Compose files of a lab as one tree: overrides, extends, include, several documents."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hashlab.config.artifacts import absolute
from hashlab.config.compose.merging import finished, merge
from hashlab.config.compose.rebasing import rebased, with_defaults
from hashlab.config.dotenv import read_dotenv
from hashlab.config.interpolation import Interpolation
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    Context,
    Draft,
    Table,
    entries_of,
    list_of,
    table,
    text,
)
from hashlab.config.report import Report, Wrong, suggestion
from hashlab.config.sources import exists, is_blank, is_file, read_text
from hashlab.config.yaml_nodes import read_yaml

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")
_RESOURCES = ("services", "volumes", "networks", "secrets", "configs", "models")
_MAX_INCLUDES = 20
_EXPECTED = "a mapping with services"


class _Project(NamedTuple):
    """The circumstances of a file: the start of its relative paths, its variables, and the files
    that include it.
    """

    folder: Path
    environ: Mapping[str, str]
    includes: tuple[Path, ...] = ()


class _File(NamedTuple):
    """A file with services that others may extend."""

    path: Path
    services: Mapping[str, Node]
    project: _Project


def _paths(node: Node, context: Context) -> tuple[str, ...]:
    """Read one path or a list of paths. A file on the network is refused."""
    nodes = node.value if isinstance(node.value, list) else [node]
    paths = list_of(text, "a path or a list of paths", empty=False)(node.holding(nodes), context)
    for path in paths:
        _check_local(path, node.line)
    return paths


def _check_local(path: str, line: int) -> None:
    if _REMOTE.match(path):
        message = f"'{path}' is not on the laptop: Compose files are not read from the network"
        raise Wrong(line, message, "Download it, and name the file.")


INCLUDE_KEYS = Table(
    noun="an include",
    readers={"path": _paths, "project_directory": text, "env_file": _paths},
    required=("path",),
    expected="a path, or a mapping with path, project_directory and env_file",
)
EXTENDS_KEYS = Table(
    noun="extends",
    readers={"service": text, "file": text},
    required=("service",),
    expected="a service, or a mapping with service and file",
)


class Loader:
    """Reads the Compose files of one lab; each once, also if several services extend it.

    Messages name files relative to ``lab``.
    """

    def __init__(self, report: Report, lab: Path) -> None:
        self._report = report
        self._lab = lab
        self._parsed: dict[Path, list[Node]] = {}
        self._replaced: dict[tuple[Path, int], tuple[Mapping[str, str], list[Node]]] = {}

    def name(self, paths: Sequence[Path], environ: Mapping[str, str]) -> str:
        """Return the name that the files give the project: that of the last one, or ""."""
        names = [
            entry
            for path in paths
            for document in self._documents(path)
            if isinstance(document.value, dict)
            and (entry := document.value.get("name")) is not None
        ]
        if not names or not isinstance(names[-1].value, str):
            return ""
        value = Interpolation(environ, Report("")).tree(names[-1]).value
        return value if isinstance(value, str) else ""

    def tree(self, paths: Sequence[Path], context: Context) -> Node | None:
        """Return the files as one tree that the readers of keys understand.

        Later files override earlier ones. Relative paths in the result start at the context's
        folder; variables are replaced. None if the files are empty or a problem was reported.
        """
        try:
            tree = self._files(paths, _Project(context.folder, context.environ))
            return None if tree is None else finished(tree, self._report)
        except Wrong as wrong:
            self._report.add_wrong(wrong)
            return None

    def _files(self, paths: Sequence[Path], project: _Project) -> Node | None:
        tree: Node | None = None
        for path in paths:
            inner = project._replace(includes=(*project.includes, path))
            for document in self._interpolated(path, project):
                node = self._with_extends(self._with_includes(document, inner), path, project)
                tree = node if tree is None else merge(tree, node)
        return tree

    def _documents(self, path: Path) -> list[Node]:
        if path not in self._parsed:
            report = self._report_for(path)
            content = read_text(path, report)
            blank = content is None or is_blank(content)
            self._parsed[path] = [] if blank else read_yaml(content or "", report) or []
        return self._parsed[path]

    def _interpolated(self, path: Path, project: _Project) -> list[Node]:
        key = (path, id(project.environ))
        if key not in self._replaced:
            interpolation = Interpolation(project.environ, self._report_for(path))
            documents = [_replaced(each, interpolation) for each in self._documents(path)]
            self._replaced[key] = project.environ, documents
        return self._replaced[key][1]

    def _report_for(self, path: Path) -> Report:
        return self._report.for_file(self._shown(path))

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path, self._lab)

    def _with_includes(self, document: Node, project: _Project) -> Node:
        entries = dict(entries_of(document, _EXPECTED))
        node = entries.pop("include", None)
        if node is None or node.value is None:
            return document.holding(entries)
        context = Context(self._report, project.folder, project.environ)

        def included(item: Node, context: Context) -> Node | None:
            return self._included(item, project, context)

        for tree in list_of(included, "a list of files")(node, context):
            entries = _imported(tree, entries)
        return document.holding(entries)

    def _included(self, item: Node, project: _Project, context: Context) -> Node | None:
        """Return the tree of one entry of ``include``, its paths relative to the project."""
        if isinstance(item.value, dict):
            draft = table(INCLUDE_KEYS)(item, context)
        else:
            draft = Draft(item.line, values={"path": _paths(item, context)})
        paths = [absolute(project.folder, path) for path in draft.get("path", ())]
        if not paths:
            return None
        for path in paths:
            self._check_file(path, item.line)
        if paths[0] in project.includes or len(project.includes) > _MAX_INCLUDES:
            raise Wrong(item.line, "this file includes itself", "Remove one of the includes.")
        written = draft.get("project_directory")
        folder = absolute(project.folder, written) if written else paths[0].parent
        environ = self._environ(draft, folder, item.line, project)
        tree = self._files(paths, _Project(folder, environ, project.includes))
        if tree is None:
            return None
        return rebased(with_defaults(tree, environ), os.path.relpath(folder, project.folder))

    def _environ(
        self, draft: Draft, folder: Path, line: int, project: _Project
    ) -> Mapping[str, str]:
        """Return the variables of an included file: those of the project win over its own."""
        files = [absolute(project.folder, each) for each in draft.get("env_file", ())]
        for path in files:
            self._check_file(path, line)
        if not files:
            files = [folder / ".env"]
            self._report.add_source(files[0])
        own: dict[str, str] = {}
        for path in filter(is_file, files):
            known = {**own, **project.environ}
            own.update(read_dotenv(path, environ=known, report=self._report_for(path)))
        return {**own, **project.environ} if own else project.environ

    def _check_file(self, path: Path, line: int) -> None:
        self._report.add_source(path)
        if not exists(path):
            raise Wrong(
                line,
                f"the file '{self._shown(path)}' does not exist",
                "Write it, or correct the path.",
            )

    def _with_extends(self, document: Node, path: Path, project: _Project) -> Node:
        entries = dict(entries_of(document, _EXPECTED))
        node = entries.get("services")
        if node is None or not isinstance(node.value, dict):
            return document
        file = _File(path, node.value, project)
        services: dict[str, Node] = {}
        for name, service in node.value.items():
            try:
                services[name] = self._extended(name, file, ())
            except Wrong as wrong:
                self._report.add_wrong(wrong)
                services[name] = _without_extends(service)
        return document.holding({**entries, "services": node.holding(services)})

    def _extended(self, name: str, file: _File, chain: tuple[tuple[Path, str], ...]) -> Node:
        """Return a service merged with the one that it extends."""
        service = file.services[name]
        if not isinstance(service.value, dict) or "extends" not in service.value:
            return service
        node = service.value["extends"]
        if (file.path, name) in chain:
            names = " → ".join((*(each for _, each in chain), name))
            raise Wrong(node.line, f"services extend each other: {names}", "Remove one 'extends'.")
        draft = _extends(node, Context(self._report, file.project.folder))
        base_name, other = draft.get("service", ""), file
        if draft.has("file"):
            other = self._other(draft.get("file", ""), node.line, file.project)
        if base_name not in other.services:
            message = f"{self._shown(other.path)} has no service '{base_name}'"
            hint = suggestion(base_name, list(other.services), otherwise="Correct the name.")
            raise Wrong(node.line, message, hint)
        base = self._extended(base_name, other, (*chain, (file.path, name)))
        if other.project.folder != file.project.folder:
            prefix = os.path.relpath(other.project.folder, file.project.folder)
            base = rebased(base, prefix, "services.*")
        merged = merge(base, _without_extends(service), "services.*")
        return merged.under_key(service.key_line)

    def _other(self, written: str, line: int, project: _Project) -> _File:
        """Return the file that ``extends`` names. Its own includes do not count, as in Compose."""
        _check_local(written, line)
        path = absolute(project.folder, written)
        self._check_file(path, line)
        tree: Node | None = None
        for document in self._interpolated(path, project):
            tree = document if tree is None else merge(tree, document)
        node = None if tree is None else entries_of(tree, _EXPECTED).get("services")
        services = node.value if node is not None and isinstance(node.value, dict) else {}
        return _File(path, services, project._replace(folder=path.parent))


def _replaced(document: Node, interpolation: Interpolation) -> Node:
    entries = entries_of(document, _EXPECTED)
    return document.holding(
        {
            key: child if key.startswith("x-") else interpolation.tree(child)
            for key, child in entries.items()
        }
    )


def _without_extends(service: Node) -> Node:
    entries = service.value if isinstance(service.value, dict) else {}
    return service.holding({key: node for key, node in entries.items() if key != "extends"})


def _extends(node: Node, context: Context) -> Draft:
    if isinstance(node.value, str):
        return Draft(node.line, values={"service": text(node, context)})
    return table(EXTENDS_KEYS)(node, context)


def _imported(tree: Node | None, entries: dict[str, Node]) -> dict[str, Node]:
    """Return the entries of a file with the resources of a file that it includes.

    The including file overrides them.
    """
    if tree is None:
        return entries
    included = entries_of(tree, _EXPECTED)
    resources = {key: included[key] for key in _RESOURCES if key in included}
    own = {key: entries[key] for key in resources if key in entries}
    merged = {
        key: merge(node, own[key], key) if key in own else node for key, node in resources.items()
    }
    return {**entries, **merged}
