"""`hashlab cp SOURCE TARGET`: copy files between the laptop and a container."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, exec

if TYPE_CHECKING:
    from hashlab.phases.world import World
    from hashlab.pipeline import Track
    from hashlab.run.execution import Options

COMMAND = Command(
    "Copy files between the laptop and a service's container.",
    text="One of the two is SERVICE:PATH, the other a path on the laptop. A folder that exists "
    "gets the file or folder; any other path becomes its name. PATH/. is the content of a folder. "
    "A refresh that replaces the container discards what was copied to it.",
    examples=[
        ("Get a file", "hashlab cp db:/var/log/db.log ."),
        ("Put a folder", "hashlab cp ./pages web:/srv/site"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[
        Argument("source", "SERVICE:PATH, or a path on the laptop."),
        Argument("target", "A path on the laptop, or SERVICE:PATH."),
    ],
    options=[exec.INDEX],
    common=READING,
    compose="It has no --archive and no --follow-link, and no - for an archive.",
)


def run(options: Options, *, source: str, target: str, index: str) -> int:
    """Copy one file or folder."""
    from hashlab.errors import ExitCode, HashlabError, UsageError
    from hashlab.run import execution

    try:
        if (_service(source) is None) == (_service(target) is None):
            raise UsageError(
                "one of the two must be in a container, the other on the laptop",
                next_step="hashlab cp SERVICE:PATH PATH, or hashlab cp PATH SERVICE:PATH",
            )
        with options.opened() as world, execution.unseen_step("cp") as track:
            _copy(world, track, source=source, target=target, index=index)
    except HashlabError as error:
        return execution.fail(error, options)
    return ExitCode.OK


def _service(path: str) -> str | None:
    """Return the service of SERVICE:PATH; None for a path on the laptop, as for ./a:b."""
    name, colon, _ = path.partition(":")
    return name if colon and "/" not in name else None


def _copy(world: World, track: Track, *, source: str, target: str, index: str) -> None:
    from pathlib import Path

    from hashlab.phases.cp import copy_from, copy_to
    from hashlab.run.openssh import container_of

    service = _service(source) or _service(target) or ""
    machine, container = container_of(world, service, index)
    path = (source if _service(source) else target).partition(":")[2]
    if _service(source):
        copy_from(
            world, track, machine=machine, container=container, path=path, target=Path(target)
        )
    else:
        copy_to(world, track, machine=machine, container=container, path=path, source=source)
