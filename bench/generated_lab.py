"""Writes labs of any size: tiny services of examples/hello, spread over machines."""

from __future__ import annotations

import shutil
from pathlib import Path

from measure import REPOSITORY

HELLO = REPOSITORY / "examples/hello"
HEADER = """\
[lab]
name     = "hashlab-scale"
provider = "docker"
subnet   = "192.168.62.0/24"
"""
MACHINE = """
[machines.{name}]
address = "192.168.62.{last}"
memory  = "512 MiB"
"""
SERVICE = """\
  {name}:
    image: hashlab-scale/greeter
    build: ./images/greeter
    init: true
    stop_grace_period: 1s
    environment: {{ GREETING: "{name}" }}
    volumes: ["./greeter:/app:ro"]
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000"]
      interval: 5s
      timeout: 3s
      retries: 10
    deploy:
      placement: {{ constraints: ["node.hostname == {machine}"] }}
    develop:
      watch:
        - {{ path: ./greeter, target: /app, action: sync+restart }}
        - {{ path: ./images/greeter, action: rebuild }}
"""


def machine_names(count: int) -> list[str]:
    return [f"m{number:02}" for number in range(1, count + 1)]


def generate(folder: Path, *, machines: int, services: int) -> None:
    """Make ``folder`` a lab of this size; one of another size there is replaced, its box is not."""
    names = machine_names(machines)
    for part in ("greeter", "images/greeter"):
        shutil.copytree(HELLO / part, folder / part, dirs_exist_ok=True)
    described = [MACHINE.format(name=name, last=5 + i) for i, name in enumerate(names)]
    (folder / "hashlab.toml").write_text(HEADER + "".join(described), encoding="utf-8")
    entries = [
        SERVICE.format(name=f"s{number:02}", machine=names[number % machines])
        for number in range(services)
    ]
    (folder / "compose.yaml").write_text("services:\n" + "".join(entries), encoding="utf-8")
