"""hashlab as its users install it: a wheel in a new environment, far from this repository.

Needs a package index, as every installation does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import hashlab

ROOT = Path(__file__).parents[2]
SECONDS = 300
DOCTOR_FOUND_A_LACK = 3


def run(*argv: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command as a user whose shell has no variables of this checkout."""
    environ = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    environ.pop("VIRTUAL_ENV", None)
    return subprocess.run(
        argv,
        cwd=cwd,
        env=environ | {"HASHLAB_DAEMON": "0", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def must_run(*argv: str | Path, cwd: Path = ROOT) -> str:
    """Run a command that must succeed, and return its output."""
    done = run(*argv, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel in it."""

    environment: Path
    package: Path

    @property
    def hashlab(self) -> Path:
        """The command that users type."""
        return self.environment / "bin/hashlab"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    must_run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment with the pinned packages that hashlab needs, and the wheel."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    must_run(sys.executable, "-m", "venv", environment)
    pip = (environment / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    must_run(*pip, "install", "--requirement", ROOT / "requirements/run.txt")
    must_run(*pip, "install", "--no-deps", wheel)
    must_run(*pip, "check")
    (package,) = environment.glob("lib/python3*/site-packages/hashlab")
    return Installed(environment, package)


@pytest.fixture
def hello(installed: Installed, tmp_path: Path) -> Path:
    """A copy of the installed example `hello`, in a folder of the user."""
    return Path(shutil.copytree(installed.package / "examples/hello", tmp_path / "hello"))


def tracked(folder: str) -> dict[str, Path]:
    """Return the files of a folder that git tracks, by their paths in that folder."""
    listed = must_run("git", "ls-files", "-z", folder).split("\0")
    return {name.removeprefix(f"{folder}/"): ROOT / name for name in listed if name}


@pytest.mark.parametrize(("folder", "inside"), [("hashlab", "."), ("examples", "examples")])
def test_every_file_of_the_repository_arrives_with_its_mode(
    installed: Installed, folder: str, inside: str
) -> None:
    for name, source in tracked(folder).items():
        copy = installed.package / inside / name
        assert copy.read_bytes() == source.read_bytes(), name
        assert os.access(copy, os.X_OK) == os.access(source, os.X_OK), name


def test_the_wheel_has_only_files_that_git_tracks(wheel: Path) -> None:
    known = {*tracked("hashlab"), *(f"examples/{name}" for name in tracked("examples"))}
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name.removeprefix("hashlab/") for name in names if name.startswith("hashlab/")}
    assert packed - known == set()


def test_the_installed_package_is_the_one_that_runs(installed: Installed, tmp_path: Path) -> None:
    where = "import hashlab, pathlib; print(pathlib.Path(hashlab.__file__).parent)"
    python = installed.environment / "bin/python"
    assert must_run(python, "-c", where, cwd=tmp_path).strip() == str(installed.package)


def test_version_and_help_need_no_repository(installed: Installed, tmp_path: Path) -> None:
    assert must_run(installed.hashlab, "--version", cwd=tmp_path).split()[-1] == hashlab.__version__
    assert "refresh" in must_run(installed.hashlab, "--help", cwd=tmp_path)


def test_doctor_reads_a_copied_example_from_anywhere(
    installed: Installed, hello: Path, tmp_path: Path
) -> None:
    done = run(installed.hashlab, "doctor", "--json", "--lab", hello, cwd=tmp_path)
    assert done.returncode in {0, DOCTOR_FOUND_A_LACK}, done.stderr
    assert {"docker", "disk"} <= {check["name"] for check in json.loads(done.stdout)["checks"]}


def test_a_folder_without_a_lab_gets_the_next_step(installed: Installed, tmp_path: Path) -> None:
    done = run(installed.hashlab, "status", cwd=tmp_path)
    assert done.returncode == 2
    assert "hashlab.toml" in done.stderr
    assert "Traceback" not in done.stderr
