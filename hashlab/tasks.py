"""The commands people type: a few lines round one workflow each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from traceback import walk_stack
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task, task

from hashlab import __version__
from hashlab.daemon import client
from hashlab.errors import ExitCode
from hashlab.state.labfolder import example

if TYPE_CHECKING:
    from hashlab import commands
    from hashlab.run import execution, workflows
    from hashlab.run.execution import Options
    from hashlab.watch import loop as watching
else:

    class _Later:
        """A module that is imported when it is first used: where a daemon does the work, importing
        these would take longer than the work.
        """

        def __init__(self, name):
            self._name = name

        def __getattr__(self, name):
            return getattr(import_module(self._name), name)

    commands, execution, workflows, watching = map(
        _Later,
        (
            "hashlab.commands",
            "hashlab.run.execution",
            "hashlab.run.workflows",
            "hashlab.watch.loop",
        ),
    )


class _Word(Argument):
    """A word that may follow a command, or be left out. Invoke knows only words that must be
    there: it looks which are missing when it meets a word, and once more when a command's words
    have ended. At the second look none is missing.
    """

    @property
    def value(self) -> Any:
        """What was typed; None where Invoke may still put a word."""
        typed = super().value
        callers = islice(walk_stack(sys._getframe(1)), LOOKS)
        ended = any(frame.f_code.co_name == "complete_context" for frame, _ in callers)
        return "" if typed is None and ended else typed

    @value.setter
    def value(self, typed: str) -> None:
        self.set_value(typed)


class _Wordy(Task[Any]):
    """A task whose positional words may be left out."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """See Task."""
        found = super().get_arguments(ignore_unknown_help)
        return [_word(argument) if argument.positional else argument for argument in found]


def _word(argument: Argument) -> Argument:
    return _Word(
        names=argument.names, positional=True, help=argument.help, attr_name=argument.attr_name
    )


# How far up the question comes from: Invoke's property, a comprehension in it, the parser.
LOOKS = 4
LAB_HELP = {
    "lab": "Folder of hashlab.toml; without it the nearest one from here upwards.",
    "provider": "docker, libvirt, virtualbox or auto, in place of lab.provider in hashlab.toml.",
}
RUN_HELP = {
    **LAB_HELP,
    "json": "Print one JSON document on stdout; everything for people goes to stderr.",
    "verbose": "Show the output of the tools underneath.",
}


def _options(lab: str, provider: str, json: bool = False, verbose: bool = False) -> Options:
    folder = lab or example(str(Path.cwd()))
    return execution.Options(Path(folder) if folder else None, provider or None, json, verbose)


def _ask_daemon(command: str, lab: str, provider: str, *flags: str) -> None:
    """End with the exit code of the lab's daemon where it carries out the command."""
    words = [command, *(flag for flag in flags if flag)]
    words += [f"--lab={lab}"] if lab else []
    words += [f"--provider={provider}"] if provider else []
    code = client.ask(words)
    if code is not None:
        sys.exit(code)


def _flags(json: bool, verbose: bool = False) -> tuple[str, str]:
    return "--json" if json else "", "--verbose" if verbose else ""


@task(name="init-box", help=RUN_HELP)
def init_box(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Build the base box with all images inside and register it; skipped when unchanged."""
    sys.exit(execution.run("init-box", workflows.INIT_BOX, _options(lab, provider, json, verbose)))


@task(
    help={
        **RUN_HELP,
        "replace": "Replace stale machines one by one; their data stay.",
        "from": "Make the machines from this snapshot, with its data.",
    }
)
def dev(
    _: Context,
    *,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
    replace: bool = False,
    from_: str = "",
) -> None:
    """Boot the machines, start the application on them, load its sample data."""
    options = _options(lab, provider, json, verbose)
    if from_:
        sys.exit(commands.dev_from(from_, options, replace=replace))
    if replace:
        sys.exit(commands.replace(options))
    sys.exit(execution.run("dev", workflows.DEV, options))


@task(help=RUN_HELP)
def refresh(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Bring what you edited to the running lab, and prove that it runs."""
    _ask_daemon("refresh", lab, provider, *_flags(json, verbose))
    sys.exit(execution.run("refresh", workflows.REFRESH, _options(lab, provider, json, verbose)))


@task(help={**RUN_HELP, "json": "Print one JSON document, on one line, for each round trip."})
def watch(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Refresh at each save, until Ctrl-C."""
    sys.exit(watching.watch(_options(lab, provider, json, verbose)))


@task(help={**RUN_HELP, "box": "Remove the box and its images as well."})
def destroy(
    _: Context,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
    box: bool = False,
) -> None:
    """Remove machines, volumes, networks and ports of the lab, then look that nothing is left."""
    sys.exit(commands.destroy(_options(lab, provider, json, verbose), box=box))


@task(
    klass=_Wordy,
    positional=["action", "argument"],
    help={
        **RUN_HELP,
        "action": "export, import or prune; without it boxes are listed.",
        "argument": "export: FILE or FOLDER to write; import: FILE, FOLDER or URL to take in.",
        "base-url": "export: address of the folder from which a web server will give the box.",
        "sign": "export: sign metadata.json with this SSH key.",
        "signers": "import: take only a box signed by a key in this file of allowed signers.",
        "dry-run": "prune: only tell what would be removed.",
    },
)
def box(
    _: Context,
    *,
    action: str | None = None,
    argument: str | None = None,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
    base_url: str = "",
    sign: str = "",
    signers: str = "",
    dry_run: bool = False,
) -> None:
    """List the boxes of this laptop: sizes, contents, who uses them. Or export, import, prune."""
    wanted = commands.BoxOptions(
        action or "", argument or "", base_url, dry_run, sign=sign, signers=signers
    )
    sys.exit(commands.box(wanted, _options(lab, provider, json, verbose)))


@task(positional=["name"], help={**RUN_HELP, "name": "What to call it."})
def snapshot(
    _: Context,
    name: str,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Keep all machines as they are at one instant, with the application's data."""
    _ask_daemon("snapshot", lab, provider, *_flags(json, verbose), name)
    options = _options(lab, provider, json, verbose)
    sys.exit(execution.run("snapshot", workflows.snapshot(name), options))


@task(positional=["name"], help={**RUN_HELP, "name": "The snapshot."})
def restore(
    _: Context,
    name: str,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Bring the whole lab back to a snapshot, whatever happened since."""
    _ask_daemon("restore", lab, provider, *_flags(json, verbose), name)
    options = _options(lab, provider, json, verbose)
    sys.exit(execution.run("restore", workflows.restore(name), options))


@task(help={**RUN_HELP, "remove": "Remove this snapshot."})
def snapshots(
    _: Context,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    verbose: bool = False,
    remove: str = "",
) -> None:
    """List the snapshots of the lab, or remove one."""
    options = _options(lab, provider, json, verbose)
    if remove:
        sys.exit(execution.run("remove-snapshot", workflows.remove_snapshot(remove), options))
    sys.exit(commands.snapshots(options))


@task(help={key: RUN_HELP[key] for key in ("lab", "provider", "json")})
def status(_: Context, lab: str = "", provider: str = "", json: bool = False) -> None:
    """Show machines, services, what was built, what runs, and the addresses."""
    _ask_daemon("status", lab, provider, *_flags(json))
    sys.exit(commands.status(_options(lab, provider, json)))


@task(help=RUN_HELP)
def seed(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Load the sample data that is missing."""
    _ask_daemon("seed", lab, provider, *_flags(json, verbose))
    sys.exit(execution.run("seed", workflows.SEED, _options(lab, provider, json, verbose)))


@task(help=RUN_HELP)
def verify(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Prove that what runs is what was built, and run the application's smoke test."""
    _ask_daemon("verify", lab, provider, *_flags(json, verbose))
    sys.exit(execution.run("verify", workflows.VERIFY, _options(lab, provider, json, verbose)))


@task(
    positional=["machine"],
    help={**LAB_HELP, "machine": "Name of the machine.", "command": "Run this instead of a shell."},
)
def ssh(_: Context, machine: str, command: str = "", lab: str = "", provider: str = "") -> None:
    """Open a shell on a machine."""
    sys.exit(commands.ssh(machine, command, _options(lab, provider)))


@task(help={key: RUN_HELP[key] for key in ("lab", "provider", "json")})
def doctor(_: Context, lab: str = "", provider: str = "", json: bool = False) -> None:
    """Tell whether this laptop has what the lab needs, which providers work, what to install."""
    sys.exit(commands.doctor(_options(lab, provider, json)))


@task(
    iterable=["budget"],
    help={
        "lab": LAB_HELP["lab"],
        "provider": "Only runs of this provider.",
        "json": "Print what the page shows as one JSON document instead of the page's path.",
        "output": "File to write the page to; without it .hashlab/report.html.",
        "budget": "COMMAND=SECONDS: fail when the last good run took longer. Several are allowed.",
    },
)
def report(
    _: Context,
    *,
    budget: Sequence[str] | None = None,
    lab: str = "",
    provider: str = "",
    json: bool = False,
    output: str = "",
) -> None:
    """Write a page of past runs: where the time went, how it changes, why a run ran."""
    from hashlab import reporting  # noqa: PLC0415 - no other command pays for its modules

    wanted = reporting.ReportOptions(Path(output) if output else None, budget or ())
    sys.exit(reporting.report(wanted, _options(lab, provider, json)))


namespace = Collection(
    init_box,
    box,
    dev,
    refresh,
    watch,
    snapshot,
    restore,
    snapshots,
    destroy,
    status,
    seed,
    verify,
    ssh,
    doctor,
    report,
)


class _Hashlab(Program):
    """invoke's Program, but wrong usage ends with hashlab's own exit code for it."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run one command line; always ends with SystemExit."""
        try:
            super().run(argv, exit)
        except SystemExit as ending:
            if isinstance(ending.__context__, ParseError):
                sys.exit(ExitCode.CONFIG)
            raise


def run() -> None:
    """Carry out the command line as Invoke understands it; ends with SystemExit."""
    _Hashlab(name="hashlab", binary="hashlab", version=__version__, namespace=namespace).run()
