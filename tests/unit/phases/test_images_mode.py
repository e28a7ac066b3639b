"""`hashlab dev --images`: the lab runs from self-contained images."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, go, register_box, rows, write_files
from fakes.running import run
from test_self_contained import CONFIG, image, prepared

from hashlab.documents.images import ServiceImages
from hashlab.phases.selfcontained.assemble import runs_images
from hashlab.phases.selfcontained.configuration import CONTENT_LABEL
from hashlab.phases.selfcontained.images import lab_of_images, save_kind
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.status import status_document
from hashlab.pipeline import CancelToken, Recorder, RunResult
from hashlab.run import workflows

OWN = "small/site:lab"


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab that runs from its own images."""
    register_box(outside)
    prepared(outside)
    # What the box brought, and the laptop has, is up to date.
    for name in ("small/queue", "small/site"):
        outside.laptop.images[name] = dict(outside.stores[outside.systems.copy().pop()][name])
        outside.laptop.roots[name] = (CONFIG, outside.laptop.roots[name][1])
    outside.lab = lab_of_images(outside.lab)
    go(outside, workflows.DEV)
    outside.faults.calls.clear()
    return outside


def document(outside: Outside) -> ServiceImages:
    found = Store(outside.state.oci).document()
    assert found is not None
    return found


def refresh(outside: Outside) -> RunResult:
    return go(outside, workflows.REFRESH)


def test_containers_have_their_own_image_and_no_files_of_the_laptop(lab: Outside) -> None:
    engine = lab.machines["web"].engine
    body = engine.by_name("small-site-1").body
    assert body["Image"] == OWN
    assert [mount["Target"] for mount in body["HostConfig"]["Mounts"]] == ["/run/secrets/password"]
    assert engine.images[OWN][CONTENT_LABEL] == image(document(lab)).image.rpartition(":")[2]


def test_a_refresh_without_an_edit_changes_nothing(lab: Outside) -> None:
    result = refresh(lab)
    assert rows(result, "images")[1].status == "skipped"
    assert not [c for c in lab.faults.changes() if c.endswith((".create", ".load_images"))]


def test_an_edit_sends_only_the_last_layer_and_replaces_only_its_containers(lab: Outside) -> None:
    write_files(lab.lab.folder, {"static/index.html": "<h1>two</h1>"})
    result = refresh(lab)
    engine = lab.machines["web"].engine
    after = image(document(lab))
    assert list(engine.plain[OWN].sent) == [after.layers[-1].digest]
    assert engine.images[OWN][CONTENT_LABEL] == after.image.rpartition(":")[2]
    replaced = [row.service for row in rows(result, "container") if row.status == "ok"]
    assert set(replaced) == {"site"}


def test_verify_builds_nothing_and_status_knows_the_builds(lab: Outside) -> None:
    go(lab, workflows.VERIFY)
    assert not [c for c in lab.faults.changes() if "build" in c or "load" in c]
    world = lab.world()
    track = Recorder(lab.listener, CancelToken()).step("status")
    with track as step:
        status = status_document(world, step)
    world.close()
    site = next(service for service in status.services if service.name == "site")
    assert site.running_build == site.build


def test_the_kind_of_lab_is_saved_for_later_commands(lab: Outside) -> None:
    world = lab.world()
    assert runs_images(world)
    save_kind(world)
    assert lab.state.runs_images.exists()
    save_kind(replace(world, lab=world.source_lab))
    assert not lab.state.runs_images.exists()


def test_dev_without_images_goes_back_to_the_files_of_the_laptop(lab: Outside) -> None:
    assert lab.lab.built_from is not None
    lab.lab = lab.lab.built_from
    assert run(lab, workflows.DEV).error is None
    body = lab.machines["web"].engine.by_name("small-site-1").body
    assert body["Image"] == "small/site"
    assert "/app" in [mount["Target"] for mount in body["HostConfig"]["Mounts"]]
