"""What every command does besides its run: pages, words that follow it, its exit code."""

from __future__ import annotations

import difflib
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hashlab.daemon import client
from hashlab.documents import json_text
from hashlab.errors import ExitCode, HashlabError, UsageError
from hashlab.phases.boxes.listing import box_document
from hashlab.phases.connect import reconnect, renew_ssh_files
from hashlab.phases.doctor import doctor_document, examine, provider_checks
from hashlab.phases.kept_data import stale_machines
from hashlab.phases.snapshots.listing import snapshots_document
from hashlab.phases.status import status_document
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Recorder
from hashlab.report import Silent, show_boxes, show_checks, show_snapshots, show_status
from hashlab.run import workflows
from hashlab.run.execution import Options, Workflow, fail, run, run_several
from hashlab.run.labs import lab_folder
from hashlab.run.provider import survey
from hashlab.run.wiring import make_world
from hashlab.state.files import is_file

# Words that follow `hashlab box`.
BOX_ACTIONS = ("export", "import", "prune")


def replace(options: Options) -> ExitCode:
    """Replace stale machines one by one, the application answering again after each."""

    def rounds(world: World) -> list[Workflow]:
        stale = stale_machines(world)
        return [workflows.replacing(machine) for machine in stale] or [workflows.DEV]

    return run_several("dev-replace", rounds, options)


def destroy(options: Options, *, box: bool) -> ExitCode:
    """Take the lab away, and what waits in the background for work on it."""
    code = run("destroy", workflows.DESTROY_BOX if box else workflows.DESTROY, options)
    with suppress(HashlabError):  # a lab that was not opened has been reported by the run
        client.stop(str(lab_folder(options.lab)))
    return code


def status(options: Options) -> ExitCode:
    """Show what the machines say of themselves; changes nothing, so it needs no lock."""
    try:
        world = options.world()
        try:
            with Recorder(Silent(), CancelToken()).step("status") as track:
                document = status_document(world, track)
        finally:
            world.close()
    except HashlabError as error:
        return fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_status(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK if document.all_runs else ExitCode.LAB


@dataclass(frozen=True)
class BoxOptions:
    """What follows `hashlab box`: a word and its argument, and flags of some of them."""

    action: str = ""
    argument: str = ""
    base_url: str = ""
    dry_run: bool = False
    sign: str = ""
    signers: str = ""


def box(wanted: BoxOptions, options: Options) -> ExitCode:
    """Show the boxes of this laptop, or write, take in or remove some."""
    try:
        _check_box(wanted)
    except HashlabError as error:
        return fail(error, options)
    if wanted.action == "export":
        sign = Path(wanted.sign).expanduser() if wanted.sign else None
        target = Path(wanted.argument).absolute()
        workflow = workflows.box_export(target, wanted.base_url, sign=sign)
    elif wanted.action == "import":
        signers = Path(wanted.signers).expanduser() if wanted.signers else None
        workflow = workflows.box_import(wanted.argument, signers=signers)
    elif wanted.action == "prune":
        workflow = workflows.box_prune(dry_run=wanted.dry_run)
    else:
        return _show_boxes(options)
    return run(f"box-{wanted.action}", workflow, options)


def _check_box(wanted: BoxOptions) -> None:
    """Raise UsageError for words that make no sense."""
    known = ", ".join(BOX_ACTIONS)
    if wanted.action.startswith("-"):
        raise UsageError(
            f"hashlab box knows no option {wanted.action!r}", next_step="hashlab --help box"
        )
    if wanted.action and wanted.action not in BOX_ACTIONS:
        close = difflib.get_close_matches(wanted.action, BOX_ACTIONS, n=1)
        hint = f"perhaps you meant: hashlab box {close[0]}" if close else f"one of: {known}"
        raise UsageError(f"hashlab box knows no {wanted.action!r}", next_step=hint)
    takes = {"export": "FILE or FOLDER", "import": "FILE, FOLDER or URL"}.get(wanted.action)
    if takes and not wanted.argument:
        raise UsageError(
            f"hashlab box {wanted.action} does not say what",
            next_step=f"hashlab box {wanted.action} {takes}",
        )
    if wanted.argument and not takes:
        raise UsageError(f"hashlab box {wanted.action} takes no {wanted.argument!r}")
    for flag, given, action in (
        ("--base-url", wanted.base_url, "export"),
        ("--sign", wanted.sign, "export"),
        ("--signers", wanted.signers, "import"),
        ("--dry-run", wanted.dry_run, "prune"),
    ):
        if given and wanted.action != action:
            raise UsageError(f"{flag} belongs to: hashlab box {action}")


def _show_boxes(options: Options) -> ExitCode:
    """Changes nothing, so it needs no lock."""
    try:
        document = box_document(options.world())
    except HashlabError as error:
        return fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_boxes(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK


def snapshots(options: Options) -> ExitCode:
    """Show the lab's snapshots; changes nothing, so it needs no lock."""
    try:
        world = options.world()
        document = snapshots_document(world)
    except HashlabError as error:
        return fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_snapshots(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK


def dev_from(name: str, options: Options, *, replace: bool = False) -> ExitCode:
    """Make a lab that is not there from a snapshot."""
    if replace:
        return fail(UsageError("--from and --replace exclude each other"), options)
    return run("dev-from", workflows.dev_from(name), options)


def doctor(options: Options) -> ExitCode:
    """Show every check of the laptop, and all providers; well when the lab's own works."""
    try:
        found = survey(options.lab, provider=options.provider)
    except HashlabError as error:
        return fail(error, options)
    own = found.lab.provider if found.lab else ""
    checks = provider_checks(found.probes, found.kvm, own=own, why=found.why)
    if found.lab:
        checks = examine(make_world(found.lab), building=True, providers=checks)
    document = doctor_document(checks, own=own, why=found.why)
    if options.json:
        print(json_text(document))
    else:
        show_checks(document.checks, stream=sys.stdout)
    return ExitCode.OK if document.ok else ExitCode.LAPTOP


def ssh(machine: str, command: str, options: Options) -> int:
    """Run an OpenSSH client on a machine; its exit code becomes ours."""
    try:
        world = options.world()
        if machine not in world.machine_names():
            known = ", ".join(world.machine_names())
            raise UsageError(
                f"no machine {machine!r} in lab {world.lab.name}", next_step=f"one of: {known}"
            )
        if is_file(world.state.machines):
            renew_ssh_files(world)
        else:
            _find_machines(world)
        world.close()
    except HashlabError as error:
        return fail(error, options)
    # Behind "--" no word is an option: OpenSSH would take some behind the machine's name, too.
    words = ["ssh", "-F", str(world.state.ssh_config), "--", machine]
    words += [command] if command else []
    return os.spawnvp(os.P_WAIT, "ssh", words)  # noqa: S606 - the user's own shell, their words


def _find_machines(world: World) -> None:
    """Ask the provider where the machines are, and keep the answer."""
    with Recorder(Silent(), CancelToken()).step("connect") as track:
        for name in world.machine_names():
            reconnect(world, track, name)
