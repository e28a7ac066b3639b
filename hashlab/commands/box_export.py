"""`hashlab box export TARGET`: write the lab's box for others."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Write the lab's box to a file or folder, for others.",
    text="Also writes a metadata.json with the checksum of the box, so that colleagues or any "
    "static web server can provide it.",
    examples=[
        ("Write the box to a shared folder", "hashlab box export /mnt/shared/boxes/"),
        (
            "Write a signed box for a web server",
            "hashlab box export site/ --base-url https://boxes.example.org --sign ~/.ssh/id",
        ),
    ],
    exits=RUN_EXITS,
    arguments=[Argument("target", "File or folder to write.", complete="file")],
    options=[
        Option("base-url", "Address from which a web server will provide the box.", value="URL"),
        Option("sign", "Sign metadata.json with this SSH key.", value="KEY", complete="file"),
    ],
)


def run(options: Options, *, target: str, base_url: str, sign: str) -> int:
    """Export the box."""
    from pathlib import Path

    from hashlab.run import execution, workflows

    key = Path(sign).expanduser() if sign else None
    workflow = workflows.box_export(Path(target).absolute(), base_url, sign=key)
    return execution.run("box-export", workflow, options)
