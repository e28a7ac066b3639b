"""Measures `hashlab logs` on a lab that runs: the first line of --follow, and a burst of lines.

    .venv/bin/python bench/logs.py LAB SERVICE --rounds 5 --rate 10000 --seconds 30

The burst is a second container of the service's image, which must have Python. It runs on the
service's machine for the given seconds and is removed at the end. Lines of another service show if
the burst delays them. The exit code is 1 if a figure is missed or a line is lost.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import HASHLAB, Target, timed

FIRST_LINE_SECONDS = 0.3
LATE_SECONDS = 1.0
MOST_LINES = 600_000
# Prints numbered lines at an even rate, a hundredth of a second's worth at once.
PRINTER = """
import sys, time
rate, seconds = int(sys.argv[1]), int(sys.argv[2])
began = time.monotonic()
for number in range(rate * seconds):
    print(f"burst {number:07d} of a line that is about as long as a usual one of an application")
    if number % (rate // 100) == 0:
        sys.stdout.flush()
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
"""
NAME = "hashlab-bench-logs-1"


class Lab:
    """A lab that runs."""

    def __init__(self, folder: Path) -> None:
        self.words = ["--lab", str(folder)]
        self.status: dict[str, Any] = json.loads(
            timed([str(HASHLAB), "status", "--json", *self.words])[1]
        )

    def on(self, machine: str, command: str) -> str:
        """Run a command on a machine; return its output."""
        line = [str(HASHLAB), "ssh", machine, "--command", command, *self.words]
        return timed(line)[1]

    def container(self, service: str) -> tuple[str, dict[str, Any]]:
        """Return the machine of a service and what its engine says of the first container."""
        [machine] = {s["machine"] for s in self.status["services"] if s["name"] == service}
        found = self.on(machine, f"docker ps -q --filter label=hashlab.service={service}").split()
        return machine, json.loads(self.on(machine, f"docker inspect {found[0]}"))[0]


def first_line(lab: Lab, rounds: int) -> float:
    """Return the median seconds from the start of `logs --follow` to its first line."""
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        with subprocess.Popen(
            [str(HASHLAB), "logs", "--follow", *lab.words], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds.append(time.monotonic() - began)
            process.terminate()
        print(f"  first line {seconds[-1]:6.3f} s", flush=True)
    return statistics.median(seconds)


class Follower:
    """`hashlab logs --follow --json` in a process, with the moment at which each line came."""

    def __init__(self, lab: Lab) -> None:
        words = [str(HASHLAB), "logs", "--follow", "--tail", "0", "--json", *lab.words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.numbers: list[int] = []
        self.beats: dict[str, float] = {}
        self.last = 0.0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            message: str = json.loads(text)["message"]
            if message.startswith("burst "):
                self.numbers.append(int(message.split()[1]))
                self.last = time.monotonic()
            elif message.startswith("beat "):
                self.beats[message] = time.monotonic()

    def end(self) -> None:
        """End it as Ctrl-C does."""
        self._process.terminate()
        self._reader.join()
        self._process.wait()


def burst(lab: Lab, service: str, other: str, rate: int, seconds: int) -> list[Target]:
    """Print lines at a rate, and count how many arrive, in their order, and how late others are."""
    machine, container = lab.container(service)
    place, beating = lab.container(other)
    labels = {k: v for k, v in container["Config"]["Labels"].items() if k.startswith("hashlab.")}
    options = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    printer = ["python3", "-u", "-c", PRINTER, str(rate), str(seconds)]
    run = ["docker", "run", "--rm", "--name", NAME, "--network", "none", *options]
    image = ["--entrypoint", printer[0], container["Config"]["Image"]]
    line = shlex.join([*run, *image, *printer[1:]])
    sent: dict[str, float] = {}
    follower = Follower(lab)
    speak = f"docker exec {beating['Id']} sh -c 'echo beat {{}} > /proc/1/fd/1'"
    try:
        while not follower.beats:
            lab.on(place, speak.format("first"))
        worker = threading.Thread(target=lab.on, args=(machine, f"{line} > /dev/null"))
        began = time.monotonic()
        worker.start()
        while worker.is_alive():
            lab.on(place, speak.format(len(sent)))
            sent[f"beat {len(sent)}"] = time.monotonic()
            worker.join(1.0)
        printed = time.monotonic()
        while len(follower.numbers) < rate * seconds and time.monotonic() < printed + 60:
            time.sleep(0.1)
    finally:
        follower.end()
        lab.on(machine, f"docker rm --force {NAME} 2> /dev/null || true")
    late = [follower.beats.get(beat, float("inf")) - at for beat, at in sent.items()]
    print(f"  {len(follower.numbers)} lines in {follower.last - began:.1f} s")
    return [
        Target("lines lost", rate * seconds - len(set(follower.numbers)), 0, "lines"),
        Target("lines twice", len(follower.numbers) - len(set(follower.numbers)), 0, "lines"),
        Target("lines out of order", _disorder(follower.numbers), 0, "lines"),
        Target("another service's line, latest", max(late), LATE_SECONDS),
        Target("the last line after the burst", max(0.0, follower.last - printed), LATE_SECONDS),
    ]


def _disorder(numbers: list[int]) -> int:
    return sum(later < earlier for earlier, later in pairwise(numbers))


def main() -> None:
    """Measure, show, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("lab", type=Path)
    parser.add_argument("service", help="a service whose image has python3")
    parser.add_argument("--other", required=True, help="a service whose lines must not be late")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=30)
    given = parser.parse_args()
    if given.rate * given.seconds > MOST_LINES or given.rate < 100:
        sys.exit(f"at most {MOST_LINES} lines, at least 100 a second")
    lab = Lab(given.lab)
    targets = [
        Target("first line of logs --follow", first_line(lab, given.rounds), FIRST_LINE_SECONDS)
    ]
    targets += burst(lab, given.service, given.other, given.rate, given.seconds)
    for target in targets:
        sign = "reached" if target.reached else "MISSED"
        print(f"{target.name:32} {target.value:8.2f} {target.unit:6} {sign} ({target.limit:g})")
    sys.exit(0 if all(target.reached for target in targets) else 1)


if __name__ == "__main__":
    main()
