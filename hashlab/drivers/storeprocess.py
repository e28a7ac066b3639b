"""A store as a child of this process, and the connection to its HTTP port on 127.0.0.1."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

from hashlab.errors import LaptopError, StoreError
from hashlab.protocols import StoreAddress

OK, REDIRECT = 200, 300
# A store that ends writes its last rows to its disk first.
ENDING_SECONDS = 20.0
RUN_STORE = resources.files("hashlab.drivers").joinpath("run-store.sh").read_text("utf-8")


class StoreConnection:
    """A connection to a store. For one thread at a time. ``name``: of the store, for messages."""

    def __init__(self, address: StoreAddress, name: str) -> None:
        self._address, self.name = address, name
        login = f"{address.user}:{address.password}".encode()
        self._headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, path: str, body: str, headers: Mapping[str, str], *, seconds: float
    ) -> http.client.HTTPResponse:
        """Return the answer to a POST, if it is a success. Raises StoreError."""
        connection = self._connected(seconds)
        try:
            connection.request("POST", path, body.encode(), {**self._headers, **headers})
            answer = connection.getresponse()
            good = OK <= answer.status < REDIRECT
            problem = "" if good else answer.read(500).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StoreError(f"the {self.name} does not answer: {error}") from error
        if not good:
            self.close()
            raise StoreError(f"the {self.name} refuses ({answer.status}): {problem.strip()}")
        return answer

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, seconds: float) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._address.port)
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
        return self._connection


class StoreProcess:
    """A store as a child of this process. It ends with it, even with kill -9.

    ``folder``: its current folder, which holds the data; ``environ``: what it gets besides PATH.
    Raises LaptopError.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path, environ: Mapping[str, str]) -> None:
        try:
            self._process = subprocess.Popen(
                ["sh", "-c", RUN_STORE, "sh", *argv],
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), **environ},
                stdin=subprocess.PIPE,  # closed by the kernel when this process is killed
                umask=0o077,
                start_new_session=True,
            )
        except OSError as error:
            raise LaptopError(f"{argv[0]} cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True if it does not run any more."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End the store, and wait until it has written everything."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        # The watcher of run-store.sh, before the end of its input lets it signal the old number.
        self._signal(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
