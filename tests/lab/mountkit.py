"""A folder with everything that a file system allows, mounted where an image's own links lead."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
from pathlib import Path

from labkit import LabFolder

NAMES = [b"# no comment", b"; x", b"- exclude", b"new\nline", b"100%s", b"back\\slash", b"caf\xe9"]
LINKS = {
    "to a file": "plain",
    "to a folder": "sub",
    "dangling": "nowhere",
    "loop": "loop",
    "out": "../../.hashlab/secrets",
    "hostname": "/etc/hostname",
    "device": "/dev/zero",
}
MODES = {"private": 0o600, "own": 0o700, "set-uid": 0o4755, "read-only": 0o444}
# /var/run is a link to /run in the image.
COMPOSE = (
    'volumes: ["./greeter:/app:ro"]',
    """volumes: ["./greeter:/app:ro", "./odd:/odd", "./odd:/var/run/odd:ro"]
    tmpfs: ["/odd/hidden"]
    secrets: [{ source: token, mode: 0400 }, { source: token, target: open, mode: 0444 }]
    configs: [{ source: token, target: /etc/token }]""",
)
DECLARED = """
secrets:
  token: { file: ./secret.txt }
configs:
  token: { file: ./config.txt }
"""
# Kind, mode, target and name of all that a folder shows; names need not be UTF-8.
SHOW = (
    r"cd {} && find . -path './hidden/*' -prune -o "
    r"-printf '%y %m %l %p\0' | sort -z | base64 -w 0"
)


def make_odd(folder: Path) -> None:
    """Make the folder, whose content ``SHOW`` prints."""
    folder.mkdir()
    (folder / "plain").write_text("plain\n")
    (folder / "sub/deep").mkdir(parents=True)
    (folder / "sub/page").write_text("one\n")
    (folder / "empty").mkdir(mode=0o750)
    (folder / "hidden").mkdir()
    (folder / "hidden/file").write_text("below a tmpfs")
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    for link, target in LINKS.items():
        (folder / link).symlink_to(target)
    for file, mode in MODES.items():
        (folder / file).write_text(file)
        (folder / file).chmod(mode)


def show(printed: str) -> list[bytes]:
    """What SHOW printed, entry by entry."""
    return base64.b64decode(printed).split(b"\0")


def inside(lab: LabFolder, script: str, *, user: str = "0") -> str:
    """Run a script in the greeter's container."""
    words = ["docker", "exec", "--user", user, "hello-greeter-1", "sh", "-c", script]
    return lab.on("back", shlex.join(words))


def on_the_laptop(folder: Path, script: str) -> str:
    """Run a script in a container of the laptop's engine that mounts the folder as Docker does."""
    mounts = ["--volume", f"{folder}:/odd", "--tmpfs", "/odd/hidden"]
    words = ["docker", "run", "--rm", "--user", "0", "--network", "none", *mounts]
    done = subprocess.run(
        [*words, "hello-greeter", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout
