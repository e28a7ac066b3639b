"""Print the ids of the labs that killed runs of these tests may have left on this laptop.

A lab of a test lies in pytest's temporary folder. pytest writes its process id into a file
``.lock`` there and takes it away when it ends in order; it deletes no folder with a lock for days.
"""

from __future__ import annotations

import getpass
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labkit import LabFolder, id_of


def killed_runs(root: Path) -> Iterator[Path]:
    """Folders of pytest whose run is over although nothing says so."""
    for lock in root.glob("pytest-[0-9]*/.lock"):
        process = ["ps", "-o", "args=", "-p", lock.read_text(encoding="ascii").strip() or "0"]
        at_work = subprocess.run(process, capture_output=True, text=True, check=False).stdout
        if "pytest" not in at_work:
            yield lock.parent


def labs(folder: Path) -> set[str]:
    """Ids of the labs in a run's folder that hashlab has worked on. Settings may be anything but
    right, for that is what some tests are about.
    """
    found = set()
    for state in folder.glob("*/**/.hashlab"):
        with suppress(OSError, LookupError, TypeError, ValueError, RecursionError):
            found.add(id_of(LabFolder(state.parent)))
    return found


if __name__ == "__main__":
    for run in killed_runs(Path(tempfile.gettempdir()) / f"pytest-of-{getpass.getuser()}"):
        for lab in labs(run):
            print(lab)
