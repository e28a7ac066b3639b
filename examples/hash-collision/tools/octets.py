"""Reads big-endian numbers, one after the other, out of bytes."""

from __future__ import annotations


class Truncated(ValueError):
    """The bytes end before what they should hold does."""


class Octets:
    """A position in bytes; every read moves it on. Raises Truncated at the end."""

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self._data = data
        self.position = position

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise Truncated(f"{count} bytes wanted at {self.position} of {len(self._data)}")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def number(self, size: int) -> int:
        """The next unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """The next signed number of `size` bytes."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def text(self) -> str:
        """The next string: its length in four bytes, then UTF-8."""
        return self.take(self.number(4)).decode("utf-8", "replace")
