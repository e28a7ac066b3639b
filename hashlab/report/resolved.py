"""The screen of `hashlab config`: a lab in Compose's shape, as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

import yaml

from hashlab.config.yaml_nodes import resolve_plain
from hashlab.report.terminal import write

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH = 100


class _Dumper(_BASE):  # type: ignore[misc]
    """Writes strings so that YAML 1.1 and Compose's YAML 1.2 both read them as strings."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _string(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    if text and not isinstance(resolve_plain(text), str):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def show_resolved(shape: Mapping[str, Any], *, stream: TextIO) -> None:
    """Write a lab in Compose's shape: exact to a pipe or a file, cleaned to a terminal."""
    utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    text = yaml.dump(shape, Dumper=_Dumper, sort_keys=False, allow_unicode=utf8, width=_WIDTH)
    if stream.isatty():
        write(stream, text)
    else:
        stream.write(text)
