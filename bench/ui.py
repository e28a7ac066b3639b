"""Measure the page of `hashlab ui` with a large made-up lab: frames, processor and memory.

    .venv/bin/python bench/ui.py --seconds 20 --json figures.json

It boots nothing. 12 machines, 32 services and 1,000 log lines a second are put into the feed of a
real server in a process of its own, which has imported what a look at a lab imports; a headless
Chromium shows the page. The exit code is 1 if a figure is missed. Needs Debian's packages chromium
and chromium-driver.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hashlab.documents.logs import Level, LogLine
from hashlab.ui.feed import Feed
from hashlab.ui.server import UPDATE_SECONDS, Server, Site

MACHINES, SERVICES, LINES_PER_SECOND = 12, 32, 1000
# The promises: of the longest time between two frames in 95 of 100 cases, and of the process.
FRAME_MILLISECONDS = 50.0
# 59 MiB of it are the libraries for SSH and Docker.
MEMORY_MIB = 70.0
# What observing a lab imports.
LIBRARIES = ("hashlab.ui.serving", "hashlab.drivers.ssh", "hashlab.drivers.engine")
LEVELS: tuple[Level, ...] = ("info", "info", "debug", "warn", "error")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1000",
)
RECORD = """
window.gaps = []; window.tasks = [];
let last = performance.now();
const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
const keep = (list) => window.tasks.push(...list.getEntries().map((each) => each.duration));
new PerformanceObserver(keep).observe({ entryTypes: ["longtask"] });
"""
Json = dict[str, Any]


def main() -> int:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(description="Measure the page of hashlab ui.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with made_up_server() as (address, ask):
        figures = measured(address, ask, options.seconds)
    for name, value in figures.items():
        print(f"{name:<34} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    good = figures["frame_ms_95"] < FRAME_MILLISECONDS and figures["memory_mib"] < MEMORY_MIB
    return 0 if good else 1


@contextmanager
def made_up_server() -> Iterator[tuple[str, Connection]]:
    """Run a server in a process of its own; yield its address, and the connection to ask it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send("end")
        process.join()


def serve(pipe: Connection) -> None:
    """Serve the page of a made-up lab; answer each message with what this process has used."""
    for name in LIBRARIES:
        import_module(name)
    feed = Feed()
    server = Server(Site(feed, lambda action, name: "", {}))
    threading.Thread(target=fill, args=(feed,), daemon=True).start()
    with server.serving():
        pipe.send(server.address())
        while pipe.recv() != "end":
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send({"cpu": used.ru_utime + used.ru_stime, "memory": resident()})
        feed.close()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def fill(feed: Feed) -> None:
    """Put a lab into the feed, its use every two seconds, and log lines ten times a second."""
    places = [f"machine-{n:02}" for n in range(MACHINES)]
    names = [f"service-{n:02}" for n in range(SERVICES)]
    feed.put("picture", picture(names, places))
    tick = 0
    while True:
        if tick % 20 == 0:
            feed.put("status", status(names, places, restarts=tick // 20))
            use(feed, names, places, tick)
        feed.add_logs(
            [line(names, places, tick, n) for n in range(LINES_PER_SECOND // 10)],
        )
        tick += 1
        time.sleep(0.1)


def line(names: list[str], places: list[str], tick: int, number: int) -> LogLine:
    """Return one of the log lines."""
    service = (tick + number) % SERVICES
    text = f"request {tick * 100 + number} took {number % 37} ms: GET /api/things/{number}?page=2"
    level = LEVELS[number % len(LEVELS)]
    return LogLine(
        time.time(), places[service % MACHINES], names[service], 1, "b1", None, level, text
    )


def status(names: list[str], places: list[str], *, restarts: int) -> Json:
    """Return the status, in which something differs each time."""
    now = "2026-11-30T08:00:00.000Z"
    nothing = dict.fromkeys(("exit_code", "stopped_by", "stale", "problem", "holder", "last_exit"))
    build = {"build": "d4fa04c6b812", "running_build": "d4fa04c6b812"}
    return {
        "lab": "large",
        "provider": "docker",
        "machines": [
            {"name": name, "address": f"192.168.60.{n}", "state": "running"}
            for n, name in enumerate(places)
        ],
        "services": [
            {
                **nothing,
                **build,
                "name": name,
                "machine": places[n % MACHINES],
                "replica": 1,
                "state": "running",
                "health": "healthy",
                "since": now,
                "healthy_since": now,
                "restarts": restarts if n == 0 else 0,
            }
            for n, name in enumerate(names)
        ],
        "urls": {},
        "notes": [],
    }


def picture(names: list[str], places: list[str]) -> Json:
    """Return services of which each talks to two others."""
    return {
        "services": [
            {"name": name, "machine": places[n % MACHINES], "needs": [], "urls": []}
            for n, name in enumerate(names)
        ],
        "talks": [
            {"client": name, "server": names[other], "port": 8000, "seen": None}
            for n, name in enumerate(names)
            for other in (n // 2, n // 3)
            if other != n
        ],
    }


def use(feed: Feed, names: list[str], places: list[str], tick: int) -> None:
    """Put in what machines and services use, and a point of the charts."""
    busy = 0.2 + tick % 100 / 200
    rates = dict.fromkeys(
        ("network_received_bytes_per_second", "network_sent_bytes_per_second"), 12e3
    )
    sizes = {"memory_bytes": 2e8, "memory_limit_bytes": 5e8, "disk_available_bytes": 7e10}
    machines = [
        {"machine": name, "cpus": 2, "cpu_cores": busy, **sizes, **rates} for name in places
    ]
    services = [
        {"service": name, "replica": 1, "cpu_cores": busy, "memory_bytes": 2e7} for name in names
    ]
    feed.put("usage", {"machines": machines, "services": services})
    point = {
        "machines": {name: [busy + n / 50, 2e8] for n, name in enumerate(places)},
        "services": {f"{name} 1": [busy + n / 99, 2e7] for n, name in enumerate(names)},
    }
    feed.add("points", [{"time": time.time(), **point}])


def measured(address: str, ask: Connection, seconds: float) -> Json:
    """Show the page for so many seconds and return the figures."""
    from selenium import webdriver  # noqa: PLC0415 - the server's process must not import it

    settings = webdriver.ChromeOptions()
    settings.binary_location = "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            settings.add_argument(flag)
        driver = webdriver.Chrome(settings, webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            driver.get(address)
            time.sleep(5)  # the first drawing of everything is not what is measured
            driver.execute_script(RECORD)
            before, work = answer(ask), processor(driver)
            time.sleep(seconds)
            after, worked = answer(ask), processor(driver)
            gaps = sorted(driver.execute_script("return window.gaps"))
            tasks = sorted(driver.execute_script("return window.tasks"))
            lines = driver.execute_script("return document.querySelectorAll('.line').length")
            shown = driver.find_element("id", "counts").text.split("\n")[0]
        finally:
            driver.quit()
    return {
        "machines": MACHINES,
        "services": SERVICES,
        "lines_per_second": LINES_PER_SECOND,
        "lines_counted_by_the_page": shown,
        "rows_in_the_page": lines,
        "frames": len(gaps),
        "frame_ms_50": round(gaps[len(gaps) // 2], 1),
        "frame_ms_95": round(gaps[int(len(gaps) * 0.95)], 1),
        "frame_ms_most": round(gaps[-1], 1),
        "page_ms_per_update": round(1000 * (worked - work) / seconds * UPDATE_SECONDS, 1),
        "tasks_over_50_ms": len(tasks),
        "task_ms_most": round(tasks[-1], 1) if tasks else 0.0,
        "server_cpu_percent": round(100 * (after["cpu"] - before["cpu"]) / seconds, 1),
        "memory_mib": round(after["memory"] / 2**20, 1),
    }


def processor(driver: Any) -> float:
    """Return the seconds of processor time that the page's thread has used."""
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def answer(ask: Connection) -> Json:
    """Return what the server's process has used."""
    ask.send("used")
    found: Json = ask.recv()
    return found


if __name__ == "__main__":
    sys.exit(main())
