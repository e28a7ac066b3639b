"""The lab's key pair: made once, whole or again, never through a link."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import Outside, go, running

from hashlab.errors import LaptopError
from hashlab.phases.keys import ensure_key
from hashlab.pipeline import CancelToken, parallel
from hashlab.run import workflows


def keygens(outside: Outside) -> int:
    return sum(ran.command[0] == "ssh-keygen" for ran in outside.runner.ran)


def test_machines_that_are_reached_at_once_get_one_pair(outside: Outside) -> None:
    world = outside.world()
    found = parallel(range(8), lambda _: ensure_key(world), CancelToken())
    assert set(found) == {"ssh-ed25519 KEY1 hashlab"}
    assert keygens(outside) == 1


@pytest.mark.parametrize("half", ["id_ed25519", "id_ed25519.pub"])
@pytest.mark.parametrize("empty", [True, False])
def test_half_a_pair_is_made_again(outside: Outside, half: str, empty: bool) -> None:
    ensure_key(outside.world())
    path = outside.state.ssh / half
    path.write_text("") if empty else path.unlink()
    assert ensure_key(outside.world()) == "ssh-ed25519 KEY2 hashlab"


@pytest.mark.parametrize("half", ["id_ed25519", "id_ed25519.pub"])
def test_a_key_that_is_a_link_is_neither_read_nor_written(
    outside: Outside, tmp_path: Path, half: str
) -> None:
    own = tmp_path / "own"
    own.write_text("ssh-ed25519 OWN")
    ensure_key(outside.world())
    (outside.state.ssh / half).unlink()
    (outside.state.ssh / half).symlink_to(own)
    with pytest.raises(LaptopError, match="it is a link"):
        ensure_key(outside.world())
    assert own.read_text() == "ssh-ed25519 OWN"
    assert keygens(outside) == 1


def test_openssh_files_that_came_with_the_folder_are_not_obeyed(outside: Outside) -> None:
    running(outside)
    config = outside.state.ssh_config
    good = config.read_text()
    config.write_text(f"ProxyCommand touch /tmp/owned\n{good}")
    go(outside, workflows.REFRESH)
    assert config.read_text() == good


@pytest.mark.parametrize("field", ["host", "user", "host_key"])
def test_an_endpoint_that_would_be_another_line_of_those_files_is_not_believed(
    outside: Outside, field: str
) -> None:
    running(outside)
    machines = outside.state.machines
    cached = json.loads(machines.read_text())
    cached["web"][field] += "\n  ProxyCommand touch /tmp/owned"
    machines.write_text(json.dumps(cached))
    go(outside, workflows.REFRESH)
    assert "ProxyCommand" not in outside.state.ssh_config.read_text()
    assert "ProxyCommand" not in (outside.state.ssh / "known_hosts").read_text()
