"""The shape that each answer of a Docker Engine must have. Every answer is checked here before it
is read, because a machine's root controls the answers of its engine, and other engines answer
differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import Any, cast

import docker
import requests
from docker.errors import DockerException

# Characters of a wrong value that a message shows.
SHOWN = 40
# Errors of docker-py for an unexpected answer, which it reads without checking.
MISREAD = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class UnexpectedAnswer(DockerException):
    """An engine's answer does not have the shape that its API describes."""


def _address(value: str) -> None:
    if value != "":
        IPv4Address(value)


def _subnet(value: str) -> None:
    ip_network(value, strict=False)


def _port(value: str) -> None:
    int(value)


def _version(value: str) -> None:
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}", value):
        raise ValueError


# A shape is a type; a function that raises ValueError if a text is wrong; a list of one shape; or
# an object by its keys. "?" after a key: it may be missing or null. "*": any key.
LABELS = {"*": str}
PORTS = {"*?": [{"HostPort": _port}]}
CONFIG = {
    "Labels?": LABELS,
    "Healthcheck?": {"Test?": [str]},
    "StopTimeout?": int,
}
CONTAINER = {
    "Id": str,
    "Name": str,
    "Image": str,
    "State": {
        "Status": str,
        "Paused?": bool,
        "ExitCode?": int,
        "Pid?": int,
        "StartedAt?": str,
        "FinishedAt?": str,
        "Health?": {"Status?": str},
    },
    "RestartCount?": int,
    "Config": {"Image": str, **CONFIG},
    "HostConfig": {
        "NetworkMode?": str,
        "IpcMode?": str,
        "PidMode?": str,
        "VolumesFrom?": [str],
        "PortBindings?": PORTS,
    },
    "NetworkSettings": {
        "Ports?": PORTS,
        "Networks?": {
            "*": {
                "NetworkID": str,
                "IPAddress?": _address,
                "Aliases?": [str],
                "IPAMConfig?": {"IPv4Address?": _address},
            }
        },
    },
}
INFO = {
    "DockerRootDir": str,
    "Swarm?": {
        "LocalNodeState?": str,
        "ControlAvailable?": bool,
        "NodeID?": str,
        "NodeAddr?": str,
        "RemoteManagers?": [{"NodeID": str}],
    },
}
IMAGE = {"Id": str, "Size": int, "RepoTags?": [str]}
DISK = {
    "Images?": [{**IMAGE, "SharedSize?": int, "Labels?": LABELS}],
    "Volumes?": [{"Labels?": LABELS, "UsageData?": {"Size?": int}}],
}
# Shapes by the method of docker-py whose result is read.
SHAPES: dict[str, object] = {
    "version": {"ApiVersion": _version},
    "info": INFO,
    "containers": [{"Id": str}],
    "inspect_container": CONTAINER,
    "create_container_from_config": {"Id": str},
    "commit": {"Id": str},
    "exec_create": {"Id": str},
    "exec_inspect": {"ExitCode": int},
    "inspect_image": {**IMAGE, "Config?": CONFIG, "RootFS?": {"Layers?": [str]}},
    "images": [IMAGE],
    "history": [{"Created": int, "CreatedBy": str, "Size": int}],
    "df": DISK,
    "wait": {"StatusCode": int},
    "inspect_volume": {"Options?": LABELS},
    "volumes": {"Volumes?": [{"Name": str}]},
    "networks": [
        {
            "Name": str,
            "Id": str,
            "Driver?": str,
            "Attachable?": bool,
            "Labels?": LABELS,
            "IPAM?": {"Config?": [{"Subnet?": _subnet}]},
        }
    ],
    "create_network": {"Id": str},
    "inspect_swarm": {"JoinTokens": {"Worker": str}},
    "inspect_node": {"Status": {"State": str}},
}
# For methods whose result is a stream: the shape of each event.
EVENT = {"error?": str, "stream?": str, "status?": str}
STREAMS = {"build": EVENT, "pull": EVENT, "load_image": EVENT}


def checked(client: docker.APIClient) -> docker.APIClient:
    """Return the same client, whose methods raise UnexpectedAnswer (a DockerException) if an answer
    has the wrong shape, or if docker-py cannot read it.
    """
    return cast(docker.APIClient, _Checked(client))


class _Checked:
    def __init__(self, client: docker.APIClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **options: Any) -> Any:
            answer = _read(lambda: attribute(*args, **options))
            if name in STREAMS:
                return _events(answer, STREAMS[name])
            check(answer, SHAPES.get(name, object))
            return answer

        return call


def _events(events: Iterable[Any], shape: object) -> Iterator[Any]:
    following = _read(lambda: iter(events))
    end = object()
    while (event := _read(lambda: next(following, end))) is not end:
        check(event, shape)
        yield event


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (DockerException, requests.RequestException):
        raise  # some of them are ValueErrors
    except MISREAD as error:
        raise UnexpectedAnswer(f"the engine's answer cannot be read: {error!r:.200}") from error


def check(value: Any, shape: Any, path: str = "") -> None:
    """Raise UnexpectedAnswer, which names the wrong part, unless a value has its shape."""
    if isinstance(shape, dict):
        _expect(value, dict, path)
        for key, inner in shape.items():
            name = key.removesuffix("?")
            for part in value if name == "*" else [name]:
                if value.get(part) is None and name != key:
                    continue
                if part not in value:
                    raise UnexpectedAnswer(f"the engine's answer has no {_join(path, part)}")
                check(value[part], inner, _join(path, part))
    elif isinstance(shape, list):
        _expect(value, list, path)
        for number, part in enumerate(value):
            check(part, shape[0], f"{path}[{number}]")
    elif isinstance(shape, type):
        _expect(value, shape, path)
    else:
        _expect(value, str, path)
        try:
            shape(value)
        except ValueError as error:
            raise _unexpected(value, path) from error


def _expect(value: object, kind: type, path: str) -> None:
    # True and False are integers in Python, but not in an answer.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _unexpected(value, path)


def _unexpected(value: object, path: str) -> UnexpectedAnswer:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    return UnexpectedAnswer(f"unexpected answer of the engine: {path or 'all of it'} is {shown}")


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
