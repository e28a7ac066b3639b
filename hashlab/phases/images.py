"""Phase ``images``: what images are built from, and each machine having the ones it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hashlab.config.model import Build, Image
from hashlab.documents.run import Cause
from hashlab.errors import FilesChanged, LaptopError, UsageError
from hashlab.hashing import digest, short
from hashlab.inputs.contexts import BuildContext
from hashlab.phases.agreement import is_agreed
from hashlab.phases.layers import saved_layers, without
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BuildSettings, Engine
from hashlab.state.files import (
    make_tool_folder,
    open_binary,
    read_json,
    remove,
    remove_tree,
    write_json,
)

INPUTS_LABEL = "hashlab.inputs.artifacts"
PULLED = "pulled"
# What else decides the result of a build. A setting that is not there is not in the hash.
SETTINGS = ("labels", "network", "shm_size", "extra_hosts")


def image_inputs(world: World, image: Image) -> str:
    """Return the hash of everything an image is built from; if it is not built, ``pulled``, with
    the hash of its content if `hashlab pull` brought it.
    """
    build = image.build
    if build is None:
        content = pulled_contents(world).get(image.name)
        return f"{PULLED} {content}" if content else PULLED
    return _inputs(world, image, build, world.build_context(build), _contexts(world, build))


def _bases(world: World, build: Build) -> dict[str, Image]:
    """Return the images of the lab that are further contexts of a build, by their context."""
    images = {f"docker-image://{image.name}": image for image in world.lab.images}
    contexts = [str(context) for _, context in build.additional_contexts]
    return {context: images[context] for context in contexts if context in images}


def _inputs(
    world: World,
    image: Image,
    build: Build,
    context: BuildContext,
    others: Mapping[str, BuildContext | str],
) -> str:
    own = {
        context: [context, image_inputs(world, base)]
        for context, base in _bases(world, build).items()
    }
    rest: dict[str, object] = {"args": dict(build.args), "target": build.target}
    rest |= {name: getattr(build, name) for name in SETTINGS if getattr(build, name)}
    if others:
        rest["contexts"] = {
            name: own.get(other, other) if isinstance(other, str) else other.document()
            for name, other in others.items()
        }
    return short(digest({**context.document(image.leaves_out), **rest}))


def _contexts(world: World, build: Build) -> dict[str, BuildContext | str]:
    """Return the further contexts of a build: listed folders, or images by name."""
    return {
        name: other
        if isinstance(other, str)
        else world.build_context(Build(context=other, dockerfile=None))
        for name, other in build.additional_contexts
    }


def hash_images(world: World, track: Track, _: str) -> None:
    """Promise: the facts hold the hash of the inputs of every image of the Compose file."""
    for image in world.lab.images:
        world.facts.images.inputs[image.name] = image_inputs(world, image)
    track.detail(f"{len(world.lab.images)} images")


def pulled_contents(world: World) -> dict[str, str]:
    """Return the content of the images that `hashlab pull` brought, by name."""
    saved = read_json(world.state.pulled)
    pairs = saved.items() if isinstance(saved, dict) else ()
    return {name: content for name, content in pairs if isinstance(content, str)}


def save_contents(world: World, contents: Mapping[str, str]) -> None:
    """Save the content of pulled images."""
    write_json(world.state.pulled, {**pulled_contents(world), **contents})


def satisfied(labels: Mapping[str, str] | None, inputs: str, content: str = "") -> bool:
    """Return whether an image with these labels (None: no image) and this content was built from
    ``inputs``.
    """
    if labels is None:
        return False
    if inputs.startswith(PULLED):
        return inputs in (PULLED, f"{PULLED} {content}")
    return labels.get(INPUTS_LABEL) == inputs


def lacking(world: World, engine: Engine, names: Sequence[str]) -> list[str]:
    """Return those of these images that an engine does not have, or not up to date."""
    inputs = world.facts.images.inputs
    labels = engine.image_labels(names)
    pulled = [name for name in labels if inputs[name].startswith(f"{PULLED} ")]
    contents = engine.image_contents(pulled) if pulled else {}
    return [
        name
        for name in names
        if not satisfied(labels.get(name), inputs[name], contents.get(name, ""))
    ]


def bring_images(world: World, track: Track, machine: str) -> None:
    """Promise: a machine has, up to date, every image its services run. Normally the box brought
    them all; only what changed since then is built on the laptop and sent.
    """
    bring(
        world,
        track,
        machine,
        sorted({name for each in world.services_on(machine) for name in each.images}),
    )


def bring(world: World, track: Track, machine: str, needed: Sequence[str]) -> None:
    """Bring those of these images to a machine that it lacks or that changed."""
    missing = lacking(world, world.link(machine).engine, needed)
    if not missing:
        track.skip(f"{len(needed)} up to date")
        return
    world.because(*(Cause(f"image {name}") for name in missing))
    with world.lock:  # several machines may lack the same image: it is built and saved once
        build_images(world, missing, track)
        archives = [_saved(world, name, track) for name in missing]
    engine = world.link(machine).engine
    known = engine.layers()
    for archive in archives:
        engine.load_images(_counted(without(archive, known), track))
        known |= saved_layers(archive).keys()
    track.detail("sent " + ", ".join(missing))


def _saved(world: World, name: str, track: Track) -> Path:
    """Save an image of the laptop's engine for all machines of this run. Raises LabError."""
    saved, folder = world.facts.images.saved, world.state.images
    if not saved:
        remove_tree(folder)
        make_tool_folder(folder)
    if name not in saved:
        archive = folder / f"{len(saved)}.tar"
        write_archive(world, [name], archive, track)
        saved[name] = archive
    return saved[name]


def write_archive(world: World, names: Sequence[str], archive: Path, track: Track) -> None:
    """Save images of the laptop's engine as one archive. If that fails, none is left. Raises
    LabError, LaptopError.
    """
    try:
        written = 0
        with open_binary(archive, write=True) as stream:
            for chunk in world.laptop_engine().save_images(names):
                track.cancel.check()
                written += stream.write(chunk)
                track.progress(written / 1e6, None, "MB")
    except BaseException as error:
        remove(archive)
        if isinstance(error, OSError):
            raise LaptopError(f"cannot write {archive}: {error.strerror}") from error
        raise


def _counted(chunks: Iterator[bytes], track: Track) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        track.cancel.check()
        track.sent(len(chunk))
        total += len(chunk)
        track.progress(total / 1e6, None, "MB")
        yield chunk


def build_services(world: World, track: Track, _: str, *, services: Sequence[str]) -> None:
    """Promise: the laptop's engine has an up-to-date image for each of these services that builds
    one.
    """
    wanted = [s for s in world.lab.services if s.name in services and s.build is not None]
    built = build_images(
        world, sorted({name for service in wanted for name in service.images}), track
    )
    if built:
        track.detail(f"{len(built)} built")
    else:
        track.skip("up to date")


def build_bases(world: World, track: Track, _: str) -> None:
    """Promise: the laptop's engine has the images that the services name, up to date."""
    built = build_images(
        world, sorted({name for each in world.source_lab.services for name in each.images}), track
    )
    if built:
        track.detail(f"{len(built)} built or pulled")
    else:
        track.skip("up to date")


def build_images(world: World, names: list[str], track: Track) -> list[str]:
    """Build or pull the images that the laptop's engine lacks, each after the images that it is
    built from; return their names.
    """
    engine = world.laptop_engine()
    inputs = world.facts.images.inputs
    by_name = {image.name: image for image in world.lab.images}
    missing: dict[str, None] = {}
    waiting = lacking(world, engine, names)
    while waiting:
        missing = {**dict.fromkeys(waiting), **missing}
        builds = filter(None, (by_name[name].build for name in waiting))
        bases = {base.name for build in builds for base in _bases(world, build).values()}
        waiting = lacking(world, engine, sorted(bases))
    for name in missing:
        with track.child("image", service=name) as step:
            build = by_name[name].build
            if build is None:
                engine.pull(name, track=step)
                step.detail("pulled")
                if inputs[name] != PULLED:
                    save_contents(world, engine.image_contents([name]))
                continue
            build_image(world, by_name[name], build, step)
            step.detail("built")
    return list(missing)


def build_image(
    world: World, image: Image, build: Build, track: Track, *, second: str = ""
) -> None:
    """Build an image on the laptop's engine. ``second``: the name under which it is built again,
    from nothing.
    """
    world.image_builder.build(
        second or image.name,
        context=_same_context(world, image, build),
        settings=replace(_settings(world, build), fresh=bool(second)),
        labels={**dict(build.labels), INPUTS_LABEL: world.facts.images.inputs[image.name]},
        owner=second or world.lab.id,
        track=track,
    )


def _settings(world: World, build: Build) -> BuildSettings:
    """Return the settings of a build. Raises UsageError if it would use keys, and nobody agreed."""
    if build.ssh and not is_agreed(world):
        raise UsageError(
            "a build would use SSH keys of the laptop, and nobody was asked",
            where=str(build.context),
            next_step="hashlab build",
        )
    secrets = dict(world.lab.secrets)
    return BuildSettings(
        dict(build.args),
        build.target,
        build.network,
        build.shm_size,
        build.extra_hosts,
        _contexts(world, build),
        {target: secrets[name] for target, name in build.secrets},
        dict(build.ssh),
    )


def _same_context(world: World, image: Image, build: Build) -> BuildContext:
    """Return the context to build an image from. Raises FilesChanged if it changed since this run
    hashed it: a label must never name other inputs than the image was built from.
    """
    context, others = world.build_context(build), _contexts(world, build)
    if _inputs(world, image, build, context, others) != world.facts.images.inputs[image.name]:
        raise FilesChanged(
            f"the inputs of image {image.name} changed during the run",
            where=str(build.context),
            next_step="run it again",
        )
    if context.kept:
        world.note(
            f"{', '.join(context.kept)} did not go into the build context {build.context.name}: "
            "compose.yaml declares it as a secret or config"
        )
    return context
