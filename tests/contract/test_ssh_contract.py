"""The SSH driver against a server in this process: host keys, streams, stdin, time limits, lost
connections.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest
from fakes import FakeRunner, Faults, track_of
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from hashlab.drivers import engine, ssh
from hashlab.drivers.login import LabKey
from hashlab.drivers.ssh import SshConnector, SshShell
from hashlab.errors import EngineHangs, EngineStopped, LabError
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import Completed, Endpoint, Link

RELAY = ssh.RELAY
HANGING_RELAY = "exec relay-to-a-socket-that-never-answers"
NO_RELAY = "exec socat-is-not-there"
REFUSED = "exec not-allowed"
HOST_KEY = paramiko.ECDSAKey.generate()
CLIENT_KEY = paramiko.ECDSAKey.generate()
# The engine behind `socat` of this server: enough of the Docker API for a connection.
ENGINE = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"ApiVersion":"1.41"}'


class Session(paramiko.ServerInterface):
    """Accepts the one key and runs commands in a local shell."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "core" and key == CLIENT_KEY
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode()
        self._server.commands.append(text)
        if text == REFUSED:
            return False
        work = {RELAY: _engine, NO_RELAY: _end, HANGING_RELAY: self._server.hang}.get(text, _shell)
        sock = channel.get_transport()
        assert isinstance(sock, Wire)
        sock.begin.append(lambda: work(channel, text))
        return True


def _shell(channel: paramiko.Channel, text: str) -> None:
    stdin = b"" if text.endswith("< /dev/null") else channel.makefile("rb").read()
    done = subprocess.run(["sh", "-c", text], input=stdin, capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()


def _engine(channel: paramiko.Channel, _: str) -> None:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += channel.recv(4096)
    channel.sendall(ENGINE)
    with suppress(EOFError):  # the caller may be gone by now
        channel.close()


def _end(channel: paramiko.Channel, _: str) -> None:
    channel.send_exit_status(127)
    channel.close()


class Wire(paramiko.Transport):
    """Starts the work once the request for it has been answered, as sshd does. Paramiko would close
    the session of a short command before it confirms the request.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.begin: list[Callable[[], None]] = []

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if threading.current_thread() is self:
            for work in self.begin:
                threading.Thread(target=work, daemon=True).start()
            self.begin.clear()


@dataclass
class Server:
    """An sshd on a port of its own."""

    listener: socket.socket
    commands: list[str] = field(default_factory=list)
    transports: list[paramiko.Transport] = field(default_factory=list)
    hanging_socket: Path | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.listener.getsockname()[1], "core")

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            transport = Wire(sock)
            transport.add_server_key(HOST_KEY)
            self.transports.append(transport)
            try:
                transport.start_server(server=Session(self))
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()

    def hang(self, channel: paramiko.Channel, _: str) -> None:
        """Relay to a socket as socat does: received data is passed on, and nothing is sent back."""
        with socket.socket(socket.AF_UNIX) as sock, suppress(EOFError, OSError):
            sock.connect(str(self.hanging_socket))
            while data := channel.recv(4096):
                sock.sendall(data)

    def close(self) -> None:
        self.listener.close()
        for transport in self.transports:
            transport.close()


def public(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


@pytest.fixture
def server() -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    made = Server(listener)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    listener.shutdown(socket.SHUT_RDWR)
    made.close()
    thread.join(5)


@pytest.fixture
def connector(tmp_path: Path) -> SshConnector:
    CLIENT_KEY.write_private_key_file(str(tmp_path / "key"))
    return SshConnector(
        login=LabKey(tmp_path / "key"),
        config=tmp_path / "config",
        runner=FakeRunner(Faults()),
        time_factor=lambda: 1.0,
    )


@pytest.fixture
def link(server: Server, connector: SshConnector) -> Iterator[Link]:
    made = connector.connect("web", server.endpoint, public(HOST_KEY))
    yield made
    made.engine.close()
    made.shell.close()


def test_a_connection_gives_a_shell_and_an_engine(link: Link, server: Server) -> None:
    assert link.machine == "web"
    assert server.commands == [ssh.RELAY]


def test_another_host_key_than_the_expected_one_is_refused(
    server: Server, connector: SshConnector
) -> None:
    other = paramiko.ECDSAKey.generate()
    with pytest.raises(LabError, match="no SSH connection to 127") as failure:
        connector.connect("web", server.endpoint, public(other))
    assert failure.value.where == "web"
    assert server.commands == []


def test_a_host_key_of_another_kind_than_the_expected_one_is_refused(
    server: Server, connector: SshConnector
) -> None:
    other = paramiko.RSAKey.generate(2048)
    with pytest.raises(LabError, match="no SSH connection"):
        connector.connect("web", server.endpoint, public(other))
    assert server.commands == []


@pytest.mark.parametrize("text", ["ssh-ed25519 AAAA", "ssh-ed25519 !", "nonsense AAAA", "one"])
def test_an_invalid_host_key_is_a_failure(
    server: Server, connector: SshConnector, text: str
) -> None:
    with pytest.raises(LabError, match="no SSH connection"):
        connector.connect("web", server.endpoint, text)


def test_an_unknown_key_is_refused(server: Server, connector: SshConnector, tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"))
    with pytest.raises(LabError, match="no SSH connection"):
        connector.connect("web", server.endpoint, public(HOST_KEY))


def test_a_port_without_a_listener_is_a_failure(connector: SshConnector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint = Endpoint("127.0.0.1", gone.getsockname()[1], "core")
    with pytest.raises(LabError, match="no SSH connection"):
        connector.connect("web", endpoint, public(HOST_KEY))


def test_a_server_that_greets_answers_and_one_that_is_silent_does_not(
    server: Server, connector: SshConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "GREETING_SECONDS", 0.3)
    assert connector.answers(server.endpoint)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = Endpoint("127.0.0.1", silent.getsockname()[1], "core")
        assert not connector.answers(endpoint)
    assert not connector.answers(endpoint)


def test_a_command_returns_its_code_and_both_streams(link: Link) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    assert link.shell.run(command) == Completed(7, "out\n", "err\n")


def test_arguments_reach_the_machine_unchanged(link: Link) -> None:
    words = ["a b", "$HOME", "'", '"', "*", "new\nline", "ü", ""]
    done = link.shell.run(["printf", "[%s]", *words])
    assert done.stdout == "".join(f"[{word}]" for word in words)


def test_stdin_is_passed_byte_by_byte_and_ends(link: Link) -> None:
    content = bytes(range(256)) * 4096
    done = link.shell.run(["sh", "-c", "sha256sum"], stdin=content)
    assert done.stdout.split()[0] == hashlib.sha256(content).hexdigest()
    assert link.shell.run(["cat"]).stdout == ""


def test_each_connection_of_a_served_socket_is_a_command(
    link: Link, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    content = bytes(range(256)) * 4096
    with ExitStack() as ending:
        with link.shell.serve(path, ["cat"]):
            talks = [ending.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
            for talk in talks:
                talk.settimeout(10)
                talk.connect(str(path))
            for talk in talks[:2]:  # this server's commands begin with the end of their input
                talk.sendall(content)
                talk.shutdown(socket.SHUT_WR)
            assert [everything(talk) for talk in talks[:2]] == [content, content]
        assert everything(talks[2]) == b"", "what is open ends with the block"
    assert [text for text in server.commands if text == "cat"] == ["cat"] * 3
    assert link.shell.run(["true"]).code == 0


def everything(talk: socket.socket) -> bytes:
    received = b""
    while data := talk.recv(1 << 16):
        received += data
    return received


def test_a_connection_whose_command_cannot_start_is_closed(
    link: Link, server: Server, tmp_path: Path
) -> None:
    server.transports[0].close()
    with link.shell.serve(tmp_path / "socket", ["cat"]), socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(10)
        talk.connect(str(tmp_path / "socket"))
        assert talk.recv(1) == b""


def test_large_output_on_both_streams_is_read_completely(link: Link) -> None:
    done = link.shell.run(["sh", "-c", "seq 1 60000; seq 1 60000 >&2"])
    assert done.stdout == done.stderr
    assert len(done.stdout.splitlines()) == 60000


def test_bytes_that_are_not_text_come_back_unchanged(link: Link) -> None:
    done = link.shell.run(["printf", r"caf\351"])
    assert done.stdout.encode(errors="surrogateescape") == b"caf\xe9"


def test_many_commands_share_one_connection_in_parallel(link: Link, server: Server) -> None:
    results: dict[int, str] = {}

    def ask(number: int) -> None:
        results[number] = link.shell.run(["echo", str(number)]).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n" for number in range(8)}
    assert len(server.transports) == 1


def test_a_command_that_takes_too_long_is_a_failure_that_names_it(link: Link) -> None:
    with pytest.raises(LabError, match="the connection failed while running sleep") as failure:
        link.shell.run(["sleep", "3"], timeout=0.2)
    assert (failure.value.where, failure.value.next_step) == ("web", "hashlab status")


def test_a_lost_connection_is_a_failure_and_not_an_empty_answer(link: Link, server: Server) -> None:
    cut = threading.Timer(0.2, server.transports[0].close)
    cut.start()
    with pytest.raises(LabError, match="the connection failed"):
        link.shell.run(["sleep", "2"])
    with pytest.raises(LabError, match="the connection failed"):
        link.shell.run(["true"])


def test_a_lost_connection_is_a_failure_of_the_engine_too(link: Link, server: Server) -> None:
    server.transports[0].close()
    assert not link.engine.answers(5)
    with pytest.raises(LabError) as failure:
        link.engine.info()
    assert failure.value.where == "web"


def test_the_output_of_a_command_is_saved_unchanged(link: Link, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with track_of() as track, target.open("wb") as stream:
        size = link.shell.save(["head", "-c", "3000000", "/dev/urandom"], stream, track=track)
    assert size == target.stat().st_size == 3_000_000


def test_a_command_gets_a_file_unchanged(link: Link, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 8192)
    with track_of() as track, source.open("rb") as stream:
        size = link.shell.feed(["dd", f"of={target}", "status=none"], stream, track=track)
    assert size == source.stat().st_size
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("how", ["save", "feed"])
def test_a_stream_whose_command_fails_reports_the_reason(
    link: Link, tmp_path: Path, how: str
) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    command = ["sh", "-c", "echo no space >&2; exit 3"]
    with (
        track_of() as track,
        (tmp_path / "file").open("r+b") as stream,
        pytest.raises(LabError, match="failed with exit code 3") as failure,
    ):
        getattr(link.shell, how)(command, stream, track=track)
    assert (failure.value.where, failure.value.output) == ("web", "no space\n")


def test_a_stream_whose_connection_is_lost_is_a_failure(
    link: Link, server: Server, tmp_path: Path
) -> None:
    cut = threading.Timer(0.2, server.transports[0].close)
    cut.start()
    with (
        track_of() as track,
        (tmp_path / "out").open("wb") as stream,
        pytest.raises(LabError, match="the connection failed while running sleep"),
    ):
        link.shell.save(["sleep", "2"], stream, track=track)


def test_a_stream_that_is_cancelled_ends_at_once(link: Link, tmp_path: Path) -> None:
    cancel = CancelToken()
    started = time.monotonic()
    threading.Timer(0.2, cancel.cancel).start()
    with (
        pytest.raises(Cancelled),
        track_of(cancel=cancel) as track,
        (tmp_path / "out").open("wb") as stream,
    ):
        link.shell.save(["sleep", "5"], stream, track=track)
    assert time.monotonic() - started < 3


def test_a_full_disk_is_not_reported_as_a_lost_connection(link: Link) -> None:
    with (
        track_of() as track,
        Path("/dev/full").open("wb", buffering=0) as stream,
        pytest.raises(OSError, match="No space left"),
    ):
        link.shell.save(["echo", "text"], stream, track=track)
    assert link.shell.run(["echo", "on"]).stdout == "on\n"


def test_a_closed_shell_runs_nothing(link: Link) -> None:
    link.shell.close()
    with pytest.raises(LabError):
        link.shell.run(["true"])


def test_commands_do_not_wait_for_nagle(link: Link) -> None:
    """Without TCP_NODELAY each command costs 40 ms more."""
    assert isinstance(link.shell, SshShell)
    transport = link.shell._connection.transport
    assert transport is not None
    assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("relay", [NO_RELAY, REFUSED])
def test_a_machine_without_an_engine_is_a_failure_that_closes_the_connection(
    server: Server, connector: SshConnector, monkeypatch: pytest.MonkeyPatch, relay: str
) -> None:
    monkeypatch.setattr(ssh, "RELAY", relay)
    with pytest.raises(LabError, match="Docker Engine does not answer"):
        connector.connect("web", server.endpoint, public(HOST_KEY))
    deadline = time.monotonic() + 10
    while server.transports[0].is_active():
        assert time.monotonic() < deadline, "the connection stayed open"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("output", "stopped"),
    [
        ("ActiveState=inactive\nJob=0", True),
        ("ActiveState=inactive\nJob=", True),  # as systemd 257 writes it
        ("ActiveState=failed", True),
        ("ActiveState=inactive\nJob=17", False),  # as while a machine boots
        ("ActiveState=activating\nJob=0", False),
        ("ActiveState=active", False),
        ("", False),
    ],
)
def test_an_engine_without_a_pending_job_counts_as_stopped(
    server: Server,
    connector: SshConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    stopped: bool,
) -> None:
    program(tmp_path, monkeypatch, "systemctl", f"printf '%s\\n' '{output}'")
    monkeypatch.setattr(ssh, "RELAY", NO_RELAY)
    with pytest.raises(LabError, match="Docker Engine") as failure:
        connector.connect("web", server.endpoint, public(HOST_KEY))
    assert isinstance(failure.value, EngineStopped) is stopped
    assert failure.value.where == "web"


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    """Put a program of one line before all others of its name."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


@pytest.fixture
def hanging(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the engine of this server behave as after SIGSTOP: the kernel accepts connections."""
    server.hanging_socket = tmp_path / "docker.sock"
    monkeypatch.setattr(ssh, "RELAY", HANGING_RELAY)
    monkeypatch.setattr(engine, "FIRST_ANSWER_SECONDS", 1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(server.hanging_socket))
        listener.listen()
        yield


@pytest.mark.usefixtures("hanging")
def test_an_engine_that_accepts_and_never_answers_is_reported_within_its_limit(
    server: Server, connector: SshConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "systemctl", "printf 'ActiveState=active\nJob=\n'")
    started = time.monotonic()
    with pytest.raises(EngineHangs, match="hangs: no answer within 1 s") as failure:
        connector.connect("web", server.endpoint, public(HOST_KEY))
    assert time.monotonic() - started < 5
    assert failure.value.where == "web"
    assert failure.value.next_step == (
        "hashlab ssh web --command 'systemctl status docker'; "
        "then hashlab dev, which restarts the engine"
    )


@pytest.mark.usefixtures("hanging")
@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("ActiveState=activating", LabError),
        ("ActiveState=active\nJob=17", LabError),  # a restart that has not begun yet
        ("ActiveState=failed", EngineStopped),
        ("", LabError),
    ],
)
def test_an_engine_that_is_starting_does_not_hang(
    server: Server,
    connector: SshConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    kind: type[LabError],
) -> None:
    program(tmp_path, monkeypatch, "systemctl", f"printf '{output}\n'")
    with pytest.raises(LabError) as failure:
        connector.connect("web", server.endpoint, public(HOST_KEY))
    assert type(failure.value) is kind


@pytest.mark.parametrize("hangs", [False, True])
def test_only_an_engine_that_hangs_is_killed_before_it_is_started(
    server: Server,
    connector: SshConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hangs: bool,
) -> None:
    calls = tmp_path / "calls"
    program(tmp_path, monkeypatch, "sudo", f'echo "$*" >> {calls}')
    connector.start_engine("web", server.endpoint, public(HOST_KEY), hangs=hangs)
    kill = ["systemctl kill --kill-whom=main --signal=KILL docker.service"]
    assert calls.read_text().splitlines() == [
        *(kill if hangs else []),
        "systemctl reset-failed docker.service docker.socket",
        "systemctl start docker.socket docker.service",
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_command_with_endless_output_cannot_fill_the_laptop(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "OUTPUT_LIMIT", 1_000_000)
    with pytest.raises(LabError, match="it printed more than 1 MB"):
        link.shell.run(["head", "-c", "3000000", "/dev/zero"])
    monkeypatch.setattr(ssh, "ERRORS_LIMIT", 1000)
    done = link.shell.run(["sh", "-c", "seq 1 90000 >&2; echo out"])
    assert (done.stdout, done.stderr[-6:], len(done.stderr)) == ("out\n", "90000\n", 1000)
