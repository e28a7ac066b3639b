"""The picture of a lab on the page of `hashlab ui`: its services, and which of them talk."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class Pictured:
    """One service as the lab's files describe it. ``needs``: services that it depends on or is
    linked to; ``urls``: addresses of its forwarded ports on the laptop.
    """

    name: str
    machine: str
    needs: tuple[str, ...]
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Talk:
    """``client`` had a connection to the TCP ``port`` of ``server``, open or closed less than a
    minute before it was last ``seen``.
    """

    client: str
    server: str
    port: int
    seen: float = field(metadata=UNIX_TIME)


@dataclass(frozen=True)
class Picture:
    """The services in the order of the file, and the connections between them."""

    services: tuple[Pictured, ...]
    talks: tuple[Talk, ...]
