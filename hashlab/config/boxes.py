"""Read and check [box.virtualbox]: a .box file by address and checksum, never by name."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hashlab.config.model import VirtualBoxBase
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Draft, text
from hashlab.config.report import Report, Wrong

# The user that a box of each kind lets in by SSH.
USERS = {"flatcar": "core", "debian": "vagrant"}
_EXAMPLE = 'Write the address of the .box file: url = "https://…/NAME.box" or "file:///…/NAME.box".'
_DIGITS = {"sha256": 64, "sha512": 128}
_NEEDED = 'Write [box.virtualbox] with url, checksum and kind = "flatcar" or "debian".'


def box_url(node: Node, context: Context) -> str:
    """Read the address of a .box file.

    Names are refused: Vagrant would look them up in HashiCorp's catalogue.
    """
    value = text(node, context)
    parts = _split(value)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", value) and not value.endswith(".box"):
        message = f"'{value}' is a name in HashiCorp's catalogue, which closes on 2026-12-31"
        raise Wrong(node.line, message, _EXAMPLE)
    whole = parts is not None and (
        (parts[0] in ("http", "https") and parts[1]) or (parts[0] == "file" and not parts[1])
    )
    if parts is None or not whole or not parts[2].startswith("/") or re.search(r"\s", value):
        raise Wrong(node.line, f"'{value}' is not the address of a .box file", _EXAMPLE)
    if parts[2].endswith(".json"):
        message = f"'{value}' is a list of boxes, not a box"
        raise Wrong(node.line, message, "Open it and write the url and checksum that it names.")
    return value


def _split(value: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(value)
        return parts.scheme, parts.hostname or "", parts.path
    except ValueError:
        return None


def box_checksum(node: Node, context: Context) -> str:
    """Read a checksum of the form "sha256:…" or "sha512:…"."""
    value = text(node, context)
    kind, _, digits = value.partition(":")
    expected = _DIGITS.get(kind)
    hint = 'Write checksum = "sha256:…" with 64 digits 0-9 a-f, or "sha512:…" with 128.'
    if expected is None:
        raise Wrong(node.line, f"'{value}' does not begin with sha256: or sha512:", hint)
    if not re.fullmatch(f"[0-9a-f]{{{expected}}}", digits):
        raise Wrong(node.line, f"'{value}' is not a valid {kind} checksum", hint)
    return value


def check_virtualbox(box: Draft, lab: Draft, report: Report) -> None:
    """Report a missing [box.virtualbox]; note the keys that have no effect with its box."""
    if not box.has("virtualbox"):
        line = lab.line_of("provider")
        report.add(line, "the provider virtualbox needs [box.virtualbox]", _NEEDED)
        return
    base = box.get("virtualbox", Draft())
    if base.get("kind") == "flatcar" and box.get("packages"):
        message = "'packages' are not installed: Flatcar has no packages"
        report.note(box.line_of("packages"), message)


def virtualbox_of(box: Draft) -> VirtualBoxBase | None:
    """Return [box.virtualbox] of a draft without problems."""
    base: Draft | None = box.get("virtualbox")
    if base is None:
        return None
    kind = base.get("kind")
    return VirtualBoxBase(
        url=base.get("url"),
        checksum=base.get("checksum"),
        kind=kind,
        user=base.get("user", USERS[kind]),
    )
