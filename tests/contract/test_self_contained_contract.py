"""Self-contained images on a real engine: it loads them, and containers see what is inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from contract_bench import BASE, PREFIX, real_engine
from fakes import Outside, run, write_files

from hashlab.config.model import BindMount, Healthcheck, Image, Service
from hashlab.documents.images import ServiceImage
from hashlab.drivers.engine import DockerEngine
from hashlab.phases.selfcontained.store import Store
from hashlab.run import workflows

LAB = f"{PREFIX}images"


@pytest.fixture
def engine(_base_image: str) -> Iterator[DockerEngine]:
    """The laptop's engine; what the tests load there is removed."""
    found = real_engine()
    yield found
    for name in found.images_with({"hashlab.content": ""}):
        if name.startswith(f"{LAB}/"):
            found.remove_image(name, force=True)
    found.close()


def made(outside: Outside, engine: DockerEngine) -> ServiceImage:
    """Make and load the image of a service that mounts a folder."""
    write_files(outside.lab.folder, {"code/say": "hello", "code/deep/file": "deep"})
    service = Service(
        "say",
        "web",
        BASE,
        command=("sh", "-c", "cat /app/say /app/deep/file"),
        binds=(BindMount(outside.lab.folder / "code", "/app"),),
        healthcheck=Healthcheck(("CMD", "true"), interval=1.0),
    )
    outside.lab = replace(
        outside.lab, name=LAB, services=(service,), images=(Image(BASE),), artifacts=()
    )
    outside.runner.prepare("git", code=1)
    outside.laptop = cast("object", engine)  # type: ignore[assignment]
    result = run(outside, workflows.self_contained(load=True, check=False))
    assert result.error is None, str(result.error)
    document = Store(outside.state.oci).document()
    assert document is not None
    return document.images[0]


def test_the_engine_runs_an_image_and_sees_what_is_inside(
    outside: Outside, engine: DockerEngine
) -> None:
    image = made(outside, engine)
    container = engine.create(f"{LAB}-say", {"Image": image.image})
    try:
        engine.start(container)
        assert engine.wait(container, timeout=20) == 0
        assert engine.logs(container) == "hellodeep"
    finally:
        engine.remove(container)
    # The engine's id of an image is the digest of its configuration, or of its manifest.
    config = Store(outside.state.oci).read(image.digest)["config"]["digest"]
    assert engine.image_ids([image.image])[image.image] in (config, image.digest)


def test_an_edit_sends_only_the_last_layer(
    outside: Outside, engine: DockerEngine, tmp_path: Path
) -> None:
    first = made(outside, engine)
    write_files(outside.lab.folder, {"code/say": "bye"})
    result = run(outside, workflows.self_contained(load=True, check=False))
    [row] = [row for row in result.rows if row.name == "load"]
    assert 0 < row.bytes_sent < 100_000
    document = Store(outside.state.oci).document()
    assert document is not None
    assert document.images[0].layers[:-1] == first.layers[:-1]
