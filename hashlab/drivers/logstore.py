"""VictoriaLogs on the laptop: a connection to it, and its process."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from urllib.parse import urlencode

from hashlab.errors import LaptopError, StoreError
from hashlab.protocols import StoreAddress

# The store answers within milliseconds; one that is stopped, or that waits for its disk, does not.
ANSWER_SECONDS = 10.0
QUERY_SECONDS = 60.0
INSERT = "/insert/jsonline?" + urlencode({"_stream_fields": "lab,machine,service,replica,unit"})
FLUSH = "/internal/force_flush"
QUERY = "/select/logsql/query"
JSON_LINES = {"Content-Type": "application/stream+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OK = 200
# A store that ends writes its last rows to its disk first.
ENDING_SECONDS = 20.0
RUN_STORE = resources.files("hashlab.drivers").joinpath("run-store.sh").read_text("utf-8")
# Below this it takes no rows, so that it never fails in the middle of a write.
FREE_DISK = "100MB"
MEMORY = "64MiB"
MEMORY_LIMIT = "128MiB"


class HttpLogStore:
    """protocols.LogStore: VictoriaLogs at an address of this laptop. For one thread at a time."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        login = f"{address.user}:{address.password}".encode()
        self._headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        self._connection: http.client.HTTPConnection | None = None

    def insert(self, rows: Sequence[Mapping[str, object]]) -> None:
        """See protocols.LogStore."""
        body = "".join(f"{json.dumps(row)}\n" for row in rows)
        self._ask(INSERT, body, JSON_LINES, seconds=ANSWER_SECONDS).read()

    def query(self, text: str) -> Iterator[Mapping[str, str]]:
        """See protocols.LogStore."""
        answer = self._ask(QUERY, urlencode({"query": text}), FORM, seconds=QUERY_SECONDS)
        try:
            for line in answer:
                yield json.loads(line)
            answer.read()  # the end, after which the connection can be used again
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise StoreError(f"the log store stopped answering: {error}") from error

    def flush(self) -> None:
        """See protocols.LogStore."""
        self._ask(FLUSH, "", FORM, seconds=ANSWER_SECONDS).read()

    def close(self) -> None:
        """See protocols.LogStore."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, path: str, body: str, headers: Mapping[str, str], *, seconds: float
    ) -> http.client.HTTPResponse:
        """Return the answer to a POST, whose status is 200. Raises StoreError."""
        connection = self._connected(seconds)
        try:
            connection.request("POST", path, body.encode(), {**self._headers, **headers})
            answer = connection.getresponse()
            problem = "" if answer.status == OK else answer.read(500).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StoreError(f"the log store does not answer: {error}") from error
        if answer.status != OK:
            self.close()
            raise StoreError(f"the log store refuses ({answer.status}): {problem.strip()}")
        return answer

    def _connected(self, seconds: float) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._address.port)
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
        return self._connection


class StoreProcess:
    """VictoriaLogs as a child of this process. It ends with it, even with kill -9.

    ``folder``: holds the store's data and the file ``password``; ``days``: how long lines are kept;
    ``disk``: how many bytes they may take.
    """

    def __init__(
        self, program: Path, *, folder: Path, address: StoreAddress, days: int, disk: int
    ) -> None:
        argv = [
            str(program),
            f"-httpListenAddr=127.0.0.1:{address.port}",
            f"-httpAuth.username={address.user}",
            # In a file, because everybody on the laptop can read the arguments of a process.
            "-httpAuth.password=file://./password",
            "-storageDataPath=store",
            f"-retentionPeriod={days}d",
            f"-retention.maxDiskSpaceUsageBytes={disk}",
            f"-storage.minFreeDiskSpaceBytes={FREE_DISK}",
            # A machine's clock may be ahead by years.
            "-futureRetention=100y",
            f"-memory.allowedBytes={MEMORY}",
            "-insert.maxLineSizeBytes=2MB",
            # A line may be empty.
            "-defaultMsgValue=",
            "-loggerLevel=WARN",
        ]
        try:
            self._process = subprocess.Popen(
                ["sh", "-c", RUN_STORE, "sh", *argv],
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "GOMEMLIMIT": MEMORY_LIMIT},
                stdin=subprocess.PIPE,  # closed by the kernel when this process is killed
                umask=0o077,
                start_new_session=True,
            )
        except OSError as error:
            raise LaptopError(f"the log store cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True if it does not run any more."""
        return self._process.poll() is not None

    def answers(self, address: StoreAddress) -> bool:
        """Return whether the store answers at its address, and runs."""
        store = HttpLogStore(address)
        try:
            store.flush()
        except StoreError:
            return False
        finally:
            store.close()
        return not self.ended

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
