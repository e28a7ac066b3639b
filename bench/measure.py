"""What the benches share: one timed command after another, figures, and how they are shown."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
HASHLAB = Path(sys.executable).with_name("hashlab")


@dataclass
class Measured:
    """Seconds of every round by what was measured; hashlab's peak memory and the disk of one
    machine in bytes.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_memory: int = 0
    disk: int = 0

    def add(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        print(f"  {name:28} {seconds:7.2f} s", flush=True)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])


@dataclass(frozen=True)
class Target:
    """A figure to reach: ``value`` at most ``limit`` (``unit``), or at least."""

    name: str
    value: float
    limit: float
    unit: str = "s"
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def timed(
    command: list[str], more: dict[str, str] | None = None, **keywords: Any
) -> tuple[float, str]:
    """Run a command that must end well, with ``more`` in its environment; return its seconds and
    stdout.
    """
    # Where this is set, Python compiles hashlab anew at each start, which no user's shell does.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | (more or {})
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, **keywords)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def hashlab(
    measured: Measured, name: str, lab: Path, *words: str, provider: str = "docker"
) -> dict[str, Any]:
    """Run and time one hashlab command; return its record."""
    command = [str(HASHLAB), *words, "--json", "--lab", str(lab), "--provider", provider]
    seconds, stdout = timed(command)
    record: dict[str, Any] = json.loads(stdout)
    measured.add(name, seconds)
    measured.peak_memory = max(measured.peak_memory, record["peak_memory"])
    return record


def show(measured: Measured, found: list[Target]) -> None:
    wide = max([28, *map(len, measured.seconds), *(len(target.name) for target in found)])
    print(f"\n{'measured':{wide}} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in measured.seconds.items():
        middle = statistics.median(values)
        print(f"{name:{wide}} {middle:8.2f} {min(values):8.2f} {max(values):8.2f}")
    print(f"\n{'figure':{wide}} {'reached':>10} {'promised':>10}")
    for target in found:
        mark = "" if target.reached else "   MISSED"
        bound = ">=" if target.at_least else "<="
        reached = f"{target.value:8.2f} {target.unit:5}"
        print(f"{target.name:{wide}} {reached} {bound} {target.limit:.1f} {target.unit}{mark}")


def write(measured: Measured, found: list[Target], path: Path, **more: Any) -> None:
    """Write all figures to a file, as JSON, and what ``more`` there is to say."""
    document = {
        "cores": os.cpu_count(),
        "seconds": measured.seconds,
        "figures": [{**target.__dict__, "reached": target.reached} for target in found],
        **more,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def end_on_sigterm() -> None:
    """From now on SIGTERM ends the bench as Ctrl-C does: what it changed is put back."""

    def end(number: int, frame: object) -> None:
        sys.exit(f"ended by signal {number}")

    signal.signal(signal.SIGTERM, end)


def copy_example(folder: Path, name: str = "hash-collision") -> Path:
    """Copy an example; what was built there stays behind."""
    lab = folder / name
    ignore = shutil.ignore_patterns(".hashlab", "target", "__pycache__")
    shutil.copytree(REPOSITORY / "examples" / name, lab, ignore=ignore)
    return lab
