"""Doctor: everything the laptop lacks is told at once, with what to do about it."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import pytest
from fakes import Outside, go, track_of
from fakes.outside import FakeBuilder

from hashlab.documents.doctor import Check
from hashlab.errors import LaptopError
from hashlab.phases import doctor
from hashlab.phases.doctor import available_memory, examine, provider_checks
from hashlab.protocols import KvmProbe, Probe
from hashlab.run import workflows

Usage = namedtuple("Usage", "total used free")


def checks(outside: Outside, *, building: bool = False) -> dict[str, Check]:
    return {check.name: check for check in examine(outside.world(), building=building)}


def lose(outside: Outside, *tools: str) -> None:
    for tool in tools:
        (outside.root / "bin" / tool).unlink()


def test_a_laptop_that_has_all_is_told_so(outside: Outside) -> None:
    found = checks(outside)
    assert [name for name, check in found.items() if not check.ok] == []
    assert found["tools"].detail == "3 tools"
    assert found["docker"].detail == "provider docker works"


def test_missing_tools_are_told_with_the_packages_that_hold_them(outside: Outside) -> None:
    lose(outside, "ssh", "rsync")
    check = checks(outside)["tools"]
    assert not check.ok
    assert check.detail == "not found: ssh, rsync"
    assert "apt-get install openssh-client rsync" in check.next_step


def test_a_tool_that_only_building_needs_is_asked_for_only_then(outside: Outside) -> None:
    lose(outside, "mmdebstrap")
    assert checks(outside)["tools"].ok
    assert checks(outside, building=True)["tools"].detail == "not found: mmdebstrap"


def test_a_file_that_may_not_be_executed_is_no_tool(outside: Outside) -> None:
    (outside.root / "bin/rsync").chmod(0o644)
    assert checks(outside)["tools"].detail == "not found: rsync"


def test_a_provider_that_cannot_work_here_says_why(outside: Outside) -> None:
    outside.provider.broken = LaptopError("no engine answers", next_step="start Docker")
    check = checks(outside)["docker"]
    assert (check.ok, check.detail, check.next_step) == (
        False,
        "no engine answers",
        "start Docker",
    )


@pytest.mark.parametrize(("free", "ok"), [((2 << 30) - 1, False), (2 << 30, True)])
def test_two_gibibytes_of_disk_must_be_free(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, free: int, ok: bool
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(0, 0, free))
    check = checks(outside)["disk"]
    assert check.ok is ok
    assert check.detail == "2.0 GiB of disk free"
    assert (str(outside.lab.folder) in check.next_step) is not ok


@pytest.mark.parametrize(("available", "ok"), [(95 << 20, False), (96 << 20, True)])
def test_half_of_the_machines_memory_must_be_available(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, available: int, ok: bool
) -> None:
    monkeypatch.setattr(doctor, "available_memory", lambda: available)
    check = checks(outside)["memory"]
    assert check.ok is ok
    assert ("0.1 GiB are needed" in check.next_step) is not ok


def test_a_machine_without_a_limit_counts_with_half_a_gibibyte(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = tuple(replace(machine, memory=None) for machine in outside.lab.machines)
    outside.lab = replace(outside.lab, machines=machines)
    monkeypatch.setattr(doctor, "available_memory", lambda: 767 << 20)
    assert not checks(outside)["memory"].ok
    monkeypatch.setattr(doctor, "available_memory", lambda: 768 << 20)
    assert checks(outside)["memory"].ok


def test_where_the_system_does_not_tell_its_memory_nothing_is_said_of_it(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "available_memory", lambda: None)
    assert "memory" not in checks(outside)


def test_available_memory_is_a_plausible_number_of_bytes_or_unknown() -> None:
    found = available_memory()
    assert found is None or (1 << 20) < found < (1 << 50)


def test_the_phase_tells_everything_that_is_wrong_at_once(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(outside, "ssh")
    outside.provider.broken = LaptopError("no engine answers", next_step="start Docker")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    with pytest.raises(LaptopError) as failure, track_of() as track:
        doctor.doctor(outside.world(), track, "")
    error = failure.value
    assert error.what == (
        "tools: not found: ssh; docker: no engine answers; disk: 0.0 GiB of disk free"
    )
    assert "openssh-client" in error.next_step
    assert "start Docker" in error.next_step
    assert "free 2 GiB" in error.next_step


def test_building_a_box_asks_for_its_tools_in_the_phase_too(outside: Outside) -> None:
    lose(outside, "mmdebstrap")
    with track_of() as track:
        doctor.doctor(outside.world(), track, "")
        with pytest.raises(LaptopError, match="mmdebstrap"):
            doctor.doctor_building(outside.world(), track, "")


PROBES = {
    "docker": Probe(True, 3, "containers", "use a kernel of your own"),
    "libvirt": Probe(False, 4, "libvirt does not answer", "start it"),
}
NO_KVM = KvmProbe(False, "a guest hangs", "buy another laptop")


def test_there_is_a_row_for_every_provider_and_only_the_labs_own_is_needed() -> None:
    assert provider_checks(PROBES, NO_KVM, own="docker", why="hashlab.toml says so") == [
        Check("provider", True, "docker: hashlab.toml says so"),
        Check("docker", True, "containers", "use a kernel of your own", needed=True),
        Check("libvirt", False, "libvirt does not answer", "start it", needed=False),
        Check("kvm", False, "a guest hangs", "buy another laptop", needed=False),
    ]


def test_where_no_provider_works_one_is_needed_and_what_each_lacks_is_told() -> None:
    probes = {**PROBES, "docker": Probe(False, 3, "no engine answers", "start Docker")}
    rows = provider_checks(probes, NO_KVM, own="", why="")
    needed = [row for row in rows if row.needed]
    assert needed == [
        Check(
            "provider",
            False,
            "none works here",
            "for docker: start Docker; or for libvirt: start it",
        )
    ]


def test_rows_of_providers_stand_in_place_of_a_look_at_the_labs_own(outside: Outside) -> None:
    row = Check("docker", True, "known already")
    found = examine(outside.world(), building=True, providers=[row])
    assert [check for check in found if check.name == "docker"] == [row]
    assert "provider.check" not in [call.name for call in outside.faults.calls]


def test_the_one_engine_that_all_tools_ask_is_named(outside: Outside) -> None:
    outside.laptop.host["ServerVersion"] = "26.1.5"
    rows = {row.name: row for row in examine(outside.world(), building=True, providers=[])}
    assert rows["engine"].detail == "Docker 26.1.5 at unix:///fake.sock (the default)"


@pytest.mark.parametrize(
    ("buildkit", "detail"),
    [("buildx 0.13.1", "BuildKit by buildx 0.13.1"), ("", "the engine's classic builder; ")],
)
def test_the_builder_of_images_is_named(
    outside: Outside, buildkit: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeBuilder, "buildkit", buildkit)
    rows = {row.name: row for row in examine(outside.world(), building=True, providers=[])}
    assert rows["builder"].detail.startswith(detail)
    assert rows["builder"].ok


def test_an_engine_that_does_not_answer_is_a_row_of_its_own(outside: Outside) -> None:
    outside.faults.arm("laptop.info", LaptopError("it does not answer", next_step="start it"))
    rows = {row.name: row for row in examine(outside.world(), building=True, providers=[])}
    assert rows["engine"] == Check("engine", False, "it does not answer", "start it")


def test_what_hashlab_holds_on_the_disk_is_told_by_what_it_is_for(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    rows = {row.name: row for row in examine(outside.world(), building=True, providers=[])}
    for kind in ("boxes", "state of small", "images and build stages 200 MB", "snapshots 0 MB"):
        assert kind in rows["held"].detail
    outside.faults.arm("laptop.held")
    rows = {row.name: row for row in examine(outside.world(), building=True, providers=[])}
    assert "the engine does not say how much it uses" in rows["held"].detail
    assert rows["held"].ok
