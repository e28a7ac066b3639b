"""Writes numbered rows and messages into a running lab, and remembers which were acknowledged.

Rows go to PostgreSQL by `hashlab ssh` and psql, each its own transaction; messages go to RabbitMQ
by its management API, persistent, and count once the broker has confirmed them. A writer that loses
its way to the lab makes a new one. About four writes a second each.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from measure import HASHLAB

PAUSE_SECONDS = 0.25
ANSWER_SECONDS = 10.0
NAME = "soak"
PSQL = (
    "docker exec -i hash-collision-postgres-1 psql --no-psqlrc --quiet --tuples-only --no-align "
    "--variable ON_ERROR_STOP=1 --username postgres --dbname postgres"
)


class Unavailable(Exception):
    """The lab did not answer: nothing was acknowledged."""


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process that leads a session, with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Ledger(ABC, threading.Thread):
    """Numbers that one server of the lab has acknowledged, in their order."""

    server: str

    def __init__(self, lab: Path) -> None:
        super().__init__(name=self.server, daemon=True)
        self.lab = lab
        self._lock = threading.Lock()
        self._acknowledged: list[int] = []
        self._next = 0
        self._going = threading.Event()
        self._resting = threading.Event()
        self._resting.set()
        self._over = False

    def acknowledged(self) -> list[int]:
        """The numbers that must be there now."""
        with self._lock:
            return list(self._acknowledged)

    def begun(self) -> int:
        """The highest number that was sent, acknowledged or not."""
        return self._next

    def forget(self, kept: list[int] | None = None) -> None:
        """From now on only ``kept`` must be there: the lab was destroyed, or put back."""
        with self._lock:
            self._acknowledged = list(kept or [])

    def write(self, count: int) -> None:
        """Writes at least so many numbers now; raises Unavailable when that takes a minute."""
        wanted = len(self.acknowledged()) + count
        self.resume()
        deadline = time.monotonic() + 60
        while len(self.acknowledged()) < wanted:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.server} takes nothing for a minute")
            time.sleep(PAUSE_SECONDS)

    def resume(self) -> None:
        """Goes on writing."""
        self._going.set()

    def rest(self) -> None:
        """Writes no more, once what is under way has ended."""
        self._going.clear()
        self._resting.wait(2 * ANSWER_SECONDS)

    def stop(self) -> None:
        """Ends for good."""
        self.rest()
        self._over = True
        self._going.set()
        self.join(2 * ANSWER_SECONDS)

    def run(self) -> None:
        """Writes one number after the other while it may."""
        while self._going.wait() and not self._over:
            self._resting.clear()
            try:
                while self._going.is_set():
                    self._next += 1
                    self.put(self._next)
                    with self._lock:
                        self._acknowledged.append(self._next)
                    time.sleep(PAUSE_SECONDS)
            except (OSError, ValueError, Unavailable):
                time.sleep(PAUSE_SECONDS)
            finally:
                self.close()
                self._resting.set()

    @abstractmethod
    def put(self, number: int) -> None:
        """Has a number stored, and returns when it is acknowledged."""

    @abstractmethod
    def stored(self) -> set[int]:
        """The numbers that are there."""

    def close(self) -> None:
        """Gives up the way to the lab, if there is one."""


class Rows(Ledger):
    """Rows of a table of PostgreSQL."""

    server = "PostgreSQL"
    _psql: subprocess.Popen[str] | None = None

    def put(self, number: int) -> None:
        if self._psql is None:
            self._psql = self._opened()
            self._ask("CREATE TABLE IF NOT EXISTS soak (number bigint PRIMARY KEY) ;")
        self._ask(f"INSERT INTO soak VALUES ({number}) ;")

    def _opened(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._command(),
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def _command(self) -> list[str]:
        return [str(HASHLAB), "ssh", "broker", "--command", PSQL, "--lab", str(self.lab)]

    def _ask(self, statement: str) -> None:
        """Runs one statement; psql goes on to the next line only when the server has committed."""
        psql = self._psql
        assert psql is not None
        assert psql.stdin is not None
        assert psql.stdout is not None
        silence = threading.Timer(ANSWER_SECONDS, end, [psql])
        silence.start()
        try:
            psql.stdin.write(f"{statement}\n\\echo done\n")
            psql.stdin.flush()
            if psql.stdout.readline() != "done\n":
                raise Unavailable("psql has ended")
        finally:
            silence.cancel()

    def close(self) -> None:
        if self._psql is not None:
            end(self._psql)
            with suppress(OSError):
                self._psql.communicate()
            self._psql = None

    def stored(self) -> set[int]:
        done = subprocess.run(
            self._command(),
            input="SELECT number FROM soak ;\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"psql: {done.stdout}{done.stderr}")
        return {int(line) for line in done.stdout.split()}


class Messages(Ledger):
    """Messages in a durable queue of RabbitMQ."""

    server = "RabbitMQ"
    _url = ""

    def put(self, number: int) -> None:
        if not self._url:
            self._url = self._address()
            self._call("PUT", f"queues/%2F/{NAME}", {"durable": True})
        message = {
            "routing_key": NAME,
            "payload": str(number),
            "payload_encoding": "string",
            "properties": {"delivery_mode": 2},
        }
        if self._call("POST", "exchanges/%2F/amq.default/publish", message) != {"routed": True}:
            raise Unavailable("no queue took the message")

    def _address(self) -> str:
        command = [str(HASHLAB), "status", "--json", "--lab", str(self.lab)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        url = json.loads(done.stdout)["urls"].get("rabbitmq")
        if not url:
            raise Unavailable("RabbitMQ's pages have no address now")
        return str(url).rstrip("/")

    def _call(self, method: str, path: str, data: object) -> object:
        password = (self.lab / ".hashlab/secrets/rabbitmq_password").read_text().strip()
        token = base64.b64encode(f"hashcollision:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        url = f"{self._url}/api/{path}"
        request = urllib.request.Request(url, json.dumps(data).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def close(self) -> None:
        self._url = ""

    def stored(self) -> set[int]:
        self._url = self._url or self._address()
        ask = {"count": 1_000_000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        found = self._call("POST", f"queues/%2F/{NAME}/get", ask)
        assert isinstance(found, list)
        return {int(message["payload"]) for message in found}
