"""Finds out whether a change of a repository concerns a lab."""

from __future__ import annotations

from hashlab.errors import UsageError
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.watch.places import find_places, wanted_of

GIT_SECONDS = 60.0


def changed_since(world: World, commit: str) -> list[str]:
    """Return the files of the lab that differ from a commit, relative to its folder: what a refresh
    would take up, and the inputs of artifacts. Raises UsageError, LabError, LaptopError.
    """
    lab = world.source_lab
    # A commit is never an option; untracked files count as well.
    differing = _git(world, "diff", "--name-only", "-z", "--relative", "--end-of-options", commit)
    new = _git(world, "ls-files", "--others", "--exclude-standard", "-z")
    names = sorted({*differing.split("\0"), *new.split("\0")} - {""})
    places = find_places(wanted_of(lab))
    return [name for name in names if places.counts(lab.folder / name)]


def _git(world: World, *words: str) -> str:
    done = world.runner.run(
        ["git", *words], cwd=world.lab.folder, timeout=GIT_SECONDS, cancel=CancelToken()
    )
    if done.code != 0:
        raise UsageError(
            f"git {words[0]} failed: {done.stderr.strip()}",
            where=str(world.lab.folder),
            next_step="name a commit that this checkout has; a shallow one lacks older commits",
        )
    return done.stdout
