"""Times the round trip of an edit on the lab that is up, against what else brings it there.

    python bench/round_trip.py [--lab FOLDER] [--rounds 7] [--json FILE] [--picture FILE] [--quick]

Takes examples/hash-collision, or a copy of it that --lab names, as it runs; refuses when it is not
up. Every round makes the same edits, and brings each to the same machines: first by hashlab, then
in turn by ansible-playbook and by pyinfra, each once as it is usually written and once careful to
restart only what changed, and by Docker Compose where this laptop has a client. Of those, edits
that need it pay for a Maven build first. hashlab's edits are made in the lab's folder, those of the
others in a copy of it. The floor of one class is measured part by part. Figures are medians over
the rounds, from prompt to prompt; ratios are medians of each round's own ratio.

Ansible needs Python on a machine. The bench copies this laptop's own to /opt/hashlab-bench on each
machine for its time, and removes the folder at the end. Nothing is installed there. All files of
the lab are put back byte for byte at the end, whatever happens, and the lab is refreshed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contenders import (
    Ansible,
    Compose,
    Contender,
    Pyinfra,
    check_delivery,
    compose_client,
    environment,
    put_python,
    remove_all,
)
from edits import (
    ALL_THREE,
    CLASS,
    DEPENDENCIES,
    EDITS,
    HOT_SWAP,
    Edit,
    Kept,
)
from floor import measure_floor
from measure import (
    REPOSITORY,
    Measured,
    end_on_sigterm,
    hashlab,
    show,
    timed,
    write,
)
from picture import draw_round_trip
from project import Project, libraries
from promises import promises
from running_lab import RunningLab, use_variant_of


class Bench:
    """What a round works with; ``sent`` has the bytes of every round by edit."""

    def __init__(self, lab: RunningLab, project: Project) -> None:
        self.lab, self.project = lab, project
        self.contenders: list[Contender] = []
        self.measured = Measured()
        self.sent: dict[str, list[int]] = {}
        self.not_run: dict[str, str] = {}
        # Never the number of an earlier bench, whose words may still be on a page.
        self._number = int(time.time())

    def one_round(self) -> None:
        """Every edit by hashlab, then every edit by each of the others."""
        for edit in EDITS:
            if edit.name not in self.not_run:
                self._by_hashlab(edit)
        for edit in EDITS:
            if edit is not HOT_SWAP:  # for the others it is the same work as one class
                self._by_others(edit)
        self.lab.settle()
        # hashlab finds out what was restarted behind its back, which no edit of its own asks of it.
        self.refresh_uncounted()

    def _by_others(self, edit: Edit) -> None:
        """The edit in the copy of the project, built once for all of them, delivered by each."""
        edit.apply(self.project.folder, self._next())
        build = self._build(edit)
        if edit is CLASS:
            measure_floor(self.measured, self.lab, self.project)
            self.lab.answers()
        for contender in self.contenders:
            seconds = contender.deliver()
            self.measured.add(f"{edit.name}: {contender.name}", build + seconds)
            check_delivery(contender, self.lab, self.project)
            self.lab.answers()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def refresh_uncounted(self) -> None:
        """What lies on the laptop runs on the machines."""
        words = ("refresh (not counted)", self.lab.folder, "refresh")
        hashlab(Measured(), *words, provider=self.lab.provider)

    def _by_hashlab(self, edit: Edit) -> None:
        """The edit by `hashlab refresh`, and whether what happened is what was meant."""
        number = self._next()
        edit.apply(self.lab.folder, number)
        before = self.lab.containers()
        name = f"{edit.name}: hashlab"
        record = hashlab(
            self.measured, name, self.lab.folder, "refresh", provider=self.lab.provider
        )
        edit.answered(self.lab.url, number)
        after = self.lab.containers()
        restarted = {s for s, c in after.items() if c.process != before[s].process}
        told = replaced(record)
        if restarted != edit.restarts or told != edit.restarts:
            sys.exit(
                f"{edit.name}: {sorted(edit.restarts)} should have been restarted; the record "
                f"says {sorted(told)}, the machines say {sorted(restarted)}"
            )
        if edit is DEPENDENCIES:
            self._same_libraries()
        self.sent.setdefault(edit.name, []).append(sum(r["bytes_sent"] for r in record["phases"]))

    def _same_libraries(self) -> None:
        """What the container sees of the changed libraries is what was built."""
        output = self.lab.folder / self.project.output("user").relative_to(self.project.folder)
        jar = libraries(output)
        user = self.lab.containers()["user"]
        inside = f"docker exec {user.name} cat /app/{jar.relative_to(output)} | cksum"
        here = f"cksum < '{jar}'"
        if self.lab.ssh(user.machine, inside) != shell(here):
            sys.exit(f"the container's {jar.name} is not the one that was built")

    def _build(self, edit: Edit) -> float:
        """The Maven build that the edit needs of everybody who is not hashlab."""
        if not edit.builds:
            return 0.0
        seconds = self.project.build(edit.builds)
        self.measured.add(f"{edit.name}: Maven alone", seconds)
        return seconds


def replaced(record: dict[str, Any]) -> set[str]:
    """The services that a run's record says were started anew. One whose process took in the
    change has a row, too.
    """
    return {
        row["service"]
        for row in record["phases"]
        if row["name"] == "container"
        and row["status"] == "ok"
        and not row["detail"].startswith("reloaded")
    }


def shell(command: str) -> str:
    """The stdout of a shell command on this laptop."""
    return timed(["sh", "-c", command])[1]


def why_no_hot_swap(lab: Path, *, debug: bool) -> str:
    """Why one method body cannot be taken into the running process; empty when it can."""
    described = tomllib.loads((lab / "hashlab.toml").read_text(encoding="utf-8"))
    if "user" not in described.get("reload", {}):
        return "hashlab.toml has no [reload.user]"
    return "" if debug else "the lab runs without a debugger: env -u JRE_VARIANT hashlab refresh"


def contenders_of(bench: Bench, *, careful: bool) -> list[Contender]:
    """Everybody else who can be had on this laptop."""
    lab, project = bench.lab, bench.project
    programs = environment(lab)
    found: list[Contender] = [
        kind(lab, project, programs, only_changed=only_changed)
        for kind in (Ansible, Pyinfra)
        for only_changed in ((False, True) if careful else (False,))
    ]
    client = compose_client()
    if client is None:
        bench.not_run["compose"] = "this laptop has no Compose client (docker compose version)"
        return found
    return [*found, Compose(lab, project, client)]


def measure(lab: RunningLab, scratch: Path, rounds: int, *, careful: bool) -> Bench:
    """All rounds, on machines that are left as they were."""
    debug = use_variant_of(lab.containers())
    bench = Bench(lab, Project(lab.folder, scratch))
    reason = why_no_hot_swap(lab.folder, debug=debug)
    if reason:
        bench.not_run[HOT_SWAP.name] = reason
    with ExitStack() as in_the_end:  # each of these, also when one before it fails
        in_the_end.callback(bench.refresh_uncounted)
        in_the_end.callback(remove_all, lab)
        in_the_end.callback(Kept(lab.folder).restore)
        bench.refresh_uncounted()
        put_python(lab)
        bench.contenders = contenders_of(bench, careful=careful)
        for contender in bench.contenders:
            in_the_end.callback(contender.tear_down)
        warm_up(bench)
        for number in range(1, rounds + 1):
            print(f"round {number}", flush=True)
            bench.one_round()
    return bench


def warm_up(bench: Bench) -> None:
    """What only the first run of each contender pays for: folders, files that were never there."""
    bench.project.build(ALL_THREE.builds)
    for contender in bench.contenders:
        contender.deliver()
    bench.lab.settle()
    bench.refresh_uncounted()


def document(bench: Bench) -> dict[str, Any]:
    """What is written beside the seconds."""
    return {"bytes_sent": bench.sent, "not_run": bench.not_run}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=Path, default=REPOSITORY / "examples/hash-collision")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--picture", type=Path, help="draw them as an SVG")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the careful variants: half the time"
    )
    arguments = parser.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="hlb-") as folder:
        lab = RunningLab(arguments.lab, Path(folder))
        try:
            bench = measure(lab, Path(folder), arguments.rounds, careful=not arguments.quick)
        finally:
            lab.close()
    found = promises(bench.measured, bench.sent)
    show(bench.measured, found)
    for what, why in bench.not_run.items():
        print(f"not run: {what}: {why}")
    if arguments.json:
        write(bench.measured, found, arguments.json, **document(bench))
    if arguments.picture:
        arguments.picture.write_text(draw_round_trip(bench.measured.seconds), encoding="utf-8")
    return 0 if all(target.reached for target in found) else 1


if __name__ == "__main__":
    sys.exit(main())
