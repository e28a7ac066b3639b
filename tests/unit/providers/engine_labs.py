"""Boxes and machines on a fake engine, and what the containers behind them answer."""

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
# What the container runs that finds out whether privileged ones work; its name is random.
PROBE = ("/bin/true",)


def fine(_: Container) -> Completed:
    return Completed(0, "", "")


def broken(_: Container) -> Completed:
    return Completed(1, "", "no\n")


def seed_answers(engine: FakeEngine, **answers: Any) -> None:
    """What the seed machine says to what it is asked."""
    load = ("docker", "load", "--quiet", "--input", "/images/images.tar")
    engine.executes[("docker", "info")] = answers.get("info", fine)
    engine.executes[load] = answers.get("load", fine)
    stop = ("systemctl", "stop", "docker.service", "docker.socket")
    engine.executes[stop] = answers.get("stop", fine)


def built(engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track) -> None:
    """The box's image is there."""
    engine.images["debian:trixie-slim"] = {}
    provider.boxes.build_system(lab, MANIFEST, track=track)


def with_store(
    engine: FakeEngine, provider: DockerProvider, lab: Lab, track: Track, folder: Path
) -> None:
    """The box is there whole."""
    built(engine, provider, lab, track)
    seed_answers(engine)
    provider.boxes.build_store(lab, MANIFEST, folder / "images.tar", track=track)
    engine.behave(f"{lab.id}-clone", Behaviour(exits=0))


def machine(engine: FakeEngine, lab: Lab, name: str, **labels: str) -> str:
    """A machine's container that runs."""
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
    """The files that a stage of the system's Dockerfile is built from, itself included."""
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
