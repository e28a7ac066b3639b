"""The log store beside the machines, and the process that runs and feeds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

# The store's user, and the file with the password in the folder `observe` of the lab's state.
USER, PASSWORD = "hashlab", "password"


@dataclass(frozen=True)
class StoreAddress:
    """The log store's port on 127.0.0.1, and what it asks for."""

    port: int
    user: str
    password: str = field(repr=False)

    @property
    def page(self) -> str:
        """The address of the store's own page."""
        return f"http://127.0.0.1:{self.port}/select/vmui/"


@dataclass(frozen=True)
class Observation:
    """The state of a lab's log store, as the process says that runs it.

    ``settings``: what it was started with; ``address``: None while the store does not answer, then
    ``why`` says why. ``machines``: why a machine's new lines are not stored now, "" if they are.
    """

    settings: str
    address: StoreAddress | None
    why: str
    machines: Mapping[str, str]


class LogStore(Protocol):
    """Keeps log lines and answers questions about them."""

    def insert(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Store rows. ``_time``: Unix nanoseconds; ``_msg``: the line. Raises StoreError; then it
        is not known which of the rows are stored.
        """

    def query(self, text: str) -> Iterator[Mapping[str, str]]:
        """Yield the rows that a LogsQL query finds. Raises StoreError."""

    def flush(self) -> None:
        """Let queries find all rows that are stored. Raises StoreError."""

    def close(self) -> None:
        """Close the connection."""


class Observer(Protocol):
    """The process that runs a lab's log store and feeds it. It outlives runs."""

    def observation(self) -> Observation | None:
        """Return what the process says; None if it does not run."""

    def start(self) -> Observation:
        """Start the process, and wait until the store answers. Raises LaptopError."""

    def stop(self) -> None:
        """End the process and the store, and wait for their end. Fine if none runs. Raises
        LaptopError.
        """

    def store(self, address: StoreAddress) -> LogStore:
        """Return a connection to the store, which is not used yet."""
