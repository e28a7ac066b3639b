"""Times snapshots of a lab on this machine and holds `restore` against the figure promised.

    python bench/snapshots.py [--rounds 5] [--json FILE] [--lab FOLDER]

Works on a copy of examples/hash-collision in a temporary folder, or on the lab that is named, which
is destroyed before and after. Every round runs, in turn: `hashlab dev` from the registered box,
`snapshot`, `restore` of the running lab, `destroy`, `dev --from`, `destroy`. Figures are medians
over the rounds, from the shell's prompt to the shell's prompt; the ratio is taken within one run.
Needs a lab-capable machine with no other lab on it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

from measure import HASHLAB, Measured, Target, copy_example, hashlab, show, timed, write

NAME = "bench"
STOOD_STILL = re.compile(r"they were paused for ([0-9.]+) s")


def one_round(measured: Measured, lab: Path) -> None:
    hashlab(measured, "dev", lab, "dev")
    record = hashlab(measured, "snapshot", lab, "snapshot", NAME)
    [take] = record["phases"]
    told = STOOD_STILL.search(take["detail"])
    if told is None:
        sys.exit(f"the snapshot does not say how long the machines stood still: {take['detail']}")
    measured.add("  machines stood still", float(told[1]))
    hashlab(measured, "restore", lab, "restore", NAME)
    hashlab(measured, "destroy", lab, "destroy")
    hashlab(measured, "dev --from, after destroy", lab, "dev", "--from", NAME)
    hashlab(Measured(), "destroy (not counted)", lab, "destroy")
    hashlab(Measured(), "snapshots prune (not c.)", lab, "snapshots", "prune", NAME)


def targets(measured: Measured) -> list[Target]:
    dev = measured.median("dev")
    return [
        Target("restore ÷ dev", measured.median("restore") / dev, 0.5, "times"),
        Target(
            "dev --from ÷ dev", measured.median("dev --from, after destroy") / dev, 0.5, "times"
        ),
    ]


def measure(measured: Measured, lab: Path, rounds: int) -> None:
    hashlab(Measured(), "init-box (not counted)", lab, "init-box")
    hashlab(Measured(), "destroy (not counted)", lab, "destroy")
    hashlab(Measured(), "first dev (not counted)", lab, "dev")
    hashlab(Measured(), "destroy (not counted)", lab, "destroy")
    for number in range(1, rounds + 1):
        print(f"round {number}", flush=True)
        one_round(measured, lab)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--lab", type=Path, help="measure this lab; it is destroyed")
    arguments = parser.parse_args()
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="hashlab-bench-") as folder:
        lab = arguments.lab or copy_example(Path(folder))
        try:
            measure(measured, lab, arguments.rounds)
        finally:
            # What a round that was cut off has left; there may be no snapshot to remove.
            timed([str(HASHLAB), "destroy", "--lab", str(lab), "--provider", "docker"])
            remove_snapshot(lab)
    found = targets(measured)
    show(measured, found)
    if arguments.json:
        write(measured, found, arguments.json)
    return 0 if all(target.reached for target in found) else 1


def remove_snapshot(lab: Path) -> None:
    """Remove what there is of our snapshot, finished or not."""
    command = [str(HASHLAB), "snapshots", "--lab", str(lab), "--provider", "docker"]
    _, said = timed([*command, "--json"])
    if NAME in [snapshot["name"] for snapshot in json.loads(said)["snapshots"]]:
        timed([*command, "prune", NAME])


if __name__ == "__main__":
    sys.exit(main())
