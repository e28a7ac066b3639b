"""Boxes and machines on a fake engine, and the answers of the containers behind them."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from fakes import Behaviour, FakeEngine
from fakes.engine import Container

from hashlab import providers
from hashlab.config.model import Lab
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, Completed
from hashlab.providers.docker import DockerProvider

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "docker", {"a:1": "x", "b:1": "y"})
SUBNET = IPv4Network("192.168.60.0/24")
IMAGE = "hashlab-box:abc"
STORE = "hashlab-box-abc"
# The files that a box's system is built from.
SYSTEM = Path(providers.__file__).parent / "system"
# The command of the container that probes for privileges; its name is random.
PROBE = ("/bin/true",)


def fine(_: Container) -> Completed:
    return Completed(0, "", "")


def broken(_: Container) -> Completed:
    return Completed(1, "", "no\n")


def seed_answers(engine: FakeEngine, **answers: Any) -> None:
    """Return the seed machine's answers to its commands."""
    load = ("docker", "load", "--quiet", "--input", "/images/images.tar")
    engine.executes[("docker", "info")] = answers.get("info", fine)
    engine.executes[load] = answers.get("load", fine)
    stop = ("systemctl", "stop", "docker.service", "docker.socket")
    engine.executes[stop] = answers.get("stop", fine)


def built(engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track) -> None:
    """Make the box's image exist."""
    engine.images["debian:trixie-slim"] = {}
    provider.boxes.build_system(lab, MANIFEST, track=track)


def with_store(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, folder: Path
) -> None:
    """Make the complete box exist."""
    built(engine, provider, lab, track)
    seed_answers(engine)
    provider.boxes.build_store(lab, MANIFEST, folder / "images.tar", track=track)
    engine.behave(f"{lab.id}-clone", Behaviour(exits=0))


def machine(engine: FakeEngine, lab: Lab, name: str, **labels: str) -> str:
    """Make a running container that is a machine."""
    if lab.id not in engine.networks():
        engine.create_bridge(lab.id, str(SUBNET), {"hashlab.lab": lab.id})
    engine.images[IMAGE] = {}
    body = {
        "Image": IMAGE,
        "Labels": {"hashlab.lab": lab.id, "hashlab.machine": name, "hashlab.recipe": "abc"}
        | labels,
        "NetworkingConfig": {"EndpointsConfig": {lab.id: {}}},
    }
    container = engine.create(f"{lab.id}-{name}", body)
    engine.start(container)
    return container


def copied_into(target: str) -> set[str]:
    """Return the files that a stage of the system's Dockerfile is built from, including itself."""
    stages: dict[str, set[str]] = {}
    stage = ""
    for line in (SYSTEM / "Dockerfile").read_text().splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            stage = words[3]
            stages[stage] = set(stages.get(words[1], set()))
        if words[:1] == ["COPY"]:
            stages[stage] |= set(words[1:-1])
    return {"Dockerfile", *stages[target]}
