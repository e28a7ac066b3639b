"""Writes values as YAML that every reader understands in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from hashlab.config.yaml_nodes import resolve_plain

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


def yaml_text(value: Mapping[str, Any], *, utf8: bool = True) -> str:
    """Return a mapping of plain values as YAML, its keys in their order. Without ``utf8`` it is
    ASCII.
    """
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=utf8, width=_WIDTH)
    return text
