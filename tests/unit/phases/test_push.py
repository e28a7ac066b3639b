"""`hashlab push`: what is sent, in which order, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import Outside, run, running, write_files
from test_self_contained import image, made, prepared

from hashlab.errors import LabError, UsageError
from hashlab.phases.selfcontained.deliver import port_of
from hashlab.phases.selfcontained.push import Place, place
from hashlab.phases.selfcontained.store import Store
from hashlab.pipeline import CancelToken, RunResult
from hashlab.protocols import Completed
from hashlab.run import workflows

HOST = "registry.test"


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab whose images can be made."""
    return prepared(outside)


def push(outside: Outside, to: str = f"{HOST}/team") -> RunResult:
    return run(outside, workflows.pushing(place(to)))


def pushed(outside: Outside) -> RunResult:
    result = push(outside)
    assert result.error is None, str(result.error)
    return result


def uploads(outside: Outside) -> list[str]:
    """The blobs that were sent since this was asked last."""
    sent = [str(call.words[1]) for call in outside.faults.calls if call.name == "registry.upload"]
    outside.faults.calls.clear()
    return sent


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("registry.example.org", "registry.example.org", "small/site"),
        ("registry.example.org/team/a/", "registry.example.org", "team/a/small/site"),
        ("localhost:5000", "localhost:5000", "small/site"),
        ("[::1]:5000/x", "[::1]:5000", "x/small/site"),
        ("docker.io/someone", "docker.io", "someone/small-site"),
    ],
)
def test_a_registry_is_named_with_its_host(
    lab: Outside, text: str, host: str, repository: str
) -> None:
    site = image(made(lab))
    found = place(text)
    assert (found.host, found.repository(site)) == (host, repository)
    assert found.reference(site) == f"{host}/{repository}@{site.digest}"


@pytest.mark.parametrize(
    "text", ["team", "team/web", "http://a.b", "a.b/UP", "docker.io", "", "a b"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as failure:
        place(text)
    assert failure.value.next_step.startswith(("name it with its host", "hashlab push docker.io"))


def test_every_image_is_there_with_its_content_id_and_latest(lab: Outside) -> None:
    pushed(lab)
    for one in made(lab).images:
        repository = lab.registries[HOST].repositories[place(f"{HOST}/team").repository(one)]
        assert repository.tags == {one.image.rpartition(":")[2]: one.digest, "latest": one.digest}
        blobs = {blob.digest for blob in Store(lab.state.oci).blobs_of(one.digest)}
        assert blobs <= repository.blobs.keys()


def test_a_blob_of_several_images_is_sent_once(lab: Outside) -> None:
    pushed(lab)
    sent = uploads(lab)
    assert len(sent) == len(set(sent))


def test_a_registry_that_takes_nothing_over_gets_a_blob_for_each_image(lab: Outside) -> None:
    lab.registries[HOST].mounts = False
    pushed(lab)
    sent = uploads(lab)
    assert len(sent) > len(set(sent))


def test_after_an_edit_only_the_last_layer_and_the_configuration_are_sent(lab: Outside) -> None:
    pushed(lab)
    uploads(lab)
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    pushed(lab)
    after = image(made(lab))
    config = Store(lab.state.oci).read(after.digest)["config"]["digest"]
    assert uploads(lab) == [after.layers[-1].digest, config]


def test_a_second_push_sends_and_changes_nothing(lab: Outside) -> None:
    pushed(lab)
    lab.faults.calls.clear()
    result = pushed(lab)
    assert not [name for name in lab.faults.changes() if name.startswith("registry")]
    [row] = [row for row in result.rows if row.name == "push" and not row.depth]
    assert row.status == "skipped"


def test_no_tag_moves_before_everything_is_there(lab: Outside) -> None:
    pushed(lab)
    before = {name: dict(r.tags) for name, r in lab.registries[HOST].repositories.items()}
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    lab.faults.arm("registry.upload", LabError("the disk of registry registry.test is full"))
    assert push(lab).error is not None
    after = {name: dict(r.tags) for name, r in lab.registries[HOST].repositories.items()}
    assert after == before
    assert lab.registries[HOST].closed == 2
    pushed(lab)
    assert (
        dict(lab.registries[HOST].repositories["team/small/site"].tags) != before["team/small/site"]
    )


# To the machines, without a registry


class Tunnel:
    """An ssh that leads a port of a machine to the laptop, and how long it stayed."""

    def __init__(self, *, refused: bool = False) -> None:
        self.commands: list[Sequence[str]] = []
        self.refused, self.open = refused, 0

    def __call__(self, words: Sequence[str], on_lines: object, cancel: CancelToken) -> Completed:
        self.commands.append(words)
        if self.refused:
            return Completed(255, "", "remote port forwarding failed for listen port 5000")
        on_lines([b"#ready"])  # type: ignore[operator]
        self.open += 1
        try:
            cancel.wait(10)
        finally:
            self.open -= 1
        return Completed(0, "", "")


def deliver(outside: Outside, tunnel: Tunnel) -> RunResult:
    outside.runner.prepare_stream("ssh", streaming=tunnel)
    return run(outside, workflows.delivering(5000))


def test_each_machine_pulls_the_images_of_its_services_by_digest(lab: Outside) -> None:
    running(lab)
    document = made(lab)
    tunnel = Tunnel()
    to = Place("127.0.0.1:5000")
    for name, services in {"broker": ("queue", "migrate"), "web": ("site",)}.items():
        engine = lab.machines[name].engine
        engine.registry |= {to.reference(image(document, each)) for each in services}
    result = deliver(lab, tunnel)
    assert result.error is None, str(result.error)
    assert to.reference(image(document)) in lab.machines["web"].engine.images
    assert to.reference(image(document)) not in lab.machines["broker"].engine.images
    assert len(tunnel.commands) == 2, "the machine without services pulls nothing"
    assert all("127.0.0.1:5000:/tmp/hashlab-test/registry.sock" in c for c in tunnel.commands)
    assert tunnel.open == 0
    tunnel.commands.clear()
    assert deliver(lab, tunnel).error is None
    assert tunnel.commands == []


def test_a_port_that_is_in_use_on_a_machine_is_named(lab: Outside) -> None:
    running(lab)
    error = deliver(lab, Tunnel(refused=True)).error
    assert error is not None
    for text in ("port 5000 of the machine", "forwarding failed", "hashlab push --port"):
        assert text in str(error)


@pytest.mark.parametrize("text", ["80", "x", "70000", "-1"])
def test_a_port_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        port_of(text)


def test_the_default_port_is_5000() -> None:
    assert (port_of(""), port_of("5001")) == (5000, 5001)
