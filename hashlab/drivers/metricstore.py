"""VictoriaMetrics on the laptop: a connection to it, and its process."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlencode

from hashlab.drivers.storeprocess import StoreConnection, StoreProcess
from hashlab.errors import StoreError
from hashlab.protocols import Measured, StoreAddress

ANSWER_SECONDS = 10.0
QUERY, INSERT = "/api/v1/query", "/api/v1/import/prometheus"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"Content-Type": "text/plain"}
MEMORY = "32MiB"
MEMORY_LIMIT = "64MiB"
FREE_DISK = "100MB"
# How often the store collects samples, and asks which targets there are.
SCRAPE_SECONDS = 5
SCRAPE_TIMEOUT = 4
CONFIG = "scrape.json"


class HttpMetricStore:
    """protocols.MetricStore: VictoriaMetrics at an address of this laptop. For one thread at a
    time.
    """

    def __init__(self, address: StoreAddress) -> None:
        self._connection = StoreConnection(address, "metrics store")

    def query(self, text: str, *, at: float | None = None) -> list[Measured]:
        """See protocols.MetricStore."""
        # Without nocache, an answer may be one from before the last samples.
        form = {"query": text, "nocache": "1", **({} if at is None else {"time": f"{at:.3f}"})}
        answer = self._connection.ask(QUERY, urlencode(form), FORM, seconds=ANSWER_SECONDS)
        try:
            found = json.loads(answer.read())["data"]["result"]
            return [Measured(each["metric"], float(each["value"][1])) for each in found]
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError) as error:
            self.close()
            raise StoreError(f"the metrics store stopped answering: {error}") from error

    def insert(self, text: str) -> None:
        """See protocols.MetricStore."""
        self._connection.ask(INSERT, text, TEXT, seconds=ANSWER_SECONDS).read()

    def close(self) -> None:
        """See protocols.MetricStore."""
        self._connection.close()


def metric_store_process(
    program: Path,
    *,
    folder: Path,
    address: StoreAddress,
    days: int,
    targets: int,
    seconds: int = SCRAPE_SECONDS,
) -> StoreProcess:
    """Start VictoriaMetrics, which collects samples from the targets that the port ``targets`` of
    127.0.0.1 lists. Raises LaptopError.

    ``folder``: holds the store's data and the file ``password``, which that port asks for too;
    ``days``: how long samples are kept; ``seconds``: between two samples.
    """
    login = {"username": address.user, "password_file": str(folder / "password")}
    listed = {"url": f"http://127.0.0.1:{targets}/targets", "basic_auth": login}
    job = {
        "job_name": "hashlab",
        "http_sd_configs": [listed],
        "basic_auth": login,
        # A service may have labels of these names in its own metrics.
        "honor_labels": False,
    }
    limit = min(seconds, SCRAPE_TIMEOUT)
    times = {"scrape_interval": f"{seconds}s", "scrape_timeout": f"{limit}s"}
    # JSON is YAML too.
    (folder / CONFIG).write_text(json.dumps({"global": times, "scrape_configs": [job]}))
    argv = [
        str(program),
        f"-httpListenAddr=127.0.0.1:{address.port}",
        "-envflag.enable",
        "-storageDataPath=metrics",
        f"-retentionPeriod={days}d",
        f"-storage.minFreeDiskSpaceBytes={FREE_DISK}",
        f"-memory.allowedBytes={MEMORY}",
        f"-promscrape.config={CONFIG}",
        f"-promscrape.httpSDCheckInterval={seconds}s",
        # `up` says it, and the process that serves the targets says why.
        "-promscrape.suppressScrapeErrors",
        # By default, the last 30 s are hidden from queries.
        "-search.latencyOffset=0s",
        "-loggerLevel=WARN",
    ]
    environ = {
        "GOMEMLIMIT": MEMORY_LIMIT,
        # Older versions, such as Debian 12's, cannot read the password from a file. Only its owner
        # can read the environment of a process.
        "httpAuth_username": address.user,
        "httpAuth_password": address.password,
    }
    return StoreProcess(argv, folder=folder, environ=environ)


def metric_store_answers(address: StoreAddress) -> bool:
    """Return whether the metrics store answers at its address."""
    store = HttpMetricStore(address)
    try:
        store.query("1")
    except StoreError:
        return False
    finally:
        store.close()
    return True
