"""The script that runs before a machine's engine waits for the engine of the Swarm's manager."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashlab.providers.seed import system_files

LIMIT = 2


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket in place of the manager's engine, which does not listen yet."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def started(folder: Path, state: str | None, port: int) -> subprocess.Popen[str]:
    """Start the script with another state file, port and limit than on a machine."""
    if state is not None:
        (folder / "docker-state.json").write_text(state)
    script = system_files("await-manager.sh")["await-manager.sh"]
    for there, here in {
        "/var/lib/docker/swarm": str(folder),
        "/7946": f"/{port}",
        "+ 20)": f"+ {LIMIT})",
    }.items():
        assert there in script
        script = script.replace(there, here)
    return subprocess.Popen(["sh", "-c", script], text=True)


def member(remote: str) -> str:
    """What Docker Engine 26.1 writes of its part in a Swarm."""
    return json.dumps(
        {"LocalAddr": "192.168.60.6", "RemoteAddr": remote, "ListenAddr": "0.0.0.0:2377"}
        | {"AdvertiseAddr": "192.168.60.6", "DataPathPort": 0, "JoinInProgress": False},
        separators=(",", ":"),
    )


@pytest.mark.parametrize("state", [None, "", "{}", member("")])
def test_an_engine_without_a_manager_elsewhere_does_not_wait(
    tmp_path: Path, listener: socket.socket, state: str | None
) -> None:
    assert started(tmp_path, state, listener.getsockname()[1]).wait(LIMIT / 2) == 0


def test_a_worker_waits_until_its_manager_listens(tmp_path: Path, listener: socket.socket) -> None:
    script = started(tmp_path, member("127.0.0.1:2377"), listener.getsockname()[1])
    with pytest.raises(subprocess.TimeoutExpired):
        script.wait(0.5)
    listener.listen()
    assert script.wait(LIMIT) == 0
    listener.accept()[0].close()


def test_a_worker_starts_in_the_end_without_its_manager(
    tmp_path: Path, listener: socket.socket
) -> None:
    before = time.monotonic()
    script = started(tmp_path, member("127.0.0.1:2377"), listener.getsockname()[1])
    assert script.wait(LIMIT * 5) == 0
    assert time.monotonic() - before > LIMIT / 2
