"""The stores beside the machines, and the process that runs and feeds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

# The stores' user, and the file with the password in the folder `observe` of the lab's state.
USER, PASSWORD = "hashlab", "password"
# By the store's name, which is that in [observe]: the path of its page. The metrics store answers
# Prometheus' query API below the same address.
PAGES = {"logs": "select/vmui/", "metrics": ""}


@dataclass(frozen=True)
class StoreAddress:
    """A store's port on 127.0.0.1, and what it asks for."""

    port: int
    user: str
    password: str = field(repr=False)

    def page(self, name: str) -> str:
        """Return the address of the page of the store with this name."""
        return f"http://127.0.0.1:{self.port}/{PAGES[name]}"


@dataclass(frozen=True)
class StoreState:
    """``address``: None while the store does not answer; then ``why`` says why."""

    address: StoreAddress | None
    why: str = ""


@dataclass(frozen=True)
class Observation:
    """The state of a lab's stores, as the process says that runs them.

    ``settings``: what it was started with; ``stores``: by name, empty until it has written its
    first words. ``machines``: why a machine's new lines are not stored now, "" if they are.
    """

    settings: str
    stores: Mapping[str, StoreState]
    machines: Mapping[str, str]

    def store(self, name: str) -> StoreState:
        """Return the state of a store."""
        return self.stores.get(name) or StoreState(None, "it starts")

    @property
    def answers(self) -> bool:
        """True if all of its stores answer."""
        return bool(self.stores) and all(each.address for each in self.stores.values())


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


@dataclass(frozen=True)
class Measured:
    """One series of an answer: its labels, and its value at the time of the question."""

    labels: Mapping[str, str]
    value: float


class MetricStore(Protocol):
    """Keeps samples, which it collects itself, and answers Prometheus' queries."""

    def query(self, text: str, *, at: float | None = None) -> list[Measured]:
        """Return what a query finds at a Unix time, by default now. Raises StoreError."""

    def insert(self, text: str) -> None:
        """Store samples in Prometheus' text format, with Unix milliseconds. Raises StoreError."""

    def close(self) -> None:
        """Close the connection."""


class Observer(Protocol):
    """The process that runs a lab's stores and feeds them. It outlives runs."""

    def observation(self) -> Observation | None:
        """Return what the process says; None if it does not run."""

    def start(self) -> Observation:
        """Start the process, and wait until its stores answer. Raises LaptopError."""

    def stop(self) -> None:
        """End the process and the stores, and wait for their end. Fine if none runs. Raises
        LaptopError.
        """

    def store(self, address: StoreAddress) -> LogStore:
        """Return a connection to the log store, which is not used yet."""
