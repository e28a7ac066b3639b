"""Vagrant's share of a provider: writes the Vagrantfile, boots and destroys machines, and keeps the
list of boxes.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlab.config.model import Lab, Machine
from hashlab.errors import LabError
from hashlab.pipeline import Track, parallel
from hashlab.protocols import BoxManifest, PlannedMachine, Vagrant
from hashlab.providers.scripts import WAIT_FOR_FILE
from hashlab.state.files import StateFolder, is_file, is_folder, names, remove, write_text

BOOT_SECONDS = 120.0
# The order in which Vagrant boots machines: a sequence of steps; each step is a set of parallel
# calls of `vagrant up`; each call is a list of machine names.
BootPlan = Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True)
class LabVagrant:
    """Vagrant, with the lab's files for it.

    ``render``: makes a Vagrantfile of the values of Vagrantfile.j2.
    """

    vagrant: Vagrant
    state: StateFolder
    render: Callable[[Mapping[str, Any]], str]

    def id_file(self, machine: str) -> Path:
        """Return the file by which Vagrant recognizes its machine."""
        return self._folder(machine) / self.state.provider / "id"

    def forget(self, machine: str) -> None:
        """Remove Vagrant's files of a machine. The file that ties it to Vagrant's own list of
        machines stays.
        """
        folder = self._folder(machine)
        for provider in names(folder):
            for file in names(folder / provider):
                if file != "index_uuid":
                    remove(folder / provider / file)

    def destroy(self, track: Track) -> None:
        """Destroy the machines of the Vagrantfile, if hashlab wrote one. A Vagrantfile is a
        program: one that came with the folder and made no machine is not run. Raises LabError.
        """
        if is_file(self.state.vagrantfile) and is_folder(self.state.vagrant):
            self.vagrant.destroy(track=track)

    def _folder(self, machine: str) -> Path:
        return self.state.vagrant / "machines" / machine


class VagrantMachines(ABC):
    """The part of protocols.Machines that is the same for all providers of Vagrant."""

    def __init__(self, vagrant: LabVagrant, *, time_factor: Callable[[], float]) -> None:
        self._vagrant = vagrant
        self._time_factor = time_factor

    @abstractmethod
    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        """Return the values for this provider's part of Vagrantfile.j2."""

    @abstractmethod
    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        """Return the order in which Vagrant boots these machines (at least one)."""

    @abstractmethod
    def halt(self, lab: Lab) -> None:
        """See protocols.Machines. Destroying them then need not wait for their init."""

    def write_plan(
        self,
        lab: Lab,
        planned: Mapping[str, PlannedMachine],
        manifest: BoxManifest,
        public_key: str,
    ) -> None:
        """See protocols.Machines. Writes the Vagrantfile."""

        def values(machine: Machine) -> dict[str, object]:
            own = planned[machine.name]
            return {
                "name": machine.name,
                "address": str(own.address),
                "forwarded_ports": [
                    {"id": port.id, "guest": port.guest, "host": own.ports[port.guest]}
                    for port in machine.made_with
                ],
                "settings": self.settings(lab, own, manifest, public_key),
            }

        state = self._vagrant.state
        text = self._vagrant.render(
            {
                "lab": lab.name,
                "provider": state.provider,
                "box": {"name": manifest.name, "version": manifest.version},
                "user": "core",
                "boot_seconds": round(BOOT_SECONDS * self._time_factor()),
                "private_key": str(state.key),
                "wait_for_disk": wait_for(state.disks_ready),
                "machines": [values(machine) for machine in lab.machines],
            }
        )
        write_text(state.vagrantfile, text)

    def boot(self, machines: Sequence[str], manifest: BoxManifest, *, track: Track) -> None:
        """See protocols.Machines."""
        for calls in self.boot_plan(machines, manifest):
            if len(calls) == 1:
                self._vagrant.vagrant.up(calls[0], track=track)
            else:
                parallel(calls, lambda names: self._up(names, track), track.cancel)

    def _up(self, names: Sequence[str], track: Track) -> None:
        """Make one of several calls that run at the same time, as a row of its own."""
        with track.child("vagrant up", machine=", ".join(names)) as step:
            self._vagrant.vagrant.up(names, track=step)

    def destroy(self, lab: Lab, *, made: bool, track: Track) -> str:
        """See protocols.Machines."""
        self.halt(lab)
        if not made:
            return ""
        try:
            self._vagrant.destroy(track)
        except LabError as error:
            track.output(str(error))
            return f"{error.what}; hashlab removed the machines without Vagrant"
        return ""

    def forget(self, machine: str) -> None:
        """See protocols.Machines. With its old files Vagrant would make the next machine from the
        same box.
        """
        self._vagrant.forget(machine)

    def restore_id(self, machine: str, made: str) -> None:
        """Let Vagrant recognize a machine that exists, if its own file is lost. ``made``: the id
        that Vagrant knows it by.
        """
        file = self._vagrant.id_file(machine)
        if not is_file(file):
            write_text(file, made)


class VagrantBoxes:
    """The part of protocols.Boxes that is the same for all providers of Vagrant."""

    def __init__(self, vagrant: LabVagrant) -> None:
        self._vagrant = vagrant

    def register(self, metadata: Path, *, track: Track) -> None:
        """See protocols.Boxes."""
        self._vagrant.vagrant.box_add(metadata, track=track)

    def unregister(self, name: str, *, version: str, track: Track) -> None:
        """See protocols.Boxes."""
        self._vagrant.vagrant.box_remove(name, version=version, track=track)


def wait_for(path: Path) -> str:
    """Return a shell command that waits until the file exists, and fails after a minute."""
    return shlex.join(["sh", "-c", WAIT_FOR_FILE, "sh", str(path)])
