"""The runtime API of a HAProxy that is the front of a service with one port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hashlab.protocols import Completed

COLUMNS = ("pxname", "svname", "scur", "status", "addr")


@dataclass
class FakeFront:
    """A front on a machine. ``silent``: addresses that do not answer it; ``open_requests``: how
    many looks at the statistics find a request open in a drained replica.
    """

    silent: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    servers: list[str] = field(default_factory=list)
    open_requests: int = 0

    def answer(self, commands: str, addresses: Sequence[str]) -> Completed:
        """Answer commands. ``addresses``: those of the replicas, as their name leads to them."""
        self.servers += [address for address in addresses if address not in self.servers]
        answers = [self._one(each.split(), addresses) for each in commands.split(";")]
        return Completed(0, "".join(f"{each}\n" for each in answers), "")

    def _one(self, words: list[str], addresses: Sequence[str]) -> str:
        if words[:2] == ["show", "stat"]:
            return self._statistics(addresses)
        verb, server, backend, state, wanted = words[0], words[1], words[2], words[3], words[4]
        assert (verb, server, state) == ("set", "server", "state"), words
        address = self.servers[int(backend.removeprefix("port-80/replica")) - 1]
        (self.drained.add if wanted == "drain" else self.drained.discard)(address)
        return ""

    def _statistics(self, addresses: Sequence[str]) -> str:
        busy = bool(self.drained) and self.open_requests > 0
        self.open_requests -= busy
        lines = ["# " + ",".join(COLUMNS) + ","]
        for number, address in enumerate(self.servers, start=1):
            here = address in addresses
            state = "DOWN" if address in self.silent else "UP"
            state = "DRAIN" if address in self.drained else state
            requests = int(busy and address in self.drained)
            row = ("port-80", f"replica{number}", requests, state if here else "MAINT", "")
            lines.append(",".join(map(str, (*row[:4], f"{address}:80" if here else ""))) + ",")
        lines.append(f"port-80,replica{len(self.servers) + 1},0,MAINT (resolution),,")
        return "\n".join(lines)
