"""A lab on two hosts that hashlab did not make: Debian 13 with an engine and work of others, and
Debian 12 without.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from labkit import REPOSITORY, LabFolder, Outcome, copy_example, daemons_of, docker, fetch

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))
from testhosts import LABEL, TestHosts, make, remove

pytestmark = [
    pytest.mark.slow,  # hosts are made and prepared first
    pytest.mark.only("docker", reason="the hosts are containers"),
]
HOSTS = """\
[lab]
name = "hello"
provider = "hosts"
encrypt = false # the kernel of the test machine may lack it

[machines.front]
endpoint = "front.test"
forwarded_ports = [
  { id = "web", guest = 80, host = 8090 },
]

[machines.back]
endpoint = "back.test"

[verify]
command = ["python3", "verify.py"]
"""
NAME = "hashlab-test-hosts"


def remove_ended() -> None:
    """Remove hosts of runs of these tests that were killed."""
    line = f'{{{{.Label "{LABEL}"}}}}'
    for name in set(docker("ps", "--all", "--filter", f"label={LABEL}", "--format", line).split()):
        number = name.rpartition("-")[2]
        if name.startswith(NAME) and not Path(f"/proc/{number}").exists():
            remove(name)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHosts]:
    """The two hosts. The way to the second leads through the first."""
    remove_ended()
    folder = tmp_path_factory.mktemp("hosts") / f"{NAME}-{os.getpid()}"
    try:
        made = make(folder, ["front", "back"], docker_on=["front"], debian_12=["back"])
        made.script("front", "foreign")
        config = made.config.read_text(encoding="utf-8")
        jump = config.replace("Host back.test\n", "Host back.test\n  ProxyJump front.test\n")
        assert jump != config
        made.config.write_text(jump, encoding="utf-8")
        yield made
    finally:
        remove(folder.name)


@dataclass
class Recorded(LabFolder):
    """A lab that keeps what was run on it."""

    ran: set[str] = field(default_factory=set)

    def run(self, *words: str, **options: Any) -> Outcome:
        self.ran.add(" ".join(("hashlab", *words)))
        return super().run(*words, **options)


def documented() -> set[str]:
    """Return the commands that the page about hosts tells to type."""
    page = (REPOSITORY / "docs/how-to/hosts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    assert lines
    return set(lines)


def copy_of(folder: Path, hosts: TestHosts) -> LabFolder:
    """A checkout of the lab, as each colleague has one."""
    lab = copy_example("hello", folder, "hosts")
    (folder / "hashlab.toml").write_text(HOSTS, encoding="utf-8")
    lab.environ["HASHLAB_USER_SSH_CONFIG"] = str(hosts.config)
    return lab


@pytest.fixture(scope="module")
def pictures(hosts: TestHosts) -> dict[str, str]:
    """What the hosts were like before hashlab."""
    found = {name: hosts.script(name, "picture") for name in hosts.names}
    for thing in (
        "/foreign ",
        "foreign-net bridge",
        "foreign-data",
        "--dport 9999",
        "inet foreign",
    ):
        assert thing in found["front"], found["front"]
    return found


@pytest.fixture(scope="module")
def lab(
    hosts: TestHosts, pictures: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    """The small example on the hosts; it is removed by the last test."""
    copied = copy_of(tmp_path_factory.mktemp("labs") / "hello", hosts)
    lab = Recorded(copied.folder, copied.environ, copied.provider)
    try:
        yield lab
    finally:
        lab.run("destroy", "--volumes", "--unprepare")
        assert daemons_of(lab) == []


def test_the_plan_changes_nothing(
    lab: LabFolder, hosts: TestHosts, pictures: dict[str, str]
) -> None:
    lab.run("doctor").ok()
    checks = {check["name"]: check for check in lab.json("doctor")["checks"]}
    assert "Docker" in checks["front"]["detail"]
    assert "no Docker yet" in checks["back"]["detail"]
    plan = lab.run("init-box", "--plan").ok().stdout
    assert "install docker.io" in plan
    failed = lab.run("dev")
    assert failed.code == 4
    assert "hashlab init-box" in failed.stdout
    assert {name: hosts.script(name, "picture") for name in hosts.names} == pictures


def test_dev_runs_the_lab_on_prepared_hosts(lab: LabFolder) -> None:
    lab.run("init-box").ok()
    assert lab.run("init-box", "--plan").ok().stdout.count("nothing to do") == 2
    lab.run("dev").ok()
    assert "hello" in fetch(lab.status()["urls"]["web"])
    lab.run("status").ok()
    states = {service["name"]: service["state"] for service in lab.status()["services"]}
    assert states == {"web": "running", "greeter": "running"}


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def test_only_the_hosts_themselves_reach_what_the_lab_opens(
    lab: LabFolder, hosts: TestHosts
) -> None:
    front = hosts.address("front")
    assert connects(front, 22)
    # Published as "80:8080", and Swarm's own ports.
    assert not connects(front, 80)
    assert not connects(front, 2377)
    peer = f"timeout 2 bash -c 'exec 3<> /dev/tcp/{front}/%d'"
    hosts.root("back", "sh", "-c", peer % 2377)
    with pytest.raises(RuntimeError):
        hosts.root("back", "sh", "-c", peer % 80)


def test_an_edit_is_refreshed_and_logs_are_read(lab: LabFolder) -> None:
    lab.edit("site/index.html", "This page", "Ahoy! This page")
    lab.run("refresh").ok()
    assert "Ahoy!" in fetch(lab.status()["urls"]["web"])
    lab.run("exec", "greeter", "sh", "-c", "echo said by hand > /proc/1/fd/1").ok()
    deadline = time.monotonic() + 20
    while "said by hand" not in lab.run("logs", "greeter", "--raw").ok().stdout:
        assert time.monotonic() < deadline, "the line is not in the journal"


def test_a_second_checkout_is_the_same_lab_and_is_told_who_holds_it(
    lab: LabFolder, hosts: TestHosts, tmp_path: Path
) -> None:
    second = copy_of(tmp_path / "hello", hosts)
    (second.folder / "site/index.html").write_bytes((lab.folder / "site/index.html").read_bytes())
    assert [service["state"] for service in second.status()["services"]] == ["running"] * 2
    assert [service["stale"] for service in second.status()["services"]] == [None] * 2
    slow = lab.folder / "verify.py"
    text = slow.read_text(encoding="utf-8")
    slow.write_text(f"import time; print('slow', flush=True); time.sleep(60)\n{text}", "utf-8")
    holder = lab.start("verify", "--verbose", HASHLAB_DAEMON="0")
    try:
        holder.wait_for("slow")
        refused = second.run("refresh", HASHLAB_DAEMON="0")
        assert refused.code == 5
        assert f"verify by {os.environ.get('USER', 'root')}@" in refused.stderr
        assert str(lab.folder) in refused.stderr
    finally:
        # Without a word: the host notices by itself that the laptop is gone.
        holder.signal(signal.SIGKILL)
        slow.write_text(text, encoding="utf-8")
    second.run("refresh", HASHLAB_DAEMON="0").ok()


def test_a_host_of_one_lab_is_not_taken_by_another(
    lab: LabFolder, hosts: TestHosts, tmp_path: Path
) -> None:
    other = copy_of(tmp_path / "other", hosts)
    other.edit("hashlab.toml", 'name = "hello"', 'name = "other"')
    refused = other.run("init-box")
    assert refused.code == 4
    assert "prepared for another lab: hello-" in refused.stderr


def test_destroy_leaves_all_that_is_not_the_labs(
    lab: Recorded, hosts: TestHosts, pictures: dict[str, str]
) -> None:
    lab.run("destroy").ok()
    assert "foreign" in hosts.root("front", "docker", "ps", "--format", "{{.Names}}")
    assert hosts.root("back", "docker", "ps", "--all", "--quiet") == ""
    assert "inactive" in hosts.root("back", "docker", "info", "--format", "{{.Swarm}}")
    lab.run("destroy", "--volumes").ok()
    lab.run("destroy", "--unprepare").ok()
    assert documented() <= lab.ran
    assert {name: hosts.script(name, "picture") for name in hosts.names} == pictures
