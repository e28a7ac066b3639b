"""Everything that a container sees besides its image: files, volumes, secrets, configs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


def place_below(target: str, below: Path) -> str:
    """Return the place in a container of a path ``below`` what is at ``target``."""
    return f"{target.rstrip('/')}/{below.as_posix()}" if below.parts else target


@dataclass(frozen=True)
class BindMount:
    """A file or folder of the laptop (``source``, absolute) that is uploaded and mounted.

    Without ``upload`` the folder is on the machine only: containers write it, and hashlab does not.
    With ``create`` the engine makes a folder that is missing there.
    """

    source: Path
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: str = ""
    upload: bool = True
    create: bool = False

    def place(self, path: Path) -> str:
        """Return the place in the container of a path in the source."""
        return place_below(self.target, path.relative_to(self.source))


@dataclass(frozen=True)
class MachineMount:
    """A file or folder of the machine itself (``source``, absolute), such as /etc/localtime. With
    ``create`` the engine makes a missing one.
    """

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: str = ""
    create: bool = True


@dataclass(frozen=True)
class VolumeMount:
    """A volume on the service's machine. ``volume``: its key under ``volumes``; "" is an anonymous
    one.
    """

    volume: str
    target: str
    read_only: bool = False
    nocopy: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    subpath: str = ""


@dataclass(frozen=True)
class Volume:
    """A volume of the top level, called ``name`` on its machine. An ``external`` one is neither
    made nor removed. ``driver_opts``: of the driver ``local``, as mount(8) takes them.
    """

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TmpfsMount:
    """A file system in memory. ``size`` is in bytes, ``mode`` an octal number as int; ``options``
    are further ones of mount(8).
    """

    target: str
    size: int | None = None
    mode: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """The content of a secret or config that has no file: the value of a variable of the laptop, or
    text of the Compose file.
    """

    text: str = field(repr=False)
    environment: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of the file. A variable may have bytes that are not UTF-8."""
        return self.text.encode(errors="surrogateescape")


@dataclass(frozen=True)
class FileMount:
    """A Compose secret or config: one file, mounted read-only. The content of a ``secret`` is never
    shown.
    """

    name: str
    source: Path | Content
    target: str
    mode: int = 0o444
    secret: bool = False
    uid: int = 0
    gid: int = 0
