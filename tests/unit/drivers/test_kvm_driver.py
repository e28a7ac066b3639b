"""KVM counts as working if a guest ran under it; the result is cached as long as it is valid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import FakeRunner, Faults

from hashlab.drivers.kvm import COUNT, FINISHED, QEMU, SECONDS, SECTOR, probe_kvm
from hashlab.errors import LabError
from hashlab.protocols import KvmProbe

RAN = KvmProbe(True, "a guest booted under KVM and counted")
HUNG = KvmProbe(False, "/dev/kvm opens, but a guest under it did not finish within 5 s")
DENIED = "Could not access KVM kernel module: Permission denied\nqemu: failed: Permission denied\n"
ABSENT = "qemu: failed to initialize kvm: No such file or directory\n"


@dataclass
class Laptop:
    """A laptop with a qemu that ends as prepared."""

    root: Path

    def __post_init__(self) -> None:
        self.faults = Faults()
        self.runner = FakeRunner(self.faults)
        self.cache = self.root / "state/kvm.json"
        self.boot_id = self.root / "boot_id"
        self.boot_id.write_text("first boot\n")
        self.qemu = self.root / "bin" / QEMU
        self.qemu.parent.mkdir()
        self.qemu.write_text("#!/bin/false\n")
        self.qemu.chmod(0o755)

    def ends(self, code: int, stderr: str = "") -> None:
        self.runner.prepare(str(self.qemu), code=code, stderr=stderr)

    def hangs(self) -> None:
        self.faults.arm(f"runner.{QEMU}", LabError(f"{QEMU} did not finish within 5 s"))

    def probe(self, *, system: str = "linux", architecture: str = "x86_64") -> KvmProbe:
        return probe_kvm(
            runner=self.runner,
            cache=self.cache,
            environ={"PATH": str(self.qemu.parent)},
            system=system,
            architecture=architecture,
            boot_id=self.boot_id,
        )

    @property
    def probed(self) -> int:
        return len(self.faults.calls)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def test_a_guest_that_counted_proves_kvm(laptop: Laptop) -> None:
    laptop.ends(FINISHED)
    assert laptop.probe() == RAN


def test_a_guest_that_hangs_disproves_kvm_within_the_time_limit(laptop: Laptop) -> None:
    laptop.hangs()
    assert laptop.probe() == HUNG
    assert SECONDS == 5


def test_the_guest_is_booted_under_kvm_from_the_sector_with_a_time_limit(laptop: Laptop) -> None:
    found: list[bytes] = []
    laptop.runner.prepare(
        str(laptop.qemu),
        code=FINISHED,
        effect=lambda _: found.append((laptop.runner.ran[-1].cwd / "sector").read_bytes()),  # type: ignore[operator]
    )
    laptop.probe()
    [ran] = laptop.runner.ran
    assert ran.command[:3] == (str(laptop.qemu), "-accel", "kvm")
    assert "file=sector,format=raw,if=ide" in ran.command
    assert "isa-debug-exit,iobase=0xf4,iosize=4" in ran.command
    assert ran.timeout == SECONDS
    assert found == [SECTOR]
    assert ran.cwd is not None
    assert not ran.cwd.exists()


def test_the_sector_can_be_booted_and_counts_before_it_answers() -> None:
    assert (len(SECTOR), SECTOR[510:]) == (512, b"\x55\xaa")
    assert SECTOR[:6] == b"\x66\xb9" + COUNT.to_bytes(4, "little")
    assert SECTOR[6:18].hex() == "664975fcbaf400b010eef4eb"


@pytest.mark.parametrize("end", ["ran", "hung"])
def test_the_probe_runs_once_per_boot_of_the_laptop(laptop: Laptop, end: str) -> None:
    if end == "ran":
        laptop.ends(FINISHED)
    else:
        laptop.hangs()
    first = laptop.probe()
    assert laptop.probe() == first
    assert laptop.probed == 1
    laptop.boot_id.write_text("second boot\n")
    laptop.ends(FINISHED)
    assert laptop.probe() == RAN
    assert laptop.probed == 2


def test_another_qemu_is_probed_again(laptop: Laptop) -> None:
    laptop.hangs()
    laptop.probe()
    laptop.qemu.write_text("#!/bin/false\n# newer\n")
    laptop.ends(FINISHED)
    assert laptop.probe() == RAN


@pytest.mark.parametrize("broken", ["", "{", "[]", "null"])
def test_a_damaged_cache_is_ignored(laptop: Laptop, broken: str) -> None:
    laptop.ends(FINISHED)
    laptop.probe()
    laptop.cache.write_text(broken)
    assert laptop.probe() == RAN
    assert laptop.probed == 2


def test_a_cache_without_yes_or_no_is_ignored(laptop: Laptop) -> None:
    laptop.ends(FINISHED)
    laptop.probe()
    laptop.cache.write_text(json.dumps({**json.loads(laptop.cache.read_text()), "works": "yes"}))
    assert laptop.probe() == RAN
    assert laptop.probed == 2


@pytest.mark.parametrize(
    ("stderr", "why", "hint"),
    [
        (DENIED, "qemu: failed: Permission denied", "usermod -aG kvm USER"),
        (ABSENT, "qemu: failed to initialize kvm: No such file", "modprobe kvm_intel"),
        ("qemu: invalid accelerator kvm\n", "invalid accelerator kvm", ""),
        ("", "qemu-system-x86_64 ended with exit code 1", ""),
    ],
)
def test_a_fixable_cause_is_reported_with_its_remedy_and_checked_each_time(
    laptop: Laptop, stderr: str, why: str, hint: str
) -> None:
    laptop.ends(1, stderr)
    found = laptop.probe()
    assert not found.works
    assert why in found.why
    assert hint in found.next_step
    assert bool(hint) == bool(found.next_step)
    assert not laptop.cache.exists()
    laptop.ends(FINISHED)
    assert laptop.probe() == RAN


def test_the_result_of_a_killed_guest_is_not_cached(laptop: Laptop) -> None:
    laptop.ends(-15)
    assert not laptop.probe().works
    assert not laptop.cache.exists()


def test_without_qemu_kvm_does_not_count_and_the_package_is_named(laptop: Laptop) -> None:
    laptop.qemu.unlink()
    found = laptop.probe()
    assert (found.works, laptop.probed) == (False, 0)
    assert QEMU in found.why
    assert "apt-get install qemu-system-x86" in found.next_step


@pytest.mark.parametrize(
    ("system", "architecture"), [("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")]
)
def test_on_other_systems_than_x86_linux_emulation_is_assumed(
    laptop: Laptop, system: str, architecture: str
) -> None:
    found = laptop.probe(system=system, architecture=architecture)
    assert (found.works, laptop.probed) == (False, 0)
    assert f"{architecture} {system}" in found.why
    assert "emulation is assumed" in found.why
