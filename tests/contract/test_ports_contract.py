"""The phase ports with the real OpenSSH client, against a server in this process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
import pytest
from fakes import Outside, small_lab
from fakes.outside import Silent
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from hashlab.config.model import ForwardedPort
from hashlab.drivers.laptop import free_port, port_is_free
from hashlab.drivers.process import ProcessRunner
from hashlab.errors import LabError
from hashlab.phases.facts import MachineEndpoint
from hashlab.phases.keys import write_ssh_files
from hashlab.phases.ports import close_ports, forward_ports
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.protocols import Endpoint

HOST_KEY = paramiko.ECDSAKey.generate()
CLIENT_KEY = paramiko.ECDSAKey.generate()
SECONDS = 20.0

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client here")


class Session(paramiko.ServerInterface):
    """Accepts the one key and answers on every port of the machine with that port's number."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "core" and key == CLIENT_KEY
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        assert destination[0] == "127.0.0.1"
        self._server.asked[chanid] = destination[1]
        return OPEN_SUCCEEDED


@dataclass
class Server:
    """An sshd on a port of its own. ``asked``: the machine's port of each channel."""

    listener: socket.socket
    asked: dict[int, int] = field(default_factory=dict)
    transports: list[paramiko.Transport] = field(default_factory=list)

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(HOST_KEY)
            self.transports.append(transport)
            try:
                transport.start_server(server=Session(self))
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()  # the client rejected our host key
                continue
            threading.Thread(target=self._answer, args=(transport,), daemon=True).start()

    def _answer(self, transport: paramiko.Transport) -> None:
        while transport.is_active():
            channel = transport.accept(1)
            if channel is not None:
                channel.sendall(f"port {self.asked[channel.chanid]}\n".encode())
                channel.close()

    def cut(self) -> None:
        """End every connection, as when the machine vanishes."""
        for transport in self.transports:
            transport.close()
        self.transports.clear()


@pytest.fixture
def server() -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    made = Server(listener)
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    listener.close()
    made.cut()


@pytest.fixture
def world(server: Server, tmp_path: Path) -> Iterator[World]:
    """A lab whose machine `web` is that server and forwards two ports."""
    # OpenSSH would take "%h" for the machine's host name.
    lab = small_lab(tmp_path / "ü %h it's #1")
    forwarded = {80: free_port(), 5005: free_port()}
    ports = tuple(ForwardedPort(f"port{guest}", guest, host) for guest, host in forwarded.items())
    machines = (replace(m, forwarded_ports=ports if m.name == "web" else ()) for m in lab.machines)
    outside = Outside(replace(lab, machines=tuple(machines)), tmp_path / "laptop")
    outside.provider.publishes_ports = False
    runner = ProcessRunner(children=tmp_path / "children")
    made = replace(outside.world(), runner=runner, port_is_free=port_is_free, free_port=free_port)
    made.state.ssh.mkdir(parents=True)
    CLIENT_KEY.write_private_key_file(str(made.state.key))
    port = server.listener.getsockname()[1]
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    ssh = Endpoint("127.0.0.1", port, "core")
    made.facts.machines.endpoints["web"] = MachineEndpoint(
        ssh, key, IPv4Address("127.0.0.1"), forwarded, ""
    )
    write_ssh_files(made, made.facts.machines.endpoints)
    yield made
    close(made)


def forward(world: World) -> Row:
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("ports") as track:
        forward_ports(world, track, "")
    return recorder.rows()[0]


def close(world: World) -> None:
    with Recorder(Silent(), CancelToken()).step("close") as track:
        close_ports(world, track)


def answer_at(port: int) -> str:
    """Return the answer at a port of the laptop."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.settimeout(SECONDS)
        return sock.makefile("r").read()


def ports(world: World) -> list[int]:
    return list(world.facts.machines.endpoints["web"].forwarded.values())


def wait_until_free(port: int) -> None:
    """Wait until nothing listens on a port of the laptop."""
    deadline = time.monotonic() + SECONDS
    while not port_is_free(port):
        assert time.monotonic() < deadline, f"port {port} is still taken"
        time.sleep(0.01)


def master(world: World) -> int:
    """Return the forwarding process, as ssh itself reports it."""
    done = subprocess.run(
        ["ssh", "-F", str(world.state.ssh_config), "-S", "web.tunnel", "-O", "check", "web"],
        cwd=world.state.ssh,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"pid=(\d+)", done.stderr + done.stdout)
    assert found, done
    return int(found[1])


def test_forwarded_ports_answer_after_the_run_and_until_they_are_closed(world: World) -> None:
    assert forward(world).detail == "2 opened"
    first, second = ports(world)
    assert (answer_at(first), answer_at(second)) == ("port 80\n", "port 5005\n")
    process = master(world)
    assert forward(world).detail == "open already"
    assert master(world) == process
    close(world)
    assert all(port_is_free(port) for port in ports(world))
    deadline = time.monotonic() + 10
    while (world.state.ssh / "web.tunnel").exists():  # ssh removes it at its very end
        assert time.monotonic() < deadline, "the socket stays"
        time.sleep(0.01)
    close(world)


def test_a_port_that_is_taken_is_replaced_and_taken_back_when_it_is_free(world: World) -> None:
    first, second = ports(world)
    with socket.create_server(("127.0.0.1", second)):
        assert forward(world).detail == "2 opened"
        other = world.tunnel_ports("web")[5005]
        assert (answer_at(first), answer_at(other)) == ("port 80\n", "port 5005\n")
        assert world.facts.notes == [f"port {second} (port5005) is in use; using {other}"]
        assert forward(world).detail == "open already"
    assert forward(world).detail == "2 opened"
    assert (answer_at(first), answer_at(second)) == ("port 80\n", "port 5005\n")
    assert port_is_free(other)


def test_a_port_that_is_taken_at_the_last_moment_is_a_failure_with_sshs_message(
    world: World,
) -> None:
    unaware = replace(world, port_is_free=lambda _: True)
    with (
        socket.create_server(("127.0.0.1", ports(world)[1])),
        pytest.raises(LabError, match="cannot forward ports") as failure,
    ):
        forward(unaware)
    assert "in use" in failure.value.output
    assert port_is_free(ports(world)[0]), "none is forwarded when one cannot be"
    assert forward(world).detail == "2 opened"


def test_a_machine_that_shows_another_host_key_is_not_connected_to(world: World) -> None:
    other = paramiko.ECDSAKey.generate()
    endpoint = world.facts.machines.endpoints["web"]
    wrong = replace(endpoint, host_key=f"{other.get_name()} {other.get_base64()}")
    write_ssh_files(world, {"web": wrong})
    with pytest.raises(LabError, match="cannot forward ports") as failure:
        forward(world)
    assert "Host key verification failed" in failure.value.output


def test_a_killed_connection_leaves_a_socket_that_the_next_run_replaces(world: World) -> None:
    forward(world)
    process = master(world)
    os.kill(process, signal.SIGKILL)
    wait_until_free(ports(world)[0])
    assert (world.state.ssh / "web.tunnel").exists()
    assert forward(world).detail == "2 opened"
    assert answer_at(ports(world)[0]) == "port 80\n"


def test_a_lost_connection_to_a_machine_is_opened_again(world: World, server: Server) -> None:
    forward(world)
    server.cut()
    wait_until_free(ports(world)[0])
    assert forward(world).detail == "2 opened"
    assert answer_at(ports(world)[1]) == "port 5005\n"
