"""Check the services of a lab together: dependencies, images, and ports of the machines."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import NamedTuple

from hashlab.config.compose.image import context_service
from hashlab.config.compose.ports import MACHINES_OWN
from hashlab.config.compose.service import image_name
from hashlab.config.machines import forwarded_ports
from hashlab.config.model import Port
from hashlab.config.placement import candidates, labels_of
from hashlab.config.published import EVERYWHERE, is_local
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion


def check_dependencies(
    services: Mapping[str, Draft], active: Mapping[str, Draft], report: Report
) -> None:
    """Report cycles, and dependencies on services that do not exist or can never become ready."""
    for name, service in services.items():
        own = report if name in active else report.of_inactive()
        for dependency, line in service.get("depends_on", ()):
            other = dependency.service
            if other not in services:
                hint = suggestion(other, list(services), otherwise="Remove it, or write it.")
                own.add(line, f"unknown service '{other}'", hint)
            elif name in active and other not in active and dependency.required:
                profiles = ", ".join(services[other].get("profiles", ()))
                message = f"service '{other}' is active only with the profile {profiles}"
                hint = f"Set COMPOSE_PROFILES, or give '{name}' that profile, or required: false."
                own.add(line, message, hint)
            elif dependency.condition == "service_healthy" and _is_unhealthy(services[other]):
                message = f"service '{other}' is never healthy: its healthcheck is disabled"
                hint = "Write condition: service_started, or give it a healthcheck."
                own.add(line, message, hint)
            elif dependency.condition == "service_completed_successfully" and (
                restart := services[other].get("restart")
            ) in ("always", "unless-stopped"):
                message = f"service '{other}' never completes: with 'restart: {restart}' the engine"
                hint = f"Write restart: on-failure for '{other}', or condition: service_started."
                own.add(line, f"{message} starts it again", hint)
    _check_cycles(active, report)


def _is_unhealthy(service: Draft) -> bool:
    healthcheck = service.get("healthcheck")
    return healthcheck is not None and healthcheck.test == ("NONE",)


def check_contexts(services: Mapping[str, Draft], report: Report) -> None:
    """Report builds whose further contexts are unknown services, or that need each other."""
    lines: dict[str, dict[str, int]] = {}
    for name, service in services.items():
        build, line = service.get("build"), service.line_of("build")
        contexts = [context for _, context in build.additional_contexts] if build else []
        lines[name] = dict.fromkeys(filter(None, map(context_service, contexts)), line)
        for other in lines[name].keys() - services.keys():
            hint = suggestion(other, list(services), otherwise="Remove it, or write it.")
            report.add(line, f"unknown service '{other}' in additional_contexts", hint)
    _report_cycles(lines, "images are built from each other", report)


def _check_cycles(active: Mapping[str, Draft], report: Report) -> None:
    lines = {
        name: {at.value.service: at.line for at in service.get("depends_on", ())}
        for name, service in active.items()
    }
    _report_cycles(lines, "services wait for each other", report)


def _report_cycles(lines: Mapping[str, Mapping[str, int]], what: str, report: Report) -> None:
    """Report each circle in which services need each other. ``lines``: where each says so."""
    left = {name: [other for other in others if other in lines] for name, others in lines.items()}
    while _drop_finished(left):
        path = _walk(left)
        message = f"{what}: {' → '.join((*path, path[0]))}"
        hint = f"Remove the dependency of '{path[-1]}' on '{path[0]}'."
        report.add(lines[path[-1]][path[0]], message, hint)
        left[path[-1]].remove(path[0])


def _drop_finished(left: dict[str, list[str]]) -> bool:
    """Remove services that wait for none of the others until only cycles remain in ``left``."""
    waiting: dict[str, list[str]] = {}
    for name, others in left.items():
        for other in others:
            waiting.setdefault(other, []).append(name)
    finished = [name for name, others in left.items() if not others]
    while finished:
        name = finished.pop()
        del left[name]
        for other in waiting.get(name, ()):
            left[other].remove(name)
            if not left[other]:
                finished.append(other)
    return bool(left)


def _walk(left: Mapping[str, list[str]]) -> list[str]:
    """Follow dependencies until a service appears again; return the cycle."""
    path: dict[str, None] = {}
    name = next(iter(left))
    while name not in path:
        path[name] = None
        name = left[name][0]
    names = list(path)
    return names[names.index(name) :]


def check_images(services: Mapping[str, Draft], lab: str, report: Report) -> None:
    """Report an image name that two services build from different settings."""
    builders: dict[str, str] = {}
    for name, service in services.items():
        if service.get("build") is None or (service.has("image") and not service.get("image")):
            continue
        image = image_name(lab, name, service)
        first = builders.setdefault(image, name)
        if service.get("build") != services[first].get("build"):
            message = f"the image '{image}' is built differently by service '{first}'"
            report.add(service.line_of("build"), message, "Give one of them another image.")


def check_published_ports(
    toml: Draft, active: Mapping[str, Draft], places: Mapping[str, str], report: Report
) -> None:
    """Report conflicts of published ports.

    These are: a host port that two services of one machine publish, a port that the machine itself
    needs, and a host address that the machine does not have.
    """
    seen: dict[tuple[str, int | None, str], list[_Published]] = {}
    for name, service in active.items():
        for port, line in service.get("ports", ()):
            if name in places:
                _check_host_address(port, line, places[name], toml, report)
            if port.published is None or name not in places:
                continue
            owner = MACHINES_OWN.get((port.published, port.protocol))
            if owner:
                message = f"port {port.published}/{port.protocol} of a machine belongs to {owner}"
                report.add(line, message, "Publish another port.")
            new = _Published(name, places[name], port, line)
            others = seen.setdefault((new.machine, port.published, port.protocol), [])
            _check_conflict(new, others, report)
            others.append(new)


def _check_host_address(port: Port, line: int, machine: str, toml: Draft, report: Report) -> None:
    own = toml.get("machines", {}).get(machine, Draft()).get("address")
    if own is None or port.host_ip in (*EVERYWHERE, str(own)):
        return
    if not is_local(port):
        message = f"{port.host_ip} is not an address of machine '{machine}', which has {own}"
        report.add(line, message, "Write 127.0.0.1, or leave the address out.")


class _Published(NamedTuple):
    service: str
    machine: str
    port: Port
    line: int


def _check_conflict(new: _Published, others: list[_Published], report: Report) -> None:
    for other in others:
        addresses = {new.port.host_ip, other.port.host_ip}
        if len(addresses) == 1 or not addresses.isdisjoint(EVERYWHERE):
            owner = "it" if other.service == new.service else f"service '{other.service}'"
            message = (
                f"port {new.port.published} of '{new.machine}' is already published"
                f" by {owner} (line {other.line})"
            )
            report.add(new.line, message, "Publish another port.")
            return


def check_forwarded_guests(
    toml: Draft, services: Mapping[str, Draft], places: Mapping[str, str], report: Report
) -> None:
    """Report forwarded ports of a machine that no service on it publishes."""
    published: dict[str, set[int]] = {}
    if any(service.flawed("ports") for service in services.values()):
        return
    for name, service in services.items():
        machines = [places[name]] if name in places else candidates(service, labels_of(toml))
        for machine in machines:
            address = toml.get("machines", {}).get(machine, Draft()).get("address")
            ports = (at.value for at in service.get("ports", ()))
            numbers = {port.published for port in ports if _reachable(port, address)}
            published.setdefault(machine, set()).update(numbers)
    for machine, forwarded in forwarded_ports(toml):
        guest = forwarded.value.guest
        if guest and guest not in published.get(machine, ()):
            here = ", ".join(map(str, sorted(published.get(machine, ())))) or "none"
            message = f"no service on machine '{machine}' publishes port {guest}"
            hint = f"Add it to ports of a service there (published now: {here}), or remove this."
            report.add(forwarded.line, message, hint)


def _reachable(port: Port, address: IPv4Address | None) -> bool:
    reachable = port.host_ip in (*EVERYWHERE, str(address)) or is_local(port)
    return port.published is not None and port.protocol == "tcp" and reachable
