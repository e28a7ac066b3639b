"""VictoriaLogs on the laptop: a connection to it, and its process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from hashlab.drivers.storeprocess import StoreConnection, StoreProcess
from hashlab.errors import StoreError
from hashlab.protocols import StoreAddress

# The store answers within milliseconds; one that is stopped, or that waits for its disk, does not.
ANSWER_SECONDS = 10.0
QUERY_SECONDS = 60.0
INSERT = "/insert/jsonline?" + urlencode({"_stream_fields": "lab,machine,service,replica,unit"})
FLUSH = "/internal/force_flush"
QUERY = "/select/logsql/query"
JSON_LINES = {"Content-Type": "application/stream+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Below this it takes no rows, so that it never fails in the middle of a write.
FREE_DISK = "100MB"
MEMORY = "64MiB"
MEMORY_LIMIT = "128MiB"


class HttpLogStore:
    """protocols.LogStore: VictoriaLogs at an address of this laptop. For one thread at a time."""

    def __init__(self, address: StoreAddress) -> None:
        self._connection = StoreConnection(address, "log store")

    def insert(self, rows: Sequence[Mapping[str, object]]) -> None:
        """See protocols.LogStore."""
        body = "".join(f"{json.dumps(row)}\n" for row in rows)
        self._connection.ask(INSERT, body, JSON_LINES, seconds=ANSWER_SECONDS).read()

    def query(self, text: str) -> Iterator[Mapping[str, str]]:
        """See protocols.LogStore."""
        form = urlencode({"query": text})
        answer = self._connection.ask(QUERY, form, FORM, seconds=QUERY_SECONDS)
        try:
            for line in answer:
                yield json.loads(line)
            answer.read()  # the end, after which the connection can be used again
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise StoreError(f"the log store stopped answering: {error}") from error

    def flush(self) -> None:
        """See protocols.LogStore."""
        self._connection.ask(FLUSH, "", FORM, seconds=ANSWER_SECONDS).read()

    def close(self) -> None:
        """See protocols.LogStore."""
        self._connection.close()


def log_store_process(
    program: Path, *, folder: Path, address: StoreAddress, days: int, disk: int
) -> StoreProcess:
    """Start VictoriaLogs. Raises LaptopError.

    ``folder``: holds the store's data and the file ``password``; ``days``: how long lines are kept;
    ``disk``: how many bytes they may take.
    """
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
    return StoreProcess(argv, folder=folder, environ={"GOMEMLIMIT": MEMORY_LIMIT})


def log_store_answers(address: StoreAddress) -> bool:
    """Return whether the log store answers at its address."""
    store = HttpLogStore(address)
    try:
        store.flush()
    except StoreError:
        return False
    finally:
        store.close()
    return True
