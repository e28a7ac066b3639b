"""The logic of the engine driver: descriptions become states, build events become progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError
from fakes import track_of
from fakes.outside import Silent

from hashlab.drivers import engine as driver
from hashlab.drivers.engine import (
    DockerEngine,
    _container_state,
    _follow_build,
    _label_list,
    channel_engine,
    local_engine,
)
from hashlab.drivers.environment import EngineAddress
from hashlab.drivers.stages import Stages
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Cancelled, CancelToken, Recorder, Step
from hashlab.protocols import ContainerState, NetworkPlace, SwarmState

FOUND: dict[str, Any] = {
    "Id": "1" * 64,
    "Name": "/small-site-1",
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "Pid": 42,
        "StartedAt": "2026-01-01T00:00:00Z",
        "FinishedAt": "2025-12-31T00:00:00Z",
        "Health": {"Status": "healthy"},
    },
    "RestartCount": 3,
    "Config": {
        "Image": "small/site",
        "Labels": {"a": "1"},
        "Healthcheck": {"Test": ["CMD", "ready"]},
        "StopTimeout": 0,
    },
    "HostConfig": {"NetworkMode": "small"},
    "NetworkSettings": {
        "Networks": {
            "small": {"NetworkID": "net1", "IPAddress": "10.0.1.2", "Aliases": ["site"]},
            "later": {"NetworkID": "", "IPAddress": "", "Aliases": None},
        }
    },
}


def test_a_description_becomes_a_state() -> None:
    assert _container_state(FOUND) == ContainerState(
        id="1" * 64,
        name="small-site-1",
        state="running",
        health="healthy",
        exit_code=0,
        image="small/site",
        labels={"a": "1"},
        pid=42,
        started_at="2026-01-01T00:00:00Z",
        finished_at="2025-12-31T00:00:00Z",
        networks={
            "small": NetworkPlace("net1", "10.0.1.2", frozenset({"site"})),
            "later": NetworkPlace(),
        },
        network_mode="small",
        checked=True,
        grace=0,
        restarts=3,
    )


def test_values_missing_from_an_answer_are_empty() -> None:
    bare = {
        "Id": "1",
        "Name": "/x",
        "State": {"Status": "created", "Health": None},
        "Config": {"Image": "i", "Labels": None},
        "NetworkSettings": {"Networks": None},
    }
    state = _container_state(bare)
    assert (state.health, state.pid, state.exit_code, state.labels) == ("", 0, 0, {})
    assert (state.networks, state.network_mode) == ({}, "")
    assert (state.checked, state.grace, state.restarts) == (False, 10, 0)


def test_a_label_without_value_is_filtered_by_its_key() -> None:
    assert _label_list({"a": "1", "b": ""}) == ["a=1", "b"]


class Amounts(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float | None, str]] = []

    def update(self, step: Step) -> None:
        self.seen.append((step.done, step.total, step.unit))


def test_the_steps_of_a_build_are_progress_and_its_lines_are_passed_on() -> None:
    listener = Amounts()
    events: list[dict[str, Any]] = [
        {"stream": "Step 1/3 : FROM scratch\n"},
        {"stream": "\n"},
        {"stream": " ---> 123\nStep 2/3 : COPY a /\n"},
        {"aux": {"ID": "sha256:1"}},
        {"stream": "Step back\n"},
        {"stream": None},
    ]
    with Recorder(listener, CancelToken()).step("image") as track:
        _follow_build("x", iter(events), track, Stages())
    assert listener.seen == [(1, 3, "steps"), (2, 3, "steps")]
    assert "Step 2/3 : COPY a /" in listener.lines


def test_a_failed_build_reports_its_whole_output() -> None:
    events = [{"stream": "compiling\n"}, {"error": "returned a non-zero code: 1"}]
    with pytest.raises(LabError) as failure, track_of() as track:
        _follow_build("small/site", iter(events), track, Stages())
    assert failure.value.what == "cannot build image small/site: returned a non-zero code: 1"
    assert failure.value.output == "compiling"


def test_a_cancelled_run_stops_following_its_build() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled), track_of(cancel=cancel) as track:
        _follow_build("x", iter([{"stream": "a\n"}]), track, Stages())


class Client:
    """A docker-py client whose every call fails, or returns a prepared answer."""

    def __init__(self, error: Exception | None = None, **answers: Any) -> None:
        self._error = error
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            if self._error:
                raise self._error
            return self._answers[name]

        return call


def refused() -> APIError:
    answer = requests.Response()
    answer.status_code = 500
    return APIError("server error", response=answer, explanation="driver failed")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refused(), "driver failed"),
        (docker.errors.DockerException("no socket"), "no socket"),
        (requests.ConnectionError("cut"), "cut"),
        (BrokenPipeError(), "BrokenPipeError"),
        (EOFError(), "EOFError"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.info(),
        lambda engine: engine.containers({}),
        lambda engine: engine.start("x"),
        lambda engine: engine.remove("x"),
        lambda engine: engine.logs("x"),
        lambda engine: engine.image_labels(["x"]),
        lambda engine: engine.volumes({}),
        lambda engine: engine.networks(),
        lambda engine: engine.swarm_token(),
        lambda engine: engine.remove_image("x"),
    ],
)
def test_every_error_of_connection_or_engine_becomes_a_lab_error_that_names_the_engine(
    call: Any, error: Exception, message: str
) -> None:
    engine = DockerEngine("web", Client(error))  # type: ignore[arg-type]
    with pytest.raises(LabError, match=message) as failure:
        call(engine)
    assert failure.value.where == "web"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, SwarmState(False, False)),
        (
            {"LocalNodeState": "inactive", "NodeID": "", "RemoteManagers": None},
            SwarmState(False, False),
        ),
        (
            {
                "LocalNodeState": "active",
                "ControlAvailable": True,
                "NodeID": "N1",
                "NodeAddr": "192.168.60.5",
                "RemoteManagers": [{"NodeID": "N1", "Addr": "192.168.60.5:2377"}],
            },
            SwarmState(True, True, "N1", "192.168.60.5", ("N1",), joined=True),
        ),
        (
            {"LocalNodeState": "pending", "NodeID": "N2", "NodeAddr": "192.168.60.6"},
            SwarmState(False, False, "N2", "192.168.60.6", joined=True),
        ),
        ({"LocalNodeState": "error"}, SwarmState(False, False, joined=True)),
    ],
)
def test_the_swarm_state_is_read_from_the_engines_description(
    said: dict[str, Any], expected: SwarmState
) -> None:
    engine = DockerEngine("web", Client(info={"Swarm": said, "DockerRootDir": "/d"}))  # type: ignore[arg-type]
    assert engine.swarm() == expected


@pytest.mark.parametrize(
    ("name", "repository", "tag"),
    [
        ("redis:7", "redis", "7"),
        ("redis", "redis", "latest"),
        ("localhost:5000/redis", "localhost:5000/redis", "latest"),
        ("localhost:5000/redis:7", "localhost:5000/redis", "7"),
    ],
)
def test_a_pull_names_repository_and_tag(name: str, repository: str, tag: str) -> None:
    asked: list[tuple[object, object]] = []

    class Pulling:
        def pull(self, repository: str, *, tag: str, **_: object) -> list[dict[str, str]]:
            asked.append((repository, tag))
            return [{"status": "Pulling"}]

    with track_of() as track:
        DockerEngine("laptop", Pulling()).pull(name, track=track)  # type: ignore[arg-type]
    assert asked == [(repository, tag)]


def test_a_pull_that_fails_midway_is_a_failure() -> None:
    engine = DockerEngine("laptop", Client(pull=[{"status": "x"}, {"error": "denied"}]))  # type: ignore[arg-type]
    with pytest.raises(LabError, match="cannot pull image redis:7: denied"), track_of() as track:
        engine.pull("redis:7", track=track)


def test_without_an_engine_the_error_says_how_to_start_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(LaptopError, match=r"none.sock does not answer") as failure:
        local_engine({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert failure.value.next_step == "start it, or: unset DOCKER_HOST"
    assert failure.value.where == "DOCKER_HOST"


def test_the_error_for_an_unreachable_engine_names_its_machine() -> None:
    def refuse() -> object:
        raise EOFError

    with pytest.raises(LabError, match="Docker Engine does not answer") as failure:
        channel_engine("web", refuse)
    assert failure.value.where == "web"


def test_every_call_has_a_time_limit() -> None:
    assert 0 < driver.CALL_SECONDS <= 120


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the settings of Docker's client; the file does not exist yet."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "config.json"


NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


@pytest.mark.parametrize(
    "text",
    [
        '{"auths": []}',
        '{"auths": {"registry.example": 7}}',
        '{"auths": {"registry.example": {"auth": "!"}}}',
        '{"credHelpers": []}',
        '{"credHelpers": 7}',
        '{"credsStore": ["desktop"]}',
        '{"HttpHeaders": 7}',
        "[]",
        "null",
        "{",
    ],
)
def test_no_settings_of_dockers_client_end_in_a_traceback(settings: Path, text: str) -> None:
    settings.write_text(text)
    with pytest.raises(LaptopError, match=r"does not answer|cannot be read"):
        local_engine(NOWHERE)


def test_missing_credential_helpers_are_not_called(settings: Path) -> None:
    helpers = {"gone.example": "gone", "there.example": "there"}
    settings.write_text(json.dumps({"credsStore": "desktop", "credHelpers": helpers}))
    helper = settings.parent / "bin" / "docker-credential-there"
    helper.parent.mkdir()
    helper.write_text("")
    helper.chmod(0o755)
    client = driver._local_client({"base_url": "tcp://127.0.0.1:1"}, driver.FIRST_VERSION)
    known = vars(client)["_auth_configs"]
    assert known.creds_store is None
    assert known.cred_helpers == {"there.example": "there"}


def test_a_socket_without_permission_is_reported_as_such() -> None:
    error = requests.ConnectionError("aborted", PermissionError(13, "Permission denied"))
    address = EngineAddress("unix:///var/run/docker.sock", "the default")
    failure = driver._unanswered(address, error)
    assert "this user may not use" in failure.what
    assert "usermod -aG docker" in failure.next_step
    gone = driver._unanswered(address, FileNotFoundError(2, "No such file"))
    assert "does not answer" in gone.what and "start Docker" in gone.next_step


def test_a_remote_engine_is_refused_before_it_is_called() -> None:
    with pytest.raises(LaptopError, match="ssh://me@build is not on this laptop") as failure:
        local_engine({"DOCKER_HOST": "ssh://me@build"})
    assert "unset DOCKER_HOST" in failure.value.next_step
