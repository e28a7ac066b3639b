"""``box import``: takes in a box from a file or a web server, after its checksum was checked."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from hashlab.errors import HashlabError, LabError, LaptopError, UsageError
from hashlab.hashing import file_digest
from hashlab.phases.boxes.packing import METADATA, architecture, local_metadata
from hashlab.phases.boxes.registry import (
    MANIFEST,
    OWNER,
    all_boxes,
    box_name,
    box_version,
    made_ready,
    read_manifest,
    recipe_manifest,
)
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.statefiles import make_folder, remove_tree, write_json

MEGABYTE = 1_000_000
METADATA_LIMIT = MEGABYTE
BOX_LIMIT = 20_000 * MEGABYTE
# Unpacked: what a file of the size above may at most become.
CONTENT_LIMIT = 100_000 * MEGABYTE
DOUBT = "do not use it; get the box again from whom you have it"


@dataclass(frozen=True)
class Offer:
    """What a metadata.json says of one box. ``place``: a path, or an http or https address."""

    name: str
    version: str
    provider: str
    place: str
    checksum: str
    architecture: str = ""

    @property
    def remote(self) -> bool:
        """Whether the box has to be fetched."""
        return _is_remote(self.place)


def import_box(world: World, track: Track, _: str, *, source: str) -> None:
    """Promise: the box that ``source`` names is registered and what it stands on is there; or
    nothing of it is. Its checksum was compared before anything was unpacked.
    """
    with _work_folder(world) as work:
        with track.child("metadata") as step:
            offer = _read_source(world, source, work, step)
            step.detail(f"{offer.name} {offer.version} from {offer.place}")
        if _registered(world, offer, track):
            track.skip(f"{offer.name} {offer.version} is registered already")
            return
        with track.child("fetch") as step:
            box = _fetch(world, offer, work, step)
        with track.child("check") as step:
            checked_box(box, offer)
            step.detail("checksum and contents are as described")
        with track.child("register") as step:
            write_json(work / METADATA, local_metadata(_named(offer), box))
            world.vagrant.box_add(work / METADATA, track=step)
        with track.child("take in") as step:
            _take_in(world, offer, step)
            step.detail("what it stands on is there")
    track.detail(f"{offer.name} {offer.version}")
    _note_use(world, offer)


@contextmanager
def _work_folder(world: World) -> Iterator[Path]:
    folder = world.state.own / "import"
    remove_tree(folder)
    make_folder(folder)
    try:
        yield folder
    finally:
        remove_tree(folder)


def _named(offer: Offer) -> BoxManifest:
    recipe = offer.version.rpartition(".r")[2]
    return BoxManifest(offer.name, offer.version, recipe, offer.provider, {})


def _is_remote(place: str) -> bool:
    return urlsplit(place).scheme in ("http", "https")


def _read_source(world: World, source: str, work: Path, track: Track) -> Offer:
    """Find the metadata.json that ``source`` means, and read it."""
    base = metadata_place(source)
    if _is_remote(base):
        path = work / "offered.json"
        world.download(base, path, limit=METADATA_LIMIT, track=track)
    else:
        path = Path(base)
    text = _text_of(path, base)
    try:
        said = json.loads(text)
    except ValueError as error:
        raise LabError(f"it is no JSON: {error}", where=base) from error
    named = source if source.endswith(".box") and not _is_remote(source) else ""
    return read_offer(said, base, provider=world.provider.name, named=named)


def metadata_place(source: str) -> str:
    """Where the metadata.json is that ``source`` means: itself, in a folder, beside a .box file."""
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
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"there is no {place}",
            next_step=f"name the folder of a {METADATA}, or its address",
        ) from None
    except UnicodeDecodeError as error:
        raise LabError(f"it is no {METADATA}: {error}", where=place) from error


def read_offer(said: Any, base: str, *, provider: str, named: str = "") -> Offer:
    """The box for ``provider`` that a metadata.json at ``base`` offers, its last version;
    ``named``: the .box file the user named. Raises LabError, UsageError. Pure but for looking
    whether the file lies beside it.
    """
    try:
        name = str(said["name"])
        entries = [
            (str(version["version"]), dict(entry))
            for version in said["versions"]
            for entry in version["providers"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"it is no {METADATA} of a box: {error!r}", where=base) from error
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
        raise LabError(f"{name} has no SHA-256 checksum, and is not taken without", where=base)
    if not re.fullmatch(rf"{OWNER}/[\w.-]+", name) or not re.fullmatch(r"[\w.-]+", version):
        raise LabError(f"{name} {version} is no box of hashlab's", where=base)
    arch = str(entry.get("architecture") or "")
    if arch not in ("", "unknown", architecture()):
        raise LaptopError(f"{name} is for {arch}, this laptop is {architecture()}", where=base)
    place = named or box_place(str(entry.get("url", "")), base)
    return Offer(name, version, str(entry["name"]), place, checksum, arch)


def box_place(url: str, base: str) -> str:
    """Where the box is that a metadata.json at ``base`` calls ``url``. What lies beside the
    metadata.json comes before an address elsewhere; the checksum decides whether it is the box.
    """
    if _is_remote(base):
        place = urljoin(base, url)
        if not _is_remote(place):
            raise LabError(f"{url} is not on a web server", where=base)
        return place
    parts = urlsplit(url)
    beside = Path(base).with_name(PurePosixPath(unquote(parts.path)).name)
    if beside.is_file():
        return str(beside)
    if parts.scheme in ("http", "https"):
        return url
    if parts.scheme not in ("", "file"):
        raise LabError(f"a box cannot be fetched from {url}", where=base)
    return str(Path(base).parent / unquote(parts.path))


def _registered(world: World, offer: Offer, track: Track) -> bool:
    """Whether this box is registered, and what it stands on is there."""
    found = _find(world, offer)
    return found is not None and made_ready(world, found, track)


def _find(world: World, offer: Offer) -> BoxManifest | None:
    wanted = (offer.name, offer.version)
    return next((b for b in all_boxes(world) if (b.name, b.version) == wanted), None)


def _fetch(world: World, offer: Offer, work: Path, track: Track) -> Path:
    if not offer.remote:
        path = Path(offer.place)
        if not path.is_file():
            raise LabError(f"there is no {offer.place}, which {METADATA} names")
        track.skip("it is a file of this laptop")
        return path
    path = work / "hashlab.box"
    world.download(offer.place, path, limit=BOX_LIMIT, track=track)
    track.detail(f"{path.stat().st_size / MEGABYTE:.0f} MB")
    return path


def checked_box(box: Path, offer: Offer) -> BoxManifest:
    """The description inside a .box file that is what ``offer`` says. Raises LabError for any
    other; nothing is unpacked.
    """
    try:
        checksum = file_digest(box)
        if checksum != offer.checksum:
            raise LabError(
                f"{offer.name} {offer.version} is not the box that {METADATA} describes: its "
                f"SHA-256 is {checksum}, not {offer.checksum}",
                where=offer.place,
                next_step=DOUBT,
            )
        found = _description(box, offer)
    except OSError as error:
        raise LabError(f"it cannot be read: {error}", where=offer.place) from error
    said = (offer.name, offer.version, offer.provider, offer.version)
    if found is None or (*_identity(found), box_version(found.recipe)) != said:
        raise LabError(
            f"what is in the box is not {offer.name} {offer.version} for {offer.provider}",
            where=offer.place,
            next_step=DOUBT,
        )
    return found


def _identity(box: BoxManifest) -> tuple[str, str, str]:
    return box.name, box.version, box.provider


def _description(box: Path, offer: Offer) -> BoxManifest | None:
    """Look at every member, and read the box's own description."""
    found, total = None, 0
    try:
        with tarfile.open(box) as archive:
            for member in archive:
                total += member.size
                plain = PurePosixPath(member.name).name == member.name
                if not (member.isfile() and plain) or total > CONTENT_LIMIT:
                    raise LabError(
                        f"{member.name!r} has no place in a box",
                        where=offer.place,
                        next_step=DOUBT,
                    )
                stream = archive.extractfile(member) if member.name == MANIFEST else None
                if stream and member.size <= METADATA_LIMIT:
                    found = read_manifest(json.loads(stream.read()), None)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise LabError(f"it is no box: {error}", where=offer.place, next_step=DOUBT) from error
    return found


def _take_in(world: World, offer: Offer, track: Track) -> None:
    """Make what the box stands on; without it the box is not registered either."""
    found = _find(world, offer)
    try:
        if found is None or not made_ready(world, found, track):
            raise LabError(f"{offer.name} {offer.version} does not hold what it stands on")
    except HashlabError:
        world.vagrant.box_remove(offer.name, version=offer.version, track=track)
        raise


def _note_use(world: World, offer: Offer) -> None:
    """Tell when this lab will not use what was just taken in."""
    wanted = recipe_manifest(world)
    if offer.name != box_name(world):
        world.note(f"{offer.name} is not the box of this lab, which is {box_name(world)}")
    elif offer.version != wanted.version:
        world.note("the imported box is not of this lab's present recipe: it is stale here")
