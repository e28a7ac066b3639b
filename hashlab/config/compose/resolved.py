"""Give a lab the shape that ``docker compose config`` gives the same files.

A field of a service that has the name and the shape of a key of Compose needs nothing here. Values
that Compose has no key for are under ``x-hashlab``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hashlab.config.model import (
    Attachment,
    BindMount,
    BlockIo,
    Build,
    Content,
    FileMount,
    Healthcheck,
    Hook,
    InitStep,
    Lab,
    Machine,
    MachineMount,
    Network,
    Port,
    Service,
    TmpfsMount,
    Volume,
    VolumeMount,
    Watch,
)
from hashlab.config.units import duration_text

EXTENSION = "x-hashlab"
Shape = dict[str, Any]


def resolved(lab: Lab) -> Shape:
    """Return the lab as nested mappings, lists and scalars, in Compose's shape.

    The content of secrets is not in it. As in Compose's own output ``$`` is written ``$$``, so that
    the result can be read again.
    """
    whole = {
        "name": lab.name,
        "services": {service.name: _service(service, lab) for service in lab.services},
        "networks": {network.key: _network(network) for network in lab.networks},
        "volumes": {name: _volume(lab.volume(name)) for name in _volumes(lab)},
        "secrets": _files(lab, secret=True),
        "configs": _files(lab, secret=False),
        EXTENSION: {
            "machines": {machine.name: _machine(machine) for machine in lab.machines},
            "notes": list(lab.notes),
        },
    }
    escaped: Shape = _escaped({key: value for key, value in whole.items() if value})
    return escaped


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _escaped(_set(**{field.name: getattr(value, field.name) for field in fields(value)}))
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _plain(value: Any) -> Any:
    """Return pairs of a name and a text as a mapping, as Compose has them; else the value."""
    pairs = isinstance(value, tuple) and value and all(map(_is_pair, value))
    return dict(value) if pairs else value


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, str) for v in value)


def _set(**values: Any) -> Shape:
    """Return the entries that have a value: all but None and empty ones."""
    return {key: value for key, value in values.items() if value or value == 0}


def _machine(machine: Machine) -> Shape:
    known = "" if machine.address.is_unspecified else str(machine.address)
    return _set(address=known, memory=machine.memory, cpus=machine.cpus, endpoint=machine.endpoint)


def _volumes(lab: Lab) -> list[str]:
    named = (mount.volume for service in lab.services for mount in service.volumes)
    return sorted({name for name in named if name})


def _volume(volume: Volume) -> Shape:
    return {
        "name": volume.name,
        **({"external": True} if volume.external else {}),
        **_set(
            driver=volume.driver,
            driver_opts=dict(volume.driver_opts),
            labels=dict(volume.labels),
        ),
    }


def _files(lab: Lab, *, secret: bool) -> Shape:
    used = {
        f.name: f.source for service in lab.services for f in service.files if f.secret is secret
    }
    if secret:
        built = {name for s in lab.services if s.build for _, name in s.build.secrets}
        used |= {name: source for name, source in lab.secrets if name in built}
    return {name: {"name": f"{lab.name}_{name}", **_source(used[name])} for name in sorted(used)}


def _source(source: Path | Content) -> Shape:
    if isinstance(source, Path):
        return {"file": str(source)}
    return {"environment": source.environment} if source.environment else {"content": source.text}


def _network(network: Network) -> Shape:
    config = [
        _set(subnet=pool.subnet, gateway=pool.gateway, ip_range=pool.ip_range)
        for pool in network.pools
    ]
    names = ("enable_ipv4", "external", "internal")
    flags = {name: True for name in names if getattr(network, name)}
    return {
        "name": network.name,
        "ipam": _set(driver=network.ipam_driver, config=config),
        **flags,
        **_set(
            driver=network.driver,
            driver_opts=dict(network.driver_opts),
            labels=dict(network.labels),
        ),
    }


def _networks(service: Service) -> Shape:
    """Return the networks of a service, and its network_mode. With the modes that mean the default
    network, Compose shows no networks.
    """
    if service.network_mode:
        return {"network_mode": service.network_mode}
    return {"networks": {each.network: _attachment(each, service) for each in service.networks}}


def _attachment(attachment: Attachment, service: Service) -> Shape | None:
    shape = _set(
        aliases=(*attachment.aliases, *service.aliases),
        ipv4_address=attachment.ipv4_address,
        mac_address=attachment.mac_address,
        priority=attachment.priority or None,
    )
    return shape or None


def _links(service: Service) -> Shape:
    shown: dict[str, list[str]] = {"links": [], "external_links": []}
    for link in service.links:
        same = link.alias == link.service
        text = link.service if same else f"{link.service}:{link.alias}"
        shown["external_links" if link.external else "links"].append(text)
    return _set(**shown)


def _service(service: Service, lab: Lab) -> Shape:
    shape: Shape = {
        "command": service.command,
        "entrypoint": service.entrypoint,
    }
    for make in _SHAPES.values():
        shape.update(make(service))
    for field in fields(Service):
        value = getattr(service, field.name)
        if field.name not in _SHAPED and value != field.default:
            shape[field.name] = str(value) if field.name in _SIZES else _plain(value)
    if service.build and service.image == f"{lab.name}-{service.name}":
        del shape["image"]
    shape = {key: shape[key] for key in sorted(shape)}
    return {**shape, EXTENSION: {"machine": service.machine}}


def _build(service: Service) -> Shape:
    return {"build": _build_shape(service.build)} if service.build else {}


def _build_shape(build: Build) -> Shape:
    shm_size = str(build.shm_size) if build.shm_size else ""
    return {
        "context": str(build.context),
        **_set(
            dockerfile=_dockerfile(build),
            dockerfile_inline=build.dockerfile_inline,
            args=dict(build.args),
            target=build.target,
            labels=dict(build.labels),
            network=build.network,
            shm_size=shm_size,
            extra_hosts=_hosts(build.extra_hosts),
            additional_contexts={name: str(each) for name, each in build.additional_contexts},
            secrets=[_build_secret(*each) for each in build.secrets],
            ssh=[f"{key}={path}" if path else key for key, path in build.ssh],
        ),
    }


def _build_secret(target: str, name: str) -> Shape:
    return {"source": name, **_set(target="" if target == name else target)}


def _dockerfile(build: Build) -> str:
    """Return the path as Compose shows it: relative to the context if it is below."""
    if build.dockerfile is None:
        return ""
    below = build.dockerfile.is_relative_to(build.context)
    return str(build.dockerfile.relative_to(build.context) if below else build.dockerfile)


def _hosts(hosts: Sequence[str]) -> list[str]:
    return [host.replace(":", "=", 1) for host in hosts]


def _ports(service: Service) -> Shape:
    return _set(ports=[_port(port) for port in service.ports])


def _port(port: Port) -> Shape:
    published = "" if port.published is None else str(port.laptop or port.published)
    return {
        "mode": port.mode,
        **_set(host_ip=port.host_ip),
        "target": port.target,
        **_set(published=published),
        "protocol": port.protocol,
    }


def _mounts(service: Service) -> Iterator[Shape]:
    binds: tuple[BindMount | MachineMount, ...] = (*service.binds, *service.machine_mounts)
    for bind in binds:
        own = _set(propagation=bind.propagation, recursive=bind.recursive)
        yield _mount("bind", str(bind.source), bind, own)
    for volume in service.volumes:
        own = _set(nocopy=volume.nocopy or None, labels=dict(volume.labels), subpath=volume.subpath)
        yield _mount("volume", volume.volume, volume, own)
    yield from (_tmpfs(mount) for mount in service.tmpfs if not mount.options)


def _mount(
    kind: str, source: str, mount: BindMount | MachineMount | VolumeMount, own: Shape
) -> Shape:
    read_only = {"read_only": True} if mount.read_only else {}
    return {"type": kind, **_set(source=source), "target": mount.target, **read_only, kind: own}


def _tmpfs(mount: TmpfsMount) -> Shape:
    size = None if mount.size is None else str(mount.size)
    return {"type": "tmpfs", "target": mount.target, "tmpfs": _set(size=size, mode=mount.mode)}


def _short_tmpfs(mount: TmpfsMount) -> str:
    """Return the short form, which alone has options of mount(8)."""
    size = [] if mount.size is None else [f"size={mount.size}"]
    mode = [] if mount.mode is None else [f"mode={mount.mode:o}"]
    return f"{mount.target}:{','.join([*mount.options, *size, *mode])}"


def _volumes_and_tmpfs(service: Service) -> Shape:
    short = [_short_tmpfs(mount) for mount in service.tmpfs if mount.options]
    return _set(volumes=list(_mounts(service)), tmpfs=short)


def _references(service: Service) -> Shape:
    secrets = [_reference(file) for file in service.files if file.secret]
    configs = [_reference(file) for file in service.files if not file.secret]
    return _set(secrets=secrets, configs=configs)


def _reference(file: FileMount) -> Shape:
    owner = {key: str(number) for key in ("uid", "gid") if (number := getattr(file, key))}
    shape = {"source": file.name, "target": file.target, **owner}
    return shape if file.mode == FileMount.mode else {**shape, "mode": f"0{file.mode:o}"}


def _healthcheck(service: Service) -> Shape:
    check = service.healthcheck
    if check is None:
        return {}
    disabled = check.test == ("NONE",)
    return {"healthcheck": {"disable": True} if disabled else _check(check)}


def _check(check: Healthcheck) -> Shape:
    shape = {field.name: getattr(check, field.name) for field in fields(check)}
    times = {key: value for key, value in shape.items() if isinstance(value, float)}
    return _set(**{**shape, **{key: duration_text(value) for key, value in times.items()}})


def _depends_on(service: Service) -> Shape:
    shapes = {
        each.service: {
            "condition": each.condition,
            "required": each.required,
            **_set(restart=each.restart or None),
        }
        for each in service.depends_on
    }
    return _set(depends_on=shapes)


def _deploy(service: Service) -> Shape:
    limits = service.limits
    memory = None if limits.memory is None else str(limits.memory)
    limited = _set(cpus=limits.cpus, memory=memory, pids=limits.pids)
    replicas = {} if service.replicas == Service.replicas else {"replicas": service.replicas}
    resources = {"resources": {"limits": limited}} if limited else {}
    parallel = {} if service.parallelism == 1 else {"parallelism": service.parallelism}
    delay = {"delay": duration_text(service.update_delay)} if service.update_delay else {}
    action = {"failure_action": "rollback"} if service.rollback else {}
    own = {**parallel, **delay, **action}
    update = {"update_config": own} if own else {}
    return _set(deploy={**replicas, **resources, **update})


def _develop(service: Service) -> Shape:
    rules = [_watch(rule) for rule in service.watch]
    return {"develop": {"watch": rules}} if rules else {}


def _watch(rule: Watch) -> Shape:
    shape = {"path": str(rule.path), "action": rule.action}
    run = _hook(rule.exec) if rule.exec else None
    own = _set(target=rule.target, ignore=rule.ignore, include=rule.include, exec=run)
    return {**shape, **own}


def _ulimits(service: Service) -> Shape:
    shapes = {
        each.name: each.soft if each.soft == each.hard else {"soft": each.soft, "hard": each.hard}
        for each in service.ulimits
    }
    return _set(ulimits=shapes)


def _extra_hosts(service: Service) -> Shape:
    return _set(extra_hosts=_hosts(service.extra_hosts))


def _stop_grace_period(service: Service) -> Shape:
    period = service.stop_grace_period
    return {} if period is None else {"stop_grace_period": duration_text(period)}


def _hooks(service: Service) -> Shape:
    kinds: dict[str, Sequence[Hook]] = {
        "pre_start": service.pre_start,
        "post_start": service.post_start,
        "pre_stop": service.pre_stop,
    }
    return _set(**{kind: [_hook(hook) for hook in hooks] for kind, hooks in kinds.items()})


def _hook(hook: Hook) -> Shape:
    shape = _set(user=hook.user, working_dir=hook.working_dir, environment=dict(hook.environment))
    image = _set(image=hook.image) if isinstance(hook, InitStep) else {}
    privileged = {"privileged": True} if hook.privileged else {}
    return {"command": hook.command, **image, **shape, **privileged}


def _blkio_config(service: Service) -> Shape:
    return {"blkio_config": _block_io(service.blkio_config)} if service.blkio_config else {}


def _block_io(limits: BlockIo) -> Shape:
    shape = _set(weight=limits.weight or None)
    for field in fields(limits):
        if field.name != "weight" and (devices := getattr(limits, field.name)):
            unit = "weight" if field.name == "weight_device" else "rate"
            shape[field.name] = [{"path": path, unit: number} for path, number in devices]
    return shape


# Numbers of bytes, which Compose prints as strings.
_SIZES = ("mem_reservation", "memswap_limit", "shm_size")
# The fields of a service whose shape differs from Compose's; each is the work of one function.
_SHAPES: Mapping[tuple[str, ...], Callable[[Service], Shape]] = {
    ("build",): _build,
    ("ports",): _ports,
    ("networks", "network_mode"): _networks,
    ("links",): _links,
    ("binds", "machine_mounts", "volumes", "tmpfs"): _volumes_and_tmpfs,
    ("blkio_config",): _blkio_config,
    ("files",): _references,
    ("healthcheck",): _healthcheck,
    ("depends_on",): _depends_on,
    ("replicas", "limits", "parallelism", "update_delay", "rollback"): _deploy,
    ("watch",): _develop,
    ("ulimits",): _ulimits,
    ("extra_hosts",): _extra_hosts,
    ("stop_grace_period",): _stop_grace_period,
    ("pre_start", "post_start", "pre_stop"): _hooks,
}
_SHAPED = {
    *("name", "machine", "aliases", "seccomp", "copy_of", "debugger", "front", "front_of"),
    *(name for names in _SHAPES for name in names),
}
