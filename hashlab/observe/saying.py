"""The file in which the process says how its store and its machines are."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from hashlab.errors import LaptopError
from hashlab.state.files import write_json


class Sayings:
    """Writes the file when something changes. ``readers``: the number of machines whose lines are
    stored as they come.
    """

    def __init__(self, path: Path, settings: str, machines: list[str]) -> None:
        self._path, self._settings = path, settings
        self._lock = threading.Lock()
        self._port: int | None = None
        self._why = "it starts"
        self._machines = dict.fromkeys(machines, "the store is not running yet")
        self._last_reading = time.monotonic()
        self._write()

    def store_answers(self, port: int) -> None:
        """Say that the store answers at a port."""
        with self._lock:
            self._port, self._why = port, ""
            self._write()

    def store_failed(self, why: str) -> None:
        """Say why the store does not answer."""
        with self._lock:
            self._port, self._why = None, why
            self._write()

    def machine(self, name: str, why: str) -> None:
        """Say why a machine's new lines are not stored now, "" if they are."""
        with self._lock:
            if self._machines[name] == why:
                return
            self._note_reading()
            self._machines[name] = why
            self._write()

    @property
    def alone_seconds(self) -> float:
        """The seconds since a machine's lines were last stored as they came."""
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
                    "port": self._port,
                    "why": self._why,
                    "machines": self._machines,
                },
            )
        except LaptopError as error:
            sys.stderr.write(f"{self._path.name} cannot be written: {error.what}\n")
