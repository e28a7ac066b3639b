"""Times a refresh with nothing changed against the size of the lab.

    python bench/scale.py [--rounds 7] [--json FILE] [--picture FILE]

Generates labs of tiny services in a temporary folder, boots one after the other on provider docker,
and times `hashlab refresh` from prompt to prompt: 3, 6, 9 and 12 machines with the same 12
services; 4, 16 and 32 services on the same 3 machines; and 3 machines that answer late, through
relays that hold back every byte by 5, 20 and 50 ms in each direction. Before each size is booted,
the memory that is free is held against what a machine took before; what does not fit is not run,
and told. Figures are medians over the rounds.
Needs a lab-capable machine with no other lab on it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generated_lab import generate
from measure import HASHLAB, Measured, Target, end_on_sigterm, hashlab, show, timed, write
from picture import draw_scale
from relay import Relays, relays

from hashlab.daemon import client

FEW = 3
SERVICES = 12
MACHINES = (FEW, 6, 9, 12)
SERVICE_COUNTS = (4, 16, 32)
LATE = "answers late"
DELAYS = (5, 20, 50)  # milliseconds in each direction
MIB = 2**20
FIRST_GUESS = 400 * MIB  # of what a machine takes, before one was seen
SETTLE_SECONDS = 60
SPARE = 1024 * MIB  # what the laptop keeps for itself


@dataclass(frozen=True)
class Size:
    """What one lab is measured for: its place on an axis, and how large it is."""

    axis: str
    machines: int
    services: int

    @property
    def name(self) -> str:
        return f"{self.axis}: {getattr(self, self.axis)}"


SIZES = (
    *(Size("machines", machines, SERVICES) for machines in MACHINES),
    *(Size("services", FEW, services) for services in SERVICE_COUNTS),
)


class Scale:
    """The labs, one after another in one folder, so that all share one box."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self._rounds = folder, rounds
        self.measured = Measured()
        self.not_run: dict[str, str] = {}
        self._per_machine = FIRST_GUESS

    def run(self, size: Size) -> None:
        """Boot, measure, destroy; or say why it was not run."""
        needed = size.machines * self._per_machine + SPARE
        free = available()
        if free < needed:
            why = f"{free // MIB} MiB are free, it needs {needed // MIB} MiB"
            self.not_run |= {size.name: why} | ({LATE: why} if size == SIZES[0] else {})
            return
        generate(self.folder, machines=size.machines, services=size.services)
        try:
            hashlab(Measured(), "init-box (not counted)", self.folder, "init-box")
            before = available()
            hashlab(Measured(), "dev (not counted)", self.folder, "dev")
            self._per_machine = max(64 * MIB, (before - available()) // size.machines)
            self._refreshes(size.name)
            if size == SIZES[0]:
                self._answering_late()
        finally:
            self.destroy()

    def destroy(self, *words: str) -> None:
        timed([str(HASHLAB), "destroy", *words, "--lab", str(self.folder), "--provider", "docker"])

    def _refreshes(self, name: str) -> None:
        self._settle()
        for _ in range(self._rounds):
            record = hashlab(self.measured, name, self.folder, "refresh")
            sent = sum(row["bytes_sent"] for row in record["phases"])
            if sent or any(row["name"] == "container" for row in working(record)):
                sys.exit(f"{name}: nothing was edited, but something was sent or restarted")

    def _settle(self) -> None:
        """Refresh, not counted, until nothing of `dev` is left to look after: it may have to be
        verified, and services are asked for their health until their engine has asked them.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        busy = True
        while busy:
            if time.monotonic() > deadline:
                sys.exit(f"services are not well {SETTLE_SECONDS} s after dev")
            record = hashlab(Measured(), "refresh (not counted)", self.folder, "refresh")
            busy = any(row["name"] in ("healthy", "verify") for row in working(record))

    def _answering_late(self) -> None:
        """The same machines at the far end of long lines."""
        for delay in DELAYS:
            with relays(delay / 1000) as lines, rerouted(self.folder, lines):
                self._refreshes(f"{LATE}: {delay} ms")
                if not lines.carried:
                    sys.exit("hashlab did not take the way through the relays")


def working(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a record that had something to do."""
    return [row for row in record["phases"] if row["status"] == "ok"]


@contextmanager
def rerouted(folder: Path, lines: Relays) -> Iterator[None]:
    """The lab's cached SSH endpoints lead through relays until the block ends. The machines' host
    keys stay pinned. The lab's background process ends, for it would keep the short way.
    """
    path = folder / ".hashlab/docker/machines.json"
    content = path.read_bytes()
    machines = json.loads(content)
    for machine in machines.values():
        machine["port"] = lines.to(machine["host"], machine["port"])
        machine["host"] = "127.0.0.1"
    path.write_text(json.dumps(machines))
    client.stop(str(folder))
    try:
        yield
    finally:
        path.write_bytes(content)
        client.stop(str(folder))


def available() -> int:
    """Bytes of memory that the laptop can give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    sys.exit("/proc/meminfo does not tell what memory is available")


def targets(scale: Scale) -> list[Target]:
    few, many = f"machines: {MACHINES[0]}", f"machines: {MACHINES[-1]}"
    measured = scale.measured
    if few not in measured.seconds or many not in measured.seconds:
        return []
    ratio = measured.median(many) / measured.median(few)
    return [Target(f"{MACHINES[-1]} machines ÷ {MACHINES[0]}", ratio, 2.0, "times")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--picture", type=Path, help="draw them as an SVG")
    arguments = parser.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="hashlab-scale-") as folder:
        scale = Scale(Path(folder), arguments.rounds)
        try:
            for size in SIZES:
                print(size.name, flush=True)
                scale.run(size)
        finally:
            if (scale.folder / "hashlab.toml").exists():
                scale.destroy("--box")
    found = targets(scale)
    show(scale.measured, found)
    for what, why in scale.not_run.items():
        print(f"not run: {what}: {why}")
    if arguments.json:
        write(scale.measured, found, arguments.json, not_run=scale.not_run)
    if arguments.picture and scale.measured.seconds:
        arguments.picture.write_text(draw_scale(scale.measured.seconds), encoding="utf-8")
    return 0 if all(target.reached for target in found) else 1


if __name__ == "__main__":
    sys.exit(main())
