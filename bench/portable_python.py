"""A Python for machines that have none by design: this laptop's own, with the libraries it needs.

Ansible runs its modules with a Python on each machine. hashlab's machines have none, and nothing is
installed on them here: interpreter, standard library, shared libraries and their loader go into one
folder, which is removed with everything else that a bench put there.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
            "site-packages", "dist-packages", "__pycache__"}  # fmt: skip
LIBRARY = re.compile(r"(/\S+) \(0x")


def packed(home: str) -> bytes:
    """A tar of what must lie in folder ``home`` of a machine; ``home``/python starts it."""
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(program, "bin/python3")
        archive.add(library, f"lib/{library.name}", filter=_needed)
        modules = [p for p in library.glob("lib-dynload/*.so") if "tkinter" not in p.name]
        for path in shared_libraries([program, *modules]):
            archive.add(path.resolve(), f"libraries/{path.name}")
            if path.name.startswith("ld-linux"):
                _add_script(archive, starter(home, path.name))
    return stream.getvalue()


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(member.name).name
    unneeded = name in LEFT_OUT or name.startswith(("config-", "_tkinter"))
    return None if unneeded else member


def _add_script(archive: tarfile.TarFile, text: str) -> None:
    member = tarfile.TarInfo("python")
    member.mode, member.size = 0o755, len(text)
    archive.addfile(member, io.BytesIO(text.encode()))


def starter(home: str, loader: str) -> str:
    """The script that starts it, with its own loader: the machine's C library may be older."""
    return (
        "#!/bin/sh\n"
        f"PYTHONHOME={home} exec {home}/libraries/{loader} --library-path {home}/libraries "
        f'{home}/bin/python3 "$@"\n'
    )


def shared_libraries(binaries: list[Path]) -> list[Path]:
    """What the binaries are linked with, the loader among them, each once."""
    words = ["ldd", *map(str, binaries)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return sorted({Path(found) for found in LIBRARY.findall(done.stdout)})
