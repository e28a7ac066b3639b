"""Print the ids of the labs that runs of these tests may have left on this laptop.

A lab of a test is in pytest's temporary folder. pytest writes its process id into a file ``.lock``
there and removes it when it ends in order; it deletes no folder with a lock for days, and keeps
those of its last runs.
"""

from __future__ import annotations

import getpass
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labkit import LabFolder, id_of


def ended_runs(root: Path) -> Iterator[Path]:
    """Yield the folders of runs that have ended, in order or not."""
    for folder in root.glob("pytest-[0-9]*"):
        lock = folder / ".lock"
        pid = lock.read_text(encoding="ascii").strip() if lock.exists() else ""
        process = ["ps", "-o", "args=", "-p", pid or "0"]
        running = subprocess.run(process, capture_output=True, text=True, check=False).stdout
        if "pytest" not in running:
            yield folder


def labs(folder: Path) -> set[str]:
    """Return the ids of the labs in a run's folder. Their files may be invalid, because some tests
    are about that.
    """
    found = set()
    for state in folder.glob("*/**/.hashlab"):
        with suppress(OSError, LookupError, TypeError, ValueError, RecursionError):
            found.add(id_of(LabFolder(state.parent)))
    return found


if __name__ == "__main__":
    for run in ended_runs(Path(tempfile.gettempdir()) / f"pytest-of-{getpass.getuser()}"):
        for lab in labs(run):
            print(lab)
