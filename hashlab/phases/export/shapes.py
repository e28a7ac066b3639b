"""The lab in Compose's shape with self-contained images: what both exports have in common. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashlab.config.compose.resolved import EXTENSION, resolved
from hashlab.config.fronts.making import without_fronts
from hashlab.config.model import BindMount, Content, Lab, Service

Shape = dict[str, Any]
SECRETS, CONFIGS = "secrets", "configs"


@dataclass(frozen=True)
class Export:
    """A file for another tool. ``configs``: the content of the files beside it, by name;
    ``secrets``: names of those that its user puts there; ``notes``: what does not work there.
    """

    shape: Mapping[str, Any]
    configs: Mapping[str, Path | Content] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    notes: Sequence[str] = ()


def exported(lab: Lab, images: Mapping[str, str]) -> Export:
    """Return the lab with these images, by service, and without everything that they contain.

    Secrets and configs are files below ``secrets`` and ``configs`` beside the exported file. Fronts
    are left out: other tools have ways of their own to share requests.
    """
    fronted = [service.front_of for service in lab.services if service.front_of]
    lab = without_fronts(lab)
    shape = resolved(lab)
    services = {service.family: service for service in lab.services}
    names = {service.name: service.family for service in lab.services}
    whole: Shape = {
        "name": shape["name"],
        "services": {
            name: {"image": images[name]}
            | _service(lab, service, shape["services"][service.name], names)
            for name, service in services.items()
        },
        "networks": {key: _network(value) for key, value in shape.get("networks", {}).items()},
        "volumes": {key: dict(value) for key, value in shape.get("volumes", {}).items()},
    }
    used = {file.name: file for service in lab.services for file in service.files}
    for kind in (SECRETS, CONFIGS):
        found = sorted(name for name, file in used.items() if file.secret is (kind == SECRETS))
        whole[kind] = {name: {"file": f"./{kind}/{name}"} for name in found}
    configs = {name: file.source for name, file in used.items() if not file.secret}
    kept = {key: value for key, value in whole.items() if value}
    notes = tuple(note for service in services.values() for note in _notes(lab, service))
    notes += tuple(f"{name}: its front is left out" for name in fronted)
    return Export(kept, configs, tuple(whole[SECRETS]), notes)


def _network(shape: Mapping[str, Any]) -> Shape:
    return {key: value for key, value in shape.items() if value}


def _service(
    lab: Lab, service: Service, shape: Mapping[str, Any], names: Mapping[str, str]
) -> Shape:
    dropped = ("image", "build", "develop", "label_file", EXTENSION)
    # A command or entrypoint that is None is that of the image.
    found = {k: value for k, value in shape.items() if k not in dropped and value is not None}
    if "volumes" in found:
        found["volumes"] = _mounts(lab, service, found["volumes"])
    if "depends_on" in found:
        found["depends_on"] = {names.get(n, n): how for n, how in found["depends_on"].items()}
    return {key: value for key, value in found.items() if value not in ([], {})}


def _mounts(lab: Lab, service: Service, mounts: Sequence[Shape]) -> Sequence[Shape]:
    """Return the mounts whose content is not in the image."""
    binds = {bind.target: bind for bind in service.binds}
    kept = []
    for mount in mounts:
        bind = binds.get(mount["target"])
        if bind is None:
            kept.append(mount)
        elif not bind.upload:
            kept.append({**mount, "source": _relative(lab, bind)})
    return kept


def _notes(lab: Lab, service: Service) -> Iterator[str]:
    for bind in service.binds:
        if bind.upload and lab.boundary.declares(bind.source):
            yield (
                f"{service.family}: {bind.target} is left out: it is a declared secret or "
                "config; mount it as one"
            )


def _relative(lab: Lab, bind: BindMount) -> str:
    """Return a folder of the laptop that containers write as a folder beside the exported file."""
    inside = bind.source.is_relative_to(lab.folder)
    return f"./{bind.source.relative_to(lab.folder).as_posix() if inside else bind.source.name}"
