"""Vagrant: the arguments of its calls, and the reading of its machine-readable output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeRunner, Faults, track_of
from fakes.outside import Silent

from hashlab.drivers.vagrant import VagrantDriver
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import CancelToken, Recorder, Row, Step, Track


@pytest.fixture
def vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of the vagrant that is found first on this laptop."""
    program = tmp_path / "bin/vagrant"
    program.parent.mkdir()
    program.write_text("#!/bin/false\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return str(program)


@pytest.fixture
def runner(vagrant: str) -> FakeRunner:
    made = FakeRunner(Faults())
    made.prepare(vagrant)
    return made


@pytest.fixture
def driver(tmp_path: Path, runner: FakeRunner) -> VagrantDriver:
    return VagrantDriver(folder=tmp_path / "state", provider="docker", runner=runner)


Call = Callable[[VagrantDriver, Track], None]
CALLS: list[tuple[Call, list[str]]] = [
    (
        lambda driver, track: driver.up(["web", "broker"], track=track),
        ["up", "web", "broker", "--provider", "docker", "--parallel", "--machine-readable"],
    ),
    (lambda driver, track: driver.destroy(track=track), ["destroy", "--force", "--parallel"]),
    (
        lambda driver, track: driver.box_add(Path("/m.json"), track=track),
        ["box", "add", "file:///m.json", "--provider", "docker", "--force"],
    ),
    (
        lambda driver, track: driver.box_remove("hashlab/a", version="1.0.0.rx", track=track),
        [
            *("box", "remove", "hashlab/a", "--force"),
            *("--box-version", "1.0.0.rx", "--provider", "docker"),
        ],
    ),
]


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_each_call_names_its_provider_and_works_in_the_labs_folder(
    driver: VagrantDriver, runner: FakeRunner, vagrant: str, call: Call, words: list[str]
) -> None:
    with track_of() as track:
        call(driver, track)
    [ran] = runner.ran
    assert ran.command == (vagrant, *words)
    assert ran.cwd is not None
    assert ran.env["VAGRANT_DOTFILE_PATH"] == str(ran.cwd / "vagrant")
    assert ran.env["VAGRANT_DEFAULT_PROVIDER"] == "docker"
    assert ran.timeout > 60


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_each_failed_call_reports_vagrants_output(
    driver: VagrantDriver, runner: FakeRunner, vagrant: str, call: Call, words: list[str]
) -> None:
    runner.prepare(vagrant, code=1, stdout="bringing up\n", stderr="no such box\n")
    with pytest.raises(LabError) as failure, track_of() as track:
        call(driver, track)
    assert f"vagrant {words[0]} failed with exit code 1" in str(failure.value)
    assert "no such box" in failure.value.output


class Watcher(Silent):
    """Records reported amounts."""

    def __init__(self) -> None:
        super().__init__()
        self.amounts: list[tuple[float, float | None]] = []

    def update(self, step: Step) -> None:
        self.amounts.append((step.done, step.total))

    def end(self, step: Step, row: Row) -> None:
        return None


def up(driver: VagrantDriver, runner: FakeRunner, vagrant: str, output: str) -> Watcher:
    watcher = Watcher()
    runner.prepare(vagrant, stdout=output)
    with Recorder(watcher, CancelToken()).step("boot") as track:
        driver.up(["web", "broker"], track=track)
    return watcher


def test_booted_machines_are_counted_while_vagrant_runs(
    driver: VagrantDriver, runner: FakeRunner, vagrant: str
) -> None:
    output = (
        "1700000000,web,action,up,start\n"
        "1700000001,broker,action,up,start\n"
        "1700000002,broker,action,up,end\n"
        "1700000002,broker,action,up,end\n"
        "1700000003,web,action,up,end\n"
    )
    watcher = up(driver, runner, vagrant, output)
    assert watcher.amounts == [(1, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("17,web,ui,info,Starting container...", "Starting container..."),
        ("17,web,ui,info,one%!(VAGRANT_COMMA) two, three", "one, two, three"),
        ("17,web,ui,error,no%!(VAGRANT_COMMA) no", "no, no"),
        ("not machine-readable, at all", "not machine-readable, at all"),
        ("", ""),
        (",,,,", ",,,,"),
    ],
)
def test_vagrants_messages_are_shown_as_people_see_them(
    driver: VagrantDriver, runner: FakeRunner, vagrant: str, line: str, shown: str
) -> None:
    assert up(driver, runner, vagrant, f"{line}\n").lines == [shown]


def test_the_output_of_other_calls_is_passed_on(
    driver: VagrantDriver, runner: FakeRunner, vagrant: str
) -> None:
    runner.prepare(vagrant, stdout="==> box: Adding box\n")
    listener = Silent()
    with track_of(listener) as track:
        driver.box_add(Path("/m.json"), track=track)
    assert listener.lines == ["==> box: Adding box"]


def test_without_vagrant_the_error_names_doctor(
    driver: VagrantDriver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(LaptopError, match="not found: vagrant") as failure, track_of() as track:
        driver.destroy(track=track)
    assert failure.value.next_step == "hashlab doctor"
