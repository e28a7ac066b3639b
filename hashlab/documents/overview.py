"""The document of `hashlab top`: the lab's state, what it uses, and its last log lines."""

from __future__ import annotations

from dataclasses import dataclass

from hashlab.documents.logs import LogLine
from hashlab.documents.status import Status
from hashlab.documents.usage import Usage


@dataclass(frozen=True)
class Overview:
    """The lab at this moment. ``usage`` has no machine that was not sampled."""

    status: Status
    usage: Usage
    logs: tuple[LogLine, ...]
