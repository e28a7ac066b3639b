"""Find out whether guests run under KVM here, by booting a guest that counts, with a time limit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed, KvmProbe, Runner
from hashlab.state.files import read_json, save_cache

QEMU = "qemu-system-x86_64"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SECONDS = 5.0
# isa-debug-exit ends qemu with twice the value written to its port, plus one.
PORT, VALUE = 0xF4, 0x10
FINISHED = 2 * VALUE + 1
# A guest that only answers may do so even where guests hang as soon as they have work to do. So
# this boot sector counts first: half a second by emulation, much less under KVM.
COUNT = 50_000_000
SECTOR = bytes.fromhex(
    f"66B9{COUNT.to_bytes(4, 'little').hex()}"  # mov ecx, COUNT
    "664975FC"  # dec ecx; jnz back to it
    f"BA{PORT.to_bytes(2, 'little').hex()}B0{VALUE:02X}EE"  # mov dx, PORT; mov al, VALUE; out
    "F4EBFD"  # hlt for ever, in case the port has no device
).ljust(510, b"\0") + bytes.fromhex("55AA")
_MACHINE = ["-machine", "pc", "-m", "16", "-nodefaults"]
_QUIET = ["-display", "none", "-monitor", "none", "-serial", "none"]
_HINTS = {
    "permission denied": "join the group that may use it (usermod -aG kvm USER), then log out and "
    "in",
    "no such file": "enable virtualisation in the firmware, then `modprobe kvm_intel` (or kvm_amd)",
}


def probe_kvm(
    *,
    runner: Runner,
    cache: Path,
    environ: Mapping[str, str],
    system: str,
    architecture: str,
    boot_id: Path = BOOT_ID,
) -> KvmProbe:
    """Find out whether guests run under KVM. Takes at most 5 s.

    ``system`` and ``architecture``: as in sys.platform and uname; ``cache``: a file that may be
    deleted. A guest that ran or hung is cached until the laptop is rebooted or qemu is replaced.
    Causes that are quick to check and may be fixed at any time (permissions, modules) are checked
    each time.
    """
    if system != "linux" or architecture not in ("x86_64", "amd64"):
        only = f"KVM is probed on x86-64 Linux only, and this is {architecture} {system}"
        return KvmProbe(False, f"{only}: emulation is assumed")
    qemu = shutil.which(QEMU, path=environ.get("PATH"))
    if qemu is None:
        package = "install qemu-system-x86 (Debian, Ubuntu: apt-get install qemu-system-x86)"
        return KvmProbe(False, f"{QEMU}, which tests KVM, is not found", package)
    here = _valid_for(Path(qemu), boot_id)
    known = _cached(cache, here)
    if known is not None:
        return known
    probe, lasting = _probe(runner, qemu)
    if lasting:
        save_cache(cache, {"here": here, "works": probe.works, "why": probe.why})
    return probe


def boot(runner: Runner, qemu: str, *, accelerator: str) -> Completed:
    """Boot the guest that counts; it ends qemu with the exit code FINISHED.

    Raises LabError if it has not ended within 5 s.
    """
    with tempfile.TemporaryDirectory(prefix="hashlab-kvm-") as folder:
        Path(folder, "sector").write_bytes(SECTOR)
        drive = ["-drive", "file=sector,format=raw,if=ide"]
        leave = ["-device", f"isa-debug-exit,iobase={PORT:#x},iosize=4"]
        return runner.run(
            [qemu, "-accel", accelerator, *_MACHINE, *_QUIET, *drive, *leave],
            cwd=Path(folder),
            timeout=SECONDS,
            cancel=CancelToken(),
        )


def _probe(runner: Runner, qemu: str) -> tuple[KvmProbe, bool]:
    """Return the result, and whether it stays valid until the laptop is rebooted."""
    try:
        done = boot(runner, qemu, accelerator="kvm")
    except LabError:
        why = f"/dev/kvm opens, but a guest under it did not finish within {SECONDS:g} s"
        return KvmProbe(False, why), True
    if done.code == FINISHED:
        return KvmProbe(True, "a guest booted under KVM and counted"), True
    errors = done.stderr.strip().splitlines() or [f"{QEMU} ended with exit code {done.code}"]
    hints = (hint for words, hint in _HINTS.items() if words in done.stderr.lower())
    return KvmProbe(False, f"qemu cannot use KVM: {errors[-1]}", next(hints, "")), False


def _valid_for(qemu: Path, boot_id: Path) -> list[object]:
    """Return what a cached answer is valid for: this boot of the laptop, and this qemu."""
    return [boot_id.read_text(encoding="ascii").strip(), str(qemu), qemu.stat().st_mtime_ns]


def _cached(cache: Path, here: list[object]) -> KvmProbe | None:
    value: Any = read_json(cache)
    if not isinstance(value, dict) or value.get("here") != here:
        return None
    works, why = value.get("works"), value.get("why")
    return KvmProbe(works, why) if isinstance(works, bool) and isinstance(why, str) else None
