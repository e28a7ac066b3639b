"""The guest that probes KVM is real: qemu boots it, by emulation, and it ends qemu."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from hashlab.drivers.kvm import FINISHED, QEMU, SECONDS, boot, probe_kvm
from hashlab.drivers.process import KILL_AFTER_SECONDS, ProcessRunner


@pytest.fixture
def qemu() -> str:
    """The laptop's qemu. Skips the test if there is none."""
    found = shutil.which(QEMU)
    if found is None:
        pytest.skip(f"no {QEMU} on the PATH: apt-get install qemu-system-x86")
    return found


@pytest.fixture
def runner(tmp_path: Path) -> ProcessRunner:
    return ProcessRunner(children=tmp_path / "children")


def test_the_guest_counts_and_ends_qemu_well_within_the_time_limit(
    qemu: str, runner: ProcessRunner
) -> None:
    began = time.monotonic()
    done = boot(runner, qemu, accelerator="tcg")
    assert (done.code, done.stderr) == (FINISHED, "")
    assert time.monotonic() - began < SECONDS


@pytest.mark.skipif(
    (sys.platform, os.uname().machine) != ("linux", "x86_64"), reason="KVM is of x86-64 Linux here"
)
def test_on_any_laptop_the_probe_ends_and_its_answer_is_cached_or_explained(
    qemu: str, runner: ProcessRunner, tmp_path: Path
) -> None:
    def probe() -> tuple[object, float]:
        began = time.monotonic()
        found = probe_kvm(
            runner=runner,
            cache=tmp_path / "kvm.json",
            environ=os.environ,
            system="linux",
            architecture="x86_64",
        )
        assert found.why
        return found, time.monotonic() - began

    first, seconds = probe()
    assert seconds < SECONDS + KILL_AFTER_SECONDS + 2
    again, quickly = probe()
    assert again == first
    assert not (tmp_path / "kvm.json").exists() or quickly < 0.5
    assert list((tmp_path / "children").glob("*")) == []
