"""Tasks of this repository: hashlab's own commands, and what a commit must pass."""

from __future__ import annotations

import subprocess
import sys

from invoke import Collection, Context, task

from hashlab.tasks import namespace as hashlab_tasks

CHECKS = (
    ("ruff", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("mypy", ["mypy"]),
    ("imports", ["lint-imports"]),
    ("shellcheck", ["sh", "-c", "git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck"]),
    ("unit tests", ["pytest", "-q", "tests/unit"]),
)


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


@task
def check(_: Context) -> None:
    """Run everything a commit must pass: ruff, mypy, import-linter, shellcheck, unit tests."""
    failed = []
    for name, command in CHECKS:
        print(f"--- {name}", flush=True)
        if _run(command) != 0:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


@task(help={"quick": "Leave out the lab tests on real machines."})
def test(_: Context, quick: bool = False) -> None:
    """Run the unit and contract tests, and the lab tests on real machines."""
    folders = ["tests/unit", "tests/contract"] + ([] if quick else ["tests/lab"])
    sys.exit(_run(["pytest", *folders]))


namespace = Collection(*hashlab_tasks.tasks.values(), check, test)
