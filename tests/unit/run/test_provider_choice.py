"""Which provider "auto" takes: the best that works, with a reason for each that there is."""

from __future__ import annotations

import pytest
from fakes import Outside

from hashlab.errors import ExitCode, LaptopError, Problem
from hashlab.protocols import Probe, Rank
from hashlab.run.provider import choose, look_at

DOCKER = Probe(True, Rank.DOCKER, "containers")
NO_DOCKER = Probe(False, Rank.DOCKER, "no engine answers", "start Docker")
KVM = Probe(True, Rank.LIBVIRT_KVM, "with KVM")
EMULATED = Probe(True, Rank.LIBVIRT_EMULATED, "by emulation")
NO_LIBVIRT = Probe(False, Rank.LIBVIRT_EMULATED, "not found: virsh", "install libvirt-clients")
VIRTUALBOX = Probe(True, Rank.VIRTUALBOX, "7.0")
NO_VIRTUALBOX = Probe(False, 0, "not found: VBoxManage")


@pytest.mark.parametrize(
    ("docker", "libvirt", "virtualbox", "taken"),
    [
        (DOCKER, KVM, VIRTUALBOX, "libvirt"),
        (DOCKER, EMULATED, VIRTUALBOX, "docker"),
        (DOCKER, NO_LIBVIRT, NO_VIRTUALBOX, "docker"),
        (NO_DOCKER, KVM, VIRTUALBOX, "libvirt"),
        (NO_DOCKER, EMULATED, VIRTUALBOX, "virtualbox"),
        (NO_DOCKER, EMULATED, NO_VIRTUALBOX, "libvirt"),
        (NO_DOCKER, NO_LIBVIRT, VIRTUALBOX, "virtualbox"),
    ],
)
def test_the_best_that_works_is_taken(
    docker: Probe, libvirt: Probe, virtualbox: Probe, taken: str
) -> None:
    probes = {"docker": docker, "libvirt": libvirt, "virtualbox": virtualbox}
    assert choose(probes).provider == taken


def test_a_good_provider_that_does_not_work_is_never_taken() -> None:
    broken = Probe(False, Rank.LIBVIRT_KVM, "libvirt does not answer")
    assert choose({"libvirt": broken, "docker": DOCKER}).provider == "docker"


def test_of_two_alike_the_first_is_taken() -> None:
    assert choose({"one": DOCKER, "two": DOCKER}).provider == "one"
    assert choose({"two": DOCKER, "one": DOCKER}).provider == "two"


def test_there_is_one_reason_for_each_provider_the_best_first() -> None:
    choice = choose({"virtualbox": NO_VIRTUALBOX, "libvirt": EMULATED, "docker": DOCKER})
    assert choice.reasons == (
        "docker: containers",
        "libvirt works less well: by emulation",
        "virtualbox does not work: not found: VBoxManage",
    )
    assert choice.note == f'provider "auto" took {"; ".join(choice.reasons)}'


def test_when_none_works_every_reason_and_remedy_is_told() -> None:
    probes = {"docker": NO_DOCKER, "libvirt": NO_LIBVIRT, "virtualbox": NO_VIRTUALBOX}
    with pytest.raises(LaptopError) as failure:
        choose(probes)
    error = failure.value
    assert error.exit_code == ExitCode.LAPTOP
    assert error.what == "none of the providers works here: docker, libvirt, virtualbox"
    assert error.output.splitlines() == [
        "docker: no engine answers",
        "libvirt: not found: virsh",
        "virtualbox: not found: VBoxManage",
    ]
    assert error.next_step == "for docker: start Docker; or for libvirt: install libvirt-clients"


def path(outside: Outside) -> str:
    return outside.environ["PATH"]


def test_a_provider_whose_tools_are_there_is_probed(outside: Outside) -> None:
    found = look_at(outside.provider, path=path(outside), problems=())
    assert found == Probe(True, Rank.DOCKER, "provider docker works")
    outside.provider.broken = LaptopError("no engine answers", next_step="start Docker")
    assert look_at(outside.provider, path=path(outside), problems=()) == NO_DOCKER


def test_a_provider_without_its_tools_is_not_probed_and_says_what_to_install(
    outside: Outside,
) -> None:
    for tool in ("ssh", "mmdebstrap"):
        (outside.root / "bin" / tool).unlink()
    found = look_at(outside.provider, path=path(outside), problems=())
    assert (found.works, found.detail) == (False, "not found: ssh, mmdebstrap")
    assert "apt-get install mmdebstrap openssh-client" in found.next_step
    assert outside.faults.calls == []


def test_a_provider_that_the_files_do_not_fit_is_not_probed_and_says_what_to_write(
    outside: Outside,
) -> None:
    problem = Problem("hashlab.toml", 3, "it has no box", "Write [box.virtualbox].")
    found = look_at(outside.provider, path=path(outside), problems=[problem])
    assert found == Probe(False, 0, "hashlab.toml: it has no box", "Write [box.virtualbox].")
    assert outside.faults.calls == []
