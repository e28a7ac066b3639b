"""The screen of `hashlab images`."""

from __future__ import annotations

import io

from hashlab.documents.images import ImageLayer, ServiceImage, ServiceImages
from hashlab.report import show_images


def test_each_image_is_shown_with_its_layers_and_the_notes_follow() -> None:
    layers = (ImageLayer("sha256:" + "a" * 64, 5_000_000, "RUN make"),)
    image = ServiceImage("web", "demo/web:c0ffee", "sha256:" + "b" * 64, 5_000_000, layers, "s")
    stream = io.StringIO()
    show_images(ServiceImages("demo", "docker", (image,), ("web: it runs as root",)), stream)
    shown = stream.getvalue()
    for text in ("demo/web:c0ffee", "b" * 12, "a" * 12, "RUN make", "it runs as root"):
        assert text in shown
