"""The folder .hashlab: the names of its files, and the one way to read, write and remove them.

Files are written whole or not at all. Links in ``.hashlab`` are not followed (see
``hashlab.state.private``). Errors of the disk become a LaptopError that names the next step.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hashlab.errors import LaptopError
from hashlab.state import private

# The ending of a file's name while it is being written.
UNFINISHED = ".new"
# Largest text file, in bytes. Nothing that hashlab writes comes near this size.
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class StateFolder:
    """Paths below ``.hashlab``. All of it can be deleted; the next run creates it again.

    Files about machines are in a folder of their provider, so that one lab can run on two providers
    at a time.
    """

    root: Path
    provider: str

    @property
    def own(self) -> Path:
        """Files about this provider's machines."""
        return self.root / self.provider

    @property
    def vagrantfile(self) -> Path:
        """The rendered Vagrantfile."""
        return self.own / "Vagrantfile"

    @property
    def vagrant(self) -> Path:
        """Vagrant's own state of the machines."""
        return self.own / "vagrant"

    @property
    def ssh(self) -> Path:
        """Key pair, known hosts and OpenSSH configuration of this lab."""
        return self.own / "ssh"

    @property
    def key(self) -> Path:
        """The lab's private key."""
        return self.ssh / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """OpenSSH configuration that knows every machine by its name."""
        return self.ssh / "config"

    @property
    def machines(self) -> Path:
        """Cached SSH endpoints and host keys."""
        return self.own / "machines.json"

    @property
    def secrets(self) -> Path:
        """Secrets made for this lab, one file each."""
        return self.root / "secrets"

    @property
    def runs(self) -> Path:
        """One JSON record per run."""
        return self.root / "runs"

    @property
    def events(self) -> Path:
        """The record of what happened, one JSON object a line."""
        return self.root / "events.jsonl"

    @property
    def seen(self) -> Path:
        """The machines and containers as they were observed last, to notice what changes."""
        return self.own / "seen.json"

    @property
    def page(self) -> Path:
        """The page of all runs."""
        return self.root / "report.html"

    @property
    def lock(self) -> Path:
        """The file that the current run keeps locked."""
        return self.root / "lock"

    @property
    def unverified(self) -> Path:
        """Exists from the first change to the lab until verify has passed."""
        return self.own / "unverified"

    @property
    def stopped(self) -> Path:
        """The services that a person stopped: no run starts them until a person does."""
        return self.own / "stopped.json"

    @property
    def runs_images(self) -> Path:
        """Exists while the lab runs from self-contained images."""
        return self.own / "runs-images"

    @property
    def suspended(self) -> Path:
        """Exists while the lab is suspended."""
        return self.own / "suspended"

    @property
    def forwards(self) -> Path:
        """The folder in which each `hashlab forward` that runs keeps a locked file."""
        return self.own / "forwards"

    @property
    def observed(self) -> Path:
        """The names of what `dev --with` turned on for the life of the lab."""
        return self.own / "observed.json"

    @property
    def observe(self) -> Path:
        """The stores' data, their password, and how far each machine's journal is stored."""
        return self.own / "observe"

    @property
    def intercepts(self) -> Path:
        """The folder of what each `hashlab intercept` that runs has handed over, by service."""
        return self.own / "intercepts"

    @property
    def disks_ready(self) -> Path:
        """Exists once the disks of new machines are filled. Vagrant waits for it."""
        return self.own / "disks-ready"

    @property
    def images(self) -> Path:
        """Saved images, from the first machine of a run that lacks one until the run ends."""
        return self.own / "images"

    @property
    def oci(self) -> Path:
        """The self-contained images of the services, as an OCI image layout, with their SBOMs."""
        return self.root / "oci"

    @property
    def kept(self) -> Path:
        """Data of machines that are being replaced, until the new machines have it."""
        return self.own / "kept"

    @property
    def snapshots(self) -> Path:
        """The manifests of snapshots. They remain when the lab is destroyed."""
        return self.own / "snapshots"

    def manifest(self, snapshot: str) -> Path:
        """The description of a snapshot. Exists once the snapshot is complete."""
        return self.snapshots / f"{snapshot}.json"

    @property
    def restoring(self) -> Path:
        """Contains the name of a snapshot; exists while machines are replaced by those of the
        snapshot.
        """
        return self.own / "restoring"

    @property
    def children(self) -> Path:
        """One file for each running command of a run."""
        return self.root / "children"

    @property
    def engine(self) -> Path:
        """Results of probing the laptop's engine."""
        return self.root / "engine.json"

    @property
    def consent(self) -> Path:
        """The services that a person allowed to become root on the laptop, and why they could."""
        return self.root / "consent.json"

    @property
    def places(self) -> Path:
        """The machine on which each service ran last."""
        return self.root / "places.json"

    @property
    def scale(self) -> Path:
        """The number of replicas of services that `hashlab scale` named."""
        return self.root / "scale.json"

    @property
    def pulled(self) -> Path:
        """The content of images that `hashlab pull` brought, which machines get."""
        return self.root / "pulled.json"

    @property
    def kvm(self) -> Path:
        """The result of probing whether guests run under KVM on this laptop."""
        return self.root / "kvm.json"

    @property
    def typed(self) -> Path:
        """The Compose file that `--file -` read from standard input."""
        return self.root / "stdin.yaml"

    def artifact(self, name: str) -> Path:
        """The inputs of the last build of an artifact."""
        return self.root / "artifacts" / f"{name}.json"


def read_json(path: Path) -> Any:
    """Return the file's JSON value; None if it is missing, damaged or unreadable.

    Only for files that can be created again.
    """
    try:
        return json.loads(_read(path))
    except (OSError, ValueError, RecursionError):
        return None


def read_text(path: Path) -> str | None:
    """Return the text of a file; None if it is missing. Raises LaptopError if it cannot be read."""
    with explained(path):
        try:
            return _read(path).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise OSError(None, "it is not UTF-8", str(path)) from error


def _read(path: Path) -> bytes:
    with os.fdopen(private.open_file(str(path), os.O_RDONLY), "rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, "it is larger than any file of hashlab", str(path))
    return data


def write_json(path: Path, value: object, *, lasting: bool = False) -> None:
    """Write a JSON value; see ``write_text``."""
    write_text(path, json.dumps(value, indent=2) + "\n", lasting=lasting)


def save_cache(path: Path, value: object) -> None:
    """Save a value that can be determined again. If saving fails, the next run determines it."""
    with suppress(LaptopError):
        write_json(path, value)


def write_text(path: Path, text: str, *, mode: int | None = None, lasting: bool = False) -> None:
    """Write a text file so that a reader sees the old file or the new one, never a part.

    ``mode``: permissions of a new file; by default 0600 in ``.hashlab`` and 0644 elsewhere.
    ``lasting``: the file survives a power cut. Raises LaptopError; the old file is then unchanged.
    """
    with explained(path), replacing(path, mode=mode, lasting=lasting) as stream:
        stream.write(text.encode())


@contextmanager
def replacing(path: Path, *, mode: int | None = None, lasting: bool = False) -> Iterator[IO[bytes]]:
    """Yield a stream. Its content becomes the file if the block succeeds; see ``write_text``.

    Raises OSError.
    """
    if mode is None:
        mode = private.FILE_MODE if private.is_private(str(path)) else 0o644
    with private.parent(str(path), make=True) as (folder, name):
        unfinished = f"{name}.{os.getpid()}{UNFINISHED}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            # left by a killed process with the same process id
            os.unlink(unfinished, dir_fd=folder)
        try:
            with os.fdopen(os.open(unfinished, flags, mode, dir_fd=folder), "wb") as stream:
                yield stream
                stream.flush()
                if lasting:
                    os.fsync(stream.fileno())
            os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise
        if lasting:
            os.fsync(folder)


def append(path: Path, text: str) -> None:
    """Write at the end of a file. Raises LaptopError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    with explained(path), os.fdopen(private.open_file(str(path), flags), "ab") as stream:
        stream.write(text.encode())


def open_binary(path: Path, *, write: bool = False) -> IO[bytes]:
    """Open a file to read it, or with ``write`` to overwrite it. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if write else os.O_RDONLY
    return os.fdopen(private.open_file(str(path), flags), "wb" if write else "rb")


def is_file(path: Path) -> bool:
    """True for a file. In ``.hashlab`` a link is not a file."""
    return private.kind(str(path)) == stat.S_IFREG


def is_locked(descriptor: int) -> bool:
    """Return whether another process holds a lock on an open file. The kernel drops the lock of a
    process that ends, however it does.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_folder(path: Path) -> bool:
    """True for a folder. In ``.hashlab`` a link is not a folder."""
    return private.kind(str(path)) == stat.S_IFDIR


def names(path: Path) -> list[str]:
    """Return the sorted names in a folder; none if it is missing or not a folder. Raises
    LaptopError.
    """
    try:
        with private.folder(str(path)) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - Path cannot list a descriptor
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise trouble(error) from error


def make_folder(path: Path) -> None:
    """Create a folder and all folders above it. Raises LaptopError."""
    with explained(path), private.folder(str(path), make=True):
        pass


def make_tool_folder(path: Path) -> None:
    """Create a folder that another program will write in. Raises LaptopError if it contains a link,
    through which the program would write elsewhere.
    """
    make_folder(path)
    with explained(path), private.folder(str(path)) as folder:
        for where, folders, files, opened in os.fwalk(".", dir_fd=folder):
            for name in (*folders, *files):
                if stat.S_ISLNK(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
                    raise OSError(errno.ELOOP, "it is a link", str(path / where / name))


def move(source: Path, target: Path) -> None:
    """Give a file another name, in place of a file that has it. Raises LaptopError."""
    with (
        explained(target),
        private.parent(str(source)) as (old, name),
        private.parent(str(target), make=True) as (new, wanted),
    ):
        os.replace(name, wanted, src_dir_fd=old, dst_dir_fd=new)


def size(path: Path) -> int | None:
    """Return the bytes of a file; None if it is missing or, in ``.hashlab``, a link."""
    try:
        with os.fdopen(private.open_file(str(path), os.O_RDONLY), "rb") as stream:
            return os.fstat(stream.fileno()).st_size
    except OSError:
        return None


def remove(path: Path) -> None:
    """Remove a file, or a link itself. A missing file is not an error. Raises LaptopError."""
    with explained(path):
        try:
            with private.parent(str(path)) as (folder, name):
                os.unlink(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            pass


def remove_tree(path: Path) -> None:
    """Remove a folder and everything in it, or a file or link. A missing path is not an error.

    Raises LaptopError.
    """
    if not is_folder(path):
        remove(path)
        return
    with explained(path), private.parent(str(path)) as (folder, name):
        shutil.rmtree(name, dir_fd=folder)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder, and remove it with everything in it afterwards. Raises LaptopError."""
    remove_tree(folder)
    make_folder(folder)
    try:
        yield folder
    finally:
        remove_tree(folder)


def make_lasting(path: Path) -> None:
    """Make sure that a file written by another program survives a power cut. Raises LaptopError."""
    with explained(path), private.parent(str(path)) as (folder, name):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.fsync(folder)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which works on ``path``, into a LaptopError with advice."""
    try:
        yield
    except OSError as error:
        raise trouble(error, path) from error


def trouble(error: OSError, path: Path | None = None) -> LaptopError:
    """Return the error for a file that cannot be read or written, with advice."""
    where = Path(os.fsdecode(error.filename)) if error.filename else path
    reason = error.strerror or str(error)
    what = reason if reason.startswith("it is") else f"it cannot be used: {reason}"
    return LaptopError(what, where=str(where or ""), next_step=_advice(error.errno, where))


def _advice(number: int | None, where: Path | None) -> str:
    if number in (errno.EACCES, errno.EPERM) and where is not None:
        mine = f"sudo chown -R {os.geteuid()} {shlex.quote(str(_state_of(where)))}"
        return f"run hashlab as the user who owns it, or make it yours: {mine}"
    return _ADVICE.get(number or 0, "move it away, then run it again")


def _state_of(path: Path) -> Path:
    """Return the ``.hashlab`` that contains a path, else the path's folder."""
    inside = [each for each in (path, *path.parents) if each.name == private.STATE]
    return inside[0] if inside else path.parent


_ADVICE = {
    errno.ENOSPC: "free space on that disk, then run it again; hashlab box prune and docker system "
    "df show what can be removed",
    errno.EDQUOT: "your quota is used up: remove files, then run it again",
    errno.EROFS: "the disk is mounted read-only: mount it for writing, or copy the lab elsewhere",
    errno.ENAMETOOLONG: "move the lab to a folder with a shorter path",
    errno.ENOLCK: "this disk has no file locks: move the lab to a local disk",
    errno.EOPNOTSUPP: "this disk has no file locks: move the lab to a local disk",
    errno.ENOSYS: "this disk has no file locks: move the lab to a local disk",
    errno.EIO: "the disk fails: save your data, then check it",
    errno.EMFILE: "too many files are open: close programs, or raise ulimit -n",
    errno.ENFILE: "too many files are open: close programs",
}
