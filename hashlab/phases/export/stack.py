"""Turns the lab into what `docker stack deploy` takes: version 3 of Compose's old schema. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hashlab.config.fronts.making import without_fronts
from hashlab.config.model import Content, Lab, Service
from hashlab.phases.export.shapes import Export, Shape, exported

# The schema of Docker 20.10; that of Docker 25 also knows start_interval.
VERSION, VERSION_WITH_START_INTERVAL = "3.9", "3.12"
Read = Callable[[Path | Content], bytes]
# Keys that Swarm and the schema have as Compose has them.
SAME = (
    "image",
    "cap_add",
    "cap_drop",
    "command",
    "dns",
    "dns_search",
    "entrypoint",
    "environment",
    "hostname",
    "init",
    "labels",
    "read_only",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tty",
    "ulimits",
    "user",
    "working_dir",
)
NETWORK_KEYS = ("internal", "driver_opts", "labels")
MOUNT_KEYS = ("type", "source", "target", "read_only")
# Keys that mean nothing in a Swarm, so that nobody misses them.
SILENT = ("expose", "aliases")
RESTARTS = {"no": "none", "on-failure": "on-failure"}
# How long the Swarm watches a container after it runs. One with a health check runs only after it
# has passed.
MONITOR, MONITOR_UNCHECKED = "5s", "10s"
# Short enough for a label, long enough to differ.
DIGITS = 12


def stack(lab: Lab, images: Mapping[str, str], *, dnsrr: bool, read: Read) -> Export:
    """Return the lab as a stack. ``dnsrr``: for nodes whose kernel has no IPVS; ``read``: returns
    the content of a config.
    """
    plain = exported(lab, images)
    lab = without_fronts(lab)
    lost: dict[str, list[str]] = {}
    services = {service.family: service for service in lab.services}
    converted = {}
    for name, service in services.items():
        shape = plain.shape["services"][name]
        several = sum(each.family == name for each in lab.services) > 1
        converted[name] = _service(lab, service, shape, several=several, dnsrr=dnsrr)
        for what in _lost(shape):
            lost.setdefault(what, []).append(name)
    notes = [*plain.notes, *(f"{', '.join(each)}: {what}" for what, each in lost.items())]
    if any("depends_on" in shape for shape in plain.shape["services"].values()):
        notes.append("depends_on: Swarm starts all services at once; they must wait by themselves")
    checks = [shape.get("healthcheck", {}) for shape in converted.values()]
    late = any("start_interval" in check for check in checks)
    whole: Shape = {
        "version": VERSION_WITH_START_INTERVAL if late else VERSION,
        "services": converted,
        "networks": {key: _network(n) for key, n in plain.shape.get("networks", {}).items()},
        "volumes": {
            key: _volume(lab, key, volume) for key, volume in plain.shape.get("volumes", {}).items()
        },
        "secrets": dict(plain.shape.get("secrets", {})),
        "configs": {
            name: {"file": f"./configs/{name}", "name": _versioned(lab, name, source, read)}
            for name, source in plain.configs.items()
        },
    }
    if any("placement" in shape["deploy"] for shape in converted.values()):
        notes.append(
            "placement: name the node of each machine: docker node update --label-add "
            f"machine={next(iter(lab.machines)).name} NODE"
        )
    kept = {key: value for key, value in whole.items() if value}
    return replace(plain, shape=kept, notes=tuple(notes))


def _versioned(lab: Lab, name: str, source: Path | Content, read: Read) -> str:
    """Return a name with the content's hash: Swarm's configs never change, so a new one is made."""
    return f"{lab.name}_{name}_{hashlib.sha256(read(source)).hexdigest()[:DIGITS]}"


def _service(lab: Lab, service: Service, shape: Shape, *, several: bool, dnsrr: bool) -> Shape:
    found = {key: shape[key] for key in SAME if key in shape}
    if "hostname" in found and service.replicas > 1:
        del found["hostname"]
    if "extra_hosts" in shape:
        found["extra_hosts"] = [each.replace("=", ":", 1) for each in shape["extra_hosts"]]
    if "healthcheck" in shape:
        found["healthcheck"] = shape["healthcheck"]
    if "networks" in shape:
        found["networks"] = {
            key: {"aliases": place["aliases"]} if place and "aliases" in place else {}
            for key, place in shape["networks"].items()
        }
    ports = [_port(port, host=dnsrr) for port in shape.get("ports", ())]
    mounts = [*map(_mount, shape.get("volumes", ())), *map(_short_tmpfs, shape.get("tmpfs", ()))]
    references: Shape = {
        kind: [_reference(each) for each in shape[kind]]
        for kind in ("secrets", "configs")
        if kind in shape
    }
    deploy = _deploy(lab, service, shape, several=several, dnsrr=dnsrr)
    more: Shape = {"ports": ports, "volumes": mounts, **references, "deploy": deploy}
    return {**found, **{key: value for key, value in more.items() if value}}


def _port(port: Shape, *, host: bool) -> Shape:
    published = {"published": int(port["published"])} if port.get("published") else {}
    mode = "host" if host else port["mode"]
    return {"target": port["target"], **published, "protocol": port["protocol"], "mode": mode}


def _mount(mount: Shape) -> Shape:
    kind = mount["type"]
    same: Shape = {
        key: mount[key] for key in ("type", "source", "target", "read_only") if key in mount
    }
    options: Shape = {}
    if kind == "volume" and mount["volume"].get("nocopy"):
        options = {"volume": {"nocopy": True}}
    elif kind == "bind" and mount["bind"].get("propagation"):
        options = {"bind": {"propagation": mount["bind"]["propagation"]}}
    elif kind == "tmpfs" and mount["tmpfs"].get("size"):
        options = {"tmpfs": {"size": int(mount["tmpfs"]["size"])}}
    return {**same, **options}


def _short_tmpfs(text: str) -> Shape:
    target, _, options = text.partition(":")
    sizes = [each[5:] for each in options.split(",") if each.startswith("size=")]
    return {
        "type": "tmpfs",
        "target": target,
        **({"tmpfs": {"size": int(sizes[0])}} if sizes else {}),
    }


def _reference(reference: Shape) -> Shape:
    mode = {"mode": int(reference["mode"], 8)} if "mode" in reference else {}
    return {**reference, **mode}


def _deploy(lab: Lab, service: Service, shape: Shape, *, several: bool, dnsrr: bool) -> Shape:
    limits = dict(shape.get("deploy", {}).get("resources", {}).get("limits", {}))
    if "cpus" in limits:
        limits["cpus"] = str(limits["cpus"])
    memory = {"memory": str(service.mem_reservation)} if service.mem_reservation else {}
    resources = {"limits": limits, "reservations": memory}
    order = "stop-first" if _is_exclusive(service, several=several, dnsrr=dnsrr) else "start-first"
    found: Shape = {
        "mode": "global" if several else "replicated",
        **({} if several else {"replicas": service.replicas}),
        **({"endpoint_mode": "dnsrr"} if dnsrr else {}),
        "placement": _placement(lab, service, several=several),
        "resources": {key: value for key, value in resources.items() if value},
        "restart_policy": _restart(service.restart),
        "update_config": {
            **shape.get("deploy", {}).get("update_config", {}),
            "order": order,
            "failure_action": "rollback",
            "monitor": MONITOR if "healthcheck" in shape else MONITOR_UNCHECKED,
        },
        "rollback_config": {"order": order},
    }
    return {key: value for key, value in found.items() if value}


def _is_exclusive(service: Service, *, several: bool, dnsrr: bool) -> bool:
    """Return whether an old and a new container of a service would be in each other's way."""
    host_ports = any(port.mode == "host" or dnsrr for port in service.ports if port.published)
    return several or host_ports or any(mount.volume for mount in service.volumes)


def _placement(lab: Lab, service: Service, *, several: bool) -> Shape:
    """Return the node of a service: where its data are, or where its files put it."""
    tied = any(mount.volume for mount in service.volumes) or bool(service.machine_mounts)
    if several or not (lab.own_machines or tied):
        return {}
    return {"constraints": [f"node.labels.machine == {service.machine}"]}


def _restart(restart: str) -> Shape:
    kind, _, count = restart.partition(":")
    attempts = {"max_attempts": int(count)} if count else {}
    return {"condition": RESTARTS.get(kind, "any"), **attempts}


def _network(shape: Shape) -> Shape:
    if shape.get("external"):
        return {"external": True, "name": shape["name"]}
    pools = shape.get("ipam", {}).get("config", ())
    subnets = [pool["subnet"] for pool in pools if "subnet" in pool]
    more: Shape = {key: shape[key] for key in NETWORK_KEYS if key in shape}
    ipam = {"ipam": {"config": [{"subnet": subnet} for subnet in subnets]}} if subnets else {}
    return {"driver": "overlay", **more, **ipam}


def _volume(lab: Lab, key: str, shape: Shape) -> Shape:
    own = shape.get("name") == f"{lab.name}_{key}" and not shape.get("external")
    return {name: value for name, value in shape.items() if not (own and name == "name")}


# Keys that are written in another way.
CONVERTED = (
    *("configs", "deploy", "depends_on", "extra_hosts", "healthcheck", "mem_reservation"),
    *("networks", "ports", "restart", "secrets", "tmpfs", "volumes"),
)
REASONS = {
    "container_name": "a service of a Swarm has no container name",
    "devices": "Swarm gives containers no devices",
    "network_mode": "Swarm has only its own networks",
    "post_start": "Swarm runs no hooks",
    "pre_start": "Swarm runs no hooks; run the command before you deploy",
    "pre_stop": "Swarm runs no hooks",
    "privileged": "Swarm starts no privileged containers",
    "security_opt": "Swarm ignores it; set no-new-privileges in daemon.json of each node",
    "volumes_from": "containers of a Swarm share no volumes in this way",
}


def _lost(shape: Shape) -> Iterator[str]:
    """Yield what of a service Swarm cannot do."""
    for key in shape:
        if key not in SAME and key not in CONVERTED and key not in SILENT:
            yield f"{key}: {REASONS.get(key, 'Swarm ignores it')}"
    for port in shape.get("ports", ()):
        if port.get("host_ip"):
            yield f"ports: Swarm publishes {port['target']} on every address"
    for mount in shape.get("volumes", ()):
        yield from (f"{mount['target']}: {reason}" for reason in _mount_reasons(mount))
    for text in shape.get("tmpfs", ()):
        target, _, options = text.partition(":")
        others = [each for each in options.split(",") if not _is_known(each)]
        if others:
            yield f"{target}: Swarm ignores {', '.join(others)} of a tmpfs"
    for key, place in shape.get("networks", {}).items():
        for setting in sorted(set(place or {}) - {"aliases"}):
            yield f"networks: {key}: Swarm ignores {setting}"


def _is_known(option: str) -> bool:
    # 1777 is what a tmpfs has by itself.
    return option.startswith("size=") or option in ("mode=1777", "")


def _mount_reasons(mount: Shape) -> Iterator[str]:
    kind = mount["type"]
    if kind == "bind" and mount["source"].startswith("./"):
        yield "this folder must exist on each node that runs it"
    options = mount.get(kind, {})
    known = {"volume": ("nocopy",), "bind": ("propagation",), "tmpfs": ("size",)}[kind]
    for option in options:
        standard = option == "mode" and options[option] == 0o1777
        if option not in known and not standard:
            yield f"Swarm ignores {option}"
