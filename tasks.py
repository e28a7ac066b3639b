"""Tasks of this repository: hashlab's own commands, and what a commit must pass."""

from __future__ import annotations

import subprocess
import sys

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from hashlab.tasks import namespace as hashlab_tasks

CHECKS = (
    ("ruff", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("mypy", ["mypy"]),
    ("mypy of tests", ["mypy", "--config-file", "tests/mypy.ini"]),
    ("imports", ["lint-imports"]),
    ("shellcheck", ["sh", "-c", "git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck"]),
    ("documents", ["sphinx-build", "-q", "-W", "--keep-going", "docs", "site"]),
    ("unit tests", ["pytest", "-q", "-n", "auto", "tests/unit"]),
)


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


@task
def check(_: Context) -> None:
    """Run everything a commit must pass, from ruff to the unit tests."""
    failed = []
    for name, command in CHECKS:
        print(f"--- {name}", flush=True)
        if _run(command) != 0:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


@task
def docs(_: Context) -> None:
    """Build the site of docs/ in site/; a warning is an error."""
    if _run(dict(CHECKS)["documents"]) != 0:
        sys.exit("the site has mistakes: see above")
    print("site/index.html")


@task
def lock(_: Context) -> None:
    """Pin in requirements/ the newest versions that pyproject.toml allows, with their hashes."""
    pins = "uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate"
    for name, groups in (("run", []), ("dev", ["--group", "dev"])):
        command = [*pins.split(), "--custom-compile-command", "inv lock", *groups]
        if _run([*command, "--output-file", f"requirements/{name}.txt", "pyproject.toml"]) != 0:
            sys.exit(f"requirements/{name}.txt was not renewed")


@task(
    name="test",
    help={"all": "Add slow tests, and the walk through a lab's life on virtual machines."},
)
def test(_: Context, all: bool = False) -> None:
    """Run the unit, contract and lab tests; slow ones and virtual machines with --all only."""
    selected = [] if all else ["-m", "not slow"]
    failed = _run(["pytest", *selected, "tests/unit", "tests/contract", "tests/lab"])
    if all:
        failed |= _run(["pytest", "tests/lab", "--provider", "libvirt", "-m", "full_pass"])
    sys.exit(failed)


@task
def docs_commands(_: Context) -> None:
    """Make docs/reference/commands.md and README's list from the table of commands."""
    sys.exit(_run([sys.executable, "docs/reference/make_commands.py"]))


@task
def docs_compose(_: Context) -> None:
    """Make docs/reference/compose.md from the tables of Compose's keys."""
    sys.exit(_run([sys.executable, "docs/reference/make_compose.py"]))


namespace = Collection(
    *hashlab_tasks.tasks.values(),
    *hashlab_tasks.collections.values(),
    check,
    docs,
    docs_commands,
    docs_compose,
    lock,
    test,
)
