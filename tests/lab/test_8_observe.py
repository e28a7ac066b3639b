"""Both stores beside a small lab find what is logged, used and wrong, and end with the lab."""

from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from labkit import LabFolder, copy_example, daemons_of, fetch, kill_machine, power_on, rows

SECONDS = 60.0
MIB = 1024**2
# The greeter counts its requests, as a client library of Prometheus would.
METRICS = """\
    asked = 0

    def do_GET(self) -> None:
        if self.path == "/metrics":
            body = f'http_requests_total{{status="200"}} {Greeter.asked}\\n'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        Greeter.asked += 1
        print(f"request {Greeter.asked}", flush=True)
"""

pytestmark = [
    pytest.mark.only("docker", reason="it measures machines that are containers"),
    pytest.mark.skipif(
        not (shutil.which("go") or shutil.which("victoria-logs")), reason="no log store here"
    ),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[LabFolder]:
    """The small example, whose greeter has metrics."""
    lab = copy_example("hello", tmp_path_factory.mktemp("labs") / "observed", provider)
    lab.edit("greeter/greeter.py", "    def do_GET(self) -> None:\n", METRICS)
    build = "    build: ./images/greeter\n"
    lab.edit("compose.yaml", build, f'{build}    labels: {{ prometheus.io/port: "8000" }}\n')
    try:
        lab.run("dev", "--with", "logs", "--with", "metrics").ok()
        yield lab
    finally:
        lab.run("destroy").ok()
        assert daemons_of(lab) == []


def ask(lab: LabFolder, question: str) -> list[dict[str, Any]]:
    """Ask the metrics store as Prometheus; return the series of the answer."""
    state = json.loads((lab.state / "observe/state.json").read_text())
    address = f"http://127.0.0.1:{state['stores']['metrics']['port']}/"
    words = urllib.parse.urlencode({"query": question})
    request = urllib.request.Request(f"{address}api/v1/query?{words}")
    password = (lab.state / "observe/password").read_text()
    login = base64.b64encode(f"hashlab:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
    return found


def until(fits: Callable[[], Any], what: str) -> Any:
    """Wait until something is true; return it."""
    deadline = time.monotonic() + SECONDS
    while not (found := fits()):
        assert time.monotonic() < deadline, what
        time.sleep(0.5)
    return found


def builds(lab: LabFolder) -> dict[str, str]:
    return {
        each["metric"]["service"]: each["metric"]["build"]
        for each in ask(lab, "hashlab_container_info")
    }


def alerts(lab: LabFolder) -> set[tuple[str, str]]:
    return {(each["alert"], each["machine"]) for each in lab.status()["alerts"]}


def test_machines_containers_and_services_are_measured(lab: LabFolder) -> None:
    urls = lab.status()["urls"]
    assert urls["metrics"].startswith("http://127.0.0.1:")
    for _ in range(3):
        fetch(f"{urls['web']}/greeting")
    asked = 'http_requests_total{machine="back",service="greeter",replica="1"} >= 3'
    until(lambda: ask(lab, asked), "the greeter's own metrics")
    until(lambda: builds(lab).keys() == {"web", "greeter"}, "info of both containers")
    [limit] = ask(lab, 'hashlab_machine_memory_limit_bytes{machine="back"}')
    # The machine's own limit, not the laptop's memory.
    assert float(limit["value"][1]) == 512 * MIB
    [used] = ask(lab, 'hashlab_container_memory_bytes{service="greeter"}')
    assert MIB < float(used["value"][1]) < 100 * MIB
    lines = until(
        lambda: [line for line in logged(lab) if line["message"] == "request 3"], "a stored line"
    )
    assert lines[0]["service"] == "greeter"
    assert alerts(lab) == set()


def logged(lab: LabFolder) -> list[dict[str, Any]]:
    printed = lab.run("logs", "greeter", "--since", "5m", "--json").ok().stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_refresh_is_a_mark_with_the_new_build(lab: LabFolder) -> None:
    before = builds(lab)
    lab.edit("greeter/greeter.py", '"greeting"', '"greeting"  ')
    document = lab.json("refresh")
    [row] = rows(document, "observe")
    assert row["detail"] == "runs already"
    old = before["greeter"]
    until(lambda: builds(lab).get("greeter", old) != old, "the new build")
    after = builds(lab)
    assert after["web"] == before["web"]
    question = 'count_over_time(hashlab_refresh{service="greeter"}[10m])'

    def marks() -> set[str]:
        return {each["metric"]["build"] for each in ask(lab, question)}

    until(lambda: {before["greeter"], after["greeter"]} <= marks(), "both marks")


def test_alerts_fire_and_end_for_a_machine_and_a_service_that_are_down(lab: LabFolder) -> None:
    lab.on("back", "docker pause hello-greeter-1")
    kill_machine(lab, "front")
    wrong = {("ServiceDown", "back"), ("MachineDown", "front")}
    until(lambda: alerts(lab) >= wrong, "both alerts")
    assert "ServiceDown: greeter 1 on back does not run" in lab.run("status").stdout
    lab.on("back", "docker unpause hello-greeter-1")
    power_on(lab, "front")
    until(lambda: not alerts(lab) & wrong, "the end of both alerts")
    events = [json.loads(line) for line in lab.run("events", "--json").ok().stdout.splitlines()]
    for kind in ("firing", "resolved"):
        said = {(each["text"].partition(":")[0], each["machine"]) for each in events
                if each["event"] == kind}  # fmt: skip
        assert said >= wrong


def test_all_of_it_takes_less_than_250_mib(lab: LabFolder) -> None:
    assert 20 * MIB < sum(map(private_bytes, family(lab))) < 250 * MIB


def family(lab: LabFolder) -> list[int]:
    """The process of the stores, and all that it has started."""
    found = [int((lab.state / "observe/lock").read_text())]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def private_bytes(pid: int) -> int:
    """The proportional share of a process in the memory that it uses."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def test_the_stores_end_with_the_lab(lab: LabFolder) -> None:
    pids = family(lab)
    lab.run("destroy").ok()
    assert [pid for pid in pids if runs(pid)] == []
    assert not (lab.state / "observe").exists()
