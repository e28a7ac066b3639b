"""Phase ``export``: writes the lab for another tool, with its configs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from hashlab.config.model import Content
from hashlab.config.yaml_text import yaml_text
from hashlab.errors import UsageError
from hashlab.hashing import open_regular, settled
from hashlab.phases.export.shapes import CONFIGS, SECRETS, Export, exported
from hashlab.phases.export.stack import stack
from hashlab.phases.selfcontained.load import made_images
from hashlab.phases.selfcontained.push import Place
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import is_file, read_text, write_text

Kind = Literal["compose", "stack"]
FILES: Mapping[Kind, str] = {"compose": "compose.yaml", "stack": "stack.yaml"}
MARK = "# Written by hashlab export"
# It holds the variables of the environment, which may be secret.
MODE = 0o600


def kind_of(text: str) -> Kind:
    """Return the kind of file that a person types. Raises UsageError."""
    if text in FILES:
        return cast(Kind, text)
    raise UsageError(
        f"hashlab exports compose and stack, not {text!r}", next_step="hashlab export stack FOLDER"
    )


def export(
    world: World, track: Track, _: str, *, kind: Kind, folder: Path, to: Place | None, dnsrr: bool
) -> None:
    """Promise: the folder has a file for the other tool, and the configs that it names. It has no
    secret. A file that hashlab did not write is left alone.
    """
    target = folder / FILES[kind]
    existing = read_text(target) if is_file(target) else None
    if existing is not None and not existing.startswith(MARK):
        raise UsageError(
            f"{target} exists, and hashlab did not write it",
            next_step=f"hashlab export {kind} {folder / 'export'}, or move that file away",
        )
    images = {
        image.service: to.reference(image) if to else image.image
        for image in made_images(Store(world.state.oci))
    }
    found = (
        exported(world.lab, images)
        if kind == "compose"
        else stack(world.lab, images, dnsrr=dnsrr, read=_content)
    )
    write_text(target, _text(found, kind), mode=MODE)
    for name, source in found.configs.items():
        write_text(folder / CONFIGS / name, _content(source).decode(errors="surrogateescape"))
    for note in found.notes:
        world.note(note)
    if found.secrets:
        world.note(f"put these files below {folder / SECRETS}: {', '.join(found.secrets)}")
    track.detail(str(target))


def _content(source: Path | Content) -> bytes:
    if isinstance(source, Content):
        return source.data

    def read() -> bytes:
        with open_regular(source) as stream:
            return stream.read()

    return settled(read)


def _text(found: Export, kind: Kind) -> str:
    command = {
        "compose": "docker compose up --detach",
        "stack": "docker stack deploy --compose-file stack.yaml NAME",
    }[kind]
    lines = [f"{MARK} {kind}. Use it with: {command}"]
    lines += [f"# Put the secret {name} into ./{SECRETS}/{name}" for name in found.secrets]
    lines += [f"# Note: {note}" for note in found.notes]
    return "\n".join([*lines, yaml_text(found.shape)])
