"""`hashlab deploy`: its options, and what it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, write_files

from hashlab.commands import deploy
from hashlab.documents.deployment import DeployedFile, DeployedService, Deployment
from hashlab.errors import ExitCode, LabError
from hashlab.protocols import SwarmNode
from hashlab.report import show_deployment
from hashlab.run import execution
from hashlab.run.execution import Options

NOTHING: dict[str, Any] = {
    "to": "",
    "registry": "",
    "context": "",
    "stack": "",
    "secrets": "",
    "dnsrr": False,
    "port": "",
    "plan": False,
    "remove": False,
}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--to is missing"),
        ({"to": "kubernetes"}, "hashlab deploys to swarm or machines, not 'kubernetes'"),
        ({"to": "swarm"}, "a Swarm pulls its images from a registry"),
        ({"to": "swarm", "registry": "team"}, "'team' does not name a registry"),
        ({"to": "machines", "context": "prod"}, "--context and --registry belong to --to swarm"),
        ({"to": "machines", "stack": "A B"}, "'A B' is not a valid name for a stack"),
        ({"to": "machines", "port": "80"}, "80 is not a port"),
        ({"to": "machines", "plan": True, "remove": True}, "exclude each other"),
        ({"to": "machines", "secrets": "/nowhere"}, "--secrets /nowhere is not a folder"),
    ],
)
def test_it_is_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], said: str
) -> None:
    code = deploy.run(Options(Path("/nonexistent")), **{**NOTHING, **options})
    assert code == ExitCode.CONFIG
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "Next: " in shown


@pytest.fixture
def lab(outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A lab that can be built, and a Swarm with a node for each machine."""
    outside.runner.prepare("git", code=1)
    outside.swarm.all_nodes = [
        SwarmNode(f"id-{name}", name, {"machine": name}, usable=True) for name in ("broker", "web")
    ]
    write_files(tmp_path / "secrets", {"password": "of the cluster"})
    monkeypatch.setattr(execution, "open_lab", lambda *_, **__: outside.lab)
    monkeypatch.setattr(execution, "make_world", lambda *_, **__: outside.world())
    return outside


def deployed(lab: Outside, folder: Path, **how: Any) -> int:
    swarm = {"to": "swarm", "registry": "registry.test", "secrets": str(folder / "secrets")}
    return deploy.run(Options(lab.lab.folder, json=True), **{**NOTHING, **swarm, **how})


def test_a_failure_before_the_plan_prints_the_record_of_the_run(
    lab: Outside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployed(lab, tmp_path) == ExitCode.LAB
    record = json.loads(capsys.readouterr().out)
    assert (record["command"], record["ok"]) == ("deploy", False)
    assert "registry.test lacks the images" in record["error"]["what"]


def test_a_swarm_that_does_not_answer_is_an_error_of_the_lab(
    lab: Outside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.faults.arm("swarm.nodes", LabError("docker info failed"))
    assert deployed(lab, tmp_path, remove=True) == ExitCode.LAB
    assert "docker info failed" in capsys.readouterr().out


def test_the_page_shows_what_changes_and_no_equal_image_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    services = (
        DeployedService("web", "same", (), "r/web@sha256:aaa", "r/web@sha256:aaa"),
        DeployedService("api", "changed", ("image",), "r/api@sha256:bbb", "r/api@sha256:ccc"),
        DeployedService("old", "removed", (), None, "r/old@sha256:ddd"),
    )
    files = (DeployedFile("secret", "password", "changed"),)
    document = Deployment("shop", "shop", "Docker context prod", True, services, files, ("note",))
    show_deployment(document, sys.stdout)
    shown = capsys.readouterr().out
    assert "stack shop on Docker context prod: what would change" in shown
    assert shown.count("aaa") == 1
    for text in ("bbb", "ccc", "ddd", "secret password", "  note"):
        assert text in shown
