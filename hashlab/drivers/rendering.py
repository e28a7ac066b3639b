"""Render Vagrantfile.j2, the one place where jinja2 is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2


def ruby(value: object) -> str:
    """Quote a plain value (string, number, list, None) as a Ruby literal."""
    if value is None:
        return "nil"
    # JSON literals are valid Ruby, except for interpolation in double quotes and for surrogate
    # pairs.
    return json.dumps(value, ensure_ascii=False).replace("#", "\\u0023")


def render_vagrantfile(values: Mapping[str, Any], *, template: Path | None = None) -> str:
    """Return the Vagrantfile for ``values``. An unset name is an error, never an empty string."""
    environment = jinja2.Environment(  # noqa: S701 - the result is Ruby, quoted by |ruby
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["ruby"] = ruby
    return environment.from_string(_source(template)).render(**values)


def _source(template: Path | None) -> str:
    if template is not None:
        return template.read_text(encoding="utf-8")
    return resources.files("hashlab").joinpath("Vagrantfile.j2").read_text(encoding="utf-8")
