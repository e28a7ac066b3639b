"""Takes images from the laptop's engine: their layers, rewritten to be reproducible."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlab.errors import LabError, LaptopError
from hashlab.phases.images import INPUTS_LABEL, write_archive
from hashlab.phases.layers import saved_layers
from hashlab.phases.selfcontained.normal import normalise
from hashlab.phases.selfcontained.root import LayerFacts
from hashlab.phases.selfcontained.store import Blob, Store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import open_binary, remove

# In the history of an image: the shell of RUN, with the build arguments before it, and the classic
# builder's mark of other steps.
SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\)\s+)?", re.DOTALL)
ORIGIN_LENGTH = 60


@dataclass(frozen=True)
class BaseLayer:
    """A layer of an image of the engine. ``origin``: the step that made it."""

    blob: Blob
    facts: LayerFacts
    origin: str


@dataclass(frozen=True)
class Base:
    """An image of the engine: its layers, the lowest first, and its configuration."""

    layers: tuple[BaseLayer, ...]
    config: Mapping[str, Any]


def take_base(world: World, store: Store, name: str, track: Track) -> Base:
    """Return an image of the laptop's engine; read it only if it is not known yet. Raises
    LabError.
    """
    identifier = world.laptop_engine().image_ids([name]).get(name)
    if identifier is None:
        raise LabError(f"the laptop's engine has no image {name}", next_step="hashlab build")
    saved = store.made(["base", identifier])
    base = _known(store, saved) if saved else None
    return base or _read(world, store, name, identifier, track)


def _known(store: Store, saved: Mapping[str, Any]) -> Base | None:
    """Return a base that was read earlier; None if something of it is missing."""
    layers = []
    for key, origin in saved["layers"]:
        made = store.made(key)
        if made is None:
            return None
        blob = Blob(made["digest"], made["size"])
        layers.append(BaseLayer(blob, LayerFacts.from_json(made["facts"]), origin))
    return Base(tuple(layers), saved["config"])


def _read(world: World, store: Store, name: str, identifier: str, track: Track) -> Base:
    engine = world.laptop_engine()
    pulled = engine.pulled_layers(INPUTS_LABEL)
    archive = store.folder / "saved.tar"
    try:
        # By its id: the engine saves all images whose name differs in its tag only.
        write_archive(world, [identifier], archive, track)
        config = _config(archive)
        keys = []
        for layer, member in saved_layers(archive).items():
            track.cancel.check()
            key = ["layer", *layer[-1:], layer[-1] in pulled]
            if store.made(key) is None:
                _take_layer(store, archive, member, key)
            keys.append(key)
    except tarfile.TarError as error:
        raise LabError(f"cannot read the layers of image {name}: {error}") from error
    except OSError as error:
        raise LaptopError(f"cannot write {archive}: {error.strerror}") from error
    finally:
        remove(archive)
    layers = list(zip(keys, _origins(config, len(keys)), strict=True))
    top = store.made(keys[-1]) if keys else None
    blob = Blob(top["digest"], top["size"]) if top else store.put(config)
    store.save_made(["base", identifier], blob, layers=layers, config=config)
    base = _known(store, {"layers": layers, "config": config})
    if base is None:
        raise LabError(f"the layers of image {name} vanished", next_step="run it again")
    return base


def _take_layer(store: Store, archive: Path, member: str, key: list[Any]) -> None:
    """Save a layer of a saved image: as it is if it came from a registry, so that it remains the
    layer that everybody has, otherwise with fixed times.
    """
    with open_binary(archive) as raw, tarfile.open(fileobj=raw) as opened:
        source = opened.extractfile(member)
        if source is None:
            raise tarfile.ReadError(f"{member} is not a file")
        facts: list[LayerFacts] = []
        if key[-1]:

            def copy(target: Any) -> None:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
                source.seek(0)
                facts.append(normalise(source, None))

            blob = store.write(copy)
        else:
            blob = store.write(lambda target: facts.append(normalise(source, target)))
    store.save_made(key, blob, facts=facts[0])


def _config(archive: Path) -> dict[str, Any]:
    with open_binary(archive) as raw, tarfile.open(fileobj=raw) as opened:
        [manifest] = _json(opened, "manifest.json")
        config = _json(opened, manifest["Config"])
    return dict(config)


def _json(opened: tarfile.TarFile, name: str) -> Any:
    try:
        stream = opened.extractfile(name)
        return json.load(stream) if stream else {}
    except (KeyError, ValueError) as error:
        raise tarfile.ReadError(f"the saved image has no valid {name}") from error


def _origins(config: Mapping[str, Any], count: int) -> list[str]:
    """Return the step of the Dockerfile that made each layer, as far as the image knows it."""
    history = [entry for entry in config.get("history") or [] if not entry.get("empty_layer")]
    steps = [_step(entry) for entry in history]
    return steps if len(steps) == count else [""] * count


def _step(entry: Mapping[str, Any]) -> str:
    text = str(entry.get("created_by") or entry.get("comment") or "")
    text = SHELL.sub(lambda match: "" if match[1] else "RUN ", text)
    text = " ".join(text.removesuffix("# buildkit").split())
    return text if len(text) <= ORIGIN_LENGTH else f"{text[: ORIGIN_LENGTH - 1]}…"
