"""Exports: a plain Compose file, and a stack for Docker Swarm."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import Outside, behind_front, run
from fakes.exported import IMAGES, SECRET, exported_lab
from test_self_contained import prepared

from hashlab.config.model import Lab
from hashlab.errors import UsageError
from hashlab.phases.export.export import kind_of
from hashlab.phases.export.shapes import exported
from hashlab.phases.export.stack import stack
from hashlab.phases.selfcontained.push import place
from hashlab.pipeline import RunResult
from hashlab.run import workflows


@pytest.fixture
def full(tmp_path: Path) -> Lab:
    """Return a lab that uses most keys."""
    return exported_lab(tmp_path / "full")


def swarm(lab: Lab, *, dnsrr: bool = False) -> Any:
    return stack(lab, IMAGES, dnsrr=dnsrr, read=lambda _: b"content")


def test_a_compose_file_has_images_by_digest_and_no_builds_and_mounts_of_the_laptop(
    full: Lab,
) -> None:
    web = exported(full, IMAGES).shape["services"]["web"]
    assert web["image"] == IMAGES["web"]
    assert not {"build", "develop", "x-hashlab"} & web.keys()
    targets = [mount["target"] for mount in web["volumes"]]
    assert targets == ["/etc/localtime", "/data", "/cache", "/part", "/run", "/tmp"]
    assert str(full.folder) not in str(exported(full, IMAGES).shape)


def test_a_service_of_each_machine_is_one_service_again(full: Lab) -> None:
    assert [*exported(full, IMAGES).shape["services"]] == ["web", "db", "agent"]
    deploy = swarm(full).shape["services"]["agent"]["deploy"]
    assert deploy["mode"] == "global"
    assert "replicas" not in deploy


def test_fronts_are_left_out_and_their_services_have_their_ports_again(full: Lab) -> None:
    fronted = behind_front(full, "web", full.service("web").machine)
    for before, after in (
        (exported(full, IMAGES), exported(fronted, IMAGES)),
        (swarm(full), swarm(fronted)),
    ):
        assert after.shape == before.shape
        assert set(after.notes) - set(before.notes) == {"web: its front is left out"}


def test_secrets_are_files_that_somebody_else_writes(full: Lab) -> None:
    found = exported(full, IMAGES)
    assert found.shape["secrets"] == {"key": {"file": "./secrets/key"}}
    assert [*found.secrets] == ["key"]
    assert SECRET not in str(found)


def test_a_mounted_secret_is_left_out_and_noted(full: Lab) -> None:
    assert any("/etc/key is left out" in note for note in exported(full, IMAGES).notes)


def test_values_keep_their_dollars(full: Lab) -> None:
    web = exported(full, IMAGES).shape["services"]["web"]
    assert web["command"] == ["serve", "--price", "5$$"]
    assert web["environment"] == {"GREETING": "hello me", "EMPTY": ""}


def test_a_stack_writes_what_swarm_has_in_its_own_way(full: Lab) -> None:
    web = swarm(full).shape["services"]["web"]
    assert web["deploy"]["restart_policy"] == {"condition": "on-failure", "max_attempts": 3}
    assert web["deploy"]["resources"] == {
        "limits": {"cpus": "0.5", "memory": "67108864", "pids": 9},
        "reservations": {"memory": "33554432"},
    }
    assert web["deploy"]["placement"] == {
        "constraints": [f"node.labels.machine == {full.service('web').machine}"]
    }
    assert web["deploy"]["update_config"]["failure_action"] == "rollback"
    assert web["extra_hosts"] == ["router:10.0.0.1"]
    assert web["networks"] == {"front": {"aliases": ["www"]}}
    assert web["secrets"] == [
        {"source": "key", "target": "/run/key", "uid": "7", "mode": 0o400},
    ]
    assert {"type": "tmpfs", "target": "/run", "tmpfs": {"size": 65536}} in web["volumes"]
    assert web["ports"][0] == {
        "target": 80,
        "published": 8080,
        "protocol": "tcp",
        "mode": "ingress",
    }
    assert not {"restart", "depends_on", "security_opt", "tmpfs"} & web.keys()


def test_an_update_starts_first_where_old_and_new_are_not_in_each_others_way(full: Lab) -> None:
    services = swarm(full).shape["services"]
    assert services["web"]["deploy"]["update_config"]["order"] == "stop-first", "it has a volume"
    assert services["db"]["deploy"]["update_config"]["order"] == "start-first"


def test_a_config_gets_another_name_if_its_content_changes(full: Lab) -> None:
    one, other = (
        stack(full, IMAGES, dnsrr=False, read=lambda _, c=content: c).shape["configs"]  # type: ignore[misc]
        for content in (b"1", b"2")
    )
    assert one["settings"]["file"] == other["settings"]["file"] == "./configs/settings"
    assert one["settings"]["name"] != other["settings"]["name"]


def test_everything_that_swarm_cannot_do_is_named(full: Lab) -> None:
    notes = "\n".join(swarm(full).notes)
    for text in (
        "web, db: security_opt: Swarm ignores it",
        "web: ports: Swarm publishes 80 on every address",
        "web: /part: Swarm ignores subpath",
        "web: /run: Swarm ignores mode",
        "web: networks: front: Swarm ignores priority",
        "depends_on: Swarm starts all services at once",
        "docker node update --label-add machine=one NODE",
    ):
        assert text in notes
    assert "/tmp: " not in notes, "a tmpfs has mode 1777 by itself"


def test_nodes_without_ipvs_get_ports_of_their_own(full: Lab) -> None:
    web = swarm(full, dnsrr=True).shape["services"]["web"]
    assert web["deploy"]["endpoint_mode"] == "dnsrr"
    assert {port["mode"] for port in web["ports"]} == {"host"}


@pytest.mark.parametrize("text", ["", "swarm", "compose.yaml"])
def test_another_kind_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        kind_of(text)


# The phase


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab whose images can be made."""
    return prepared(outside)


def export(outside: Outside, kind: str, folder: Path) -> RunResult:
    return run(outside, workflows.exporting(kind_of(kind), folder, place("registry.test")))


@pytest.mark.parametrize("kind", ["compose", "stack"])
def test_the_file_is_written_for_its_user_alone_and_has_no_secret(
    lab: Outside, tmp_path: Path, kind: str
) -> None:
    result = export(lab, kind, tmp_path / "out")
    assert result.error is None, str(result.error)
    file = tmp_path / f"out/{kind}.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert text.startswith(f"# Written by hashlab export {kind}.")
    assert "# Put the secret password into ./secrets/password" in text
    assert "correct horse" not in text
    assert not (tmp_path / "out/secrets").exists()
    site = yaml.safe_load(text)["services"]["site"]
    assert site["image"].startswith("registry.test/small/site@sha256:")
    assert export(lab, kind, tmp_path / "out").error is None, "its own file is written again"


def test_a_file_that_hashlab_did_not_write_is_left_alone(lab: Outside, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    error = export(lab, "compose", tmp_path).error
    assert isinstance(error, UsageError)
    assert "hashlab did not write it" in error.what
    assert (tmp_path / "compose.yaml").read_text() == "services: {}\n"


def test_configs_are_written_beside_it(tmp_path: Path) -> None:
    full = exported_lab(tmp_path / "full")
    outside = Outside(full, tmp_path / "laptop")
    outside.runner.prepare("git", code=1)
    outside.laptop.registry |= {image.name for image in full.images}
    result = export(outside, "stack", tmp_path / "out")
    assert result.error is None, str(result.error)
    assert (tmp_path / "out/configs/settings").read_text() == "a=b\n"
    assert (tmp_path / "out/configs/said").read_text() == "said $x"
