"""The file in which the process says how its stores and its machines are."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hashlab.errors import LaptopError
from hashlab.state.files import write_json


class Sayings:
    """Writes the file when something changes. ``stores``: their names; ``machines``: those whose
    lines are to be stored.
    """

    def __init__(
        self, path: Path, settings: str, *, stores: Iterable[str], machines: Iterable[str]
    ) -> None:
        self._path, self._settings = path, settings
        self._lock = threading.Lock()
        self._stores: dict[str, dict[str, object]] = {
            name: {"port": None, "why": "it starts"} for name in stores
        }
        self._machines = dict.fromkeys(machines, "the store is not running yet")
        self._last_reading = time.monotonic()
        self._write()

    def store_answers(self, name: str, port: int) -> None:
        """Say that a store answers at a port."""
        self._say_store(name, {"port": port, "why": ""})

    def store_failed(self, name: str, why: str) -> None:
        """Say why a store does not answer."""
        self._say_store(name, {"port": None, "why": why})

    def _say_store(self, name: str, state: dict[str, object]) -> None:
        with self._lock:
            self._stores[name] = state
            self._write()

    def machine(self, name: str, why: str) -> None:
        """Say why a machine's new lines are not stored now, "" if they are."""
        with self._lock:
            if self._machines[name] == why:
                return
            self._note_reading()
            self._machines[name] = why
            self._write()

    def machine_answered(self) -> None:
        """Note that a machine answers, for ``alone_seconds``."""
        with self._lock:
            self._last_reading = time.monotonic()

    @property
    def alone_seconds(self) -> float:
        """The seconds since a machine last answered, or its lines were stored as they came."""
        with self._lock:
            self._note_reading()
            return time.monotonic() - self._last_reading

    def _note_reading(self) -> None:
        if "" in self._machines.values():
            self._last_reading = time.monotonic()

    def _write(self) -> None:
        """Write the file. A full disk is no reason to end: the next change writes it again."""
        try:
            write_json(
                self._path,
                {
                    "pid": os.getpid(),
                    "settings": self._settings,
                    "stores": self._stores,
                    "machines": self._machines,
                },
            )
        except LaptopError as error:
            sys.stderr.write(f"{self._path.name} cannot be written: {error.what}\n")
