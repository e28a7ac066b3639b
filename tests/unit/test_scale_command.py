"""`hashlab scale`: how often services run, until the next dev."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import Outside

from hashlab.cli import main
from hashlab.errors import ConfigError, ExitCode, UsageError
from hashlab.run.labs import known_scale, read_folder, save_scale, state_of

COMPOSE = """
services:
  web: { image: x, ports: ["8080:80"] }
  qa: { image: x, deploy: { replicas: 2 } }
  far: { image: x, deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } } }
"""
Told = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "hashlab.toml").write_text("[machines]\none = {}\ntwo = {}\nthree = {}\n")
    return folder


def replicas(folder: Path) -> dict[str, int]:
    return {service.name: service.replicas for service in read_folder(folder, "docker").services}


def typed(*words: str) -> int:
    return main.run(*main.parse(words))


@pytest.fixture
def runs(outside: Outside, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that ran on the lab of the folder."""
    ran: list[str] = []
    monkeypatch.setenv("HASHLAB_DAEMON", "0")
    monkeypatch.chdir(folder)

    def run(command: str, *_: object, **__: object) -> ExitCode:
        ran.append(command)
        return ExitCode.OK

    monkeypatch.setattr("hashlab.run.execution.run", run)
    return ran


def test_a_service_runs_as_often_as_was_typed_until_the_next_dev(
    folder: Path, runs: list[str]
) -> None:
    assert typed("scale", "qa=5") == ExitCode.OK
    assert replicas(folder)["qa"] == 5
    assert typed("scale", "web=1", "qa=3") == ExitCode.OK
    assert replicas(folder)["qa"] == 3
    [note] = [n for n in read_folder(folder, "docker").notes if "until the next" in n]
    assert "'qa' runs 3 times until the next hashlab dev" in note
    assert typed("dev") == ExitCode.OK
    assert replicas(folder)["qa"] == 2
    assert runs == ["scale", "scale", "dev"]


def test_a_service_on_several_machines_is_scaled_as_a_whole(folder: Path) -> None:
    before = [name for name in replicas(folder) if name.startswith("far.")]
    assert len(before) == 2
    save_scale(folder, "docker", {"far": 3})
    assert {"far.one", "far.two", "far.three"} <= replicas(folder).keys()
    save_scale(folder, "docker", {before[0]: 2})
    assert known_scale(state_of(folder)) == {"far": 2}


def test_a_number_that_the_files_do_not_allow_changes_nothing(folder: Path) -> None:
    save_scale(folder, "docker", {"qa": 4})
    with pytest.raises(ConfigError, match="cannot all publish port 8080"):
        save_scale(folder, "docker", {"web": 2})
    with pytest.raises(ConfigError, match="at most 1 on a machine, need 9 machines"):
        save_scale(folder, "docker", {"far": 9})
    assert known_scale(state_of(folder)) == {"qa": 4}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "scale needs a service and a number"),
        (("qa",), "'qa' is not SERVICE=NUMBER"),
        (("qa=two",), "'qa=two' is not SERVICE=NUMBER"),
        (("=2",), "'=2' is not SERVICE=NUMBER"),
        (("qa=0",), "hashlab stop qa"),
        (("qa=101",), "at most 100"),
        (("qaa=2",), "no service 'qaa'"),
    ],
)
def test_what_is_typed_wrongly_is_refused(
    folder: Path, runs: list[str], capsys: Told, words: tuple[str, ...], message: str
) -> None:
    assert typed("scale", *words) == 2
    told = capsys.readouterr()
    assert message in told.out + told.err
    assert runs == []
    assert not state_of(folder).scale.exists()


def test_a_damaged_record_is_as_none(folder: Path) -> None:
    save_scale(folder, "docker", {"qa": 4})
    for text in ("[]", "{", '{"qa": "4"}', '{"qa": true}', '{"qa": -1}'):
        state_of(folder).scale.write_text(text)
        assert replicas(folder)["qa"] == 2


def test_a_front_is_not_scaled(folder: Path) -> None:
    with (folder / "hashlab.toml").open("a") as toml:
        toml.write("[services.web]\nfront = true\n")
    with pytest.raises(UsageError) as refused:
        save_scale(folder, "docker", {"web-front": 2})
    assert refused.value.next_step == "hashlab scale web=2"
