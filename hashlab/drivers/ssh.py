"""SSH to machines through Fabric: pinned host keys, no delay, the Docker API on the same
connection.
"""

from __future__ import annotations

import base64
import logging
import os
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import resources
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import fabric
import paramiko
from paramiko.pkey import UnknownKeyType

from hashlab.drivers.engine import channel_engine
from hashlab.drivers.login import Login
from hashlab.drivers.serving import serving
from hashlab.errors import EngineHangs, EngineStopped, LabError
from hashlab.pipeline import Track
from hashlab.protocols import Completed, Endpoint, Link, Runner

CONNECT_SECONDS = 10.0
GREETING_SECONDS = 2.0
COPY_SECONDS = 600.0
STREAM_CHUNK = 1 << 18
HOLD_SECONDS = 20.0
# A host lets go of a lab's lock after 30 s without a line.
BEAT_SECONDS = 8.0
# Most bytes of a command's output on a machine. The list of a lab's files has a few million.
OUTPUT_LIMIT = 64_000_000
ERRORS_LIMIT = 1_000_000
# A stream without any data for this long is closed.
STREAM_SILENCE_SECONDS = 120.0
RSYNC = [
    "rsync",
    "--copy-links",  # for folders on the way; the names are those of files
    "--perms",
    "--chmod=D755",
    "--times",
    "--checksum",
    "--stats",
    "--from0",
]
# Relays the Docker API on a machine, because Paramiko cannot use OpenSSH's own stream forwarding.
# When the engine ends a stream, as it does after each command in a container, socat would wait half
# a second for more input, which never comes, before it closes the stream.
RELAY = "exec socat -t 0.01 STDIO UNIX-CONNECT:/run/docker.sock"


START_SECONDS = 90.0
START_ENGINE = resources.files("hashlab.drivers").joinpath("start-engine.sh").read_text("utf-8")

# Paramiko prints a traceback for a connection that is refused midway; connecting again solves that.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SshShell:
    """protocols.Shell over one Fabric connection that is already open."""

    def __init__(self, machine: str, connection: fabric.Connection, time_factor: float) -> None:
        self._machine = machine
        self._connection = connection
        self._time_factor = time_factor

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        """See protocols.Shell.

        The session is opened directly. Fabric's own run decodes stdin as text, and takes 9 ms
        instead of 2.5 ms for each command.
        """
        try:
            channel = self.session(timeout)
            channel.exec_command(_line(command, reads=bool(stdin)))
            return _converse(channel, stdin)
        except (TimeoutError, EOFError, OSError, paramiko.SSHException) as error:
            raise self._cut(command, error) from error

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        """See protocols.Shell."""
        total = 0
        with self._streaming(command, track, reads=False) as channel:
            while chunk := self._received(channel):
                total += target.write(chunk)
                track.progress(total / 1e6, None, "MB")
        return total

    def _received(self, channel: paramiko.Channel) -> bytes:
        """Return received data. Raises EOFError, so that a lost connection is distinguished from a
        target that cannot be written.
        """
        try:
            return channel.recv(STREAM_CHUNK)
        except OSError as error:
            raise EOFError(str(error) or "no more data arrived") from error

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        """See protocols.Shell."""
        total = 0
        with self._streaming(command, track, reads=True) as channel:
            while chunk := source.read(STREAM_CHUNK):
                try:
                    channel.sendall(chunk)
                except OSError:
                    break  # the command ended early; its exit code and output explain why
                total += len(chunk)
                track.progress(total / 1e6, None, "MB")
            channel.shutdown_write()
            while self._received(channel):
                pass
        return total

    @contextmanager
    def _streaming(
        self, command: Sequence[str], track: Track, *, reads: bool
    ) -> Iterator[paramiko.Channel]:
        """Run the command in a session during the block. It must have succeeded when the block
        ends.
        """
        errors: list[bytes] = []
        try:
            channel = self.session(STREAM_SILENCE_SECONDS)
            try:
                with track.cancel.calling(lambda: _close(channel)):
                    channel.exec_command(_line(command, reads=reads))
                    reader = threading.Thread(
                        target=_read_errors, args=(channel, errors), daemon=True
                    )
                    reader.start()
                    yield channel
                    reader.join()
                    code = channel.recv_exit_status()
            finally:
                channel.close()
        except (EOFError, paramiko.SSHException) as error:
            track.cancel.check()
            raise self._cut(command, error) from error
        track.cancel.check()
        if code < 0:
            raise self._cut(command, EOFError("it was cut"))
        if code != 0:
            raise LabError(
                f"{' '.join(command[:2])} failed with exit code {code}",
                where=self._machine,
                output=b"".join(errors).decode(errors="replace"),
            )

    def _cut(self, command: Sequence[str], error: Exception) -> LabError:
        return LabError(
            f"the connection failed while running {command[0]}: "
            f"{str(error) or type(error).__name__}",
            where=self._machine,
            next_step="hashlab status",
        )

    def session(self, timeout: float) -> paramiko.Channel:
        """Open a new session on the connection. ``timeout``: seconds for a machine in a
        container.
        """
        seconds = timeout * self._time_factor
        transport = self._connection.transport
        if transport is None:
            raise paramiko.SSHException("not connected")
        channel: paramiko.Channel = transport.open_session(timeout=seconds)
        channel.settimeout(seconds)
        return channel

    def relay(self) -> paramiko.Channel:
        """Open a channel to the machine's Docker Engine. Raises OSError, as a socket would."""
        return self._channel(RELAY)

    def serve(self, path: Path, command: Sequence[str]) -> AbstractContextManager[None]:
        """See protocols.Shell."""

        def connect() -> paramiko.Channel:
            channel = self._channel(_line(command, reads=True))
            channel.settimeout(None)  # a debugger may be silent for hours
            return channel

        return serving(path, connect)

    def _channel(self, line: str) -> paramiko.Channel:
        """Run a line of the machine's shell in a new channel. Raises OSError."""
        try:
            channel = self.session(CONNECT_SECONDS)
            channel.exec_command(line)
        except (EOFError, paramiko.SSHException) as error:
            raise ConnectionError(str(error)) from error
        return channel

    @contextmanager
    def hold(self, command: Sequence[str]) -> Iterator[str]:
        """See protocols.Shell."""
        over = threading.Event()
        try:
            channel = self.session(HOLD_SECONDS)
            channel.exec_command(_line(command, reads=True))
            first = channel.makefile().readline()
        except (TimeoutError, EOFError, OSError, paramiko.SSHException) as error:
            raise self._cut(command, error) from error
        if not first:
            raise self._cut(command, EOFError("it ended"))
        beating = threading.Thread(target=_beat, args=(channel, over), daemon=True)
        beating.start()
        try:
            yield str(first).rstrip("\n")
        finally:
            over.set()
            with suppress(EOFError, OSError, paramiko.SSHException):
                channel.shutdown_write()
                # Until the command has ended, a next run would find the lock taken.
                while channel.recv(STREAM_CHUNK):
                    pass
            _close(channel)

    def close(self) -> None:
        """See protocols.Shell."""
        self._connection.close()


def _beat(channel: paramiko.Channel, over: threading.Event) -> None:
    """Show a command on a machine that the laptop is there, until it is over or the machine is
    gone.
    """
    with suppress(EOFError, OSError, paramiko.SSHException):
        while not over.wait(BEAT_SECONDS):
            channel.sendall(b"\n")


def _line(command: Sequence[str], *, reads: bool) -> str:
    """Return the command as a shell's line.

    The input of a command that reads nothing is /dev/null. Otherwise Paramiko may send the end of
    input for a session that has just ended, and sshd then closes the whole connection.
    """
    return shlex.join(command) if reads else f"{shlex.join(command)} < /dev/null"


def _converse(channel: paramiko.Channel, stdin: bytes) -> Completed:
    """Send ``stdin``, read both streams to their ends, return the result."""
    errors: list[bytes] = []
    reader = threading.Thread(target=_read_errors, args=(channel, errors), daemon=True)
    reader.start()
    try:
        if stdin:
            channel.sendall(stdin)
            channel.shutdown_write()
        output = _read_output(channel)
        reader.join()
        code = channel.recv_exit_status()
    finally:
        channel.close()
    if code < 0:
        # Paramiko ends both streams if the connection is lost, as if the command had ended.
        raise EOFError("the connection was cut")
    # File names on a machine need not be UTF-8, and must be returned unchanged.
    return Completed(
        code, output.decode(errors="surrogateescape"), b"".join(errors).decode(errors="replace")
    )


def _read_output(channel: paramiko.Channel) -> bytes:
    """Read stdout to its end. Raises EOFError if it is too large: root on a machine controls the
    output of its commands, which could be endless.
    """
    output = bytearray()
    while piece := channel.recv(STREAM_CHUNK):
        output += piece
        if len(output) > OUTPUT_LIMIT:
            raise EOFError(f"it printed more than {OUTPUT_LIMIT // 1_000_000} MB")
    return bytes(output)


def _close(channel: paramiko.Channel) -> None:
    """Close a channel whose connection may already be lost."""
    with suppress(EOFError, OSError):
        channel.close()


def _read_errors(channel: paramiko.Channel, errors: list[bytes]) -> None:
    """Read stderr to its end, and keep the last part. A timeout is reported by the reader of
    stdout.
    """
    kept = b""
    with suppress(OSError):
        while piece := channel.recv_stderr(STREAM_CHUNK):
            kept = (kept + piece)[-ERRORS_LIMIT:]
    errors.append(kept)


class SshConnector:
    """protocols.Connector, and protocols.Shells.

    ``login``: the keys that machines accept; ``config`` is the OpenSSH file that rsync uses;
    ``time_factor`` returns how much longer than a container machines may take.
    """

    def __init__(
        self, *, login: Login, config: Path, runner: Runner, time_factor: Callable[[], float]
    ) -> None:
        self._login = login
        self.login = login.options
        self._config = config
        self._runner = runner
        self._time_factor = time_factor

    def answers(self, endpoint: Endpoint) -> bool:
        """See protocols.Connector. Only the greeting counts, because a forwarded port accepts
        connections before the machine does.
        """
        if not self._login.is_direct(endpoint):
            return True  # connecting, which follows, finds out
        try:
            with socket.create_connection((endpoint.host, endpoint.port), GREETING_SECONDS) as sock:
                return sock.recv(4) == b"SSH-"
        except OSError:
            return False

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """See protocols.Connector."""
        shell = self.open_shell(machine, endpoint, host_key)
        time_factor = self._time_factor()
        try:
            return Link(
                machine, shell, channel_engine(machine, shell.relay, time_factor=time_factor)
            )
        except LabError as error:
            state = _engine_state(shell)
            shell.close()
            if state in ("inactive", "failed"):
                raise EngineStopped(
                    "the machine's Docker Engine is stopped", where=machine, next_step="hashlab dev"
                ) from error
            if isinstance(error, EngineHangs) and state != "active":
                raise LabError(error.what, where=machine) from error  # it may be starting
            raise

    def start_engine(
        self, machine: str, endpoint: Endpoint, host_key: str, *, hangs: bool = False
    ) -> None:
        """See protocols.Connector."""
        shell = self.open_shell(machine, endpoint, host_key)
        argv = ["sh", "-c", START_ENGINE, "sh", *(["kill"] if hangs else [])]
        try:
            done = shell.run(argv, timeout=START_SECONDS)
        finally:
            shell.close()
        if done.code != 0:
            raise LabError(
                "the machine's Docker Engine does not start",
                where=machine,
                output=done.stdout + done.stderr,
                next_step=f"hashlab ssh {machine} --command 'sudo journalctl --unit docker'",
            )

    def open_shell(self, machine: str, endpoint: Endpoint, host_key: str) -> SshShell:
        """See protocols.Shells."""
        time_factor = self._time_factor()
        seconds = CONNECT_SECONDS * time_factor
        connection = fabric.Connection(
            endpoint.host,
            user=endpoint.user,
            port=endpoint.port,
            config=fabric.Config(overrides={"load_ssh_configs": False}, lazy=True),
            connect_timeout=seconds,
            gateway=self._login.proxy(machine),
            connect_kwargs={
                **self._login.keys(machine),
                "look_for_keys": False,
                "banner_timeout": seconds,
                "auth_timeout": seconds,
                "transport_factory": _transport,
            },
        )
        try:
            _pin(connection, endpoint, host_key)
            connection.open()
        except (OSError, EOFError, paramiko.SSHException, UnknownKeyType, ValueError) as error:
            connection.close()
            raise LabError(
                f"no SSH connection to {endpoint.host}:{endpoint.port}: {error}", where=machine
            ) from error
        _no_delay(connection)
        return SshShell(machine, connection, time_factor)

    def copy(
        self,
        machine: str,
        endpoint: Endpoint,
        *,
        root: Path,
        files: Sequence[str],
        target: str,
        like: str,
        scratch: str,
        track: Track,
    ) -> int:
        """See protocols.Connector. rsync uploads only the differences inside each file."""
        with NamedTemporaryFile("wb", prefix="hashlab-files-") as listing:
            # Without "./" a name that begins with # or ; would be a comment.
            listing.write(b"".join(b"./%s\0" % os.fsencode(name) for name in files))
            listing.flush()
            done = self._runner.run(
                [
                    *RSYNC,
                    f"--files-from={listing.name}",
                    f"--temp-dir={scratch}",
                    f"--copy-dest={like}",
                    *("--rsh", shlex.join(["ssh", "-F", str(self._config)])),
                    f"{root}/",
                    f"{machine}:{target}/",
                ],
                timeout=COPY_SECONDS * self._time_factor(),
                cancel=track.cancel,
                on_line=track.output,
            )
        if done.code != 0:
            raise LabError(
                f"rsync failed with exit code {done.code}",
                where=machine,
                output=done.stderr,
                next_step="run it again",
            )
        return _bytes_sent(done.stdout)


def _engine_state(shell: SshShell) -> str:
    """Return systemd's state of a machine's engine: "active", "inactive", "failed".

    Returns "" if a job of systemd is about to change it, as while the machine boots, or if the
    machine does not report it.
    """
    try:
        done = shell.run(["systemctl", "show", "--property=ActiveState,Job", "docker.service"])
    except LabError:
        return ""
    values = dict(line.split("=", 1) for line in done.stdout.split() if "=" in line)
    return values.get("ActiveState", "") if values.get("Job", "") in ("", "0") else ""


def _transport(*args: Any, **options: Any) -> paramiko.Transport:
    """Make a transport that prefers ciphers with built-in authentication. For the others, Paramiko
    computes and compares checksums byte by byte in Python.
    """
    transport = paramiko.Transport(*args, **options)
    security = transport.get_security_options()
    security.ciphers = sorted(security.ciphers, key=lambda name: "-gcm" not in name)
    return transport


def _pin(connection: fabric.Connection, endpoint: Endpoint, host_key: str) -> None:
    kind, encoded = host_key.split()[:2]
    key = paramiko.PKey.from_type_string(kind, base64.b64decode(encoded))
    name = f"[{endpoint.host}]:{endpoint.port}" if endpoint.port != 22 else endpoint.host
    connection.client.get_host_keys().add(name, kind, key)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())


def _no_delay(connection: fabric.Connection) -> None:
    """Set TCP_NODELAY, which neither Paramiko nor Fabric does. Without it each command waits
    40 ms.
    """
    transport = connection.transport
    if transport is not None and isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _bytes_sent(stats: str) -> int:
    for line in stats.splitlines():
        if line.startswith("Total bytes sent:"):
            return int("".join(c for c in line if c.isdigit()))
    return 0
