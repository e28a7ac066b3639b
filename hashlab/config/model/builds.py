"""Artifacts and images that the laptop builds, and the commands that a user runs there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model.watching import Watch, deciding


@dataclass(frozen=True)
class Builder:
    """A command that builds artifacts.

    It builds several of them in one call (``{targets}`` in ``command``) or, as a ``worker``, is
    started once and serves many builds (see protocols.Workers).
    """

    name: str
    command: tuple[str, ...]
    worker: bool = False


@dataclass(frozen=True)
class Incremental:
    """The fast way to rebuild an artifact: by a worker, if only files below ``inputs`` changed."""

    builder: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """Something that the laptop builds and machines need.

    ``inputs`` are paths or globs relative to the lab folder, ``output`` is an absolute path. Either
    ``builder`` (with ``target``) or ``command`` is set. This build and the ``incremental`` one must
    make the same output of the same inputs. ``sbom``: a CycloneDX file about the output (absolute).
    """

    name: str
    inputs: tuple[str, ...]
    output: Path
    builder: str = ""
    target: str = ""
    command: tuple[str, ...] = ()
    incremental: Incremental | None = None
    sbom: Path | None = None


@dataclass(frozen=True)
class OwnImages:
    """Settings of self-contained images.

    ``layers``: patterns for files of the lab folder; those of each are a layer of their own, the
    first the lowest. ``sbom``: the command that writes the ``sbom`` of all artifacts.
    """

    layers: tuple[str, ...] = ()
    sbom: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reload:
    """Lets a service take changed files below ``paths`` (absolute) without a restart.

    ``command`` loads them into the running process, and later reports whether they are loaded.
    """

    service: str
    command: tuple[str, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Step:
    """A command of the user that runs on the laptop: seed, verify."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class Build:
    """The build of an image. Paths are absolute. ``dockerfile`` is None if the Compose file has its
    text, ``dockerfile_inline``. ``shm_size`` is in bytes. ``additional_contexts``: folders,
    images as docker-image://NAME, or services of the file as service:NAME, by name; ``secrets``:
    names of secrets of the top level by the id that the Dockerfile gives them; ``ssh``: keys of the
    laptop by id, "" for the person's agent.
    """

    context: Path
    dockerfile: Path | None
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    dockerfile_inline: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    network: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    additional_contexts: tuple[tuple[str, Path | str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    ssh: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Image:
    """An image that a service of the file uses: built here (``build``, in whose contexts services
    are images) or pulled by name.

    ``watched``: the watch rules of each service that runs it.
    """

    name: str
    build: Build | None = None
    watched: tuple[tuple[Watch, ...], ...] = ()

    def leaves_out(self, path: Path) -> bool:
        """True if a changed file is no reason to build: every service that runs the image gets it
        in another way.
        """
        rules = [deciding(rules, path) for rules in self.watched]
        return bool(rules) and all(rule and rule.action != "rebuild" for rule in rules)
