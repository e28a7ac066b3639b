"""Names for the images that builds leave behind, so that they can be found and removed when they
are old.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress

import docker
from docker.errors import APIError

# The name of images that are not an application's: hashlab-stage/LAB_ID:BUILD-NUMBER.
REPOSITORY = "hashlab-stage"
STEP = re.compile(r"Step \d+/\d+ : (\w+)")
MADE = re.compile(r" ---> ([0-9a-f]{12,64})$")


class Stages:
    """Collects the last image of each stage from the output of the engine's classic builder."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._new = True

    def line(self, text: str) -> None:
        """Process one line of a build's output."""
        step, made = STEP.match(text), MADE.match(text)
        if step:
            self._new = self._new or step[1].upper() == "FROM"
        elif made and self._new:
            self.ids.append(made[1])
            self._new = False
        elif made:
            self.ids[-1] = made[1]


class StageNames:
    """Names of the stages of one image of one lab.

    An image that several labs share remains until its last name is removed.
    """

    def __init__(self, client: docker.APIClient, owner: str, image: str) -> None:
        self._client = client
        self._repository = f"{REPOSITORY}/{owner}"
        # Without the tag: a build whose tag changes each time (a box's system) replaces its own
        # stages.
        name, _, tag = image.rpartition(":")
        build = name if name and "/" not in tag else image
        self._build = hashlib.sha256(build.encode()).hexdigest()[:12]
        self._image = image

    def present(self) -> dict[str, str]:
        """Return ids by name: of the image itself, and of the stages that an earlier build left."""
        named = self._listed(self._image)
        prefix = f"{self._repository}:{self._build}-"
        stages = self._listed(f"{prefix}*")
        return {**named, **{name: id_ for name, id_ in stages.items() if name.startswith(prefix)}}

    def _listed(self, reference: str) -> dict[str, str]:
        images = self._client.images(filters={"reference": reference})
        return {name: str(image["Id"]) for image in images for name in image.get("RepoTags") or []}

    def give(self, ids: Iterable[str], *, failed: bool = False) -> set[str]:
        """Name these stages. Those of a failed build are named next to those of the last successful
        one.
        """
        word = "failed-" if failed else ""
        tags = {f"{self._build}-{word}{number}": id_ for number, id_ in enumerate(ids)}
        for tag, id_ in tags.items():
            self._client.tag(id_, self._repository, tag=tag, force=True)
        return {f"{self._repository}:{tag}" for tag in tags}

    def discard(self, before: dict[str, str], named_now: set[str]) -> None:
        """Remove stages of an earlier build that the last one did not make again."""
        for name in before.keys() - named_now:
            if name.startswith(f"{self._repository}:"):
                _remove(self._client, name)
        for id_ in set(before.values()):
            # The engine refuses to remove an image that a container uses or that another image is
            # based on.
            with suppress(APIError):
                if not self._client.inspect_image(id_).get("RepoTags"):
                    _remove(self._client, id_)


def _remove(client: docker.APIClient, name: str) -> None:
    with suppress(APIError):
        client.remove_image(name)
