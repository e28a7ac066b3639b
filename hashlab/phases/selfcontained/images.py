"""Phases ``hash images`` and ``images`` of a lab that may run from self-contained images
(`hashlab dev --images`).

Such a lab is the lab of the files with other services: each has its own image, and no mounts of the
laptop. ``Lab.built_from`` is the lab of the files. All other phases treat it as any lab.
"""

from __future__ import annotations

from dataclasses import replace

from hashlab.config.model import Lab, Service
from hashlab.documents.run import Cause
from hashlab.phases import images
from hashlab.phases.selfcontained.assemble import fill_known, runs_images
from hashlab.phases.selfcontained.configuration import CONTENT_LABEL
from hashlab.phases.selfcontained.contents import goes_inside
from hashlab.phases.selfcontained.load import archive, made_images
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import remove, write_text


def lab_of_images(lab: Lab) -> Lab:
    """Return the lab whose services run from self-contained images. Pure."""
    services = tuple(_from_image(lab, service) for service in lab.services)
    return replace(lab, services=services, reloads=(), built_from=lab)


def own_name(lab: Lab, service: Service) -> str:
    """Return the name of a service's image on machines, which stays the same for each content."""
    return f"{lab.name}/{service.family}:lab"


def _from_image(lab: Lab, service: Service) -> Service:
    binds = tuple(bind for bind in service.binds if not goes_inside(lab, bind))
    return replace(service, image=own_name(lab, service), build=None, binds=binds, watch=())


def save_kind(world: World) -> None:
    """Save, for later runs, whether the lab runs from self-contained images."""
    if runs_images(world):
        write_text(world.state.runs_images, "")
    else:
        remove(world.state.runs_images)


def hash_images(world: World, track: Track, _: str) -> None:
    """Promise: the facts hold the hash of the inputs of every image of the Compose file, and the
    content of each self-contained image that was made last.
    """
    images.hash_images(world, track, "")
    fill_known(world)


def bring_images(world: World, track: Track, machine: str) -> None:
    """Promise: a machine has, up to date, every image its services run. Of a self-contained image
    it is sent only the layers that it lacks.
    """
    if not runs_images(world):
        images.bring_images(world, track, machine)
        return
    if others := {name for each in world.services_on(machine) for name in each.images[1:]}:
        images.bring(world, track, machine, sorted(others))
    engine, store = world.link(machine).engine, Store(world.state.oci)
    names = {service.family: service.image for service in world.services_on(machine)}
    labels = engine.image_labels(sorted(set(names.values())))
    inputs = world.facts.images.inputs
    missing = {
        service: name
        for service, name in names.items()
        if labels.get(name, {}).get(CONTENT_LABEL) != inputs[name]
    }
    if not missing:
        track.skip(f"{len(names)} up to date")
        return
    world.because(*(Cause(f"image {name}") for name in missing.values()))
    engine.prune_images({CONTENT_LABEL: ""})
    made = [image for image in made_images(store) if image.service in missing]
    wanted = [(image, missing[image.service]) for image in made]
    engine.load_images(archive(store, wanted, engine.layers(), track))
    track.detail("sent " + ", ".join(missing.values()))
