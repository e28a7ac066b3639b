"""Counts the requests that a service behind a front loses while its replicas are replaced or end.

    python bench/replicas.py [--rounds 10] [--rate 40] [--json FILE]

Works on a copy of examples/hello in a temporary folder, with its greeter on two of three machines
and a front on the one that runs nginx. A client sends requests at a steady rate through both.
Each round replaces both replicas by `refresh`. Then, once each: `restart`, `scale` up and down, a
replica killed with -9, a machine cut off from its power, `dev` that brings it back, and `dev` after
hashlab.toml has lost it. Needs a lab-capable machine with no other lab on it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from measure import HASHLAB, REPOSITORY
from steady import Answers, steady

DEPLOY = """\
    volumes: ["./greeter:/app:ro"]
    expose: ["8000"]
    deploy: { replicas: 2, placement: { preferences: [{ spread: node.id }] } }
"""
THIRD = '[machines.third]\naddress = "192.168.61.7"\nmemory = "512 MiB"\n\n'
FRONT = '[services.greeter]\nfront = { machine = "front" }\n\n'


def hashlab(lab: Path, *words: str) -> str:
    """Run a command that must succeed; return its output."""
    command = [str(HASHLAB), "--lab", str(lab), "--provider", "docker", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def prepared(folder: Path) -> Path:
    """Return a copy of the example whose greeter has a front."""
    lab = folder / "hello"
    shutil.copytree(REPOSITORY / "examples/hello", lab, ignore=shutil.ignore_patterns(".hashlab"))
    compose, toml = lab / "compose.yaml", lab / "hashlab.toml"
    compose.write_text(compose.read_text().replace('    volumes: ["./greeter:/app:ro"]\n', DEPLOY))
    toml.write_text(toml.read_text().replace("[verify]", f"{THIRD}{FRONT}[verify]"))
    return lab


def edit(lab: Path, text: str) -> None:
    """Change the program of the greeter."""
    path = lab / "greeter/greeter.py"
    path.write_text(re.sub(r'"GREETING", ".*?"', f'"GREETING", "{text}"', path.read_text()))


def machine_container(lab: Path, machine: str) -> str:
    """Return the container of a machine on the laptop's engine."""
    names = subprocess.run(
        ["docker", "ps", "--all", "--format", "{{.Names}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    identifier = json.loads(hashlab(lab, "status", "--json"))["lab"]
    return next(
        name
        for name in names.stdout.split()
        if name.startswith(f"{identifier}-") and name.endswith(f"-{machine}")
    )


def wait(seconds: float) -> None:
    """Let the client see what follows from the last step."""
    threading.Event().wait(seconds)


def kill_replica(lab: Path) -> None:
    pid = "$(docker inspect --format '{{.State.Pid}}' hello-greeter.back-1)"
    hashlab(lab, "ssh", "back", "--command", f"sudo kill -9 {pid}")
    wait(5)


def kill_machine(lab: Path) -> None:
    subprocess.run(
        ["docker", "kill", machine_container(lab, "third")], capture_output=True, check=True
    )
    wait(8)


def remove_machine(lab: Path) -> None:
    toml = lab / "hashlab.toml"
    toml.write_text(toml.read_text().replace(THIRD, ""))
    hashlab(lab, "dev")


def steps(lab: Path, rounds: int) -> list[tuple[str, Callable[[], object]]]:
    """Return the steps and their names."""

    def refreshes() -> None:
        for number in range(rounds):
            edit(lab, f"round {number}")
            hashlab(lab, "refresh")

    return [
        (f"{rounds} refreshes", refreshes),
        ("restart", lambda: hashlab(lab, "restart", "greeter")),
        ("scale to 3", lambda: hashlab(lab, "scale", "greeter=3")),
        ("scale to 2", lambda: hashlab(lab, "scale", "greeter=2")),
        ("replica killed", lambda: kill_replica(lab)),
        ("machine killed", lambda: kill_machine(lab)),
        ("dev brings it back", lambda: hashlab(lab, "dev")),
        ("dev after it left", lambda: remove_machine(lab)),
    ]


def show(name: str, answers: Answers) -> None:
    print(
        f"{name:22} {answers.sent:6} requests  {len(answers.failed):4} failed  "
        f"slowest {answers.slowest:.2f} s",
        flush=True,
    )
    for failure in answers.failed[:3]:
        print(f"    {failure}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="hashlab-bench-") as folder:
        lab = prepared(Path(folder))
        try:
            hashlab(lab, "dev")
            url = json.loads(hashlab(lab, "status", "--json"))["urls"]["web"] + "/greeting"
            for name, act in steps(lab, arguments.rounds):
                with steady(url, per_second=arguments.rate) as answers:
                    act()
                show(name, answers)
                figures[name] = {
                    "requests": answers.sent,
                    "failed": len(answers.failed),
                    "slowest": answers.slowest,
                }
        finally:
            hashlab(lab, "destroy")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if any(each["failed"] for each in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
