"""To whom the client sends a command and its environment: to this user's own daemon alone."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashlab.daemon import client
from hashlab.state import private


class Listener:
    """Listens where a daemon would, and keeps what it is sent; it answers that it ends."""

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(str(path))
        self._sock.listen()
        self.received = b""
        self.met = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            wire, _ = self._sock.accept()
        except OSError:
            return  # closed, and no client came
        with wire:
            while piece := wire.recv(1 << 16):
                self.received += piece
                wire.sendall(b'{"code": 7}\n')
        self.met.set()

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        self._sock.close()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(client.SWITCH, raising=False)
    (tmp_path / "hashlab.toml").write_text("")
    private.make_state(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "start", lambda folder, state: False)
    return tmp_path


@pytest.fixture
def listener(lab: Path) -> Iterator[Listener]:
    made = Listener(lab / ".hashlab" / client.SOCKET)
    yield made
    made.close()


def test_a_daemon_of_ones_own_is_asked(listener: Listener) -> None:
    assert client.ask("status", {"lab": ""}) == 7
    assert b"environ" in listener.received


def test_a_process_of_another_user_is_sent_nothing(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_user_behind", lambda wire: os.geteuid() + 1)
    assert client.ask("status", {"lab": ""}) is None
    assert listener.met.wait(5)
    assert listener.received == b""


def test_the_kernel_tells_whose_process_listens(listener: Listener, lab: Path) -> None:
    wire = socket.socket(socket.AF_UNIX)
    with wire:
        wire.connect(str(lab / ".hashlab" / client.SOCKET))
        assert client._user_behind(wire) == os.geteuid()


def test_a_link_to_another_programs_socket_is_not_followed(lab: Path, tmp_path: Path) -> None:
    other = Listener(tmp_path / "agent.sock")
    (lab / ".hashlab" / client.SOCKET).symlink_to(tmp_path / "agent.sock")
    assert client.ask("status", {"lab": ""}) is None
    assert not other.met.wait(0.05)
    other.close()


def test_a_lab_that_is_not_trusted_is_not_asked_about(
    listener: Listener, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.chmod(0o777)
    assert client.ask("status", {"lab": ""}) is None
    monkeypatch.setenv("HASHLAB_SAFE_DIRECTORY", str(lab))
    assert client.ask("status", {"lab": ""}) == 7


def test_a_state_folder_that_is_a_link_is_not_entered(lab: Path, tmp_path: Path) -> None:
    (lab / ".hashlab").rename(tmp_path / "elsewhere")
    (lab / ".hashlab").symlink_to(tmp_path / "elsewhere")
    assert client.ask("status", {"lab": ""}) is None
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == [".gitignore"]
