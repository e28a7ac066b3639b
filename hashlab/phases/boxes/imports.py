"""``box import``: takes in a box from a file or a web server, after its checksum was checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from hashlab.errors import HashlabError, LabError, LaptopError, UsageError
from hashlab.hashing import file_digest
from hashlab.phases.boxes.packing import METADATA, architecture, local_metadata
from hashlab.phases.boxes.registry import (
    OWNER,
    all_boxes,
    box_name,
    made_ready,
    recipe_manifest,
)
from hashlab.phases.boxes.rewriting import DOUBT, rewritten
from hashlab.phases.boxes.signing import SUFFIX as SIGNATURE
from hashlab.phases.boxes.signing import check_signature
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.state.files import temporary_folder, write_json

MEGABYTE = 1_000_000
METADATA_LIMIT = MEGABYTE
BOX_LIMIT = 20_000 * MEGABYTE


@dataclass(frozen=True)
class Offer:
    """A box as a metadata.json describes it. ``place``: a path, or an http or https address."""

    name: str
    version: str
    provider: str
    place: str
    checksum: str
    architecture: str = ""

    @property
    def remote(self) -> bool:
        """True if the box must be downloaded."""
        return _is_remote(self.place)


def import_box(
    world: World, track: Track, _: str, *, source: str, signers: Path | None = None
) -> None:
    """Promise: the box that ``source`` names is registered, and everything it is based on exists;
    or nothing of it does. The registered box has the checksum of the source and hashlab's own
    Vagrantfile; with ``signers`` one of them has signed it.
    """
    with temporary_folder(world.state.own / "import") as work:
        with track.child("metadata") as step:
            offer = _read_source(world, source, work, signers, step)
        if _registered(world, offer, track):
            track.skip(f"{offer.name} {offer.version} is registered already")
            return
        with track.child("fetch") as step:
            box = _fetch(world, offer, work, step)
        with track.child("check") as step:
            _check_checksum(box, offer)
            own = work / "own.box"
            found = rewritten(box, offer, own, world.boxes, step)
        with track.child("register") as step:
            write_json(work / METADATA, local_metadata(found, own))
            world.boxes.register(work / METADATA, track=step)
        with track.child("take in") as step:
            _take_in(world, offer, step)
            step.detail("everything it is based on exists")
    track.detail(f"{offer.name} {offer.version}")
    _note_use(world, offer)


def _is_remote(place: str) -> bool:
    return urlsplit(place).scheme in ("http", "https")


def _read_source(
    world: World, source: str, work: Path, signers: Path | None, track: Track
) -> Offer:
    """Find the metadata.json that ``source`` means, check its signature, and read it."""
    base = metadata_place(source)
    path = _fetched_text(world, base, work / "offered.json", track)
    text = _text_of(path, base)
    signed = _signed(world, text, base, work=work, signers=signers, track=track)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabError(f"it is not valid JSON: {error}", where=base) from error
    named = source if source.endswith(".box") and not _is_remote(source) else ""
    offer = read_offer(document, base, provider=world.provider.name, named=named)
    track.detail(f"{offer.name} {offer.version} from {offer.place}{signed}")
    return offer


def _fetched_text(world: World, place: str, target: Path, track: Track) -> Path:
    if not _is_remote(place):
        return Path(place)
    world.download(place, target, limit=METADATA_LIMIT, track=track)
    return target


def _signed(
    world: World, text: str, base: str, *, work: Path, signers: Path | None, track: Track
) -> str:
    """Return the signer of metadata.json for the row; "" without ``signers``."""
    if signers is None:
        return ""
    parts = urlsplit(base)
    place = urlunsplit(parts._replace(path=parts.path + SIGNATURE)) if _is_remote(base) else ""
    if place:
        signature = _fetched_text(world, place, work / "offered.sig", track)
    else:
        signature = Path(base + SIGNATURE)
    if not signature.is_file():
        raise LabError(f"it is not signed: {signature.name} is missing", where=base)
    signer = check_signature(world, text, signature, signers, where=base, track=track)
    return f", signed by {signer}"


def metadata_place(source: str) -> str:
    """Return the place of the metadata.json that ``source`` means: a file, folder or .box."""
    parts = urlsplit(source)
    if parts.scheme in ("http", "https"):
        if parts.path.endswith(".json"):
            return source
        folder = source if parts.path.endswith((".box", "/")) else source + "/"
        return urljoin(folder, METADATA)
    if parts.scheme not in ("", "file"):
        raise UsageError(f"a box cannot be fetched from {source}", next_step="use http or https")
    path = Path(unquote(parts.path)) if parts.scheme else Path(source).expanduser()
    if path.is_dir():
        return str(path / METADATA)
    return str(path.with_name(METADATA) if path.suffix == ".box" else path)


def _text_of(path: Path, place: str) -> str:
    try:
        if path.stat().st_size > METADATA_LIMIT:
            raise LabError(f"it is too large for a {METADATA}", where=place)
        return path.read_bytes().decode("utf-8")  # as it is: a signature is of these bytes
    except FileNotFoundError:
        raise UsageError(
            f"{place} does not exist",
            next_step=f"name the folder of a {METADATA}, or its address",
        ) from None
    except UnicodeDecodeError as error:
        raise LabError(f"it is not a {METADATA}: {error}", where=place) from error


def read_offer(document: Any, base: str, *, provider: str, named: str = "") -> Offer:
    """Return the last version of the box for ``provider`` in a metadata.json at ``base``.
    ``named``: the .box file that the user named. Raises LabError, UsageError. Pure, except that it
    checks whether the file is next to the metadata.json.
    """
    try:
        name = str(document["name"])
        entries = [
            (str(version["version"]), dict(entry))
            for version in document["versions"]
            for entry in version["providers"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"it is not the {METADATA} of a box: {error!r}", where=base) from error
    fitting = [entry for entry in entries if entry[1].get("name") == provider]
    if not fitting:
        others = sorted({str(entry.get("name")) for _, entry in entries})
        raise UsageError(
            f"{name} is a box for {', '.join(others) or 'no provider'}, not for {provider}",
            where=base,
            next_step=f"hashlab box import … --provider {others[0]}" if others else "",
        )
    version, entry = fitting[-1]
    return _offer(name, version, entry, base, named)


def _offer(name: str, version: str, entry: Mapping[str, Any], base: str, named: str) -> Offer:
    checksum = str(entry.get("checksum", "")).lower()
    if entry.get("checksum_type") != "sha256" or not re.fullmatch("[0-9a-f]{64}", checksum):
        raise LabError(
            f"{name} has no SHA-256 checksum, and is not imported without one", where=base
        )
    known = re.fullmatch(rf"{OWNER}/[A-Za-z0-9_.-]+", name)
    # The recipe in the version becomes part of names of images and volumes, and of a Vagrantfile.
    if not known or not re.fullmatch(r"1\.0\.0\.r[0-9a-z]{1,64}", version):
        raise LabError(f"{name} {version} is not a box of hashlab's", where=base)
    arch = str(entry.get("architecture") or "")
    if arch not in ("", "unknown", architecture()):
        raise LaptopError(f"{name} is for {arch}, this laptop is {architecture()}", where=base)
    place = named or box_place(str(entry.get("url", "")), base)
    return Offer(name, version, str(entry["name"]), place, checksum, arch)


def box_place(url: str, base: str) -> str:
    """Return the place of the box that a metadata.json at ``base`` calls ``url``. A file next to
    the metadata.json takes precedence over an address; its checksum proves that it is the box.
    """
    if _is_remote(base):
        place = urljoin(base, url)
        if not _is_remote(place):
            raise LabError(f"{url} is not on a web server", where=base)
        return place
    parts = urlsplit(url)
    neighbour = Path(base).with_name(PurePosixPath(unquote(parts.path)).name)
    if neighbour.is_file():
        return str(neighbour)
    if parts.scheme in ("http", "https"):
        return url
    if parts.scheme not in ("", "file"):
        raise LabError(f"a box cannot be fetched from {url}", where=base)
    return str(Path(base).parent / unquote(parts.path))


def _registered(world: World, offer: Offer, track: Track) -> bool:
    """Return whether this box is registered, and everything it is based on exists."""
    found = _find(world, offer)
    return found is not None and made_ready(world, found, track)


def _find(world: World, offer: Offer) -> BoxManifest | None:
    wanted = (offer.name, offer.version)
    return next((b for b in all_boxes(world) if (b.name, b.version) == wanted), None)


def _fetch(world: World, offer: Offer, work: Path, track: Track) -> Path:
    if not offer.remote:
        path = Path(offer.place)
        if not path.is_file():
            raise LabError(f"{offer.place}, which {METADATA} names, does not exist")
        track.skip("it is a file of this laptop")
        return path
    path = work / "hashlab.box"
    world.download(offer.place, path, limit=BOX_LIMIT, track=track)
    track.detail(f"{path.stat().st_size / MEGABYTE:.0f} MB")
    return path


def _check_checksum(box: Path, offer: Offer) -> None:
    """Raise LabError if the file is not the one that ``offer`` describes. Nothing is unpacked."""
    try:
        checksum = file_digest(box)
    except OSError as error:
        raise LabError(f"it cannot be read: {error}", where=offer.place) from error
    if checksum != offer.checksum:
        raise LabError(
            f"{offer.name} {offer.version} is not the box that {METADATA} describes: its "
            f"SHA-256 is {checksum}, not {offer.checksum}",
            where=offer.place,
            next_step=DOUBT,
        )


def _take_in(world: World, offer: Offer, track: Track) -> None:
    """Make everything the box is based on; if that fails, unregister the box."""
    found = _find(world, offer)
    try:
        if found is None or not made_ready(world, found, track):
            raise LabError(
                f"{offer.name} {offer.version} does not contain everything it is based on"
            )
    except HashlabError:
        world.boxes.unregister(offer.name, version=offer.version, track=track)
        raise


def _note_use(world: World, offer: Offer) -> None:
    """Note if this lab will not use the imported box."""
    wanted = recipe_manifest(world)
    if offer.name != box_name(world):
        world.note(f"{offer.name} is not the box of this lab, which is {box_name(world)}")
    elif offer.version != wanted.version:
        world.note("the imported box is stale here: this lab's recipe is another one")
