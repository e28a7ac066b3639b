"""Times the life of a lab on this machine and holds it against the figures hashlab promises.

    python bench/lifecycle.py [--rounds 5] [--json FILE] [--init-box] [--images plain|packed]

Works on a copy of examples/hash-collision in a temporary folder. Every round runs, in turn: a bare
`vagrant up` of the same machines, `hashlab dev` from the registered box, `refresh` with nothing
changed, after an edit of one Java class, after an edit of one static file, and `destroy`. Figures
are medians over the rounds, from the shell's prompt to the shell's prompt; ratios are taken within
one run. Needs a lab-capable machine with no other lab on it.

`--images packed` puts the files of bench/packed-images over those of the example's images: these
have no distribution, a RabbitMQ that was started once, and a PostgreSQL cluster that was made while
the image was built.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from measure import HASHLAB, Measured, Target, copy_example, hashlab, show, timed, write

PACKED_IMAGES = Path(__file__).parent / "packed-images"
JAVA_FILE = "user/src/main/java/hashcollision/user/Users.java"

# What hashlab's Vagrantfile does for speed, and what stands there without it.
HASHLABS_OWN = (
    (r"config\.vm\.guest = :debian", ""),
    (r"Vagrant\.plugin.*prepend.*", ""),
    (
        r"(?s)(machine\.vm\.hostname = .*?)"
        r'docker\.create_args \+= \["--network".*?"--ip", (".*?")\]',
        r'machine.vm.network "private_network", ip: \2\n    \1',
    ),
    (r" *machine\.trigger\.before :up do .*\n.*trigger\.run = .*\n *end\n", ""),
)


def bare_vagrant(measured: Measured, lab: Path, vagrantfile: str) -> None:
    """`vagrant up` of the same machines, and nothing else: hashlab's Vagrantfile without what it
    does for speed, so that a figure does not get worse because Vagrant got faster.
    """
    for pattern, instead in HASHLABS_OWN:
        vagrantfile, count = re.subn(pattern, instead, vagrantfile)
        if not count:
            sys.exit(f"hashlab's Vagrantfile no longer has {pattern}")
    with tempfile.TemporaryDirectory(prefix="hashlab-bare-") as folder:
        key = lab / ".hashlab/docker/ssh/id_ed25519"
        (Path(folder) / "Vagrantfile").write_text(vagrantfile.replace(str(key), f"{folder}/key"))
        shutil.copy(lab / "bench-key", f"{folder}/key")
        try:
            seconds, _ = timed(["vagrant", "up", "--provider=docker", "--parallel"], cwd=folder)
            measured.add("bare vagrant up", seconds)
        finally:
            timed(["vagrant", "destroy", "-f", "--parallel"], cwd=folder)
    label = [line for line in vagrantfile.splitlines() if "docker.volumes" in line]
    volumes = [line.split('"')[1].split(":")[0] for line in label]
    timed(["docker", "volume", "rm", "-f", *volumes])


def edit_class(lab: Path, number: int) -> None:
    """Change what one class does: a constant in its code, so that its bytecode differs."""
    path = lab / JAVA_FILE
    marker = "// bench\n"
    text = path.read_text(encoding="utf-8").split(marker)[0]
    path.write_text(
        f"{text}{marker}final class Bench {{ static int round() {{ return {number}; }} }}\n"
    )


def edit_page(lab: Path, number: int) -> None:
    """Change one static file."""
    path = lab / "ui/index.html"
    text = path.read_text(encoding="utf-8").split("<!-- bench")[0]
    path.write_text(f"{text}<!-- bench {number} -->\n")


def one_round(measured: Measured, lab: Path, vagrantfile: str, number: int) -> None:
    bare_vagrant(measured, lab, vagrantfile)
    hashlab(measured, "dev", lab, "dev")
    hashlab(measured, "refresh: nothing", lab, "refresh")
    edit_class(lab, number)
    record = hashlab(measured, "refresh: one Java class", lab, "refresh")
    replaced = {
        r["service"] for r in record["phases"] if r["name"] == "container" and r["status"] == "ok"
    }
    if replaced != {"user"}:
        sys.exit(f"one class was edited, restarted were {sorted(replaced)}")
    edit_page(lab, number)
    record = hashlab(measured, "refresh: one static file", lab, "refresh")
    if any(r["name"] == "container" and r["status"] == "ok" for r in record["phases"]):
        sys.exit("a static file was edited and a container restarted")
    hashlab(measured, "destroy", lab, "destroy")


def prepare(measured: Measured, lab: Path, init_box: bool) -> str:
    """Build the box and everything that only the first run has to do; return the Vagrantfile."""
    if init_box:
        hashlab(Measured(), "destroy --box", lab, "destroy", "--box")
        hashlab(measured, "init-box from nothing", lab, "init-box")
    else:
        hashlab(Measured(), "init-box (not counted)", lab, "init-box")
    hashlab(measured, "init-box: unchanged", lab, "init-box")
    hashlab(Measured(), "first dev (not counted)", lab, "dev")
    vagrantfile = (lab / ".hashlab/docker/Vagrantfile").read_text(encoding="utf-8")
    shutil.copy(lab / ".hashlab/docker/ssh/id_ed25519", lab / "bench-key")
    hashlab(Measured(), "destroy (not counted)", lab, "destroy")
    return vagrantfile


def targets(measured: Measured) -> list[Target]:
    found = [
        Target(
            "dev ÷ bare vagrant up",
            measured.median("dev") / measured.median("bare vagrant up"),
            1.6,
            "times",
        ),
        Target("refresh: nothing", measured.median("refresh: nothing"), 2.0),
        Target("refresh: one Java class", measured.median("refresh: one Java class"), 8.0),
        Target("refresh: one static file", measured.median("refresh: one static file"), 2.0),
        Target("destroy", measured.median("destroy"), 10.0),
        Target("init-box: unchanged", measured.median("init-box: unchanged"), 2.0),
        Target("hashlab's peak memory", measured.peak_memory / 2**20, 150.0, "MiB"),
    ]
    if "init-box from nothing" in measured.seconds:
        found.append(
            Target("init-box from nothing", measured.median("init-box from nothing"), 360.0)
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--init-box", action="store_true", help="time init-box from nothing too")
    parser.add_argument("--images", choices=("plain", "packed"), default="plain")
    arguments = parser.parse_args()
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="hashlab-bench-") as folder:
        lab = copy_example(Path(folder))
        if arguments.images == "packed":
            shutil.copytree(PACKED_IMAGES, lab / "images", dirs_exist_ok=True)
        try:
            vagrantfile = prepare(measured, lab, arguments.init_box)
            for number in range(1, arguments.rounds + 1):
                print(f"round {number}", flush=True)
                one_round(measured, lab, vagrantfile, number)
        finally:
            timed([str(HASHLAB), "destroy", "--lab", str(lab)])
    found = targets(measured)
    show(measured, found)
    if arguments.json:
        write(measured, found, arguments.json)
    return 0 if all(target.reached for target in found) else 1


if __name__ == "__main__":
    sys.exit(main())
