"""Decides which provider a lab takes: the one that its files or ``--provider`` name, the one that
has its machines, or the best that works.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.config.providers import AUTO, HOSTS
from hashlab.errors import ConfigError, HashlabError, Interrupted, LaptopError, Problem
from hashlab.protocols import KvmProbe, Probe, Provider
from hashlab.protocols.tools import how_to_install, missing_tools, remedies
from hashlab.run import wiring
from hashlab.run.labs import read_lab
from hashlab.run.signals import terminating
from hashlab.state.files import StateFolder, is_file


@dataclass(frozen=True)
class Choice:
    """The provider that was taken. ``reasons``: one line for each provider, the best first."""

    provider: str
    reasons: tuple[str, ...]

    @property
    def note(self) -> str:
        """Return the choice and its reasons as one sentence."""
        return f'provider "auto" took {"; ".join(self.reasons)}'


@dataclass(frozen=True)
class Survey:
    """The findings about every provider.

    ``kvm``: None if it is of no use, because the lab runs on hosts. ``lab``: with the provider that
    it takes; None if any would do and none works. ``why``: the reason for it.
    """

    probes: Mapping[str, Probe]
    kvm: KvmProbe | None
    lab: Lab | None
    why: str


def open_lab(lab: Path | None, *, provider: str | None = None) -> Lab:
    """Read the lab in folder ``lab``, or the nearest one from the current folder upwards.

    Its provider is a real one: for "auto" that of its existing machines, or the best that works,
    which is then probed (for seconds) and noted. Raises LaptopError if none works.
    """
    found = read_lab(lab, provider)
    if found.provider != AUTO:
        return found
    with _interruptible():
        there = _with_machines(found)
        if len(there) == 1:
            return read_lab(found.folder, there[0])
        choice = choose(_probes(found, there or _on_laptop()))
        taken = read_lab(found.folder, choice.provider)
        return replace(taken, notes=(*taken.notes, choice.note))


def survey(lab: Path | None, *, provider: str | None = None) -> Survey:
    """Probe every provider, and report which one the lab takes and why."""
    found = read_lab(lab, provider)
    if found.provider == HOSTS:
        probe = wiring.PROVIDERS[HOSTS](wiring.equip(found)).probe()
        return Survey({HOSTS: probe}, None, found, _said(provider))
    with _interruptible():
        kvm = wiring.equip(found).kvm()
        if found.provider != AUTO:
            return Survey(_probes(found, _on_laptop()), kvm, found, _said(provider))
        there = _with_machines(found)
        if len(there) == 1:
            found = read_lab(found.folder, there[0])
            probes = _probes(found, _on_laptop())
            return Survey(probes, kvm, found, "its machines are there already")
        probes = _probes(found, _on_laptop())
        try:
            taken = choose({name: probes[name] for name in there or probes}).provider
        except LaptopError:
            return Survey(probes, kvm, None, "")
        return Survey(probes, kvm, read_lab(found.folder, taken), "the best of those that work")


def _on_laptop() -> list[str]:
    """Return the providers among which "auto" chooses: they make machines."""
    return [name for name in wiring.PROVIDERS if name != HOSTS]


def _said(provider: str | None) -> str:
    return "hashlab.toml says so" if provider in (None, AUTO) else "--provider says so"


def choose(probes: Mapping[str, Probe]) -> Choice:
    """Take the best provider that works; of two equal ones, the first. Raises LaptopError, which
    names what to install, if none works.
    """
    works = [name for name, probe in probes.items() if probe.works]
    if not works:
        raise LaptopError(
            f"none of the providers works here: {', '.join(probes)}",
            output="\n".join(f"{name}: {probe.detail}" for name, probe in probes.items()),
            next_step=remedies(probes),
        )
    works.sort(key=lambda name: -probes[name].rank)
    order = [*works, *(name for name in probes if name not in works)]
    taken = works[0]
    return Choice(taken, tuple(_reason(name, probes[name], name == taken) for name in order))


def _reason(name: str, probe: Probe, taken: bool) -> str:
    if taken:
        return f"{name}: {probe.detail}"
    return f"{name} {'works less well' if probe.works else 'does not work'}: {probe.detail}"


def look_at(provider: Provider, *, path: str | None, problems: Sequence[Problem]) -> Probe:
    """Probe one provider for a lab, with its tools searched in ``path``. ``problems``: parts of the
    lab's files that this provider does not support.
    """
    missing = missing_tools(provider.tools(building=True), path)
    if missing:
        commands = ", ".join(tool.command for tool in missing)
        return Probe(False, 0, f"not found: {commands}", how_to_install(missing))
    for problem in problems:
        return Probe(False, 0, f"{problem.file}: {problem.message}", problem.hint)
    return provider.probe()


def _with_machines(lab: Lab) -> list[str]:
    """Return the providers that have machines of this lab: known by its state, or asked if that is
    gone.
    """
    names = _on_laptop()
    known = [name for name in names if is_file(StateFolder(lab.state_folder, name).vagrantfile)]
    return known or [name for name in names if _has_machines(replace(lab, provider=name))]


def _has_machines(lab: Lab) -> bool:
    provider = wiring.PROVIDERS[lab.provider](wiring.equip(lab))
    if missing_tools(provider.tools(building=False), os.environ.get("PATH")):
        return False
    try:
        provider.check()
    except HashlabError:
        return False  # nothing can be asked of it; why is told where it is probed
    return bool(provider.machines.observe_all(lab))


def _probes(lab: Lab, names: Iterable[str]) -> dict[str, Probe]:
    """Probe providers. The lab's own tools are not searched; that is doctor's work."""
    probes = {}
    for name in names:
        provider = wiring.PROVIDERS[name](wiring.equip(replace(lab, provider=name)))
        if name == lab.provider:
            probes[name] = provider.probe()
        else:
            problems, path = _problems(lab, name), os.environ.get("PATH")
            probes[name] = look_at(provider, path=path, problems=problems)
    return probes


def _problems(lab: Lab, provider: str) -> Sequence[Problem]:
    """Return the parts of the lab's files, which are valid otherwise, that this provider does not
    support.
    """
    try:
        read_lab(lab.folder, provider)
    except ConfigError as error:
        return error.problems
    return ()


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        with terminating():
            yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted while providers were probed. Half done: nothing") from None
