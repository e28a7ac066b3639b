"""Sizes and times as people write them: "512 MiB", "1.5gb", "1m30s"."""

from __future__ import annotations

import re

_BINARY = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_TOML_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?([KMG]?)(i?)B")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d{1,12}(?:\.\d{1,12})?)(us|µs|ms|s|m|h|d)"


def compose_bytes(text: str) -> int | None:
    """Return the number of bytes of "512m", "1g", "1.5gb" (k is 1024, as in Compose); None if it is
    not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _BINARY[match[2].lower()]) if match else None


def toml_bytes(text: str) -> int | None:
    """Return the number of bytes of "512 MiB" (B, KiB, MiB, GiB); None if it is not a size."""
    match = _TOML_SIZE.fullmatch(text.strip())
    if match is None or bool(match[2]) != bool(match[3]):
        return None
    return int(float(match[1]) * _BINARY[match[2].lower()])


def seconds(text: str) -> float | None:
    """Return the seconds of "1m30s", "500ms", "10s" or "0"; None if it is not a duration."""
    if text == "0":
        return 0.0
    if not re.fullmatch(f"({_PART})+", text):
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))
    return round(total, 6)


def duration_text(seconds: float) -> str:
    """Return seconds as Go and Compose write them: "1h0m0s", "1m30s", "10s", "500ms", "0s"."""
    micros = round(seconds * 1_000_000)
    if 0 < micros < 1_000_000:
        return f"{micros / 1000:g}ms" if micros >= 1000 else f"{micros}µs"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1_000_000:.6f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
