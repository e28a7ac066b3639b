"""`hashlab box import SOURCE`: register a box that others exported."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Register a box that others exported.",
    text="A box whose checksum differs is refused. Vagrant runs nothing of it on the laptop: "
    "hashlab writes its own Vagrantfile.",
    examples=[
        ("Take the box of a colleague", "hashlab box import /mnt/shared/boxes/"),
        (
            "Accept only a box that a known key signed",
            "hashlab box import https://boxes.example.org/ --signers allowed_signers",
        ),
    ],
    exits=RUN_EXITS,
    arguments=[Argument("source", "File, folder or https address of the box.", complete="file")],
    options=[
        Option(
            "signers",
            "Accept only a box that is signed by a key in this file of allowed signers.",
            value="FILE",
            complete="file",
        ),
    ],
)


def run(options: Options, *, source: str, signers: str) -> int:
    """Import a box."""
    from pathlib import Path

    from hashlab.run import execution, workflows

    file = Path(signers).expanduser() if signers else None
    return execution.run("box-import", workflows.box_import(source, signers=file), options)
