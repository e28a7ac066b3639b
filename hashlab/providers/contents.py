"""Determine the contents of a box's system and image store, by a script in a container of that
system.
"""

from __future__ import annotations

from importlib import resources

from hashlab.errors import LabError
from hashlab.protocols import BoxContents, Engine
from hashlab.providers.scripts import run_script

LARGEST = 8
SCRIPT = resources.files("hashlab.providers").joinpath("contents.sh").read_text("utf-8")
PARTS = {"/": "system", "/store": "image store"}


def ask_contents(engine: Engine, *, name: str, image: str, store: str = "") -> BoxContents:
    """Return the contents of ``image``. ``store``: the volume with the image store, if it is part
    of the box.
    """
    output = run_script(
        engine,
        SCRIPT,
        name=name,
        image=image,
        arguments=[str(LARGEST)],
        binds=[f"{store}:/store:ro"] if store else [],
        failure="cannot read the contents of the system",
    )
    return parse_contents(output)


def parse_contents(output: str) -> BoxContents:
    """Parse the output of ``SCRIPT``: lines of a keyword and its values, separated by tabs."""
    rows = [line.split("\t") for line in output.splitlines()]
    texts = {row[0]: row[1] for row in rows if len(row) == 2}
    sizes = {(row[0], row[2]): int(row[1]) for row in rows if len(row) == 3}
    if "os" not in texts:
        raise LabError("the output does not describe the system", output=output)
    return BoxContents(
        os=texts["os"],
        docker=_version(texts.get("docker", "")),
        kernel=texts.get("kernel", ""),
        parts={PARTS[name]: size for (kind, name), size in sizes.items() if kind == "part"},
        packages={
            # dpkg reports KiB.
            name: size * 1024
            for (kind, name), size in sizes.items()
            if kind == "package"
        },
    )


def _version(text: str) -> str:
    """Return the number in "Docker version 20.10.24+dfsg1, build 297e128"."""
    return text.removeprefix("Docker version ").partition(",")[0]
