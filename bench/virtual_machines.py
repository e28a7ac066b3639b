"""Times a lab on virtual machines and holds it against the figures hashlab promises for them.

    python bench/virtual_machines.py [--rounds 1] [--json FILE] [--example hash-collision]

Works on a copy of an example in a temporary folder, with provider libvirt. Every round runs, in
turn: a bare `vagrant up` of the same machines in the same order, `hashlab dev` from the registered
box, `destroy`. Figures are medians over the rounds, from the shell's prompt to the shell's prompt;
the ratio is taken within one run. Disk is what libvirt says that the last machine's disk takes
when it answers SSH. Where KVM does not work everything is emulated, which the figures then say.
Needs a laptop with no other lab on it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import HASHLAB, Measured, Target, copy_example, hashlab, show, timed, write

PROVIDER = "libvirt"
VIRSH = ["virsh", "--connect", "qemu:///system", "--quiet"]


def without_tunings(vagrantfile: str) -> str:
    """hashlab's Vagrantfile without what it does for speed and without the wait for its disks."""
    bare = vagrantfile.replace("config.vm.guest = :debian", "")
    bare = re.sub(r"trigger.run = .*", "", bare)
    return re.sub(r"machine.trigger.before :up do .trigger.\n *\n *end\n", "", bare)


def bare_vagrant(measured: Measured, lab: Path, vagrantfile: str) -> None:
    """`vagrant up` of the same machines, and nothing else."""
    key = lab / ".hashlab" / PROVIDER / "ssh/id_ed25519"
    with tempfile.TemporaryDirectory(prefix="hashlab-bare-") as folder:
        text = without_tunings(vagrantfile).replace(str(key), f"{folder}/key")
        (Path(folder) / "Vagrantfile").write_text(text)
        shutil.copy(lab / "bench-key", f"{folder}/key")
        try:
            seconds, _ = timed(["vagrant", "up", f"--provider={PROVIDER}"], cwd=folder)
            measured.add("bare vagrant up", seconds)
            measured.disk = max(measured.disk, last_disk(vagrantfile))
        finally:
            timed(["vagrant", "destroy", "-f"], cwd=folder)


def last_disk(vagrantfile: str) -> int:
    """Bytes that the disk of the last machine takes beyond its box."""
    prefix = re.findall(r'default_prefix = "(.*)"', vagrantfile)[-1]
    machine = re.findall(r'vm.define "(.*)"', vagrantfile)[-1]
    command = [*VIRSH, "vol-info", "--bytes", f"{prefix}{machine}.img", "--pool", "hashlab"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"Allocation:\s+(\d+)", said)[0])


def measure(measured: Measured, lab: Path, rounds: int) -> None:
    quiet = Measured()
    hashlab(quiet, "init-box (not counted)", lab, "init-box", provider=PROVIDER)
    hashlab(quiet, "first dev (not counted)", lab, "dev", provider=PROVIDER)
    state = lab / ".hashlab" / PROVIDER
    vagrantfile = (state / "Vagrantfile").read_text(encoding="utf-8")
    shutil.copy(state / "ssh/id_ed25519", lab / "bench-key")
    hashlab(quiet, "destroy (not counted)", lab, "destroy", provider=PROVIDER)
    for number in range(1, rounds + 1):
        print(f"round {number}", flush=True)
        bare_vagrant(measured, lab, vagrantfile)
        hashlab(measured, "dev", lab, "dev", provider=PROVIDER)
        hashlab(measured, "refresh: nothing", lab, "refresh", provider=PROVIDER)
        hashlab(measured, "destroy", lab, "destroy", provider=PROVIDER)


def targets(measured: Measured) -> list[Target]:
    ratio = measured.median("dev") / measured.median("bare vagrant up")
    return [
        Target("dev ÷ bare vagrant up", ratio, 1.5, "times"),
        Target("disk of one more machine", measured.disk / 1e6, 50.0, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--example", default="hash-collision", help="or hello")
    arguments = parser.parse_args()
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="hashlab-bench-") as folder:
        lab = copy_example(Path(folder), arguments.example)
        try:
            measure(measured, lab, arguments.rounds)
        finally:
            timed([str(HASHLAB), "destroy", "--lab", str(lab), "--provider", PROVIDER])
    found = targets(measured)
    command = [str(HASHLAB), "doctor", "--json", "--provider", PROVIDER, "--lab", "examples/hello"]
    checks = json.loads(timed(command, cwd=Path(__file__).parents[1])[1])["checks"]
    print(*(check["detail"] for check in checks if check["name"] == PROVIDER))
    show(measured, found)
    if arguments.json:
        write(measured, found, arguments.json)
    return 0 if all(target.reached for target in found) else 1


if __name__ == "__main__":
    sys.exit(main())
