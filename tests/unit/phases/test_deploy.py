"""`hashlab deploy`: what changes, in which order, and what a broken version leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import Outside, go, rows, run, running, write_files
from test_self_contained import PASSWORD, prepared

from hashlab.documents.deployment import Deployment
from hashlab.errors import HashlabError, LabError, UsageError
from hashlab.phases.deploy import rollout
from hashlab.phases.deploy.contents import read_versions
from hashlab.phases.deploy.target import Target, checked_stack
from hashlab.phases.deploy.versions import version
from hashlab.phases.selfcontained.push import Place, place
from hashlab.pipeline import RunResult
from hashlab.protocols import SwarmNode
from hashlab.run import workflows

REGISTRY = place("registry.test/team")
SWARM = Target(REGISTRY, context="prod")
MACHINES = Target(Place("127.0.0.1:5000"), machines=True)


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab whose images a registry has, and a Swarm with a node for each machine."""
    prepared(outside)
    outside.swarm.all_nodes = [
        SwarmNode(f"id-{name}", name, {"machine": name}, usable=True) for name in ("broker", "web")
    ]
    assert run(outside, workflows.pushing(REGISTRY)).error is None
    return outside


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A Swarm, and a folder with its own secrets."""
    write_files(tmp_path / "secrets", {"password": "of the cluster"})
    return replace(SWARM, secrets=tmp_path / "secrets")


def attempt(outside: Outside, target: Target, *, plan: bool = False) -> RunResult:
    return run(outside, workflows.deploying(target, port=5000, planned=plan))


def deployed(outside: Outside, target: Target) -> RunResult:
    result = attempt(outside, target)
    assert result.error is None, str(result.error)
    return result


def refused(outside: Outside, target: Target) -> HashlabError:
    error = attempt(outside, target).error
    assert error is not None
    return error


def document(outside: Outside, target: Target, *, plan: bool) -> Deployment:
    world = outside.world()
    result = run(outside, workflows.deploying(target, port=5000, planned=plan), world)
    assert result.error is None, str(result.error)
    assert isinstance(world.facts.document, Deployment)
    return world.facts.document


def changes(found: Deployment) -> Mapping[str, str]:
    return {each.service: each.change for each in found.services} | {
        f"{each.kind} {each.name}": each.change for each in found.files
    }


def edit(outside: Outside) -> None:
    write_files(outside.lab.folder, {"out/app/run.py": "print(2)"})
    assert run(outside, workflows.pushing(REGISTRY)).error is None


def stack(outside: Outside) -> Any:
    return yaml.safe_load(outside.swarm.texts[-1])


def test_the_swarm_gets_images_by_digest_and_secrets_under_names_of_their_version(
    lab: Outside, target: Target
) -> None:
    deployed(lab, target)
    site = stack(lab)["services"]["site"]
    assert site["image"].startswith("registry.test/team/small/site@sha256:")
    [(name, content)] = lab.swarm.contents.items()
    assert content == b"of the cluster"
    assert stack(lab)["secrets"]["password"] == {"external": True, "name": name}
    assert name.startswith("small_password_")
    assert lab.swarm.places[0] == "prod"
    assert lab.swarm.credentials == [True]


def test_no_secret_is_in_the_stack_its_plan_or_a_record(lab: Outside, target: Target) -> None:
    found = document(lab, target, plan=True)
    result = deployed(lab, target)
    for text in (str(found), str(result), lab.swarm.texts[-1]):
        assert "of the cluster" not in text
        assert PASSWORD not in text


def test_a_plan_changes_nothing(lab: Outside, target: Target) -> None:
    lab.faults.calls.clear()
    found = document(lab, target, plan=True)
    assert found.planned
    assert changes(found) == {
        "queue": "new",
        "migrate": "new",
        "site": "new",
        "secret password": "new",
    }
    assert not [name for name in lab.faults.changes() if name.startswith("swarm")]


def test_a_second_deployment_changes_nothing(lab: Outside, target: Target) -> None:
    deployed(lab, target)
    lab.faults.calls.clear()
    result = deployed(lab, target)
    assert not [name for name in lab.faults.changes() if name.startswith("swarm")]
    assert {row.status for row in rows(result, "roll out")} == {"skipped"}


def test_an_edit_changes_one_service_and_a_new_secret_those_that_have_it(
    lab: Outside, target: Target, tmp_path: Path
) -> None:
    deployed(lab, target)
    edit(lab)
    found = document(lab, target, plan=True)
    site = next(each for each in found.services if each.service == "site")
    assert (site.change, site.why) == ("changed", ("image",))
    assert site.before != site.image
    assert changes(found)["queue"] == "same"
    write_files(tmp_path / "secrets", {"password": "another"})
    found = document(lab, target, plan=False)
    site = next(each for each in found.services if each.service == "site")
    assert site.why == ("image", "secret password")
    assert changes(found)["secret password"] == "changed"


def test_an_old_secret_stays_while_a_rollback_could_need_it(
    lab: Outside, target: Target, tmp_path: Path
) -> None:
    deployed(lab, target)
    write_files(tmp_path / "secrets", {"password": "another"})
    deployed(lab, target)
    assert sorted(lab.swarm.contents.values()) == [b"another", b"of the cluster"]
    site = lab.swarm.all_services["site"]
    newest = next(name for name, data in lab.swarm.contents.items() if data == b"another")
    lab.swarm.all_services["site"] = replace(site, files=frozenset({newest}))
    deployed(lab, target)
    assert [*lab.swarm.contents.values()] == [b"another"]


def test_a_service_that_the_file_no_longer_has_goes(lab: Outside, target: Target) -> None:
    deployed(lab, target)
    lab.lab = replace(lab.lab, services=lab.lab.services[:2])
    assert run(lab, workflows.pushing(REGISTRY)).error is None
    found = document(lab, target, plan=False)
    assert changes(found)["site"] == "removed"
    assert "site" not in lab.swarm.all_services


def test_a_broken_version_is_rolled_back_and_its_last_lines_are_shown(
    lab: Outside, target: Target
) -> None:
    deployed(lab, target)
    before = lab.swarm.all_services["site"].image
    edit(lab)
    lab.swarm.broken["site"] = "task: non-zero exit (1)"
    world = lab.world()
    result = run(lab, workflows.deploying(target, port=5000, planned=False), world)
    error = result.error
    assert isinstance(error, LabError)
    assert "service site: task: non-zero exit (1); it was rolled back" in error.what
    assert "said: cannot start" in error.output
    assert error.where == "broker"
    assert "docker --context prod service ps small_site" in error.next_step
    assert lab.swarm.all_services["site"].image == before
    assert world.facts.document is None, "what it would show is not so"
    assert {row.service: row.status for row in rows(result, "service")} == {
        "queue": "skipped",
        "migrate": "skipped",
        "site": "failed",
    }


def test_services_that_run_their_new_version_beside_a_broken_one_are_named(
    lab: Outside, target: Target
) -> None:
    lab.swarm.broken["site"] = "task: non-zero exit (1)"
    lab.swarm.pending.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollout, "SETTLE_SECONDS", 0.0)
        error = refused(lab, target)
    assert "it is new, so nothing could be rolled back" in error.what
    assert "queue, migrate run the new version" in error.what


def test_a_version_that_no_node_takes_is_rolled_back_after_the_time_limit(
    lab: Outside, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(lab, target)
    edit(lab)
    lab.swarm.pending.add("site")
    monkeypatch.setattr(rollout, "SETTLE_SECONDS", 0.0)
    error = refused(lab, target)
    assert "not ready after 0 s (0 of 2 running, 2 pending, no suitable node)" in error.what
    assert "it was rolled back" in error.what
    assert "swarm.roll_back" in lab.faults.changes()


def test_images_that_the_registry_lacks_are_named_before_the_swarm_is_asked(
    lab: Outside, target: Target
) -> None:
    write_files(lab.lab.folder, {"out/app/run.py": "print(3)"})
    error = refused(lab, target)
    assert error.what == "registry.test/team lacks the images of site as they are now"
    assert error.next_step == "hashlab push registry.test/team"
    assert lab.swarm.places == []


def test_a_stack_of_somebody_else_is_left_alone(lab: Outside, target: Target) -> None:
    deployed(lab, target)
    for owner, said in (("other", "lab other"), ("", "another tool")):
        lab.swarm.all_services = {
            name: replace(service, labels={"hashlab.stack.lab": owner} if owner else {})
            for name, service in lab.swarm.all_services.items()
        }
        error = refused(lab, target)
        assert isinstance(error, UsageError)
        assert said in error.what
        removal = run(lab, workflows.removing_stack(target)).error
        assert isinstance(removal, UsageError)
    assert lab.swarm.all_services


def test_a_machine_whose_place_no_node_takes_is_named(lab: Outside, target: Target) -> None:
    lab.swarm.all_nodes[0] = replace(lab.swarm.all_nodes[0], usable=False)
    error = refused(lab, target)
    assert "no usable node of the Swarm takes the place of broker" in error.what
    assert error.next_step == ("docker --context prod node update --label-add machine=broker NODE")


def test_a_generated_secret_is_not_that_of_a_cluster(lab: Outside) -> None:
    error = refused(lab, SWARM)
    assert isinstance(error, UsageError)
    assert "hashlab generated password for this lab only" in error.what
    assert "--secrets FOLDER" in error.next_step


def test_a_name_says_nothing_about_a_short_secret_but_is_the_same_everywhere() -> None:
    one, again, other = (version("shop", "pin", "secret", data) for data in (b"1", b"1", b"2"))
    assert one.full == again.full != other.full
    assert one.full != version("shop", "pin", "config", b"1").full.replace("config", "secret")
    assert "b'1'" not in repr(one)
    assert len(version("shop", "n" * 80, "secret", b"1").full) <= 64


@pytest.mark.parametrize("text", ["Shop", "a b", "-a", "a" * 40])
def test_a_bad_name_of_a_stack_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        checked_stack(text)


def test_a_removed_stack_is_waited_for_and_removed_once(lab: Outside, target: Target) -> None:
    deployed(lab, target)
    lab.swarm.busy = 2
    result = run(lab, workflows.removing_stack(target))
    assert result.error is None
    assert lab.swarm.all_services == {}
    assert lab.swarm.contents == {} or not lab.swarm.all_files
    again = run(lab, workflows.removing_stack(target))
    assert [row.status for row in rows(again, "remove")] == ["skipped"]


# On the lab's own machines


@pytest.fixture
def own(outside: Outside) -> Outside:
    """A lab that runs, and whose machines are a Swarm."""
    prepared(outside)
    running(outside)
    prepared(outside)
    outside.swarm.all_nodes = [
        SwarmNode(f"id-{name}", name, {}, usable=True) for name in ("broker", "web", "spare")
    ]
    return outside


def test_the_labs_own_containers_are_in_the_way(own: Outside) -> None:
    error = refused(own, MACHINES)
    assert "the lab's own containers run there" in error.what
    assert error.next_step == "hashlab down, then hashlab deploy --to machines"


def test_versions_of_the_machines_are_the_labs_own_secrets(own: Outside) -> None:
    [found] = read_versions(own.world(), MACHINES)
    assert found.data.decode().strip() == PASSWORD


@pytest.mark.parametrize("ipvs", [True, False])
def test_a_plan_for_the_machines_says_what_their_kernel_lacks(own: Outside, ipvs: bool) -> None:
    go(own, workflows.DOWN)
    own.machines["web"].has_ipvs = ipvs
    world = own.world()
    result = run(own, workflows.deploying(MACHINES, port=5000, planned=True), world)
    assert result.error is None, str(result.error)
    assert any("the kernel of web has no IPVS" in note for note in world.facts.notes) is not ipvs
    assert own.swarm.all_nodes[0].labels == {}, "a plan labels nothing"
    deploying = world.facts.deploying
    assert deploying is not None
    placement = deploying.wanted.services["site"]["deploy"]["placement"]
    assert placement == {"constraints": ["node.labels.machine == web"]}
