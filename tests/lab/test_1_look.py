"""The running application as `hashlab top` and the page of `hashlab ui` see it."""

from __future__ import annotations

import json
import signal
import time
from http.client import HTTPConnection
from typing import Any

from labkit import LabFolder, fetch

SECONDS = 30.0
WANTED = {"status", "picture", "logs", "events", "runs", "usage"}


def test_top_prints_what_machines_and_services_use(forum_lab: LabFolder) -> None:
    document = forum_lab.run("top", "--json").ok().document
    machines = {machine["name"] for machine in document["status"]["machines"]}
    used = {each["machine"]: each for each in document["usage"]["machines"]}
    assert set(used) == machines
    assert all(each["cpu_cores"] is not None for each in used.values())
    services = {each["service"] for each in document["usage"]["services"]}
    assert services == {each["name"] for each in document["status"]["services"]}
    assert document["logs"]


def test_the_page_shows_the_lab_and_its_connections_live(
    forum_lab: LabFolder, web_url: str
) -> None:
    running = forum_lab.start("ui", "--no-open")
    try:
        address = running.wait_until(lambda line: line.startswith("http://")).strip()
        fetch(web_url)
        seen = watched(address)
    finally:
        assert running.signal(signal.SIGINT) == 0
        if running.process.stdout is not None:
            running.process.stdout.close()
    assert {each["state"] for each in seen["status"]["machines"]} == {"running"}
    talks = {(each["client"], each["server"]) for each in seen["picture"]["talks"]}
    assert ("user", "postgres") in talks
    assert seen["usage"]["machines"]
    assert seen["logs"]["items"]


def watched(address: str) -> dict[str, Any]:
    """Enter with the code, and read the stream until all parts of the page have come."""
    base, _, code = address.partition("/#")
    host = base.removeprefix("http://")
    own = {"Host": host, "Origin": base, "X-Hashlab": "1"}
    connection = HTTPConnection(host, timeout=SECONDS)
    connection.request("POST", "/session", json.dumps({"code": code}), own)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    connection.request("GET", "/stream", headers={"Host": host, "Cookie": cookie})
    stream = connection.getresponse()
    seen: dict[str, Any] = {}
    until = time.monotonic() + SECONDS
    while {name for name in WANTED if seen.get(name)} != WANTED:
        assert time.monotonic() < until, f"only {sorted(seen)} came"
        line = stream.readline()
        if line.startswith(b"data: "):
            seen |= json.loads(line[6:])
    connection.close()
    return seen
