"""Answers of wrong types, which a machine's root or another engine may send, end in an error that
names the engine and the wrong part.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import docker
import pytest
import requests
from fakes import track_of

from hashlab.config.model import Network
from hashlab.drivers import engine as driver
from hashlab.drivers.engine import DockerEngine, channel_engine, local_engine
from hashlab.drivers.shapes import SHAPES, STREAMS, UnexpectedAnswer, check, checked
from hashlab.errors import HashlabError, LabError
from hashlab.providers.docker.machines import observed

BINDING = {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2200"}], "80/tcp": None}
CONTAINER = {
    "Id": "1",
    "Name": "/web",
    "Image": "sha256:1",
    "State": {
        "Status": "running",
        "Paused": True,
        "ExitCode": 0,
        "Pid": 42,
        "StartedAt": "2026-01-01T00:00:00Z",
        "FinishedAt": "",
        "Health": {"Status": "healthy"},
    },
    "RestartCount": 1,
    "Config": {
        "Image": "small/site",
        "Labels": {"a": "1"},
        "Healthcheck": {"Test": ["CMD", "ready"]},
        "StopTimeout": 3,
    },
    "HostConfig": {"NetworkMode": "small", "PortBindings": BINDING},
    "NetworkSettings": {
        "Ports": BINDING,
        "Networks": {
            "small": {
                "NetworkID": "net1",
                "IPAddress": "10.0.1.2",
                "IPAMConfig": {"IPv4Address": "10.0.1.2"},
                "Aliases": ["site"],
            }
        },
    },
}
IMAGE = {
    "Id": "sha256:1",
    "Size": 7,
    "RepoTags": ["hashlab-stage/lab:1"],
    "Labels": {"hashlab.lab": "1"},
}
INFO = {
    "ID": "E",
    "OSType": "linux",
    "Driver": "overlay2",
    "DockerRootDir": "/var/lib/docker",
    "Swarm": {
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "NodeID": "N1",
        "NodeAddr": "192.168.60.5",
        "RemoteManagers": [{"NodeID": "N1"}],
    },
}
# A valid answer to each method of docker-py whose result is read.
GOOD: dict[str, Any] = {
    "version": {"ApiVersion": "1.41"},
    "info": INFO,
    "containers": [{"Id": "1", "State": "running"}],
    "inspect_container": CONTAINER,
    "create_container_from_config": {"Id": "1", "Warnings": None},
    "commit": {"Id": "sha256:2"},
    "exec_create": {"Id": "x"},
    "exec_inspect": {"ExitCode": 0},
    "inspect_image": {**IMAGE, "Config": CONTAINER["Config"]},
    "images": [IMAGE],
    "history": [{"Created": 1, "CreatedBy": "RUN", "Size": 7}],
    "df": {
        "Images": [{**IMAGE, "SharedSize": -1}, {**IMAGE, "Labels": {"hashlab.snapshot": ""}}],
        "Volumes": [{"Labels": {"hashlab.lab": "1"}, "UsageData": {"Size": 3}}],
    },
    "wait": {"StatusCode": 0},
    "inspect_volume": {"Name": "data", "Options": {"type": "tmpfs"}},
    "volumes": {"Volumes": [{"Name": "data"}]},
    "networks": [
        {
            "Name": "n",
            "Id": "1",
            "Driver": "overlay",
            "Attachable": True,
            "Labels": {"a": "1"},
            "IPAM": {"Config": [{"Subnet": "10.0.1.0/24"}]},
        }
    ],
    "create_network": {"Id": "n"},
    "inspect_swarm": {"JoinTokens": {"Worker": "token"}},
    "inspect_node": {"Status": {"State": "ready"}},
    "pull": [{"status": "Pulling"}],
    "load_image": [{"stream": "loaded"}],
    "exec_start": [(b"out", b"")],
    "logs": b"line",
}


def pulled(engine: DockerEngine) -> None:
    with track_of() as track:
        engine.pull("redis:7", track=track)


def inspected(engine: DockerEngine) -> None:
    found = engine.inspect("x")
    assert found is not None
    observed("web", found)


# Each call that reads part of an answer.
QUESTIONS: list[Callable[[DockerEngine], object]] = [
    lambda engine: engine.info(),
    lambda engine: engine.containers({}),
    lambda engine: engine.container("x"),
    inspected,
    lambda engine: engine.create("x", {}),
    lambda engine: engine.unpause("x"),
    lambda engine: engine.commit("x", "y:1", {}),
    lambda engine: engine.execute("x", ["true"]),
    lambda engine: engine.logs("x"),
    lambda engine: engine.image_labels(["x"]),
    lambda engine: engine.image_ids(["x"]),
    lambda engine: engine.image_sizes(["x"]),
    lambda engine: engine.health_checked(["x"]),
    lambda engine: engine.images_with({}),
    lambda engine: engine.stages(),
    lambda engine: engine.held(),
    lambda engine: engine.wait("x", timeout=1),
    lambda engine: engine.volumes({}),
    lambda engine: engine.volume_options(["data"]),
    lambda engine: engine.networks(),
    lambda engine: engine.network("n"),
    lambda engine: engine.networks_with({}),
    lambda engine: engine.create_overlay(Network("n", "n"), {}),
    lambda engine: engine.swarm(),
    lambda engine: engine.swarm_token(),
    lambda engine: engine.swarm_ready("n"),
    lambda engine: engine.load_images(iter([])),
    pulled,
]
WRONG: list[Any] = [None, True, 5, 1.5, "text", "", [], [5], [None], {}, {"a": 5}, {"a": None}]


class Engine:
    """docker-py's client of an engine that returns a prepared answer and accepts all other
    calls.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: copy.deepcopy(self._answers.get(name))


def variants(value: Any) -> Iterator[Any]:
    """Return the value with each of its parts in turn replaced by each wrong one, or removed."""
    yield from (wrong for wrong in WRONG if type(wrong) is not type(value) or wrong != value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {other: part for other, part in value.items() if other != key}
            yield from ({**value, key: variant} for variant in variants(inner))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from ([*value[:number], v, *value[number + 1 :]] for v in variants(inner))


def test_valid_answers_are_read() -> None:
    engine = DockerEngine("web", Engine(GOOD))  # type: ignore[arg-type]
    for ask in QUESTIONS:
        ask(engine)


@pytest.mark.parametrize("method", sorted({*SHAPES, *STREAMS} - {"build", "version"}))
def test_no_wrong_type_in_an_answer_ends_in_a_traceback(method: str) -> None:
    refused = 0
    for variant in variants(GOOD[method]):
        engine = DockerEngine("web", Engine({**GOOD, method: variant}))  # type: ignore[arg-type]
        for ask in QUESTIONS:
            try:
                ask(engine)
            except LabError as error:
                assert error.where == "web", (variant, error)
                refused += 1
    assert refused > len(WRONG) / 2


@pytest.mark.parametrize("version", [*WRONG, "1.x", "1.1", "../1"])
def test_no_version_of_an_engine_ends_in_a_traceback(
    version: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in ({"ApiVersion": version}, version):
        monkeypatch.setattr(docker.APIClient, "version", lambda *_, _a=answer, **__: _a)
        for connect in (
            lambda: channel_engine("web", lambda: None),
            lambda: local_engine({"DOCKER_HOST": "tcp://127.0.0.1:1"}),
        ):
            with pytest.raises(HashlabError) as failure:
                connect()
            assert failure.value.where


def test_every_result_that_is_read_has_a_shape() -> None:
    """A method of docker-py whose result is used must be in the table."""
    text = resources.files(driver.__package__ or "").joinpath("engine.py").read_text("utf-8")
    used = set(re.findall(r"(?:=|return|in|\w\() ?\(?self\._client\.(\w+)\(", text))
    assert used >= {"df", "info", "images", "inspect_container", "pull"}
    # A response, archives, bytes, and the output of a command are not JSON.
    assert used - {"get", "get_archive", "logs", "exec_start"} <= {*SHAPES, *STREAMS}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("Config",), "Config is 5"),
        (("Config", "Labels"), "Config.Labels is 5"),
        (("NetworkSettings", "Networks", "small"), "NetworkSettings.Networks.small is 5"),
    ],
)
def test_a_message_names_the_part_that_is_wrong(path: tuple[str, ...], message: str) -> None:
    answer = copy.deepcopy(CONTAINER)
    place: Any = answer
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = 5
    engine = DockerEngine("web", Engine({"inspect_container": answer}))  # type: ignore[arg-type]
    with pytest.raises(LabError) as failure:
        engine.container("x")
    assert failure.value.what == (
        f"cannot inspect container x: unexpected answer of the engine: {message}"
    )


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(UnexpectedAnswer) as failure:
        check("x" * 1000, int)
    assert len(str(failure.value)) < 120


@pytest.mark.parametrize("error", [KeyError("message"), TypeError("list"), RecursionError()])
def test_an_answer_that_docker_py_cannot_read_is_unexpected(error: Exception) -> None:
    class Broken:
        def info(self) -> object:
            raise error

        def pull(self, *_: object, **__: object) -> Iterator[object]:
            yield {"status": "Pulling"}
            raise error

    with pytest.raises(UnexpectedAnswer, match="cannot be read"):
        checked(Broken()).info()  # type: ignore[arg-type]
    with pytest.raises(UnexpectedAnswer, match="cannot be read"):
        list(checked(Broken()).pull())  # type: ignore[arg-type,call-arg]


def test_a_connection_error_is_passed_on() -> None:
    class Cut:
        def info(self) -> object:
            raise requests.exceptions.InvalidJSONError("not JSON")

    with pytest.raises(requests.RequestException):
        checked(Cut()).info()  # type: ignore[arg-type]
