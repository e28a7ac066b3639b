"""Finds the address on the laptop that `hashlab open` opens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hashlab.config.model import Service
from hashlab.documents.forward import ForwardedTarget
from hashlab.errors import UsageError
from hashlab.phases.world import World

# The id of the port that is the application's own page.
MAIN_PORT = "web"


def address_of(
    world: World,
    forwards: Sequence[ForwardedTarget],
    *,
    service: str = "",
    port: int | None = None,
    services: Sequence[Service] = (),
) -> str:
    """Return the address to open: of a published port, or of one that `hashlab forward` forwards
    now (``forwards``). A port for browsers comes before one with the scheme "tcp".

    ``service``: the name that was typed, "" for any; ``services``: all that it means; ``port``: of
    the container, None for any. Raises UsageError.
    """
    found = _published(world, services if service else None, port)
    found += [
        f"http://{each.address}"
        for each in forwards
        if service in ("", each.service) and port in (None, each.port)
    ]
    if found:
        return min(found, key=lambda url: not is_for_browsers(url))
    wanted = f"port {port} of service {service}" if port else f"service {service}"
    target = f"{service or 'SERVICE'}{f':{port}' if port else ''}"
    raise UsageError(
        f"{wanted if service else f'lab {world.lab.name}'} has no address on the laptop",
        next_step=f"hashlab forward {target}, and beside it: hashlab open {target}",
    )


def listening(world: World, serving: Collection[str]) -> dict[str, str]:
    """Return the addresses of the forwarded ports on the laptop, by id, but not of those that only
    other services than ``serving`` publish: nothing listens there.
    """
    urls = world.urls()
    found: dict[str, str] = {}
    for machine in world.lab.machines:
        for forwarded in machine.forwarded_ports:
            publishers = {
                service.name
                for service in world.services_on(machine.name)
                if _publishes(service, forwarded.guest, None)
            }
            if not publishers or publishers & set(serving):
                found[forwarded.id] = urls[forwarded.id]
    return found


def addresses_of(world: World, service: Service, urls: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of ``urls`` (by id of a forwarded port) at which a service answers."""
    return tuple(
        urls[forwarded.id]
        for forwarded in world.machine(service.machine).forwarded_ports
        if forwarded.id in urls and _publishes(service, forwarded.guest, None)
    )


def is_for_browsers(url: str) -> bool:
    """Return whether a browser can open this address."""
    return url.startswith(("http://", "https://"))


def _published(world: World, services: Sequence[Service] | None, port: int | None) -> list[str]:
    """Return the addresses of the published ports of services, or of all; the main one first."""
    urls = world.urls()
    found = [
        forwarded
        for machine in world.lab.machines
        for forwarded in machine.forwarded_ports
        if services is None
        or any(
            service.machine == machine.name and _publishes(service, forwarded.guest, port)
            for service in services
        )
    ]
    return [urls[each.id] for each in sorted(found, key=lambda each: each.id != MAIN_PORT)]


def _publishes(service: Service, published: int, port: int | None) -> bool:
    return any(
        each.published == published and each.protocol == "tcp" and port in (None, each.target)
        for each in service.ports
    )
