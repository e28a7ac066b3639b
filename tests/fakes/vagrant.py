"""Vagrant for tests of providers, which never call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hashlab.pipeline import Track
from hashlab.providers.vagrant import LabVagrant
from hashlab.state.files import StateFolder


class RefusedVagrant:
    """protocols.Vagrant that refuses every call."""

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        raise AssertionError(f"vagrant up of {', '.join(machines)}")

    def destroy(self, *, track: Track) -> None:
        raise AssertionError("vagrant destroy")

    def box_add(self, metadata: Path, *, track: Track) -> None:
        raise AssertionError(f"vagrant box add of {metadata}")

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        raise AssertionError(f"vagrant box remove of {name} {version}")


def refused_render(values: Mapping[str, Any]) -> str:
    raise AssertionError(f"a Vagrantfile of {sorted(values)}")


def vagrant_in(
    folder: Path, provider: str, *, render: Callable[[Mapping[str, Any]], str] = refused_render
) -> LabVagrant:
    """Return a lab's Vagrant that is never called. ``folder``: the lab's state folder."""
    return LabVagrant(RefusedVagrant(), StateFolder(folder, provider), render)
