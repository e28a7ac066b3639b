"""The screen of `hashlab config`: a lab in Compose's shape, as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from hashlab.config.yaml_text import yaml_text
from hashlab.report.terminal import write


def show_resolved(shape: Mapping[str, Any], *, stream: TextIO) -> None:
    """Write a lab in Compose's shape: exact to a pipe or a file, cleaned to a terminal."""
    utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    text = yaml_text(shape, utf8=utf8)
    if stream.isatty():
        write(stream, text)
    else:
        stream.write(text)
