"""Snapshots of whole labs on real machines: one instant of all, whatever happened since."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from labkit import LabFolder, docker, everything_of, fetch, kill_machine, lab_id, rows

ON_BACK = """    deploy: { placement: { constraints: ["node.hostname == back"] } }\n"""
ONE_SHOT = f"""
  once:
{ON_BACK}    image: hello-greeter
    user: "0"
    command: ["sh", "-c", "echo ran >> /data/runs"]
    restart: "no"
    volumes: ["once-data:/data"]

volumes:
  once-data:
"""
RUNS = "sudo cat /var/lib/docker/volumes/hello_once-data/_data/runs"
BY_DOCKER = {"reason": "looks at parts of a snapshot of provider docker"}
# So that the process that is killed is the one that does the work.
BY_ITSELF = {"HASHLAB_DAEMON": "0"}
WRITES = 200


def greeting(lab: LabFolder) -> str:
    """What travels from one machine through the other to the laptop."""
    return fetch(f"{lab.json('status')['urls']['web']}/greeting")


@pytest.fixture(scope="module")
def lab(hello_lab: LabFolder) -> Iterator[LabFolder]:
    """The small example with one more service, which runs once; without snapshots at the end."""
    # It writes to its own file system, which a snapshot must keep as well.
    writes = f"  greeter:\n    read_only: false\n{ON_BACK}"
    hello_lab.edit("compose.yaml", "  greeter:\n", writes)
    path = hello_lab.folder / "compose.yaml"
    path.write_text(path.read_text(encoding="utf-8") + ONE_SHOT, encoding="utf-8")
    hello_lab.run("dev").ok()
    write(hello_lab, "then")
    hello_lab.run("snapshot", "first").ok()
    try:
        yield hello_lab
    finally:
        hello_lab.run("destroy").ok()
        for snapshot in hello_lab.json("snapshots")["snapshots"]:
            hello_lab.run("snapshots", "prune", snapshot["name"]).ok()
        assert snapshot_parts(hello_lab) == []


def write(lab: LabFolder, word: str) -> None:
    """Change what a snapshot must keep: a machine's file, a container's, a volume's."""
    lab.on("front", f"echo {word} | sudo tee /etc/word > /dev/null")
    write_data(lab, word)


def write_data(lab: LabFolder, word: str) -> None:
    """Change only what containers write."""
    lab.on("back", f"docker exec --user 0 hello-greeter-1 sh -c 'echo {word} > /word'")
    lab.on("back", f"echo {word} | sudo tee /var/lib/docker/volumes/hello_once-data/_data/word")


def read(lab: LabFolder) -> list[str]:
    """What ``write`` wrote."""
    return [
        lab.on("front", "cat /etc/word").strip(),
        lab.on("back", "docker exec hello-greeter-1 cat /word").strip(),
        lab.on("back", "sudo cat /var/lib/docker/volumes/hello_once-data/_data/word").strip(),
    ]


def snapshot_parts(lab: LabFolder) -> list[str]:
    """Whatever of the lab's snapshots exists on the laptop's engine."""
    mark = f"label=hashlab.snapshot-of={lab_id({'lab': 'hello'}, lab.folder)}"
    return [
        *docker("volume", "ls", "--quiet", "--filter", mark).split(),
        *docker("images", "--quiet", "--filter", mark).split(),
    ]


def test_a_snapshot_disturbs_nothing_that_runs(lab: LabFolder) -> None:
    before = lab.containers("front") | lab.containers("back")
    document = lab.json("snapshot", "second")
    assert "they were paused for" in rows(document, "take")[0]["detail"]
    assert lab.containers("front") | lab.containers("back") == before
    assert "hello" in greeting(lab)
    listed = lab.json("snapshots")["snapshots"]
    assert [one["name"] for one in listed] == ["first", "second"]
    assert [one["note"] for one in listed] == ["", ""]
    assert all(one["bytes"] > 0 and one["machines"] == ["front", "back"] for one in listed)
    lab.run("snapshots", "prune", "second").ok()
    assert len(lab.json("snapshots")["snapshots"]) == 1


def test_a_restored_lab_is_that_of_the_instant_and_nothing_runs_twice(lab: LabFolder) -> None:
    before = lab.containers("front") | lab.containers("back")
    for word in ("now", "and again"):
        write(lab, word)
        # An engine notes a new container in the image's layer, which snapshots share.
        lab.on("back", "docker create $(docker inspect --format '{{.Image}}' hello-greeter-1)")
        document = lab.json("restore", "first")
        assert read(lab) == ["then"] * 3
        assert lab.on("back", RUNS) == "ran\n"
        assert lab.containers("front") | lab.containers("back") == before
        assert not rows(document, "boot")
        assert not rows(document, "seed")
        assert rows(document, "verify")[0]["status"] == "ok"
    assert "hello" in greeting(lab)
    lab.run("verify").ok()


def machine_ids(lab: LabFolder) -> list[str]:
    """Which containers the machines are."""
    names = [f"{lab_id({'lab': 'hello'}, lab.folder)}-{name}" for name in ("front", "back")]
    return docker("inspect", "--format", "{{.Id}}", *names).split()


@pytest.mark.only("docker", reason="other providers' machines always go back as a whole")
def test_data_comes_back_in_machines_that_stay_as_long_as_only_data_changed(
    lab: LabFolder,
) -> None:
    lab.run("restore", "first").ok()
    machines, before = machine_ids(lab), lab.containers("front") | lab.containers("back")
    # Often: what comes back to the network at once must be found there each time.
    for word in ("now", "again", "once more", "and more", "last"):
        write_data(lab, word)
        document = lab.json("restore", "first")
        assert "2 machines stay" in rows(document, "restore")[0]["detail"]
        assert rows(document, "data")[0]["status"] == "ok"
        assert "hello" in greeting(lab)
        assert read(lab) == ["then"] * 3
        assert lab.on("back", RUNS) == "ran\n"
        assert machine_ids(lab) == machines
        assert lab.containers("front") | lab.containers("back") == before
    document = lab.json("refresh")
    assert {row["status"] for row in rows(document, "containers")} == {"skipped"}
    write(lab, "now")
    document = lab.json("restore", "first")
    assert "recreated: front: /etc" in rows(document, "restore")[0]["detail"]
    assert machine_ids(lab) != machines
    assert read(lab) == ["then"] * 3


def test_after_a_restore_refresh_dev_and_destroy_work_as_ever(lab: LabFolder) -> None:
    lab.run("restore", "first").ok()
    before = lab.containers("front") | lab.containers("back")
    for command in ("refresh", "dev"):
        document = lab.json(command)
        assert {row["status"] for row in rows(document, "containers")} == {"skipped"}
    assert lab.containers("front") | lab.containers("back") == before
    assert lab.on("back", RUNS) == "ran\n"
    kill_machine(lab, "back")
    lab.run("dev").ok()
    assert "hello" in greeting(lab)


def test_a_destroyed_lab_comes_back_with_the_data_of_the_instant(lab: LabFolder) -> None:
    said = lab.run("destroy").ok().stdout
    assert "snapshots stay: first" in said
    assert everything_of(lab) == []
    lab.run("dev", "--from", "first").ok()
    assert read(lab) == ["then"] * 3
    assert lab.on("back", RUNS) == "ran\n"
    assert "hello" in greeting(lab)
    refused = lab.run("dev", "--from", "first")
    assert refused.code == 2
    assert "hashlab restore first" in refused.stdout
    document = lab.json("dev")
    assert rows(document, "containers")[0]["status"] == "skipped"


def refused_untouched(lab: LabFolder, code: int, *told: str) -> None:
    """A restore that is refused, and a lab that goes on as before."""
    before = lab.containers("front") | lab.containers("back")
    refused = lab.run("restore", "first")
    assert refused.code == code, refused.stdout
    for word in ("first", *told):
        assert word in refused.stdout
    assert lab.containers("front") | lab.containers("back") == before
    assert "hello" in greeting(lab)


def test_a_foreign_snapshot_is_refused_by_name(lab: LabFolder) -> None:
    path = lab.state / "snapshots/first.json"
    text = path.read_text()
    path.write_text(json.dumps({**json.loads(text), "lab_id": "other-123456"}))
    refused_untouched(lab, 4, "foreign", "other-123456")
    assert "foreign" in lab.run("snapshots").ok().stdout
    path.write_text("{")
    refused_untouched(lab, 4, "broken", "manifest")
    path.write_text(text)
    lab.run("restore", "first").ok()


@pytest.mark.only("docker", **BY_DOCKER)
def test_a_broken_snapshot_is_refused_by_name(lab: LabFolder) -> None:
    manifest: dict[str, Any] = json.loads((lab.state / "snapshots/first.json").read_text())
    parts = manifest["machines"][0]["parts"]
    at = "/kept/data/containers/here"
    mount = ("--volume", f"{parts['volume']}:/kept", "--entrypoint", "sh")
    docker("run", "--rm", *mount, parts["image"], "-c", f"echo more > {at}")
    refused_untouched(lab, 4, "broken", parts["volume"], "bytes")
    docker("run", "--rm", *mount, parts["image"], "-c", f"rm {at}")
    lab.run("restore", "first").ok()
    docker("tag", parts["image"], "hashlab-test:kept")
    docker("rmi", parts["image"])
    refused_untouched(lab, 4, "broken", f"image {parts['image']} is gone")
    docker("tag", "hashlab-test:kept", parts["image"])
    docker("rmi", "hashlab-test:kept")
    lab.run("restore", "first").ok()


@pytest.mark.parametrize("line", ["check", "restore", "data", "connect back", "network"])
def test_a_restore_that_was_killed_is_simply_run_again(lab: LabFolder, line: str) -> None:
    run = lab.start("restore", "first", **BY_ITSELF)
    run.wait_for(line)
    assert run.signal(signal.SIGKILL) == -signal.SIGKILL
    lab.run("restore", "first").ok()
    assert read(lab) == ["then"] * 3


@pytest.mark.only("docker", **BY_DOCKER)
def test_after_a_restore_killed_while_machines_are_exchanged_dev_makes_a_whole_lab(
    lab: LabFolder,
) -> None:
    run = lab.start("restore", "first", **BY_ITSELF)
    marker = lab.state / "restoring"
    until(marker.exists)
    assert run.signal(signal.SIGKILL) == -signal.SIGKILL
    said = lab.run("dev").ok().stdout
    assert "a restore of first was interrupted" in said
    assert "hello" in greeting(lab)
    lab.run("restore", "first").ok()
    assert read(lab) == ["then"] * 3


def until(condition: Any) -> None:
    """Look until something is so; it may last only for moments."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)


@pytest.mark.only("docker", **BY_DOCKER)
def test_a_snapshot_killed_while_machines_stand_still_is_none_and_dev_wakes_them(
    lab: LabFolder,
) -> None:
    front = f"{lab_id({'lab': 'hello'}, lab.folder)}-front"
    run = lab.start("snapshot", "cut", **BY_ITSELF)
    until(lambda: docker("inspect", "--format", "{{.State.Paused}}", front) == "true")
    assert run.signal(signal.SIGKILL) == -signal.SIGKILL
    assert {m["state"] for m in lab.status()["machines"]} == {"paused"}
    lab.run("dev").ok()
    assert "hello" in greeting(lab)
    notes = {one["name"]: one["note"] for one in lab.json("snapshots")["snapshots"]}
    assert notes == {"first": "", "cut": "unfinished: it was never complete"}
    lab.run("snapshot", "cut").ok()
    lab.run("snapshots", "prune", "cut").ok()


# The whole application.


@pytest.fixture
def api(forum_lab: LabFolder, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The application's own client."""
    monkeypatch.syspath_prepend(str(forum_lab.folder / "tools"))
    sys.modules.pop("client", None)
    return import_module("client")


def url(lab: LabFolder) -> str:
    return str(lab.status()["urls"]["web"])


class Writer(threading.Thread):
    """Asks questions, one after another, until it is told to stop or has asked enough."""

    def __init__(self, api: ModuleType, address: str) -> None:
        super().__init__()
        self._api, self._client = api, api.Client(address)
        self._token = self._client.log_in("mirabel", "collision-mirabel")
        self.stored: list[int] = []
        self.stop = threading.Event()

    def run(self) -> None:
        for number in range(WRITES):
            if self.stop.is_set():
                return
            title = f"Written while the machines stood still, {number}?"
            asked = self._client.ask(self._token, title, "A body of some length.", ("snapshot",))
            self.stored.append(asked)


def test_a_restored_forum_runs_what_it_ran_at_that_instant(forum_lab: LabFolder) -> None:
    before = forum_lab.containers("web")
    forum_lab.run("snapshot", "whole").ok()
    try:
        forum_lab.on("web", "docker rm --force hash-collision-web-1")
        assert forum_lab.containers("web") == {}
        document = forum_lab.json("restore", "whole")
        assert rows(document, "verify")[0]["status"] == "ok"
        assert forum_lab.containers("web") == before
    finally:
        forum_lab.run("snapshots", "prune", "whole").ok()


def test_the_forum_comes_back_whole_from_an_instant_in_the_middle_of_writing(
    forum_lab: LabFolder, api: ModuleType
) -> None:
    """What was answered before the snapshot is there; nothing of what came after it is."""
    writer = Writer(api, url(forum_lab))
    writer.start()
    until(lambda: len(writer.stored) >= 5)
    before = list(writer.stored)
    forum_lab.run("snapshot", "forum").ok()
    writer.stop.set()
    writer.join()
    try:
        client = api.Client(url(forum_lab))
        token = client.log_in("mirabel", "collision-mirabel")
        after = client.ask(token, "Written after the snapshot, is it lost?", "Yes.", ("snapshot",))
        document = forum_lab.json("restore", "forum")
        assert rows(document, "verify")[0]["status"] == "ok"
        client = api.Client(url(forum_lab))
        there = {row.id for row in client.rows()}
        assert set(before) <= there
        assert after not in there
        # Of what was asked while the snapshot was taken, no later one is there without the earlier.
        meanwhile = [number in there for number in writer.stored]
        assert meanwhile == sorted(meanwhile, reverse=True)
        for secret in (forum_lab.folder / ".hashlab/secrets").iterdir():
            assert secret.stat().st_mode & 0o777 == 0o600
        client.ask(client.log_in("mirabel", "collision-mirabel"), "And on?", "Yes.", ("snapshot",))
        forum_lab.run("verify").ok()
        destroyed_and_back(forum_lab, api, set(before), after)
    finally:
        forum_lab.run("snapshots", "prune", "forum").ok()


def destroyed_and_back(lab: LabFolder, api: ModuleType, before: set[int], after: int) -> None:
    """Secrets are gone with the lab: those of the snapshot open its databases."""
    lab.run("destroy").ok()
    assert not (lab.folder / ".hashlab/secrets").exists()
    lab.run("dev", "--from", "forum").ok()
    client = api.Client(url(lab))
    there = {row.id for row in client.rows()}
    assert before <= there
    assert after not in there
    lab.run("seed").ok()
    lab.run("verify").ok()
    assert Path(lab.folder / ".hashlab/secrets").exists()
