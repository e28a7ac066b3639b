"""Docker's own programs read what hashlab exports."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.exported import IMAGES, exported_lab

from hashlab.config.yaml_text import yaml_text
from hashlab.phases.export.shapes import exported
from hashlab.phases.export.stack import stack


def output_of(*command: str, folder: Path) -> str:
    """Return what a command prints. Skips the test if the laptop does not have it."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        pytest.skip(f"no {command[0]} on this laptop")
    if "unknown command" in done.stderr or "is not a docker command" in done.stderr:
        pytest.skip(f"no {' '.join(command[:2])} on this laptop")
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(folder: Path, shape: Any, name: str) -> Path:
    for place in ("secrets/key", "configs/settings", "configs/said"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("content")
    (folder / name).write_text(yaml_text(shape))
    return folder


@pytest.mark.parametrize("dnsrr", [False, True])
def test_docker_stack_takes_a_stack(tmp_path: Path, dnsrr: bool) -> None:
    lab = exported_lab(tmp_path / "lab")
    shape = stack(lab, IMAGES, dnsrr=dnsrr, read=lambda _: b"content").shape
    folder = written(tmp_path, shape, "stack.yaml")
    text = output_of("docker", "stack", "config", "-c", "stack.yaml", folder=folder)
    web = yaml.safe_load(text)["services"]["web"]
    assert web["image"] == IMAGES["web"]
    assert web["command"] == ["serve", "--price", "5$"]
    assert web["healthcheck"]["start_interval"] == "1s"
    assert web["deploy"].get("endpoint_mode", "") == ("dnsrr" if dnsrr else "")


def test_docker_compose_takes_a_compose_file(tmp_path: Path) -> None:
    shape = exported(exported_lab(tmp_path / "lab"), IMAGES).shape
    folder = written(tmp_path, shape, "compose.yaml")
    text = output_of("docker", "compose", "config", folder=folder)
    assert yaml.safe_load(text)["services"]["web"]["image"] == IMAGES["web"]
