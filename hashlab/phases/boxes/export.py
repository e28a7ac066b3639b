"""Phase ``export``: writes the lab's box, and a metadata.json with its checksum, for others."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from hashlab.errors import LaptopError, UsageError
from hashlab.hashing import file_digest
from hashlab.phases.boxes.contents import travelling
from hashlab.phases.boxes.packing import METADATA, architecture, metadata, pack
from hashlab.phases.boxes.registry import recipe_manifest, require_box
from hashlab.phases.boxes.signing import SUFFIX as SIGNATURE
from hashlab.phases.boxes.signing import signature_of
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.state.files import read_json, temporary_folder, write_text

SUFFIX = ".box"


def export_box(
    world: World, track: Track, _: str, *, target: Path, base_url: str, sign: Path | None = None
) -> None:
    """Promise: ``target`` (a .box file or a folder) holds the lab's box, and next to it is the
    metadata.json that describes it. Both are complete; no other box was overwritten.
    """
    box = require_box(world, track)
    if box.recipe != recipe_manifest(world).recipe:
        world.note("the exported box is stale. To renew it: hashlab init-box")
    path = box_path(target, box)
    url = box_url(path.name, base_url)
    checksum = _earlier(path, box)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if checksum:
            track.skip(f"{path} holds this box already")
        else:
            checksum = _write(world, box, path, track)
            written = f"{box.name} {box.version}: {path}, {path.stat().st_size / 1e6:.0f} MB"
            track.detail(written)
        offered = metadata(box, url, checksum, arch=architecture())
        _describe(world, path.with_name(METADATA), offered, sign, track)
    except OSError as error:
        raise LaptopError(f"cannot write {path}: {error.strerror or error}") from error
    world.note(f"a colleague imports it with: hashlab box import {path.parent}")


def _describe(
    world: World, path: Path, offer: Mapping[str, Any], sign: Path | None, track: Track
) -> None:
    """Write metadata.json and its signature; remove the signature of an earlier text."""
    text = json.dumps(offer, indent=2) + "\n"
    signature = path.with_name(path.name + SIGNATURE)
    signed = signature_of(world, text, sign, track) if sign else ""
    if signed or not path.is_file() or path.read_bytes() != text.encode():
        signature.unlink(missing_ok=True)
        write_text(path, text)
    if signed:
        write_text(signature, signed)
        track.detail(f"signed: {signature}")


def box_path(target: Path, box: BoxManifest) -> Path:
    """Return the .box file that ``target`` means."""
    if target.name.endswith(SUFFIX):
        return target
    lab = box.name.rpartition("/")[2]
    return target / f"{lab}-{box.version}-{box.provider}{SUFFIX}"


def box_url(name: str, base_url: str) -> str:
    """Return the box's address in metadata.json: its name, or below ``base_url``."""
    if not base_url:
        return name
    if urlsplit(base_url).scheme not in ("http", "https", "file"):
        raise UsageError(
            f"--base-url {base_url} is not a valid address",
            next_step="write the address of the folder: https://HOST/FOLDER",
        )
    return urljoin(base_url.rstrip("/") + "/", name)


def _earlier(path: Path, box: BoxManifest) -> str:
    """Return the checksum of a complete earlier export of this box; "" if there is none. Raises
    UsageError if anything else would be overwritten.
    """
    metadata_path = path.with_name(METADATA)
    offer = read_json(metadata_path)
    if metadata_path.exists() and _offered(offer, box) is None:
        raise UsageError(
            f"{metadata_path} describes another box", next_step="name another folder, or remove it"
        )
    if not path.exists():
        return ""
    offered = _offered(offer, box) or {}
    if PurePosixPath(str(offered.get("url", ""))).name != path.name:
        raise UsageError(
            f"{path} exists already, and no {METADATA} next to it describes it",
            next_step="name another file, or remove it",
        )
    checksum = file_digest(path)
    return checksum if checksum == offered.get("checksum") else ""


def _offered(offer: Any, box: BoxManifest) -> Mapping[str, Any] | None:
    """Return the part of a metadata.json about this box; None if it describes another."""
    try:
        [version] = offer["versions"]
        [provider] = version["providers"]
        found = (offer["name"], version["version"], provider["name"])
    except (KeyError, TypeError, ValueError):
        return None
    return dict(provider) if found == (box.name, box.version, box.provider) else None


def _write(world: World, box: BoxManifest, path: Path, track: Track) -> str:
    """Write the .box file under another name, then rename it; return its checksum."""
    boxes, exported = world.boxes, replace(box, data=travelling(box.data))
    half = path.with_name(f".{path.name}.{os.getpid()}.new")
    with temporary_folder(world.state.own / "export") as work:
        with track.child("contents") as step:
            files = boxes.export_files(box, work, track=step)
            step.detail(f"{len(files)} files")
        try:
            with track.child("pack") as step:
                pack(half, exported, files, step, compressed=not boxes.packed)
                step.detail(f"{half.stat().st_size / 1e6:.0f} MB")
            checksum = file_digest(half)
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)
    return checksum
