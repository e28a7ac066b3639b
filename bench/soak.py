"""Kills hashlab at random moments, and shows that the next run puts everything right.

    python bench/soak.py [--kills 200] [--seed 1] [--minutes 60] [--json FILE]

Works on a copy of examples/hash-collision in a temporary folder, with the lab up. Each kill
(kill -9) hits one of `dev`, `refresh`, `snapshot`, `restore` and the lab's background process,
somewhere between its first moment and its usual last. Then the next run must end well and prove
what runs, and every row and message that PostgreSQL and RabbitMQ had acknowledged must be there;
after a restore, those from before the snapshot. In the end `destroy` must leave nothing. The same
seed gives the same kinds of kills at the same shares of their time. The exit code is 1 when
anything was lost or left, or a run did not put it right.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ledger import Ledger, Messages, Rows, Unavailable
from measure import HASHLAB, copy_example, end_on_sigterm

from hashlab.config.load import load_lab

KINDS = ("dev", "refresh", "snapshot", "restore", "daemon")
SNAPSHOT = "soak"
RUN_SECONDS = 600.0
BUSY = 5  # exit code: another run is at work on the lab
BUSY_SECONDS = 60.0
# How long a command takes before one has been seen, by the example on two cores.
FIRST_GUESS = {"dev": 15.0, "refresh": 3.0, "snapshot": 4.0, "restore": 8.0, "daemon": 3.0}
CLASS = "user/src/main/java/hashcollision/user/Users.java"
PAGE = "ui/index.html"


class Fault(Exception):
    """A promise that was not kept."""


@dataclass
class Tally:
    """What became of the kills of one command. ``seconds``: from the kill until a run had put it
    right. ``busy``: how often the lab's background process was still at it when that run came.
    """

    kills: int = 0
    converged: int = 0
    busy: int = 0
    lost: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    """How a command ended; ``code`` is None when it was killed."""

    code: int | None
    seconds: float
    output: str

    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.output)
        return found


class Soak:
    """One lab, its ledgers, and what has been seen so far."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.id = load_lab(folder, environ=os.environ).id
        self.ledgers: tuple[Ledger, ...] = (Rows(folder), Messages(folder))
        self.tallies = {kind: Tally() for kind in KINDS}
        self.usual = dict(FIRST_GUESS)
        self.faults: list[str] = []
        self.edits = 0
        # What was acknowledged before the snapshot that is kept, and up to when it was taken.
        self.snapshot: dict[str, tuple[list[int], int]] | None = None

    # Commands

    def command(self, *words: str) -> list[str]:
        return [str(HASHLAB), *words, "--lab", str(self.folder), "--provider", "docker"]

    def run(self, *words: str) -> Outcome:
        """Runs a command to its end."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*words, "--json"),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        seconds = time.monotonic() - started
        return Outcome(done.returncode, seconds, done.stdout or done.stderr)

    def well(self, *words: str) -> Outcome:
        """Runs a command that must end well. Raises Fault."""
        return self.checked(self.run(*words), words)

    def after_a_kill(self, tally: Tally, *words: str) -> Outcome:
        """Runs a command that must end well, once the lab's background process has noticed that the
        one who asked is gone: it ends a snapshot in order. Raises Fault.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        done = self.run(*words)
        tally.busy += done.code == BUSY
        while done.code == BUSY and time.monotonic() < deadline:
            time.sleep(1)
            done = self.run(*words)
        return self.checked(done, words)

    def checked(self, done: Outcome, words: Sequence[str]) -> Outcome:
        """The outcome of a command that must have ended well. Raises Fault."""
        if done.code != 0:
            raise Fault(f"hashlab {' '.join(words)}: exit code {done.code}\n{done.output[-3000:]}")
        return done

    def killed(self, kind: str, *words: str) -> bool:
        """Runs a command and kills it, or the daemon, meanwhile; False when it was quicker."""
        moment = self.rng.uniform(0.0, 1.0) * self.usual[kind]
        started = time.monotonic()
        process = subprocess.Popen(
            self.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        hit = process.poll() is None
        if kind == "daemon":
            hit = self.kill_daemon()
        elif hit:
            process.kill()
        process.wait(RUN_SECONDS)
        if not hit:
            self.usual[kind] = max(0.2, 0.9 * (time.monotonic() - started))
        print(f"    {' '.join(words)}: kill -9 after {moment:.2f} s{'' if hit else ', too late'}")
        return hit

    def kill_daemon(self) -> bool:
        """Kills the lab's background process, if there is one."""
        hit = False
        for number, words in processes():
            is_daemon = any(word.startswith("hashlab.daemon") for word in words)
            if is_daemon and str(self.folder) in words:
                os.kill(number, signal.SIGKILL)
                hit = True
        return hit

    # Kills, by kind. Each returns whether something was killed, and the command to run next.

    def dev(self) -> tuple[bool, tuple[str, ...]]:
        before = self.rng.choice(["power", "power", "destroyed", "edited"])
        if before == "power":
            machine = self.rng.choice(["broker", "services", "web"])
            docker("kill", f"{self.id}-{machine}")
        elif before == "destroyed":
            self.rest()
            self.well("destroy")
            for ledger in self.ledgers:
                ledger.forget()
        else:
            self.edit()
        return self.killed("dev", "dev"), ("dev",)

    def refresh(self) -> tuple[bool, tuple[str, ...]]:
        self.edit()
        return self.killed("refresh", "refresh"), (self.rng.choice(["refresh", "dev"]),)

    def daemon(self) -> tuple[bool, tuple[str, ...]]:
        self.well("refresh")  # starts one, where there is none
        self.edit()
        return self.killed("daemon", "refresh"), (self.rng.choice(["refresh", "dev"]),)

    def take(self) -> tuple[bool, tuple[str, ...]]:
        self.forget_snapshot()
        return self.killed("snapshot", "snapshot", SNAPSHOT), ("dev",)

    def restore(self) -> tuple[bool, tuple[str, ...]]:
        if self.snapshot is None:
            self.forget_snapshot()
            before = [ledger.acknowledged() for ledger in self.ledgers]
            self.usual["snapshot"] = self.well("snapshot", SNAPSHOT).seconds
            # Whatever was acknowledged meanwhile may be in it or not.
            self.snapshot = {
                ledger.server: (kept, ledger.begun())
                for ledger, kept in zip(self.ledgers, before, strict=True)
            }
        for ledger in self.ledgers:
            ledger.write(3)
        return self.killed("restore", "restore", SNAPSHOT), ("restore", SNAPSHOT)

    def edit(self) -> None:
        """Changes a class or a page."""
        self.edits += 1
        if self.rng.random() < 0.5:
            path, mark = self.folder / CLASS, "// soak\n"
            more = f"final class Soak {{ static int round() {{ return {self.edits}; }} }}\n"
        else:
            path, mark, more = self.folder / PAGE, "<!-- soak", f" {self.edits} -->\n"
        path.write_text(path.read_text(encoding="utf-8").split(mark)[0] + mark + more)

    def forget_snapshot(self) -> None:
        """Removes our snapshot, whole or half."""
        self.snapshot = None
        listed = self.well("snapshots").document()["snapshots"]
        if SNAPSHOT in [snapshot["name"] for snapshot in listed]:
            self.well("snapshots", "prune", SNAPSHOT)

    # What must be true afterwards

    def one(self, kind: str) -> bool:
        """One kill and what follows; False when nothing was killed."""
        act: dict[str, Callable[[], tuple[bool, tuple[str, ...]]]] = {
            "dev": self.dev,
            "refresh": self.refresh,
            "snapshot": self.take,
            "restore": self.restore,
            "daemon": self.daemon,
        }
        for ledger in self.ledgers:
            ledger.write(2)
        hit, following = act[kind]()
        tally = self.tallies[kind]
        tally.kills += hit
        if following[0] == "restore":
            self.rest()
        started = time.monotonic()
        done = self.after_a_kill(tally, *following)
        if hit:
            tally.seconds.append(time.monotonic() - started)
        if following[0] == kind and kind != "dev":
            self.usual[kind] = done.seconds
        if following[0] == "restore":
            self.put_back()
        self.well("verify")
        tally.lost += self.lost()
        tally.converged += hit
        return hit

    def rest(self) -> None:
        for ledger in self.ledgers:
            ledger.rest()

    def put_back(self) -> None:
        """From a restore on, only what was acknowledged before its snapshot must be there."""
        assert self.snapshot is not None
        for ledger in self.ledgers:
            kept, last = self.snapshot[ledger.server]
            late = {number for number in ledger.acknowledged() if number > last}
            ledger.forget(kept)
            if still := late & ledger.stored():
                message = f"{ledger.server} still has {len(still)} written after the snapshot"
                raise Fault(message)

    def lost(self) -> int:
        """How many acknowledged numbers are gone; from then on they are no more expected."""
        lost = 0
        for ledger in self.ledgers:
            ledger.rest()
            expected = ledger.acknowledged()
            # A lab made again has neither table nor queue until something is written.
            stored = ledger.stored() if expected else set()
            gone = [number for number in expected if number not in stored]
            if gone:
                self.faults.append(f"{ledger.server} lost {gone}")
                ledger.forget([number for number in expected if number in stored])
                if self.snapshot:
                    kept, last = self.snapshot[ledger.server]
                    self.snapshot[ledger.server] = [n for n in kept if n in stored], last
            lost += len(gone)
        return lost

    def recover(self) -> None:
        """After a fault: a lab to go on with, new if need be."""
        self.rest()
        if self.run("dev").code == 0:
            return
        self.snapshot = None
        self.well("destroy")
        for ledger in self.ledgers:
            ledger.forget()
        self.well("dev")

    def left(self) -> list[str]:
        """Whatever is there of the lab after `destroy`."""
        label = f"label=hashlab.lab={self.id}"
        found = [f"container {name}" for name in docker("ps", "-aq", "--filter", label)]
        found += [f"volume {name}" for name in docker("volume", "ls", "-q", "--filter", label)]
        found += [f"network {name}" for name in docker("network", "ls", "-q", "--filter", label)]
        found += [
            f"process {number}: {' '.join(words)}"
            for number, words in processes()
            if number != os.getpid() and any(str(self.folder) in word for word in words)
        ]
        state = self.folder / ".hashlab"
        found += [f"note of a child {path}" for path in (state / "children").glob("*")]
        found += [str(path) for path in (state / "daemon.sock",) if path.exists()]
        with (state / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append("the lock is held")
        return found


def processes() -> Iterator[tuple[int, list[str]]]:
    """Number and words of every process of this laptop."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = entry.read_bytes().split(b"\0")
            yield int(entry.parent.name), [os.fsdecode(word) for word in words]


def docker(*words: str) -> list[str]:
    """Ask the laptop's engine, which must do it."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


def soak(lab: Soak, kills: int, deadline: float) -> None:
    """Kills until there were enough, or the time is over."""
    kinds: list[str] = []
    done = 0
    while done < kills and time.monotonic() < deadline:
        if not kinds:
            kinds = lab.rng.sample(KINDS, len(KINDS))
        kind = kinds.pop()
        print(f"{done + 1} of {kills}: {kind}", flush=True)
        try:
            done += lab.one(kind)
        except (Fault, Unavailable, OSError, subprocess.SubprocessError) as fault:
            done += 1
            lab.faults.append(f"{kind}: {fault}")
            print(f"    FAULT: {fault}", flush=True)
            lab.recover()


@contextmanager
def started(folder: Path, rng: random.Random) -> Iterator[Soak]:
    """A lab that is up and written to; afterwards destroyed, and nothing of it is left."""
    lab = Soak(folder, rng)
    try:
        try:
            lab.well("init-box")
            lab.usual["dev"] = lab.well("dev").seconds / 2  # the first one builds with Maven
        except Fault as fault:
            sys.exit(f"there is no lab to begin with: {fault}")
        for ledger in lab.ledgers:
            ledger.start()
        yield lab
    finally:
        for ledger in lab.ledgers:
            if ledger.is_alive():
                ledger.stop()
        lab.forget_snapshot()
        lab.well("destroy")
        lab.faults += [f"left after destroy: {thing}" for thing in lab.left()]


def show(lab: Soak) -> None:
    head = f"{'killed':10} {'kills':>6} {'converged':>10} {'busy':>6}"
    print(f"\n{head} {'median':>9} {'most':>9} {'lost':>6}")
    for kind, tally in lab.tallies.items():
        seconds = tally.seconds or [0.0]
        middle, most = statistics.median(seconds), max(seconds)
        print(
            f"{kind:10} {tally.kills:6} {tally.converged:10} {tally.busy:6}"
            f" {middle:7.2f} s {most:7.2f} s {tally.lost:6}"
        )
    for fault in lab.faults:
        print(f"FAULT {fault}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=24 * 60.0, help="begin no kill after that")
    parser.add_argument("--json", type=Path, help="write what was seen to this file")
    arguments = parser.parse_args()
    end_on_sigterm()
    deadline = time.monotonic() + 60 * arguments.minutes
    with (
        tempfile.TemporaryDirectory(prefix="hashlab-soak-") as folder,
        started(copy_example(Path(folder)), random.Random(arguments.seed)) as lab,
    ):
        soak(lab, arguments.kills, deadline)
    show(lab)
    if arguments.json:
        commands = {kind: asdict(tally) for kind, tally in lab.tallies.items()}
        document = {"seed": arguments.seed, "commands": commands, "faults": lab.faults}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if lab.faults else 0


if __name__ == "__main__":
    sys.exit(main())
