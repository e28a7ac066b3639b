"""The commands people type: a few lines round one workflow each."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import ParseError
from invoke.program import Program
from invoke.tasks import task

from hashlab import __version__, commands, workflows
from hashlab.commands import Options
from hashlab.errors import ExitCode

LAB_HELP = {
    "lab": "Folder of hashlab.toml; without it the nearest one from here upwards.",
    "provider": "What boots the machines, in place of lab.provider in hashlab.toml.",
}
RUN_HELP = {
    **LAB_HELP,
    "json": "Print one JSON document on stdout; everything for people goes to stderr.",
    "verbose": "Show the output of the tools underneath.",
}


def _options(lab: str, provider: str, json: bool = False, verbose: bool = False) -> Options:
    folder = Path(lab) if lab else commands.default_lab()
    return Options(folder, provider or None, json, verbose)


@task(name="init-box", help=RUN_HELP)
def init_box(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Build the base box with all images inside and register it; skipped when unchanged."""
    sys.exit(commands.run("init-box", workflows.INIT_BOX, _options(lab, provider, json, verbose)))


@task(help=RUN_HELP)
def dev(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Boot the machines, start the application on them, load its sample data."""
    sys.exit(commands.run("dev", workflows.DEV, _options(lab, provider, json, verbose)))


@task(help=RUN_HELP)
def refresh(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Bring what you edited to the running lab, and prove that it runs."""
    sys.exit(commands.run("refresh", workflows.REFRESH, _options(lab, provider, json, verbose)))


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
    workflow = workflows.DESTROY_BOX if box else workflows.DESTROY
    sys.exit(commands.run("destroy", workflow, _options(lab, provider, json, verbose)))


@task(help={key: RUN_HELP[key] for key in ("lab", "provider", "json")})
def status(_: Context, lab: str = "", provider: str = "", json: bool = False) -> None:
    """Show machines, services, what was built, what runs, and the addresses."""
    sys.exit(commands.status(_options(lab, provider, json)))


@task(help=RUN_HELP)
def seed(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Load the sample data that is missing."""
    sys.exit(commands.run("seed", workflows.SEED, _options(lab, provider, json, verbose)))


@task(help=RUN_HELP)
def verify(
    _: Context, lab: str = "", provider: str = "", json: bool = False, verbose: bool = False
) -> None:
    """Prove that what runs is what was built, and run the application's smoke test."""
    sys.exit(commands.run("verify", workflows.VERIFY, _options(lab, provider, json, verbose)))


@task(
    positional=["machine"],
    help={**LAB_HELP, "machine": "Name of the machine.", "command": "Run this instead of a shell."},
)
def ssh(_: Context, machine: str, command: str = "", lab: str = "", provider: str = "") -> None:
    """Open a shell on a machine."""
    sys.exit(commands.ssh(machine, command, _options(lab, provider)))


@task(help=LAB_HELP)
def doctor(_: Context, lab: str = "", provider: str = "") -> None:
    """Tell whether this laptop has what the lab needs, and what to install."""
    sys.exit(commands.doctor(_options(lab, provider)))


namespace = Collection(init_box, dev, refresh, destroy, status, seed, verify, ssh, doctor)


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


def main() -> None:
    """Entry point of the console script ``hashlab``."""
    _Hashlab(name="hashlab", binary="hashlab", version=__version__, namespace=namespace).run()
