"""Reads the package database of an image: that of Debian's dpkg, and that of Alpine's apk."""

from __future__ import annotations

from collections.abc import Iterator

# Name, version, architecture, source package.
Package = tuple[str, str, str, str]

DPKG, APK = "/var/lib/dpkg/status", "/lib/apk/db/installed"
DATABASES = (DPKG, APK)
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# The keys of name, version, architecture, source, by database.
_KEYS = {DPKG: ("Package", "Version", "Architecture", "Source"), APK: ("P", "V", "A", "o")}


def read_packages(path: str, text: str) -> tuple[Package, ...]:
    """Return the installed packages in a database, sorted."""
    name, version, architecture, source = _KEYS[path]
    found = [
        (
            entry[name],
            entry.get(version, ""),
            entry.get(architecture, ""),
            # dpkg adds the version of the source if it is another one: "glibc (2.36-9)".
            entry.get(source, entry[name]).partition(" ")[0],
        )
        for entry in _entries(text)
        if name in entry and (path != DPKG or entry.get("Status", "").endswith(" installed"))
    ]
    return tuple(sorted(found))


def _entries(text: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of a database; lines that continue a value are left out."""
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line[0].isspace()]
        pairs = (line.partition(":") for line in lines)
        yield {key: value.strip() for key, _, value in pairs}


def read_system(text: str) -> dict[str, str]:
    """Return the values of an os-release file."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value.strip().strip("\"'") for key, equals, value in pairs if equals}
