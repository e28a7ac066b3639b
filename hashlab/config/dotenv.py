"""Read files of NAME=value lines: .env, and the env_file of a service."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path

from hashlab.config.interpolation import Interpolation
from hashlab.config.report import Report, Wrong
from hashlab.config.sources import read_text

_BLANK = r"[^\S\n]"
_NOTHING = re.compile(r"(?:\s+|#[^\n]*)+")
# Compose also accepts the notation of YAML, 'NAME: value', and array names such as A[0].
_NAME = re.compile(
    rf"(?:export{_BLANK}+)?(?P<name>[\w.\[\]-]+){_BLANK}*(?:(?P<sign>[=:]){_BLANK}*|(?=\n)|\Z)"
)
_QUOTED = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
_PLAIN = re.compile(r"[^\n]*")
_ESCAPE = re.compile(r"\\([abfnrtv$\\]|0[0-7]{3})")
_ESCAPED = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)) | {"$": "$$", "\\": "\\"}
_HINT = 'Write NAME=value or NAME="a b".'


def read_dotenv(
    path: Path,
    *,
    environ: Mapping[str, str],
    report: Report,
    earlier: Mapping[str, str] = {},
    raw: bool = False,
) -> dict[str, str]:
    """Return the variables of ``path``. With ``raw``, values are taken literally, quotes and all.

    A name without '=' takes its value from ``environ``. Values may contain variables of it, then
    of earlier lines, then of ``earlier`` files.
    """
    text = read_text(path, report)
    if text is None:
        return {}
    return dict(
        _raw_lines(text, environ, report) if raw else _lines(text, environ, earlier, report)
    )


def _raw_lines(text: str, environ: Mapping[str, str], report: Report) -> Iterator[tuple[str, str]]:
    """Yield the variables as ``docker run --env-file`` reads them."""
    for number, line in enumerate(text.split("\n"), start=1):
        written = line.removesuffix("\r").lstrip()
        if not written or written.startswith("#"):
            continue
        name, equals, value = written.partition("=")
        if not name or re.search(r"\s", name):
            report.add(number, "not a line of the form NAME=value", "Write NAME=value.")
        elif equals:
            yield name, value
        elif name in environ:
            yield name, environ[name]


def _lines(
    text: str, environ: Mapping[str, str], earlier: Mapping[str, str], report: Report
) -> Iterator[tuple[str, str]]:
    """Yield the variables as Compose reads them: comments, quotes, escapes, variables."""
    variables: dict[str, str] = {}
    interpolation = Interpolation(ChainMap(dict(environ), variables, dict(earlier)), report)
    at, counted, line = 0, 0, 1
    while (at := _end(_NOTHING, text, at)) < len(text):
        line, counted = line + text.count("\n", counted, at), at
        match = _NAME.match(text, at)
        if match is None:
            report.add(line, "not a line of the form NAME=value", _HINT)
            at = _end(_PLAIN, text, at)
            continue
        if not match["sign"]:
            at, value = match.end(), environ.get(match["name"])
        else:
            at, value = _value(text, match.end(), line, interpolation)
        if value is not None:
            variables[match["name"]] = value
    yield from variables.items()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, line: int, interpolation: Interpolation) -> tuple[int, str | None]:
    """Return the index behind the value at ``at``, and the value; None if it is not valid."""
    quoted = _QUOTED.match(text, at)
    if quoted is None:
        end = _end(_PLAIN, text, at)
        value = text[at:end].partition(" #")[0].rstrip()
        if value.startswith("# "):
            message = "the value begins with '#': only behind a value does ' #' begin a comment"
            interpolation.report.note(line, message)
    else:
        end, quote = quoted.end(), quoted[1]
        value = quoted[2].replace("\\" + quote, quote)
        if quote == "'":
            return end, value
        value = _ESCAPE.sub(_escaped, value)
    try:
        if quoted is None and value[:1] in ("'", '"'):
            raise Wrong(line, "a quote is not closed", _HINT)
        return end, interpolation.text(value, line)
    except Wrong as wrong:
        interpolation.report.add_wrong(wrong)
        return end, None


def _escaped(match: re.Match[str]) -> str:
    escape = match[1]
    octal = int(escape[1:], 8) if escape[0] == "0" else 0
    return chr(octal) if 0 < octal < 256 else _ESCAPED.get(escape, match[0])
