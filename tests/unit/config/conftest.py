"""A small valid lab in a temporary folder, with fixtures that change, load and check it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from hashlab.config.load import load_lab
from hashlab.config.model import Lab
from hashlab.errors import ConfigError, Problem

TOML = """\
[lab]
name = "small"
subnet = "192.168.60.0/24"

[machines.broker]
address = "192.168.60.5"
memory = "1 GiB"

[machines.web]
address = "192.168.60.6"
cpus = 2
forwarded_ports = [
  { id = "site", guest = 8080, host = 8081 },
]

[secrets]
generate = ["key"]

[builders.make]
command = ["./build.sh", "{targets}"]

[artifacts.app]
builder = "make"
target = "app"
inputs = ["src"]
output = "out/app"

[verify]
command = ["python3", "verify.py"]
"""

COMPOSE = """\
services:
  queue:
    image: rabbitmq:3
    deploy:
      placement:
        constraints: ["node.hostname == broker"]
    volumes:
      - data:/var/lib/queue
  site:
    build: ./site
    ports:
      - "8080:80"
    environment:
      GREETING: ${GREETING:-hello}
    volumes:
      - ./out/app:/app:ro
    secrets: [key]
    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
    depends_on:
      queue:
        condition: service_healthy
    develop:
      watch:
        - path: ./out/app
          action: sync+restart
    deploy:
      placement:
        constraints: ["node.hostname == web"]
volumes:
  data:
secrets:
  key:
    file: ./.hashlab/secrets/key
"""

FILES = {
    "site/Dockerfile": "FROM debian:trixie-slim\n",
    "src/app.txt": "app\n",
    "build.sh": "#!/bin/sh\n",
    "verify.py": "",
}

Edits = tuple[tuple[str, str], ...]


def changed(text: str, edits: Edits) -> str:
    """Replace each of the texts, one after another; each must occur in ``text`` exactly once."""
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in the small lab"
        text = text.replace(old, new)
    return text


@pytest.fixture
def write_lab(tmp_path: Path) -> Callable[..., Path]:
    """Write the small lab with changes and return its folder."""

    def write(
        *, toml: Edits | str = (), compose: Edits | str = (), files: Mapping[str, str] | None = None
    ) -> Path:
        texts = {
            "hashlab.toml": toml if isinstance(toml, str) else changed(TOML, toml),
            "compose.yaml": compose if isinstance(compose, str) else changed(COMPOSE, compose),
            **FILES,
            **(files or {}),
        }
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (tmp_path / "build.sh").chmod(0o755)
        return tmp_path

    return write


@pytest.fixture
def load(write_lab: Callable[..., Path]) -> Callable[..., Lab]:
    """Write the small lab with changes and load it."""

    def load_changed(
        *,
        environ: Mapping[str, str] | None = None,
        provider: str | None = None,
        ran: Mapping[str, str] = MappingProxyType({}),
        **changes: object,
    ) -> Lab:
        return load_lab(write_lab(**changes), environ=environ or {}, provider=provider, ran=ran)

    return load_changed


@pytest.fixture
def problems_of(load: Callable[..., Lab]) -> Callable[..., tuple[Problem, ...]]:
    """Write the small lab with changes and return the problems that loading reports."""

    def problems(**changes: object) -> tuple[Problem, ...]:
        try:
            load(**changes)
        except ConfigError as error:
            return error.problems
        return ()

    return problems
