"""Put the fronts of a lab among its services, or take them out again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hashlab.config.fronts.haproxy import configuration
from hashlab.config.fronts.reading import Front
from hashlab.config.fronts.settings import NAME
from hashlab.config.model import (
    Build,
    Content,
    Dependency,
    FileMount,
    Healthcheck,
    Image,
    Lab,
    Limits,
    Service,
    TmpfsMount,
)

IMAGE = "hashlab/front"
CONTEXT = Path(__file__).with_name("image")
CONFIGURATION = "/etc/haproxy/haproxy.cfg"
CHECK = "/etc/haproxy/healthy"
# The number of the user "nobody" on every Linux.
NOBODY = "65534:65534"
# Connections that are still open when a front is replaced, which a change of its settings does.
GRACE_SECONDS = 5.0


def front_images(fronts: Iterable[Front]) -> tuple[Image, ...]:
    """Return the images that these fronts run."""
    own = Build(context=CONTEXT, dockerfile=CONTEXT / "Dockerfile")
    named = dict.fromkeys(front.image for front in fronts)
    return tuple(Image(name or IMAGE, None if name else own) for name in named)


def with_fronts(
    services: Iterable[Service],
    fronts: Mapping[str, Front],
    machines: Mapping[str, str],
    ports: Mapping[str, tuple[int, ...]],
) -> tuple[Service, ...]:
    """Return the services of a lab with the fronts of ``machines``. A front has the name, the other
    names and the published ports of its service, and listens on ``ports``; a service that depends
    on the one depends on both.
    """
    services = tuple(services)
    made = []
    for name, machine in machines.items():
        replicas = [service for service in services if service.family == name]
        made.append(_front(name, fronts[name], machine, replicas, ports[name]))
    families = {service.name: service.family for service in services}
    return (*(_behind(service, machines, families) for service in services), *made)


def _front(
    name: str, front: Front, machine: str, replicas: list[Service], ports: tuple[int, ...]
) -> Service:
    first, count = replicas[0], sum(each.replicas for each in replicas)
    text = configuration(f"tasks.{name}", ports, mode=front.mode, replicas=count)
    check = Path(__file__).with_name("healthy.sh").read_text(encoding="utf-8")
    return Service(
        name=NAME.format(name),
        machine=machine,
        image=front.image or IMAGE,
        command=("haproxy", "-f", CONFIGURATION),
        user=NOBODY,
        ports=first.ports,
        expose=tuple(map(str, ports)),
        files=(
            FileMount(f"hashlab-front-{name}", Content(text), CONFIGURATION),
            FileMount("hashlab-front-healthy", Content(check), CHECK),
        ),
        tmpfs=(TmpfsMount("/tmp", size=1 << 20, mode=0o1777),),  # noqa: S108 - the container's
        healthcheck=Healthcheck(
            ("CMD", "bash", CHECK, str(ports[0])),
            interval=5.0,
            timeout=3.0,
            retries=3,
            start_period=30.0,
        ),
        restart="unless-stopped",
        limits=Limits(pids=32),
        cap_drop=("ALL",),
        read_only=True,
        security_opt=("no-new-privileges:true",),
        stop_signal="SIGUSR1",
        stop_grace_period=GRACE_SECONDS,
        aliases=tuple(dict.fromkeys([name, *first.aliases])),
        networks=first.networks,
        front_of=name,
    )


def _behind(service: Service, machines: Mapping[str, str], families: Mapping[str, str]) -> Service:
    """Return a service as it is beside the fronts: a replica of one, or one that depends on it.
    ``families``: the names of services in the Compose file.
    """
    needed = [
        Dependency(NAME.format(family), each.condition)
        for each in service.depends_on
        if (family := families[each.service]) in machines
        # A front never completes, whatever its replicas do.
        if each.condition != "service_completed_successfully"
    ]
    depends_on = tuple(dict.fromkeys([*service.depends_on, *needed]))
    if service.family not in machines:
        return replace(service, depends_on=depends_on)
    networks = tuple(replace(each, aliases=()) for each in service.networks)
    return replace(
        service,
        depends_on=depends_on,
        ports=(),
        aliases=(),
        networks=networks,
        front=NAME.format(service.family),
    )


def without_fronts(lab: Lab) -> Lab:
    """Return the lab as its Compose file describes it: for tools that know no fronts."""
    fronts = {service.front_of: service for service in lab.services if service.front_of}
    names = {front.name for front in fronts.values()}
    images = {front.image for front in fronts.values()}

    def restored(service: Service) -> Service:
        depends_on = tuple(each for each in service.depends_on if each.service not in names)
        front = fronts.get(service.family)
        if front is None:
            return replace(service, depends_on=depends_on)
        own = () if service.copy_of else (service.name,)
        return replace(
            service,
            depends_on=depends_on,
            ports=front.ports,
            aliases=tuple(alias for alias in front.aliases if alias not in own),
            networks=front.networks,
            front="",
        )

    return replace(
        lab,
        services=tuple(restored(each) for each in lab.services if not each.front_of),
        images=tuple(image for image in lab.images if image.name not in images),
    )
