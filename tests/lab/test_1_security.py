"""What the Hash-Collision application keeps apart: files, users, queues, containers, debuggers."""

from __future__ import annotations

import base64
import json
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from labkit import LabFolder

WHERE = {
    "rabbitmq": "broker",
    "postgres": "broker",
    "auth": "services",
    "user": "services",
    "qa": "services",
    "web": "web",
}
# Connects as a service and takes a message from a queue, which must not be that service's.
TAKE_A_MESSAGE = r"""
{ok, Password} = file:read_file("/run/secrets/SERVICE_broker_password"),
Uri = "amqp://SERVICE:" ++ binary_to_list(Password) ++ "@127.0.0.1:5672/%2f",
{ok, Place} = amqp_uri:parse(Uri),
{ok, Connection} = amqp_connection:start(Place),
{ok, Channel} = amqp_connection:open_channel(Connection),
io:format("~0p", [catch amqp_channel:call(Channel, CALL)]), halt().
"""
GET = "{'basic.get', 0, <<\"user.events\">>, false}"
DECLARE = "{'queue.declare', 0, <<\"mine\">>, false, true, false, false, false, []}"


def asked(url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> Any:
    """The answer to a request, whatever its status."""
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=10)
    except urllib.error.HTTPError as refused:
        return refused


def inside(lab: LabFolder, service: str, command: str) -> str:
    """What a command prints in the container of a service."""
    container = f"hash-collision-{service}-1"
    return lab.on(WHERE[service], f"docker exec {container} sh -c {shlex.quote(command)} 2>&1")


HIDDEN = (".env", ".htpasswd", "old/.git/config", "app.js~", "app.js.bak")


def test_hidden_files_and_what_editors_leave_are_not_served(
    forum_lab: LabFolder, web_url: str
) -> None:
    files = [forum_lab.folder / "ui" / name for name in ("plain.txt", *HIDDEN)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("PASSWORD=1")
    forum_lab.run("refresh").ok()
    try:
        assert asked(f"{web_url}/plain.txt").read() == b"PASSWORD=1"
        assert {name: asked(f"{web_url}/{name}").status for name in HIDDEN} == dict.fromkeys(
            HIDDEN, 404
        )
    finally:
        for file in files:
            file.unlink()
        forum_lab.run("refresh").ok()


@dataclass(frozen=True)
class Seen:
    """What a machine says about the container of a service."""

    inspected: dict[str, Any]
    process: dict[str, str]


@pytest.fixture(scope="module")
def services(forum_lab: LabFolder) -> dict[str, Seen]:
    """What the machines say about all services."""
    found = {}
    for machine in sorted(set(WHERE.values())):
        listed = json.loads(
            forum_lab.on(machine, "docker inspect $(docker ps -q --filter label=hashlab.service)")
        )
        numbers = " ".join(str(inspected["State"]["Pid"]) for inspected in listed)
        shown = forum_lab.on(machine, f"for p in {numbers}; do cat /proc/$p/status; echo; done")
        for inspected, status in zip(listed, shown.strip().split("\n\n"), strict=True):
            service = inspected["Config"]["Labels"].get("hashlab.service")
            if service in WHERE and "Health" in inspected["State"]:
                fields = dict(line.split(":", 1) for line in status.splitlines())
                found[service] = Seen(inspected, {k: v.strip() for k, v in fields.items()})
    assert found.keys() == WHERE.keys()
    return found


def test_every_container_is_locked_up(services: dict[str, Seen]) -> None:
    for service, seen in services.items():
        host = seen.inspected["HostConfig"]
        assert host["ReadonlyRootfs"] and host["PidsLimit"] > 0, service
        assert int(seen.process["CapEff"], 16) == int(seen.process["CapBnd"], 16) == 0, service
        assert seen.process["NoNewPrivs"] == "1", service


def test_no_two_services_share_a_user_id_or_a_volume_that_they_can_write(
    services: dict[str, Seen],
) -> None:
    users = {seen.process["Uid"].split()[0] for seen in services.values()}
    assert "0" not in users
    assert len(users) == len(services)
    mounts = [mount for seen in services.values() for mount in seen.inspected["Mounts"]]
    written = [m["Name"] for m in mounts if m["RW"] and m["Type"] == "volume"]
    assert len(set(written)) == len(written) == 5


def management(lab: LabFolder, path: str, user: str, secret: str) -> Any:
    """The answer of RabbitMQ's management API."""
    password = (lab.folder / f".hashlab/secrets/{secret}").read_text().strip()
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    url = str(lab.status()["urls"]["rabbitmq"]).rstrip("/")
    return asked(f"{url}/api/{path}", {"Authorization": f"Basic {token}"})


def test_no_service_administers_the_broker(forum_lab: LabFolder) -> None:
    users = json.load(management(forum_lab, "users", "hashcollision", "rabbitmq_password"))
    tags = {user["name"]: user["tags"] for user in users}
    assert tags.pop("hashcollision") == ["administrator"]
    assert tags == {"auth": [], "user": [], "qa": []}
    for service in tags:
        refused = management(forum_lab, "queues", service, f"{service}_broker_password")
        assert refused.status == 401


@pytest.mark.parametrize(
    ("service", "call", "outcome"),
    [
        ("auth", GET, "ACCESS_REFUSED"),
        ("qa", GET, "ACCESS_REFUSED"),
        ("user", GET, "basic.get_"),
        ("user", DECLARE, "ACCESS_REFUSED"),
        ("qa", DECLARE, "ACCESS_REFUSED"),
    ],
)
def test_a_service_reads_its_own_queue_and_makes_none(
    forum_lab: LabFolder, service: str, call: str, outcome: str
) -> None:
    program = TAKE_A_MESSAGE.replace("SERVICE", service).replace("CALL", call)
    libraries = 'ERL_LIBS="$(echo /usr/lib/rabbitmq/lib/*/plugins)"'
    said = inside(forum_lab, "rabbitmq", f"{libraries} erl -noshell -eval {shlex.quote(program)}")
    assert outcome in said


def test_wrong_passwords_are_limited_for_an_account(forum_lab: LabFolder, web_url: str) -> None:
    guess = json.dumps({"name": "a name nobody has", "password": "not the right one"}).encode()
    url, headers = f"{web_url}/api/auth/sessions", {"Content-Type": "application/json"}
    statuses = [asked(url, headers, guess).status for _ in range(10)]
    assert statuses == [401] * 10
    # An address that a client claims to have counts for nothing.
    refused = asked(url, {**headers, "X-Forwarded-For": "10.9.8.7"}, guess)
    assert refused.status == 429
    assert 800 < int(refused.headers["Retry-After"]) <= 900
    assert "Try again in 1" in json.load(refused)["error"]["message"]


@pytest.mark.parametrize("service", ["web", "qa"])
def test_no_other_container_reaches_a_debugger(forum_lab: LabFolder, service: str) -> None:
    port = "busybox nc -w 3 user {} < /dev/null 2> /dev/null && echo open || echo closed"
    assert inside(forum_lab, service, port.format(8080)).endswith("open\n")
    assert inside(forum_lab, service, port.format(10000)).endswith("closed\n")
    listening = inside(forum_lab, "user", "cat /proc/net/tcp /proc/net/tcp6")
    assert re.findall(r": (\w+):2710 \w+:0000 0A", listening) == ["0100007F"]
