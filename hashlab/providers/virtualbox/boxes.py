"""Boxes of the provider ``virtualbox``: a .box file by address and checksum, repacked under
hashlab's name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hashlab.config.model import Lab, VirtualBoxBase
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Track
from hashlab.protocols import BoxContents, BoxManifest, Download
from hashlab.providers.disks import fault_of_ovf, fault_of_vmdk
from hashlab.providers.vagrant import LabVagrant, VagrantBoxes
from hashlab.providers.virtualbox.names import LAB, MACHINE, RECIPE
from hashlab.providers.virtualbox.vboxmanage import VBoxManage
from hashlab.state.files import make_tool_folder

# Largest box, in bytes.
LIMIT = 16_000_000_000
OVF = "box.ovf"
MASTER = "master_id"
# Files in a registered box's folder that are not exported: hashlab packs one itself, Vagrant writes
# the others.
NOT_EXPORTED = ("hashlab.json", MASTER, "box_update_check")


def base_of(lab: Lab) -> VirtualBoxBase:
    """Return the lab's [box.virtualbox]. The configuration check makes sure that it exists."""
    if lab.box.virtualbox is None:
        raise LaptopError(
            "the provider virtualbox needs [box.virtualbox]",
            where=str(lab.folder),
            next_step="write [box.virtualbox] in hashlab.toml",
        )
    return lab.box.virtualbox


def master_of(manifest: BoxManifest) -> str:
    """Return the id of the machine as which Vagrant imported a registered box; "" if it has not
    been imported.
    """
    if manifest.registered_at is None:
        return ""
    try:
        return (manifest.registered_at / MASTER).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


class VirtualBoxBoxes(VagrantBoxes):
    """protocols.Boxes: nothing is built; a box of another maker is downloaded and registered."""

    holds_images = False
    packed = True
    promised_size = 4_000_000_000

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        vbox: VBoxManage,
        download: Download,
        base: VirtualBoxBase | None,
        work: Path,
    ) -> None:
        """``work``: the folder in which boxes are made."""
        super().__init__(vagrant)
        self._vbox = vbox
        self._download = download
        self._base = base
        self._work = work

    def inputs(self) -> Mapping[str, str]:
        """See protocols.Boxes. The checksum identifies the box, wherever it comes from."""
        base = self._base
        return {"checksum": base.checksum, "kind": base.kind, "user": base.user} if base else {}

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """See protocols.Boxes. Makes sure that the base box is on the laptop and matches its
        checksum.
        """
        base = base_of(lab)
        box = self._source(base)
        if box != self._downloaded:
            _check(box, base)
            track.detail(f"{box} matches its checksum")
            return
        make_tool_folder(self._work)
        if box.exists() and _digest(box, base.checksum) == base.checksum:
            track.skip("already downloaded")
            return
        track.detail(f"downloading {base.url}")
        self._download(base.url, box, limit=LIMIT, track=track)
        try:
            _check(box, base)
        except LabError:
            box.unlink()
            raise
        track.detail(f"{box.stat().st_size / 1e6:.0f} MB downloaded, checksum matches")

    @property
    def _downloaded(self) -> Path:
        return self._work / "base.box"

    def _source(self, base: VirtualBoxBase) -> Path:
        """Return the path of the base box. A file on the laptop is not copied."""
        parts = urlsplit(base.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else self._downloaded

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """See protocols.Boxes. Not called: the box contains no images, they are uploaded to
        machines.
        """
        raise AssertionError("a VirtualBox box contains no images")

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        """See protocols.Boxes. The members of the base box stay as they are."""
        return self._members(work)

    def _members(self, work: Path) -> dict[str, Path]:
        """Return the members of the base box, unpacked in ``work``."""
        folder = work / "members"
        box = self._source(self._base) if self._base else self._downloaded
        if not folder.exists():
            try:
                with tarfile.open(box) as archive:
                    archive.extractall(folder, filter="data")
            except (tarfile.TarError, OSError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise LabError(f"cannot unpack the box: {error}", where=str(box)) from error
        files = _files_of(folder)
        if OVF not in files or _provider_of(files.get("metadata.json")) != "virtualbox":
            raise LabError(
                "this is not a box for VirtualBox",
                where=self._base.url if self._base else str(box),
                output=f"it contains: {', '.join(files)}",
                next_step="name a box that was made for the provider virtualbox",
            )
        return files

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        """See protocols.Boxes. Of a box from elsewhere only the machine itself is used."""
        return {
            "metadata.json": json.dumps({"provider": "virtualbox"}),
            "Vagrantfile": 'Vagrant.configure("2") { |config| }\n',
        }

    def takes(self, name: str) -> bool:
        """See protocols.Boxes."""
        return name == OVF or name.endswith(".vmdk")

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        """See protocols.Boxes."""
        return fault_of_ovf(head) if name == OVF else fault_of_vmdk(head)

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        """See protocols.Boxes. Only the files of the box are known, not its system."""
        base = self._base
        return BoxContents(
            os=f"{base.kind}, from {_shown(base.url)}" if base else "",
            docker="",
            kernel="",
            parts={name: path.stat().st_size for name, path in self._members(work).items()},
            packages={},
        )

    def present(self, manifest: BoxManifest) -> bool:
        """See protocols.Boxes. All files of a box are in Vagrant's own folder."""
        folder = manifest.registered_at
        return folder is not None and (folder / OVF).exists()

    def users(self) -> Mapping[str, Sequence[str]]:
        """See protocols.Boxes."""
        users: dict[str, list[str]] = {}
        for name in self._vbox.machines():
            notes = self._vbox.notes(name)
            if RECIPE in notes:
                user = f"{notes.get(LAB, '?')}/{notes.get(MACHINE, '?')}"
                users.setdefault(notes[RECIPE], []).append(user)
        return users

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        """See protocols.Boxes. Vagrant's own files are left out."""
        folder = manifest.registered_at
        if folder is None:
            raise LabError(f"the box {manifest.name} {manifest.version} is not registered")
        return {name: path for name, path in _files_of(folder).items() if name not in NOT_EXPORTED}

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        """See protocols.Boxes. A registered box is complete."""
        return self.present(manifest)

    def remove(self, manifest: BoxManifest) -> list[str]:
        """See protocols.Boxes. Vagrant leaves the master of the linked clones behind."""
        master = master_of(manifest)
        names = [name for name, known in self._vbox.machines().items() if known == master]
        for name in names:
            self._vbox.remove_machine(name)
        return [f"machine {name}" for name in names]


def _shown(url: str) -> str:
    """Return the address of a box; for a file of this laptop only its name."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)).name if parts.scheme == "file" else url


def _files_of(folder: Path) -> dict[str, Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _check(box: Path, base: VirtualBoxBase) -> None:
    """Raise LabError unless a file is the box that hashlab.toml names."""
    actual = _digest(box, base.checksum)
    if actual != base.checksum:
        raise LabError(
            "the box is not the one that hashlab.toml names",
            where=base.url,
            output=f"expected {base.checksum}\nfound    {actual}",
            next_step="take url and checksum of [box.virtualbox] from the same place",
        )


def _digest(path: Path, like: str) -> str:
    """Return the checksum of a file, of the same kind and in the same form as ``like``."""
    kind = like.partition(":")[0]
    try:
        with path.open("rb") as stream:
            return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"
    except OSError as error:
        raise LaptopError(f"cannot read the box: {error.strerror}", where=str(path)) from error


def _provider_of(metadata: Path | None) -> str:
    try:
        value = json.loads(metadata.read_text(encoding="utf-8")) if metadata else None
    except ValueError:
        return ""
    return str(value.get("provider", "")) if isinstance(value, dict) else ""
