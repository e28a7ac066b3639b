"""Makes the bill of materials of an image: CycloneDX, without times, so that it is the same again.

The packages come from the package database in the image's layers, the libraries of an artifact from
the file that its own build tool made (``sbom`` of the artifact).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from hashlab.config.model import Artifact, Lab, Service
from hashlab.errors import LabError
from hashlab.hashing import open_regular
from hashlab.phases.selfcontained.packages import Package
from hashlab.phases.selfcontained.root import Root
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import read_json, save_cache

VERSION = "1.6"
BOM_SECONDS = 600.0
# Name of a package's kind in its URL, by the id of the system.
KINDS = {"alpine": "apk"}


def write_boms(world: World, track: Track, _: str) -> None:
    """Promise: the bill of materials of each artifact that has one was written after its build."""
    command = world.lab.own_images.sbom
    files = [artifact.sbom for artifact in world.lab.artifacts if artifact.sbom]
    if not command or not files:
        track.skip("hashlab.toml names no command")
        return
    done = world.state.oci / "sbom-inputs.json"
    builds = {a.name: read_json(world.state.artifact(a.name)) for a in world.lab.artifacts}
    if read_json(done) == builds and all(file.is_file() for file in files):
        track.skip("up to date")
        return
    ended = world.runner.run(
        command,
        cwd=world.lab.folder,
        timeout=BOM_SECONDS,
        cancel=track.cancel,
        on_line=track.output,
        users=True,
    )
    if ended.code != 0:
        raise LabError(
            "the command for bills of materials failed",
            where=shlex.join(command),
            output=ended.stdout + ended.stderr,
            next_step="correct sbom under [images] in hashlab.toml",
        )
    save_cache(done, builds)
    track.detail(f"{len(files)} written")


def bill_of_materials(
    image: str, digest: str, root: Root, components: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the document for an image (NAME:TAG). ``components``: of its artifacts. Pure."""
    name, _, version = image.rpartition(":")
    _, _, sha256 = digest.partition(":")
    described = {
        "type": "container",
        "bom-ref": f"{image}@{digest}",
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "version": 1,
        "metadata": {"component": described},
        "components": [*_system(root), *map(dict, components)],
    }


def _system(root: Root) -> Iterator[dict[str, Any]]:
    system = root.system.get("ID", "linux")
    release = root.system.get("VERSION_ID", "")
    if root.system:
        yield {
            "type": "operating-system",
            "bom-ref": f"{system}-{release}",
            "name": system,
            "version": release,
        }
    for package in root.packages or ():
        yield _package(package, system, release)


def _package(package: Package, system: str, release: str) -> dict[str, Any]:
    name, version, architecture, source = package
    words = {"arch": architecture, "distro": f"{system}-{release}", "upstream": source}
    rest = "&".join(f"{key}={quote(value)}" for key, value in words.items() if value)
    kind = KINDS.get(system, "deb")
    purl = f"pkg:{kind}/{system}/{quote(name)}@{quote(version)}?{rest}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }


def artifacts_of(lab: Lab, service: Service) -> list[Artifact]:
    """Return the artifacts that go into a service's image."""
    sources = [bind.source for bind in service.binds] + [rule.path for rule in service.copied]
    return [
        artifact
        for artifact in lab.artifacts
        if any(
            artifact.output.is_relative_to(source) or source.is_relative_to(artifact.output)
            for source in sources
        )
    ]


def components_of(artifact: Artifact) -> list[Mapping[str, Any]]:
    """Return the components that an artifact's own bill of materials names. Raises LabError."""
    if artifact.sbom is None:
        return []
    try:
        with open_regular(artifact.sbom) as stream:
            document = json.load(stream)
        if document["bomFormat"] != "CycloneDX":
            raise ValueError("its bomFormat is not CycloneDX")
        return [dict(component) for component in document.get("components") or ()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"cannot read the bill of materials of artifact {artifact.name}: {_reason(error)}",
            where=str(artifact.sbom),
            next_step="let its build write it in CycloneDX's JSON form, or remove sbom from "
            "hashlab.toml",
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
