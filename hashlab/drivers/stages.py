"""Names for what image builds leave behind, so that it is found, and goes when it is old."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress

import docker
from docker.errors import APIError

# Of images that are no application's: hashlab-stage/LAB_ID:BUILD-NUMBER.
REPOSITORY = "hashlab-stage"
STEP = re.compile(r"Step \d+/\d+ : (\w+)")
MADE = re.compile(r" ---> ([0-9a-f]{12,64})$")


class Stages:
    """The last image of each stage, from the lines of a build by the engine's classic builder."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._new = True

    def line(self, text: str) -> None:
        """Take one line of a build's output."""
        step, made = STEP.match(text), MADE.match(text)
        if step:
            self._new = self._new or step[1].upper() == "FROM"
        elif made and self._new:
            self.ids.append(made[1])
            self._new = False
        elif made:
            self.ids[-1] = made[1]


class StageNames:
    """Names of the stages of one image of one lab. An image that several labs share stays until
    the last name of it has gone.
    """

    def __init__(self, client: docker.APIClient, owner: str, image: str) -> None:
        self._client = client
        self._repository = f"{REPOSITORY}/{owner}"
        # Without the tag: one that changes with each build (of a box's system) replaces its own.
        name, _, tag = image.rpartition(":")
        build = name if name and "/" not in tag else image
        self._build = hashlib.sha256(build.encode()).hexdigest()[:12]
        self._image = image

    def present(self) -> dict[str, str]:
        """Ids by name: of the image itself, and of the stages that an earlier build left."""
        found = self._listed(self._image)
        prefix = f"{self._repository}:{self._build}-"
        stages = self._listed(f"{prefix}*")
        return {**found, **{name: id_ for name, id_ in stages.items() if name.startswith(prefix)}}

    def _listed(self, reference: str) -> dict[str, str]:
        images = self._client.images(filters={"reference": reference})
        return {name: str(image["Id"]) for image in images for name in image.get("RepoTags") or []}

    def give(self, ids: Iterable[str], *, failed: bool = False) -> set[str]:
        """Name these stages; those of a failed build beside those of the last good one."""
        word = "failed-" if failed else ""
        tags = {f"{self._build}-{word}{number}": id_ for number, id_ in enumerate(ids)}
        for tag, id_ in tags.items():
            self._client.tag(id_, self._repository, tag=tag, force=True)
        return {f"{self._repository}:{tag}" for tag in tags}

    def discard(self, before: dict[str, str], given: set[str]) -> None:
        """Remove what an earlier build left and the last one did not make again."""
        for name in before.keys() - given:
            if name.startswith(f"{self._repository}:"):
                _remove(self._client, name)
        for id_ in set(before.values()):
            # An image that a container uses, or another was made from, stays: the engine refuses.
            with suppress(APIError):
                if not self._client.inspect_image(id_).get("RepoTags"):
                    _remove(self._client, id_)


def _remove(client: docker.APIClient, name: str) -> None:
    with suppress(APIError):
        client.remove_image(name)
