"""Isolation: the settings with which a container can be a machine, probed once for each engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from engine_labs import IMAGE, PROBE
from fakes import Behaviour, FakeEngine

from hashlab.errors import LabError
from hashlab.providers.isolation import Isolation, as_flags


@pytest.fixture
def isolation(engine: FakeEngine, tmp_path: Path) -> Isolation:
    engine.images[IMAGE] = {}
    return Isolation(engine=lambda: engine, cache=tmp_path / "state/engine.json")


def probes(engine: FakeEngine) -> list[Any]:
    """Return the create requests that were made: name and body."""
    return [call.words[1:] for call in engine.faults.calls if call.name == "laptop.create"]


def test_machines_are_privileged_if_privileged_containers_work(isolation: Isolation) -> None:
    args = as_flags(isolation.host_config(IMAGE))
    assert "--privileged" in args
    assert "--cap-add" not in args
    assert args[:5] == ["--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/tmp"]


@pytest.mark.parametrize(
    "message", ["unable to apply caps: operation not permitted", "operation not permitted"]
)
def test_otherwise_machines_get_single_privileges(
    engine: FakeEngine, isolation: Isolation, message: str
) -> None:
    engine.faults.arm("laptop.start", LabError(message))
    args = " ".join(as_flags(isolation.host_config(IMAGE)))
    assert "--privileged" not in args
    assert "--cap-add ALL --cap-drop SYS_RESOURCE" in args
    assert "--security-opt seccomp=unconfined" in args
    assert "--security-opt apparmor=unconfined" in args
    assert "--security-opt systempaths=unconfined" in args


def test_machines_are_not_privileged_if_the_probe_fails(
    engine: FakeEngine, isolation: Isolation
) -> None:
    engine.behave(PROBE, Behaviour(exits=1))
    assert "Privileged" not in isolation.host_config(IMAGE)


def test_the_result_of_the_probe_is_cached_with_the_engine(
    engine: FakeEngine, isolation: Isolation
) -> None:
    engine.faults.arm("laptop.start", LabError("operation not permitted"))
    host = isolation.host_config(IMAGE)
    assert host == {
        "CgroupnsMode": "private",
        "Tmpfs": {"/run": "", "/tmp": ""},
        "CapAdd": ["ALL"],
        "CapDrop": ["SYS_RESOURCE"],
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }
    assert isolation.host_config(IMAGE) == host


def test_the_probe_runs_once_and_its_container_is_removed(
    engine: FakeEngine, isolation: Isolation
) -> None:
    isolation.host_config(IMAGE)
    isolation.host_config(IMAGE)
    [(name, body)] = probes(engine)
    assert body["HostConfig"] == {"Privileged": True}
    assert re.fullmatch("hashlab-probe-[0-9a-f]{8}", name)
    assert not engine.all


def test_two_labs_can_probe_at_the_same_time(engine: FakeEngine, tmp_path: Path) -> None:
    engine.images[IMAGE] = {}
    for lab in ("one", "two"):
        Isolation(engine=lambda: engine, cache=tmp_path / lab).host_config(IMAGE)
    [(first, _), (second, _)] = probes(engine)
    assert first != second


def test_another_engine_is_probed_again(engine: FakeEngine, isolation: Isolation) -> None:
    isolation.host_config(IMAGE)
    engine.host["ID"] = "another"
    isolation.host_config(IMAGE)
    assert len(probes(engine)) == 2


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_cache_causes_another_probe(
    isolation: Isolation, tmp_path: Path, text: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/engine.json").write_text(text)
    assert "--privileged" in as_flags(isolation.host_config(IMAGE))


def test_a_probe_that_fails_for_another_reason_is_a_failure_and_not_cached(
    engine: FakeEngine, isolation: Isolation, tmp_path: Path
) -> None:
    engine.faults.arm("laptop.start", LabError("no space left on device"))
    with pytest.raises(LabError, match="no space left"):
        isolation.host_config(IMAGE)
    assert not (tmp_path / "state/engine.json").exists()
    assert not engine.all
