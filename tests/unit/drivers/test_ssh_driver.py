"""The logic of the SSH driver: rsync's arguments and counts. Connections are tested in
tests/contract.
"""

from __future__ import annotations

import shlex
import socket
from pathlib import Path

import paramiko
import pytest
from fakes import FakeRunner, Faults, track_of

from hashlab.drivers.login import LabKey
from hashlab.drivers.ssh import SshConnector, _bytes_sent, _transport
from hashlab.errors import LabError
from hashlab.protocols import Endpoint

ENDPOINT = Endpoint("127.0.0.1", 2200, "core")
STATS = "Number of files: 2\nTotal bytes sent: 1,234,567\nTotal bytes received: 99\n"


def copy(runner: FakeRunner, config: Path, files: list[str]) -> int:
    connector = SshConnector(
        login=LabKey(Path("/key")), config=config, runner=runner, time_factor=lambda: 1.0
    )
    with track_of() as track:
        return connector.copy(
            "web",
            ENDPOINT,
            root=Path("/lab"),
            files=files,
            target="/var/lib/hashlab/small/scratch/new/files",
            like="/var/lib/hashlab/small/files",
            scratch="/var/lib/hashlab/small/scratch",
            track=track,
        )


def test_rsync_gets_its_files_by_a_list_and_its_ssh_by_the_labs_config(tmp_path: Path) -> None:
    runner = FakeRunner(Faults())
    listed: list[bytes] = []

    def read_list(words: object) -> None:
        path = next(w for w in words if w.startswith("--files-from="))  # type: ignore[attr-defined]
        listed.append(Path(path.partition("=")[2]).read_bytes())

    runner.prepare("rsync", stdout=STATS, effect=read_list)
    config = tmp_path / "with space" / "config"
    assert copy(runner, config, ["a b", "#new\nline", "ü", "\udce9"]) == 1_234_567
    [ran] = runner.ran
    assert listed == ["./a b\0./#new\nline\0./ü\0./".encode() + b"\xe9\0"]
    assert ran.command[-2:] == ("/lab/", "web:/var/lib/hashlab/small/scratch/new/files/")
    assert shlex.split(ran.command[ran.command.index("--rsh") + 1]) == ["ssh", "-F", str(config)]
    assert "--copy-dest=/var/lib/hashlab/small/files" in ran.command
    assert "--temp-dir=/var/lib/hashlab/small/scratch" in ran.command


def test_the_list_of_files_is_removed_afterwards(tmp_path: Path) -> None:
    runner = FakeRunner(Faults())
    runner.prepare("rsync", code=23, stderr="rsync: some files could not be transferred\n")
    with pytest.raises(LabError, match="rsync failed with exit code 23") as failure:
        copy(runner, tmp_path / "config", ["a"])
    assert (failure.value.where, failure.value.next_step) == ("web", "run it again")
    [word] = [word for word in runner.ran[0].command if word.startswith("--files-from=")]
    assert not Path(word.partition("=")[2]).exists()


@pytest.mark.parametrize(
    ("stats", "count"),
    [
        (STATS, 1_234_567),
        ("Total bytes sent: 12\n", 12),
        ("Total bytes sent: 1.234.567\n", 1_234_567),
        ("", 0),
        ("nothing of that kind\n", 0),
    ],
)
def test_the_bytes_sent_are_read_from_rsyncs_own_count(stats: str, count: int) -> None:
    assert _bytes_sent(stats) == count


def test_ciphers_without_a_checksum_in_python_come_first_and_the_others_stay() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        usual = paramiko.Transport(ours).get_security_options().ciphers
        liked = _transport(ours).get_security_options().ciphers
    assert "-gcm" in liked[0]
    assert sorted(liked) == sorted(usual)
