"""The page of `hashlab ui` with a made-up lab behind it, of any size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from hashlab.documents.logs import Level, LogLine
from hashlab.ui.feed import Feed
from hashlab.ui.server import Server, Site

MORNING = "2026-11-30T08:00:00.000Z"
STARTED = 1_796_025_600.0


@dataclass
class Page:
    """A server with its feed, what its buttons were asked to do, and the answer to them."""

    server: Server
    feed: Feed
    asked: list[tuple[str, str]]
    refusal: list[str] = field(default_factory=list)

    @property
    def own(self) -> dict[str, str]:
        """The headers of the page's own requests."""
        host = f"127.0.0.1:{self.server.port}"
        return {"Host": host, "Origin": f"http://{host}", "X-Hashlab": "1"}

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> tuple[HTTPResponse, Any]:
        """Send a request; return the answer and its JSON, or its bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=5)
        connection.request(method, path, content or None, dict(headers))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer, json.loads(text) if is_json and text else text

    def enter(self) -> dict[str, str]:
        """Use a code; return the headers of the session."""
        code = self.server.address().partition("#")[2]
        answer, _ = self.request("POST", "/session", self.own, {"code": code})
        assert answer.status == 200
        return {**self.own, "Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@contextmanager
def open_page(past: Mapping[str, Any] | None = None) -> Iterator[Page]:
    """Serve a page during the block. ``past``: the rows of past runs, by name."""
    feed = Feed()
    asked: list[tuple[str, str]] = []
    refusal: list[str] = []

    def act(action: str, name: str) -> str:
        asked.append((action, name))
        return refusal[0] if refusal else ""

    snapshots = {"snapshots": [{"name": "before", "taken": MORNING, "note": ""}]}
    server = Server(
        Site(feed, act, {"/run": dict(past or {}).get, "/snapshots": lambda _: snapshots})
    )
    with server.serving():
        try:
            yield Page(server, feed, asked, refusal)
        finally:
            feed.close()


def service(name: str, machine: str, **changes: Any) -> dict[str, Any]:
    """One row of the status."""
    return {
        "name": name,
        "machine": machine,
        "replica": 1,
        "state": "running",
        "since": MORNING,
        "restarts": 0,
        "exit_code": None,
        "stopped_by": None,
        "health": "healthy",
        "build": "d4fa04c6b812",
        "running_build": "d4fa04c6b812",
        "stale": None,
        "problem": None,
        "holder": None,
        "healthy_since": MORNING,
        "last_exit": None,
        **changes,
    }


def made_up_lab(feed: Feed, *, machines: int, services: int) -> list[str]:
    """Put a lab into the feed; return the names of its services."""
    places = [f"machine{n}" for n in range(machines)]
    names = [f"service{n}" for n in range(services)]
    rows = [service(name, places[n % machines]) for n, name in enumerate(names)]
    feed.put(
        "status",
        {
            "lab": "made-up",
            "provider": "docker",
            "machines": [
                {"name": name, "address": f"192.168.60.{n + 5}", "state": "running"}
                for n, name in enumerate(places)
            ],
            "services": rows,
            "urls": {},
            "notes": [],
        },
    )
    feed.put(
        "picture",
        {
            "services": [
                {"name": name, "machine": places[n % machines], "needs": [], "urls": []}
                for n, name in enumerate(names)
            ],
            "talks": [
                {"client": name, "server": names[n // 2], "port": 8000, "seen": MORNING}
                for n, name in enumerate(names)
                if n
            ],
        },
    )
    return names


def use(feed: Feed, names: list[str], *, machines: int, at: float) -> None:
    """Put the use of a made-up lab into the feed, and a point into its charts."""
    busy = 0.5 + (at % 10) / 20
    places = [f"machine{n}" for n in range(machines)]
    rates = {
        "network_received_bytes_per_second": 1500.0,
        "network_sent_bytes_per_second": None,
    }
    feed.put(
        "usage",
        {
            "machines": [
                {
                    "machine": place,
                    "cpus": 2,
                    "cpu_cores": busy,
                    "memory_bytes": 200_000_000,
                    "memory_limit_bytes": 512_000_000,
                    "disk_available_bytes": 74_000_000_000,
                    **rates,
                }
                for place in places
            ],
            "services": [
                {"service": name, "replica": 1, "cpu_cores": busy, "memory_bytes": 11_000_000}
                for name in names
            ],
        },
    )
    point = {
        "time": at,
        "machines": {place: [busy, 2e8] for place in places},
        "services": {f"{name} 1": [busy, 1.1e7 + n] for n, name in enumerate(names)},
    }
    feed.add("points", [point])


def line(text: str, *, service: str = "service0", level: Level | None = "info") -> LogLine:
    """One log line."""
    return LogLine(STARTED, "machine0", service, 1, "b1", None, level, text)
