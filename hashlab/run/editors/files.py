"""Writes attach configurations into the files of editors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

from hashlab.documents.debug import DebugSession
from hashlab.errors import LaptopError
from hashlab.run.editors import intellij, vscode

# The folders by which an editor's use of a folder is recognised.
VSCODE = (".vscode",)
INTELLIJ = (".idea", ".run")


def opened_folder(lab: Path) -> Path:
    """Return the folder that an editor opens: the nearest one from the lab's up to that of the git
    repository that has settings of an editor, else the lab's own.
    """
    top = next((each for each in (lab, *lab.parents) if (each / ".git").exists()), lab)
    for folder in (lab, *lab.parents):
        if _has(folder, VSCODE) or _has(folder, INTELLIJ):
            return folder
        if folder == top:
            break
    return lab


def write(session: DebugSession, root: Path) -> list[str]:
    """Write a session's configurations for the editors that the folder has settings of, or for
    both; return the files that were written or are right. Raises LaptopError.
    """
    used = [each for each in (VSCODE, INTELLIJ) if _has(root, each)]
    written = []
    if VSCODE in used or not used:
        _change(root / vscode.FILE, lambda text: vscode.added(text, dict(session.vscode)))
        written.append(str(vscode.FILE))
    if session.intellij and (INTELLIJ in used or not used):
        file = intellij.file(session.service)
        port = int(session.address.rpartition(":")[2])
        _change(
            root / file,
            lambda text: intellij.with_port(text, port) if text.strip() else session.intellij,
        )
        written.append(str(file))
    return written


def _has(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).is_dir() for name in names)


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Change a file in one step; one that exists keeps its mode and the link that leads to it."""
    path = path.resolve()
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        changed = change(text)
        if changed == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(changed.encode())
        try:
            if path.exists():
                shutil.copymode(path, temporary)
            else:
                temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise
    except (OSError, ValueError) as error:
        raise LaptopError(
            f"it was not changed: {error}",
            where=str(path),
            next_step="hashlab debug without --write prints what to put there",
        ) from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
