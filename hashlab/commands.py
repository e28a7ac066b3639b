"""What every command does round its workflow: lock, report, record, one message, exit code."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hashlab.errors import ExitCode, HashlabError, UsageError
from hashlab.lock import held
from hashlab.phases.doctor import examine
from hashlab.phases.machines import reconnect
from hashlab.phases.status import status_document
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Phase, Recorder, RunResult, run_workflow
from hashlab.report import (
    Silent,
    make_report,
    run_record,
    save_record,
    show_checks,
    show_error,
    show_result,
    show_status,
)
from hashlab.wiring import make_world, open_lab


@dataclass(frozen=True)
class Options:
    """The flags every command knows."""

    lab: Path | None = None
    provider: str | None = None
    json: bool = False
    verbose: bool = False

    @property
    def people(self) -> TextIO:
        """Where text for people goes: stdout, unless that is kept for one JSON document."""
        return sys.stderr if self.json else sys.stdout


def run(command: str, workflow: Sequence[Phase[World]], options: Options) -> ExitCode:
    """Run a workflow under the lab's lock; show it, record it, return the exit code."""
    with _terminating():
        try:
            world = make_world(open_lab(options.lab, provider=options.provider))
            with held(world.state.lock, command):
                for orphan in world.runner.end_orphans():
                    world.note(f"ended {orphan}, left at work by a run that was killed")
                result = _carry_out(world, workflow, options)
                record = run_record(
                    command,
                    world.lab.name,
                    world.provider.name,
                    result,
                    peak_memory=_peak_memory(),
                )
                save_record(world.state.runs, record)
        except HashlabError as error:
            return fail(error, options)
    if options.json:
        print(json.dumps(record, indent=2))
    return ExitCode.OK if result.error is None else result.error.exit_code


def _carry_out(world: World, workflow: Sequence[Phase[World]], options: Options) -> RunResult:
    stream = options.people
    with make_report(stream, verbose=options.verbose) as listener:
        try:
            result = run_workflow(
                workflow,
                world,
                machines=world.machine_names(),
                listener=listener,
                cancel=CancelToken(),
            )
        finally:
            urls = world.urls() if world.facts.reach else {}
            world.close()
    show_result(result, stream=stream, notes=[*world.lab.notes, *world.facts.notes], urls=urls)
    return result


def _peak_memory() -> int:
    """The most memory this process has held, in bytes (macOS counts bytes, Linux KiB)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def fail(error: HashlabError, options: Options) -> ExitCode:
    """Show an expected failure that no workflow could record, and return its exit code."""
    show_error(error, stream=sys.stderr)
    if options.json:
        document = {"ok": False, "error": {"what": error.what, "exit_code": int(error.exit_code)}}
        print(json.dumps(document, indent=2))
    return error.exit_code


@contextmanager
def _terminating() -> Iterator[None]:
    """A polite kill is a Ctrl-C: what runs is ended in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def default_lab() -> Path | None:
    """The example, for whoever stands in the top folder of hashlab's own repository."""
    here = Path.cwd()
    example = here / "examples" / "hash-collision"
    own = (here / "hashlab" / "wiring.py").exists() and not (here / "hashlab.toml").exists()
    return example if own and (example / "hashlab.toml").exists() else None


def status(options: Options) -> ExitCode:
    """Show what the machines say of themselves; changes nothing, so it needs no lock."""
    try:
        world = make_world(open_lab(options.lab, provider=options.provider))
        try:
            with Recorder(Silent(), CancelToken()).step("status") as track:
                document = status_document(world, track)
        finally:
            world.close()
    except HashlabError as error:
        return fail(error, options)
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        show_status(document, stream=sys.stdout)
    return ExitCode.OK


def doctor(options: Options) -> ExitCode:
    """Show every check of the laptop."""
    try:
        world = make_world(open_lab(options.lab, provider=options.provider))
        checks = examine(world, building=True)
    except HashlabError as error:
        return fail(error, options)
    rows = [(check.name, check.ok, check.detail, check.next_step) for check in checks]
    show_checks(rows, stream=sys.stdout)
    return ExitCode.OK if all(check.ok for check in checks) else ExitCode.LAPTOP


def ssh(machine: str, command: str, options: Options) -> int:
    """Run an OpenSSH client on a machine; its exit code becomes ours."""
    try:
        world = make_world(open_lab(options.lab, provider=options.provider))
        if machine not in world.machine_names():
            known = ", ".join(world.machine_names())
            raise UsageError(
                f"no machine {machine!r} in lab {world.lab.name}", next_step=f"one of: {known}"
            )
        if not world.state.machines.exists():
            _find_machines(world)
        world.close()
    except HashlabError as error:
        return fail(error, options)
    words = ["ssh", "-F", str(world.state.ssh_config), machine, *([command] if command else [])]
    return os.spawnvp(os.P_WAIT, "ssh", words)  # noqa: S606 - the user's own shell, their words


def _find_machines(world: World) -> None:
    """Ask the provider where the machines are, and keep the answer."""
    with Recorder(Silent(), CancelToken()).step("connect") as track:
        for name in world.machine_names():
            reconnect(world, track, name)
