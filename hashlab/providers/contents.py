"""What is inside a box's system and image store, asked in a container of that system."""

from __future__ import annotations

from importlib import resources

from hashlab.errors import LabError
from hashlab.protocols import BoxContents, Engine
from hashlab.providers.scripts import run_script

LARGEST = 8
SCRIPT = resources.files("hashlab.providers").joinpath("contents.sh").read_text("utf-8")
PARTS = {"/": "system", "/store": "image store"}


def ask_contents(engine: Engine, *, name: str, image: str, store: str = "") -> BoxContents:
    """What ``image`` holds; ``store``: the volume with the image store, if that is a part."""
    said = run_script(
        engine,
        SCRIPT,
        name=name,
        image=image,
        words=[str(LARGEST)],
        binds=[f"{store}:/store:ro"] if store else [],
        failure="cannot ask the system what is in it",
    )
    return parse_contents(said)


def parse_contents(said: str) -> BoxContents:
    """Read what ``SCRIPT`` printed: lines of a word and its values, with tabs between."""
    rows = [line.split("\t") for line in said.splitlines()]
    texts = {row[0]: row[1] for row in rows if len(row) == 2}
    sizes = {(row[0], row[2]): int(row[1]) for row in rows if len(row) == 3}
    if "os" not in texts:
        raise LabError("the system does not say what is in it", output=said)
    return BoxContents(
        os=texts["os"],
        docker=_version(texts.get("docker", "")),
        kernel=texts.get("kernel", ""),
        parts={PARTS[name]: size for (kind, name), size in sizes.items() if kind == "part"},
        packages={
            # dpkg counts in KiB.
            name: size * 1024
            for (kind, name), size in sizes.items()
            if kind == "package"
        },
    )


def _version(text: str) -> str:
    """The number in "Docker version 20.10.24+dfsg1, build 297e128"."""
    return text.removeprefix("Docker version ").partition(",")[0]
