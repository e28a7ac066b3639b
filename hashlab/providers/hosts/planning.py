"""Decides what preparing a host would change. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.providers.hosts.facts import HostFacts, Record
from hashlab.providers.hosts.files import NETWORK, digest, host_files, recipe
from hashlab.providers.hosts.machines import check_owner

SYSTEMS = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")
ARCHITECTURES = ("x86_64", "aarch64")
# A Swarm's certificates and leases do not work with clocks that differ by more.
MOST_SECONDS = 5.0


@dataclass(frozen=True)
class Changes:
    """The changes that a host needs: ``packages`` to install, ``files`` to write, and whether the
    user joins the group docker. ``record``: what the host will say of itself.
    """

    packages: tuple[str, ...]
    joins: bool
    files: dict[str, str] = field(default_factory=dict)
    record: Record | None = None

    @property
    def none(self) -> bool:
        """True if the host is as it should be."""
        return not (self.packages or self.joins or self.files or self.record)


def faults(lab: Lab, machine: Machine, facts: HostFacts, *, builds_for: str = "") -> list[LabError]:
    """Return what makes it impossible to run a lab on a host. ``builds_for``: the processor of the
    images, "" if unknown.
    """
    found: list[LabError] = []

    def wrong(what: str, next_step: str) -> None:
        found.append(LabError(what, where=machine.name, next_step=next_step))

    user = facts.user
    if not facts.sudo:
        wrong(
            f"{user} needs sudo without a password, to install packages and to read what runs",
            f"on the host, as root: echo '{user} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{user}",
        )
    if not (facts.apt and facts.systemd):
        wrong("hashlab prepares hosts with apt and systemd only", "use Debian 12 or 13")
    if facts.arch not in ARCHITECTURES:
        wrong(f"unknown processor: {facts.arch}", f"use one of: {', '.join(ARCHITECTURES)}")
    elif builds_for and facts.arch != builds_for:
        wrong(
            f"its processor is {facts.arch}, and the laptop builds images for {builds_for}",
            "run hashlab on a laptop of the hosts' processor, or use other hosts",
        )
    if facts.swarm[0] not in ("", "inactive") and not is_own_swarm(facts):
        wrong(
            "its Docker Engine is in a Swarm that hashlab did not make",
            "use another host; or, if nobody needs that Swarm: docker swarm leave, on the host",
        )
    if abs(facts.clock) > MOST_SECONDS:
        wrong(f"its clock is {facts.clock:+.0f} s off", "install systemd-timesyncd on the host")
    if facts.sudo and not facts.esp and any(network.encrypted for network in lab.networks):
        wrong(
            "its kernel cannot encrypt what hosts send to each other (xfrm: ESP with AES-GCM)",
            "modprobe esp4; or, on a network that you trust: encrypt = false in [lab]",
        )
    try:
        check_owner(lab, machine, facts)
    except LabError as error:
        found.append(error)
    return found


def is_own_swarm(facts: HostFacts) -> bool:
    """Return whether hashlab made the Swarm that a host is in, or was about to."""
    return facts.swarm_made in ("making", facts.swarm[1])


def changes(
    lab: Lab, facts: HostFacts, address: IPv4Address, peers: Sequence[IPv4Address], made_by: str
) -> Changes:
    """Return what is to be done on a host, whose ``address`` the others use."""
    known = facts.record
    joins = facts.user != "root" and "docker" not in facts.groups
    files = {**host_files(), NETWORK: " ".join(map(str, peers)) + "\n"}
    wrong = {path: text for path, text in files.items() if facts.files.get(path) != digest(text)}
    record = Record(
        lab=lab.id,
        made_by=known.made_by if known else made_by,
        address=str(address),
        recipe=recipe(),
        packages=tuple(sorted({*(known.packages if known else ()), *facts.missing})),
        joined=joins or bool(known and known.joined),
    )
    return Changes(facts.missing, joins, wrong, record if record != known else None)


def steps(change: Changes, user: str) -> tuple[str, ...]:
    """Describe changes for people, before they are made."""
    found = []
    if change.packages:
        found.append(f"install {', '.join(change.packages)}, and what they need")
    if change.joins:
        found.append(f"put {user} into the group docker, which can become root")
    if change.files:
        found.append(f"write {', '.join(sorted(change.files))}")
    if change.record is not None:
        found.append("write /etc/hashlab/host.json and make /var/lib/hashlab")
    return tuple(found)


def summary(change: Changes, user: str) -> tuple[str, ...]:
    """Describe changes for people in few words, after they were made."""
    return tuple(
        filter(
            None,
            (
                f"installed {', '.join(change.packages)}" if change.packages else "",
                f"{user} is in the group docker" if change.joins else "",
                f"{len(change.files)} files" if change.files else "",
                "its record" if change.record is not None and not change.files else "",
            ),
        )
    )
