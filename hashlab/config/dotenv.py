"""Read files of NAME=value lines: .env, and the env_file of a service."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from hashlab.config.interpolation import Interpolation
from hashlab.config.report import Report, Wrong
from hashlab.config.sources import read_text

_LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*
    (?:=[ \t]*(?:
        "(?P<double>(?:[^"\\]|\\.)*)"[ \t]*(?:\#[^\n]*)?
      | '(?P<single>[^']*)'[ \t]*(?:\#[^\n]*)?
      | (?P<plain>[^"'\n][^\n]*)?
    ))?(?=\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def read_dotenv(
    path: Path, *, environ: Mapping[str, str], report: Report, raw: bool = False
) -> dict[str, str]:
    """Return the variables of ``path``. With ``raw``, values are taken literally, quotes and all.

    A name without '=' takes its value from ``environ``; ``environ`` overrides earlier lines.
    """
    text = read_text(path, report)
    if text is None:
        return {}
    return _raw(text) if raw else _parse(text, environ, report)


def _raw(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line.find("=") > 0 and line[0] != "#"]
    return {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}


def _parse(text: str, environ: Mapping[str, str], report: Report) -> dict[str, str]:
    variables: dict[str, str] = {}
    interpolation = Interpolation(ChainMap(dict(environ), variables), report)
    at, counted, line = 0, 0, 1
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        match = _BLANK.match(text, at) or _LINE.match(text, at)
        if match is None:
            report.add(line, "not a line of the form NAME=value", 'Write NAME=value or NAME="a b".')
            at = (text.find("\n", at) + 1) or len(text)
            continue
        at = match.end() + 1
        if match.re is not _LINE:
            continue
        try:
            if "=" in match[0]:
                variables[match["name"]] = _value(match, interpolation, line)
            elif match["name"] in environ:
                variables[match["name"]] = environ[match["name"]]
        except Wrong as wrong:
            report.add_wrong(wrong)
    return variables


def _value(match: re.Match[str], interpolation: Interpolation, line: int) -> str:
    if match["single"] is not None:
        return match["single"]
    if match["double"] is not None:
        escaped = re.sub(r"\\(.)", _escape, match["double"], flags=re.DOTALL)
        return interpolation.text(escaped, line)
    plain = re.sub(r"(^|[ \t])#.*$", "", match["plain"] or "")
    return interpolation.text(plain.strip(), line)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
