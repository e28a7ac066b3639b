"""The Swarm driver: Docker's client as it answers, without a Docker Engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from fakes import FakeRunner, Faults

from hashlab.drivers.swarm import SwarmClient, open_swarm
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed, SwarmFile

# Shortened answers of Docker 26.1 on a machine of examples/hello.
NODE = {
    "ID": "z9t6",
    "Spec": {"Labels": {"machine": "back"}, "Role": "worker", "Availability": "active"},
    "Description": {"Hostname": "back"},
    "Status": {"State": "ready", "Addr": "192.168.62.6"},
}
CONTAINER = {"Image": "127.0.0.1:5000/hello/greeter@sha256:5a", "Labels": {"hashlab.version": "1"}}
SERVICE = {
    "ID": "j5th",
    "Spec": {
        "Name": "hello_greeter",
        "Labels": {"com.docker.stack.namespace": "hello"},
        "TaskTemplate": {
            "ContainerSpec": {
                **CONTAINER,
                "Secrets": [{"SecretName": "hello_password_2", "File": {"Name": "password"}}],
            }
        },
        "Mode": {"Replicated": {"Replicas": 2}},
    },
    "PreviousSpec": {
        "TaskTemplate": {"ContainerSpec": {"Secrets": [{"SecretName": "hello_password_1"}]}}
    },
    "UpdateStatus": {"State": "updating", "Message": "update in progress"},
}
TASK = {
    "ID": "8skb",
    "ServiceID": "j5th",
    "Spec": {"ContainerSpec": CONTAINER},
    "NodeID": "z9t6",
    "Status": {"Timestamp": "2026-11-30T02:26:01.02Z", "State": "failed", "Err": "exit (1)"},
    "DesiredState": "shutdown",
}


class Client:
    """Answers as prepared: the longest beginning of a command line applies."""

    def __init__(self) -> None:
        self.answers: dict[str, Completed] = {}
        self.asked: list[tuple[str, bytes]] = []

    def prepare(self, words: str, stdout: Any = "", *, code: int = 0, stderr: str = "") -> None:
        text = stdout if isinstance(stdout, str) else json.dumps(stdout)
        self.answers[words] = Completed(code, text, stderr)

    def __call__(self, argv: Sequence[str], stdin: bytes) -> Completed:
        line = " ".join(argv)
        self.asked.append((line, stdin))
        known = [words for words in self.answers if line.startswith(words)]
        assert known, f"not prepared for: docker {line}"
        return self.answers[max(known, key=len)]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def swarm(client: Client) -> SwarmClient:
    return SwarmClient(client)


def test_nodes_are_those_of_a_manager(client: Client, swarm: SwarmClient) -> None:
    client.prepare("info", {"ControlAvailable": True})
    client.prepare("node ls", "z9t6\n")
    drained = {**NODE, "Spec": {**NODE["Spec"], "Availability": "drain"}}  # type: ignore[dict-item]
    client.prepare("node inspect z9t6", [NODE, drained])
    good, bad = swarm.nodes()
    assert (good.hostname, good.labels, good.usable) == ("back", {"machine": "back"}, True)
    assert not bad.usable


@pytest.mark.parametrize("state", [{"ControlAvailable": False}, {}, None])
def test_an_engine_that_manages_no_swarm_is_refused(
    client: Client, swarm: SwarmClient, state: Any
) -> None:
    client.prepare("info", state)
    with pytest.raises(LabError, match="does not manage a Swarm"):
        swarm.nodes()


def test_services_and_tasks_are_read(client: Client, swarm: SwarmClient) -> None:
    client.prepare("service ls --quiet --filter label=com.docker.stack.namespace=hello", "j5th\n")
    client.prepare("service inspect j5th", [SERVICE])
    client.prepare("stack ps", "8skb\n")
    client.prepare("inspect --type task 8skb", [TASK])
    [service], [task] = swarm.services("hello"), swarm.tasks("hello")
    assert (service.name, service.replicas, service.update) == ("greeter", 2, "updating")
    assert service.files == {"hello_password_1", "hello_password_2"}
    assert (task.service, task.state, task.wanted, task.error) == (
        "j5th",
        "failed",
        "shutdown",
        "exit (1)",
    )
    assert task.labels == {"hashlab.version": "1"}


def test_a_stack_that_does_not_exist_has_nothing(client: Client, swarm: SwarmClient) -> None:
    client.prepare("service ls")
    client.prepare("stack ps", code=1, stderr="nothing found in stack: hello")
    assert swarm.services("hello") == []
    assert swarm.tasks("hello") == []


def test_something_that_goes_between_list_and_look_is_left_out(
    client: Client, swarm: SwarmClient
) -> None:
    client.prepare("stack ps", "8skb gone")
    client.prepare("inspect", [TASK], code=1, stderr="Error: No such task: gone")
    assert [task.id for task in swarm.tasks("hello")] == ["8skb"]


def test_the_content_of_a_secret_goes_to_the_input_and_nowhere_else(
    client: Client, swarm: SwarmClient
) -> None:
    client.prepare("secret create")
    swarm.add_file("hello", "hello_key_1", "secret", b"\xff\x00key", {"hashlab.file": "key"})
    assert client.asked == [
        (
            "secret create --label com.docker.stack.namespace=hello --label hashlab.file=key "
            "hello_key_1 -",
            b"\xff\x00key",
        )
    ]


def test_secrets_and_configs_are_removed_by_kind(client: Client, swarm: SwarmClient) -> None:
    client.prepare("secret rm")
    client.prepare("config rm")
    swarm.remove_files([SwarmFile("1", "a", "secret"), SwarmFile("2", "b", "config")])
    assert [line for line, _ in client.asked] == ["secret rm 1", "config rm 2"]


@pytest.mark.parametrize("with_credentials", [True, False])
def test_a_stack_is_deployed_from_the_input(
    client: Client, swarm: SwarmClient, with_credentials: bool
) -> None:
    client.prepare("stack deploy")
    swarm.deploy("hello", "version: '3.9'\n", with_credentials=with_credentials)
    [(line, stdin)] = client.asked
    assert ("--with-registry-auth" in line) is with_credentials
    assert line.endswith("--compose-file - hello")
    assert stdin == b"version: '3.9'\n"


def test_a_failure_shows_what_the_client_printed(client: Client, swarm: SwarmClient) -> None:
    client.prepare("stack deploy", code=1, stderr="networks.x must be a mapping")
    with pytest.raises(LabError) as failure:
        swarm.deploy("hello", "", with_credentials=False)
    assert failure.value.what == "docker stack deploy failed"
    assert "must be a mapping" in failure.value.output


def test_a_task_without_a_container_has_no_logs(client: Client, swarm: SwarmClient) -> None:
    client.prepare("stack ps", "8skb")
    client.prepare("inspect", [TASK])
    [task] = swarm.tasks("hello")
    client.prepare("service logs", "out\n", stderr="err\n")
    assert swarm.logs(task, 5) == "out\nerr\n"
    client.prepare("service logs", code=1, stderr="no such task or service")
    assert swarm.logs(task, 5) == ""


def test_a_stack_is_gone_when_its_last_task_has_ended(client: Client, swarm: SwarmClient) -> None:
    for kind in ("service", "secret", "config", "network"):
        client.prepare(f"{kind} ls")
    client.prepare("network ls", "n1\n")
    client.prepare("stack rm", code=1, stderr="Failed to remove network n1: network is in use")
    assert not swarm.remove("hello")
    client.prepare("network ls")
    client.prepare("stack ps", "8skb")
    client.prepare("inspect", [TASK])
    assert not swarm.remove("hello")
    client.prepare("stack ps", code=1, stderr="nothing found in stack: hello")
    assert swarm.remove("hello")


def test_a_removal_that_is_refused_fails(client: Client, swarm: SwarmClient) -> None:
    client.prepare("service ls", "j5th")
    client.prepare("stack rm", code=1, stderr="permission denied")
    with pytest.raises(LabError, match="docker stack rm failed"):
        swarm.remove("hello")


@pytest.mark.parametrize(("context", "words"), [("prod", ["--context", "prod"]), ("", [])])
def test_a_context_is_that_of_the_user(context: str, words: list[str]) -> None:
    runner = FakeRunner(Faults())
    runner.prepare("docker", stdout="")
    open_swarm(context, runner, CancelToken()).services("hello")
    [ran] = runner.ran
    assert list(ran.command[: len(words) + 2]) == ["docker", *words, "service"]
    assert ran.users, "contexts and credentials are in the user's folder"
