"""The document of `hashlab images`: the self-contained image of each service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLayer:
    """One layer of an image, the lowest first. ``origin``: the step of the Dockerfile, or the kind
    of files, that it consists of.
    """

    digest: str
    bytes: int
    origin: str


@dataclass(frozen=True)
class ServiceImage:
    """The image of one service. ``image``: its name with its content id as the tag; ``digest``:
    that of its manifest; ``bytes``: of all layers; ``sbom``: path of its CycloneDX file.
    """

    service: str
    image: str
    digest: str
    bytes: int
    layers: tuple[ImageLayer, ...]
    sbom: str


@dataclass(frozen=True)
class ServiceImages:
    """The images of a lab, as `hashlab images` made them last."""

    lab: str
    provider: str
    images: tuple[ServiceImage, ...]
    notes: tuple[str, ...]
