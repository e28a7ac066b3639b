"""Sandboxes: each replica has one, which stays while its container is replaced."""

from __future__ import annotations

import io
import tarfile
import time
from dataclasses import replace

import pytest
from fakes import Behaviour, Outside, change_service, go, rows, run, running
from fakes.engine import Container
from fakes.running import register_box

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.containers import phase, readiness, sandboxes
from hashlab.phases.containers.body import container_body
from hashlab.phases.containers.sandbox import (
    RECIPE_LABEL,
    SANDBOX_LABEL,
    Fault,
    fault,
    image_archive,
    left_behind,
    sandbox_action,
    sandbox_body,
    tell_apart,
)
from hashlab.protocols import ContainerState, NetworkPlace
from hashlab.run import workflows

NETWORKS = {"small_default": "net"}


def sandbox_of(outside: Outside, machine: str, name: str) -> Container:
    return outside.machines[machine].engine.by_name(f"{name}.sandbox")


def calls(outside: Outside, name: str) -> list[str]:
    return [str(call.words[1]) for call in outside.faults.calls if call.name == f"engine.{name}"]


def test_a_replaced_container_keeps_its_sandbox(outside: Outside) -> None:
    running(outside)
    before = sandbox_of(outside, "web", "small-site-1").id
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    go(outside, workflows.REFRESH)
    assert calls(outside, "create") == ["small-site-1", "small-site-2"]
    assert sandbox_of(outside, "web", "small-site-1").id == before
    container = outside.machines["web"].engine.by_name("small-site-1")
    assert container.body["HostConfig"]["NetworkMode"] == f"container:{before}"


def test_sandboxes_of_a_new_lab_are_made_before_its_artifacts_are_built(outside: Outside) -> None:
    register_box(outside)

    def build(_: object) -> None:
        deadline = time.monotonic() + 10
        while calls(outside, "create").count("small-site-2.sandbox") == 0:
            assert time.monotonic() < deadline, "they wait for the build"
            time.sleep(0.001)
        (outside.lab.folder / "out").mkdir()
        (outside.lab.folder / "out/app").write_text("built")

    outside.runner.prepare("make", "app", effect=build)
    result = go(outside, workflows.DEV)
    made = [row for row in rows(result, "sandboxes") if row.detail == "2 made"]
    assert {row.machine for row in made} == {"broker", "web"}


def test_machines_that_were_not_restarted_are_not_asked_for_sandboxes(outside: Outside) -> None:
    running(outside)
    result = go(outside, workflows.REFRESH)
    assert rows(result, "sandboxes") == []
    assert outside.faults.changes() == []


def test_the_image_is_put_on_a_machine_that_lacks_it_once(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].engine.images.pop("hashlab/sandbox:1")
    outside.lab = change_service(outside.lab, "site", replicas=4)
    go(outside, workflows.REFRESH)
    assert calls(outside, "import_image") == ["hashlab/sandbox:1"]


def test_a_change_of_the_network_of_a_service_replaces_its_sandbox_and_no_other(
    outside: Outside,
) -> None:
    running(outside)
    other = sandbox_of(outside, "broker", "small-queue-1").id
    outside.lab = change_service(outside.lab, "site", hostname="www")
    go(outside, workflows.REFRESH)
    assert set(calls(outside, "create")) == {
        *("small-site-1", "small-site-1.sandbox", "small-site-2", "small-site-2.sandbox")
    }
    assert sandbox_of(outside, "web", "small-site-1").body["Hostname"] == "www"
    assert sandbox_of(outside, "broker", "small-queue-1").id == other


def test_a_lab_of_an_earlier_version_gets_sandboxes(outside: Outside) -> None:
    running(outside)
    engine = outside.machines["web"].engine
    for name in ("small-site-1", "small-site-2"):
        site = next(s for s in outside.lab.services if s.name == "site")
        body = container_body(outside.lab, site, build=engine.by_name(name).labels["hashlab.build"])
        for old in (f"{name}.sandbox", name):
            engine.remove(old)
        engine.start(engine.create(name, body))
    outside.faults.calls.clear()
    result = go(outside, workflows.DEV)
    assert calls(outside, "create").count("small-site-1.sandbox") == 1
    told = {row.service: row.detail for row in rows(result, "container")}
    assert told["site"] == "replaced: it has no sandbox"


def test_a_sandbox_that_ended_is_started_before_its_container(outside: Outside) -> None:
    running(outside)
    engine = outside.machines["web"].engine
    sandbox = sandbox_of(outside, "web", "small-site-1")
    engine.die("small-site-1")
    engine.die("small-site-1.sandbox")
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    started = [str(c.words[1]) for c in outside.faults.calls if c.name == "engine.start"]
    assert started == [sandbox.id, engine.by_name("small-site-1").id]
    assert calls(outside, "create") == []


def test_a_service_that_keeps_its_network_for_itself_loses_its_sandbox(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "site", networks=(), network_mode="none")
    go(outside, workflows.REFRESH)
    names = {container.name for container in outside.machines["web"].engine.all.values()}
    assert names == {"small-site-1", "small-site-2"}


def test_a_container_that_does_not_get_ready_is_replaced_with_its_sandbox(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its machine lost its power, a sandbox may be on a network that is gone."""
    running(outside)
    outside.machines["broker"].engine.die("small-queue-1", code=1)
    outside.behaviours["queue"] = Behaviour(health=("starting",))
    monkeypatch.setattr(phase, "KEPT_SECONDS", 0)
    monkeypatch.setattr(readiness, "READY_SECONDS", 0)
    assert run(outside, workflows.REFRESH).error is not None
    assert calls(outside, "create") == ["small-queue-1.sandbox", "small-queue-1"]


def test_a_sandbox_whose_network_the_engine_still_forgets_is_started_again(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandboxes, "POLL_SECONDS", 0.001)
    register_box(outside)
    outside.faults.arm("engine.start", LabError("cannot start container: network x not found"))
    go(outside, workflows.DEV)
    # Two sandboxes and a replica of each on two machines, and one more attempt.
    assert len(calls(outside, "start")) == 2 * (2 + 2) + 1


# Pure


def state(name: str = "small-site-1", **changes: object) -> ContainerState:
    one = ContainerState(
        *(name, name, "running", "", 0, "x", {}), pid=1, started_at="2026-01-01T00:00:02Z"
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_what_happens_to_a_sandbox(outside: Outside) -> None:
    wanted = sandbox_body(outside.lab, outside.lab.services[0], "small-queue-1")
    place = {"small_default": NetworkPlace("net")}
    good = state(labels={RECIPE_LABEL: wanted["Labels"][RECIPE_LABEL]}, networks=place)
    assert sandbox_action(wanted, good, NETWORKS) == "keep"
    assert sandbox_action(wanted, None, NETWORKS) == "create"
    assert sandbox_action(wanted, replace(good, state="exited"), NETWORKS) == "wake"
    assert sandbox_action(wanted, replace(good, labels={}), NETWORKS) == "replace"
    assert sandbox_action(wanted, good, {"small_default": "other"}) == "replace"
    inside = state(network_mode=f"container:{good.id}")
    assert fault(wanted, inside, good, NETWORKS) is None
    assert fault(wanted, inside, None, NETWORKS) == Fault("replace", "it has no sandbox")
    assert fault(wanted, inside, good, {"small_default": "other"}) == Fault(
        "replace", "the network is a new one"
    )
    assert fault(wanted, inside, replace(good, labels={}), NETWORKS) == Fault(
        "replace", "its network changed"
    )


def test_a_container_is_left_behind_by_a_sandbox_that_is_another_or_started_later() -> None:
    holder = state("small-site-1.sandbox")
    own = state(network_mode=f"container:{holder.id}")
    assert left_behind(own, holder) is None
    later = replace(holder, started_at="2026-01-01T00:00:03Z")
    found = left_behind(own, later)
    assert found is not None
    assert found.kind == "restart"
    ended = left_behind(own, replace(holder, pid=0))
    assert ended is not None
    assert ended.kind == "restart"
    assert left_behind(replace(own, pid=0), later) is None
    for other in (None, replace(holder, id="other")):
        replaced = left_behind(own, other)
        assert replaced is not None
        assert replaced.kind == "replace"


def test_a_container_is_seen_on_the_networks_of_its_sandbox() -> None:
    place = {"small_default": NetworkPlace("net", "10.0.1.2")}
    sandbox = state("a-1.sandbox", labels={SANDBOX_LABEL: "a"}, networks=place)
    own = state("a-1", network_mode="container:a-1.sandbox")
    joined = state("b-1", network_mode="container:a-1.sandbox")
    present = tell_apart([sandbox, own, joined])
    assert present.sandboxes == {"a-1": sandbox}
    assert [c.networks for c in present.containers] == [place, {}]


def test_all_that_belongs_to_the_network_is_the_sandboxes(outside: Outside) -> None:
    service = Service(
        *("site", "web", "site:1"),
        hostname="www",
        domainname="example.org",
        dns=("10.0.0.1",),
        dns_search=("example.org",),
        extra_hosts=("other:10.0.0.2",),
        expose=("80",),
        sysctls=(("net.core.somaxconn", "9"), ("kernel.shmmax", "8")),
    )
    made = sandbox_body(outside.lab, service, "small-site-1")
    own = container_body(outside.lab, service, holder="1")
    assert own["HostConfig"]["NetworkMode"] == "container:1"
    assert own["HostConfig"]["Sysctls"] == {"kernel.shmmax": "8"}
    assert made["HostConfig"]["Sysctls"] == {"net.core.somaxconn": "9"}
    for key in ("Hostname", "Domainname", "ExposedPorts", "NetworkingConfig"):
        assert made[key]
        assert key not in own
    for key in ("Dns", "DnsSearch", "ExtraHosts"):
        assert made["HostConfig"][key]
        assert key not in own["HostConfig"]
    [endpoint] = made["NetworkingConfig"]["EndpointsConfig"].values()
    assert endpoint["Aliases"] == ["site", "small-site-1"]


def test_the_image_is_links_into_the_machines_own_programs() -> None:
    with tarfile.open(fileobj=io.BytesIO(image_archive())) as archive:
        links = {member.name: member.linkname for member in archive if member.issym()}
        assert links["bin"] == "usr/bin"
        assert all(member.size == 0 for member in archive)
    assert image_archive() == image_archive()
