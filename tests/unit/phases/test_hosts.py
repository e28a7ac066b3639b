"""On hosts that are there already: Swarms of others stay, and only the lab's objects go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import Outside, small_lab, track_of

from hashlab.errors import EngineStopped, LabError, UsageError
from hashlab.phases import halt, hosts, suspend
from hashlab.phases.world import World
from hashlab.protocols import Completed, SwarmState

MEMBER = SwarmState(active=True, manager=False, node="abc", joined=True)


class Host:
    """A shell and an engine; it answers Docker's client from ``objects``, ids by "KIND LABEL"."""

    def __init__(self, machine: str, mark: str, swarm: SwarmState) -> None:
        self.machine, self.mark, self.state = machine, mark, swarm
        self.objects: dict[str, list[str]] = {}
        self.lists: dict[str, str] = {}
        self.ran: list[str] = []
        self.shell = self.engine = self
        self.left = False

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        words = list(command)
        self.ran.append(" ".join(words))
        if words[0] == "cat":
            return Completed(0 if self.mark else 1, f"{self.mark}\n", "")
        if words[0] == "docker" and "--filter" in words:
            kind, label = words[1], words[-1].removeprefix("label=")
            return Completed(0, "\n".join(self.objects.get(f"{kind} {label}", [])), "")
        if words[0] == "docker" and "--format" in words:
            return Completed(0, self.lists[words[1]], "")
        if words[:2] == ["docker", "rm"]:
            self.objects = {k: v for k, v in self.objects.items() if not k.startswith("ps ")}
        if words[:3] == ["docker", "network", "rm"]:
            self.objects = {k: v for k, v in self.objects.items() if not k.startswith("network ")}
        if words == ["sudo", "tee", hosts.SWARM_FILE]:
            self.mark = stdin.decode().strip()
        if words == ["sudo", "rm", "-f", hosts.SWARM_FILE]:
            self.mark = ""
        return Completed(0, "", "")

    def swarm(self) -> SwarmState:
        return self.state

    def swarm_leave(self) -> None:
        self.left = True

    def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The world of a lab whose provider has hosts."""
    outside = Outside(small_lab(tmp_path / "lab"), tmp_path)
    made = outside.world()
    outside.provider.hosts = SimpleNamespace()  # type: ignore[assignment]
    return made


def host(world: World, machine: str = "broker", mark: str = "", swarm: SwarmState = MEMBER) -> Host:
    made = Host(machine, mark, swarm)
    link: Any = made
    world.facts.machines.links[machine] = link
    return made


def test_a_swarm_of_others_is_refused_and_not_left(world: World) -> None:
    made = host(world)
    with pytest.raises(LabError, match="in a Swarm that hashlab did not make"):
        hosts.guard_swarm(world, "broker", MEMBER)
    assert not made.left


@pytest.mark.parametrize("mark", ["abc", "making"])
def test_a_swarm_that_hashlab_made_is_its_own(world: World, mark: str) -> None:
    host(world, mark=mark)
    hosts.guard_swarm(world, "broker", MEMBER)


def test_a_mark_of_an_earlier_swarm_does_not_count(world: World) -> None:
    host(world, mark="older")
    with pytest.raises(LabError, match="did not make"):
        hosts.guard_swarm(world, "broker", MEMBER)


def test_machines_that_hashlab_made_have_no_marks(tmp_path: Path) -> None:
    made = Outside(small_lab(tmp_path / "lab"), tmp_path).world()
    machine = host(made)
    hosts.guard_swarm(made, "broker", MEMBER)
    hosts.mark_swarm(made, "broker")
    assert machine.ran == []


@pytest.mark.parametrize("volumes", [False, True])
def test_only_objects_with_the_labs_label_go(world: World, volumes: bool) -> None:
    made = host(world)
    own = f"hashlab.lab={world.lab.id}"
    made.objects = {f"ps {own}": ["c1", "c2"], f"volume {own}": ["data"], "ps foreign": ["x"]}
    with track_of() as track:
        hosts.remove_from_host(world, track, "broker", volumes=volumes)
    changed = [line for line in made.ran if " --filter " not in line]
    home = f"/var/lib/hashlab/{world.lab.name}"
    if volumes:
        assert changed == [
            "docker rm --force --volumes c1 c2",
            "docker volume rm data",
            f"sudo rm -rf -- {home}",
        ]
        assert world.facts.notes == []
    else:
        # The data were made with the secrets, which stay too.
        assert changed == [
            "docker rm --force --volumes c1 c2",
            f"sudo rm -rf -- {home}/files {home}/scratch {home}/previous",
        ]
        assert "hashlab destroy --volumes" in world.facts.notes[0]


def test_hosts_leave_only_the_swarm_that_hashlab_made(world: World) -> None:
    own, foreign = host(world, "broker", mark="abc"), host(world, "web")
    none = host(world, "spare", swarm=SwarmState(active=False, manager=False))
    with track_of() as track:
        hosts.remove_networks(world, track, "")
    assert (own.left, foreign.left, none.left) == (True, False, False)
    assert own.mark == ""


def test_what_is_left_on_a_host_is_named(world: World) -> None:
    made = host(world)
    made.objects = {f"network hashlab.lab={world.lab.id}": ["n1"]}
    with track_of() as track, pytest.raises(LabError, match="still there: n1"):
        hosts.look_at_hosts(world, track, "broker")


@pytest.mark.parametrize("phase", [halt.halt, suspend.suspend])
def test_nothing_of_a_host_is_stopped_before_it_is_refused(
    world: World, phase: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.provider), "booting", None)
    made = host(world)
    with track_of() as track, pytest.raises(UsageError, match="are not hashlab's to start"):
        phase(world, track, "")
    assert made.ran == []


def test_an_engine_that_is_stopped_is_not_started(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise EngineStopped("the machine's Docker Engine is stopped", where="web")

    monkeypatch.setattr(hosts, "reconnect", stopped)
    with track_of() as track, pytest.raises(LabError, match="is stopped") as caught:
        hosts.connect_host(world, track, "web")
    assert "systemctl restart docker" in caught.value.next_step


def test_what_others_have_under_a_name_of_the_lab_is_named(world: World) -> None:
    made = host(world)
    own = world.lab.id
    made.lists = {
        "ps": f"small-queue-1 {own}\nsmall-queue-1.sandbox \nforeign \n",
        "volume": "small_data other-1\nmore \n",
    }
    with track_of() as track, pytest.raises(LabError, match="did not make") as caught:
        hosts.check_foreign(world, track, "")
    assert "container small-queue-1.sandbox on broker" in caught.value.what
    assert "small-queue-1 on" not in caught.value.what
    assert "volume small_data on broker" in caught.value.what
    assert "external: true" in caught.value.next_step


def test_the_labs_own_objects_are_no_strangers(world: World) -> None:
    made = host(world)
    made.lists = {"ps": f"small-queue-1 {world.lab.id}\n", "volume": f"small_data {world.lab.id}\n"}
    with track_of() as track:
        hosts.check_foreign(world, track, "")
