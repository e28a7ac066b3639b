"""Phase ``deliver``: the lab's machines pull the self-contained images by digest.

The laptop serves the image layout read-only on a unix socket of its user. An SSH connection to each
machine brings it to a port of the machine's 127.0.0.1, as long as the engine pulls: engines need no
certificate there, and nobody else reaches it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hashlab.errors import LabError, UsageError
from hashlab.phases.selfcontained.load import made_images
from hashlab.phases.selfcontained.push import Place
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel

DEFAULT_PORT = 5000
# Lower ones belong to root.
FIRST_PORT, LAST_PORT = 1024, 65535
TUNNEL_SECONDS = 20.0
READY = b"#ready"
OPTIONS = ("-T", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR")


def port_of(text: str) -> int:
    """Return the port that a person types; 5000 for nothing. Raises UsageError."""
    if not text:
        return DEFAULT_PORT
    if not text.isdecimal() or not FIRST_PORT <= int(text) <= LAST_PORT:
        raise UsageError(
            f"{text} is not a port that the machines' users may open",
            next_step=f"--port {DEFAULT_PORT}, or another from {FIRST_PORT} to {LAST_PORT}",
        )
    return int(text)


def deliver(world: World, track: Track, _: str, *, port: int) -> None:
    """Promise: each machine has the images of its services, by their digests."""
    store = Store(world.state.oci)
    place = Place(f"127.0.0.1:{port}")
    images = {image.service: image for image in made_images(store)}
    wanted = {
        machine: sorted(
            {
                place.reference(images[service.family])
                for service in world.services_on(machine)
                if service.family in images
            }
        )
        for machine in world.machine_names()
    }
    with world.serve_layout(store.folder) as socket:
        counts = parallel(
            wanted,
            lambda name: _pull(world, track, name, wanted[name], socket=socket, port=port),
            track.cancel,
        )
    if any(counts):
        track.detail(f"{sum(counts)} pulled")
    else:
        track.skip("every machine has its images")


def _pull(
    world: World,
    track: Track,
    machine: str,
    references: Sequence[str],
    *,
    socket: Path,
    port: int,
) -> int:
    """Pull what a machine lacks; return how many images that were."""
    engine = world.link(machine).engine
    existing = engine.image_ids(references)
    missing = [reference for reference in references if reference not in existing]
    if not missing:
        return 0
    with (
        track.child("pull", machine=machine) as step,
        _tunnel(world, machine, step.cancel, socket=socket, port=port),
    ):
        for reference in missing:
            engine.pull(reference, track=step)
        step.detail(f"{len(missing)} images")
    return len(missing)


@contextmanager
def _tunnel(
    world: World, machine: str, cancel: CancelToken, *, socket: Path, port: int
) -> Iterator[None]:
    """Let a port of the machine's 127.0.0.1 lead to a socket of the laptop. Raises LabError."""
    command = ["ssh", "-F", str(world.state.ssh_config), *OPTIONS]
    # It ends with its input, and so with hashlab, however that ends.
    command += ["-R", f"127.0.0.1:{port}:{socket}", machine, "echo '#ready'; exec cat >/dev/null"]
    ending, opened, ended = CancelToken(), threading.Event(), threading.Event()
    errors: list[str] = []

    def carry() -> None:
        try:
            done = world.runner.stream(command, cancel=ending, on_lines=take)
            errors.append(done.stderr.strip())
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(str(error))
        finally:
            ended.set()

    def take(lines: Sequence[bytes]) -> None:
        if READY in lines:
            opened.set()

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        _await(opened, ended, cancel)
        if not opened.is_set():
            raise LabError(
                f"port {port} of the machine cannot lead to the laptop's images",
                where=machine,
                output="\n".join(errors),
                next_step="if a program uses that port: hashlab push --port 5001",
            )
        yield
    finally:
        ending.cancel()
        thread.join()


def _await(opened: threading.Event, ended: threading.Event, cancel: CancelToken) -> None:
    waited = 0.0
    while not (opened.wait(0.02) or ended.is_set()) and waited < TUNNEL_SECONDS:
        cancel.check()
        waited += 0.02
