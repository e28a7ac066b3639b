"""A small lab of three machines as values: a queue, a one-shot migration, a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from hashlab.config.fronts.making import front_images, with_fronts
from hashlab.config.fronts.reading import Front
from hashlab.config.model import (
    Artifact,
    BindMount,
    Build,
    Dependency,
    FileMount,
    ForwardedPort,
    Healthcheck,
    Image,
    Lab,
    Machine,
    Network,
    Port,
    Service,
    Step,
    VolumeMount,
    Watch,
)

FILES: Mapping[str, str] = {
    "queue/Dockerfile": "FROM debian:trixie-slim\n",
    "queue/queue.conf": "durable\n",
    "site/Dockerfile": "FROM debian:trixie-slim\nCOPY run.sh /\n",
    "site/run.sh": "exec run\n",
    "src/main.txt": "source 1\n",
    "static/index.html": "<h1>one</h1>\n",
    "static/style/site.css": "h1 {}\n",
    "conf/site.conf": "workers 1\n",
}


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def small_lab(folder: Path, **changes: Any) -> Lab:
    """Return the lab in ``folder`` after writing its files. ``changes`` replace fields of the
    Lab.
    """
    write_files(folder, FILES)
    lab = Lab(
        folder=folder,
        name="small",
        provider="docker",
        subnet=IPv4Network("192.168.60.0/24"),
        machines=(
            Machine("broker", IPv4Address("192.168.60.5"), memory=64 << 20),
            Machine(
                "web",
                IPv4Address("192.168.60.6"),
                memory=64 << 20,
                forwarded_ports=(ForwardedPort("site", 80, 8080),),
            ),
            Machine("spare", IPv4Address("192.168.60.7"), memory=64 << 20),
        ),
        services=(_queue(folder), _migrate(folder), _site(folder)),
        networks=(Network("default", "small_default"),),
        images=(
            Image("small/queue", _build(folder / "queue")),
            Image("small/site", _build(folder / "site")),
        ),
        artifacts=(
            Artifact("app", inputs=("src",), output=folder / "out/app", command=("make", "app")),
        ),
        generated_secrets=("password",),
        seed=Step(("python3", "seed.py")),
        verify=Step(("python3", "verify.py", "--all")),
    )
    return replace(lab, **changes)


def change_service(lab: Lab, name: str, **changes: Any) -> Lab:
    """Return the lab with fields of one service replaced.

    A dependency on the health of a service without a check becomes one on its start.
    """
    services = tuple(replace(s, **changes) if s.name == name else s for s in lab.services)
    if changes.get("healthcheck", True) is None:
        services = tuple(replace(s, depends_on=_without_health(s, name)) for s in services)
    return replace(lab, services=services)


def behind_front(lab: Lab, name: str, machine: str) -> Lab:
    """Return the lab with a front on ``machine`` before a service, which listens on port 80."""
    settings = {name: Front()}
    services = with_fronts(lab.services, settings, {name: machine}, {name: (80,)})
    return replace(lab, services=services, images=(*lab.images, *front_images(settings.values())))


def spread_over(lab: Lab, name: str, *machines: str) -> Lab:
    """Return the lab with one replica of a service on each of these machines."""
    copied = lab.service(name)
    copies = (
        replace(
            copied,
            name=f"{name}.{machine}",
            machine=machine,
            copy_of=name,
            aliases=(name,),
            replicas=1,
        )
        for machine in machines
    )
    others = (service for service in lab.services if service.name != name)
    return replace(lab, services=(*others, *copies))


def _without_health(service: Service, name: str) -> tuple[Dependency, ...]:
    return tuple(
        replace(one, condition="service_started") if one.service == name else one
        for one in service.depends_on
    )


def _build(context: Path) -> Build:
    return Build(context, context / "Dockerfile", args=(("LEVEL", "1"),))


def _queue(folder: Path) -> Service:
    return Service(
        "queue",
        "broker",
        "small/queue",
        build=_build(folder / "queue"),
        volumes=(VolumeMount("data", "/var/lib/queue"),),
        healthcheck=Healthcheck(("CMD", "ready"), interval=1.0),
        restart="unless-stopped",
    )


def _migrate(folder: Path) -> Service:
    return Service(
        "migrate",
        "broker",
        "small/queue",
        build=_build(folder / "queue"),
        command=("migrate",),
        depends_on=(Dependency("queue", "service_healthy"),),
    )


def _site(folder: Path) -> Service:
    password = folder / ".hashlab/secrets/password"
    return Service(
        "site",
        "web",
        "small/site",
        build=_build(folder / "site"),
        environment=(("GREETING", "hello"),),
        ports=(Port(80),),
        binds=(
            BindMount(folder / "out/app", "/app", read_only=True),
            BindMount(folder / "static", "/static", read_only=True),
            BindMount(folder / "conf/site.conf", "/etc/site.conf", read_only=True),
        ),
        files=(FileMount("password", password, "/run/secrets/password", mode=0o400, secret=True),),
        healthcheck=Healthcheck(("CMD", "ready")),
        depends_on=(
            Dependency("queue", "service_healthy"),
            Dependency("migrate", "service_completed_successfully"),
        ),
        replicas=2,
        watch=(
            Watch(folder / "out/app", "sync+restart"),
            Watch(folder / "static", "sync"),
        ),
        restart="unless-stopped",
    )
