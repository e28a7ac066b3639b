"""Provider ``virtualbox`` (experimental): virtual machines of a box by URL. Not yet tested with a
real VirtualBox.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hashlab.config.model import VirtualBoxBase
from hashlab.errors import HashlabError, LaptopError
from hashlab.protocols import Download, Probe, Rank, Runner, Tool
from hashlab.providers.vagrant import LabVagrant
from hashlab.providers.virtualbox.boxes import VirtualBoxBoxes
from hashlab.providers.virtualbox.machines import VirtualBoxMachines
from hashlab.providers.virtualbox.snapshots import VirtualBoxSnapshots
from hashlab.providers.virtualbox.vboxmanage import VBoxManage

MACOS = "darwin"


class VirtualBoxProvider:
    """protocols.Provider on the laptop's VirtualBox."""

    name = "virtualbox"
    publishes_ports = True
    keeps_ports = False
    shares_kernel = False
    # The other machines boot only after the first one, and a Debian box installs Docker at its
    # first boot.
    time_factor = 5.0

    hosts = None

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        runner: Runner,
        download: Download,
        base: VirtualBoxBase | None,
        work: Path,
        platform: str,
    ) -> None:
        """``base``: [box.virtualbox]; ``work``: the folder in which boxes are made; ``platform``:
        as in sys.
        """
        self._vbox = VBoxManage(runner, macos=platform == MACOS)
        self.boxes = VirtualBoxBoxes(
            vagrant=vagrant, vbox=self._vbox, download=download, base=base, work=work
        )
        self.machines = VirtualBoxMachines(
            vagrant=vagrant,
            time_factor=lambda: self.time_factor,
            vbox=self._vbox,
            runner=runner,
        )
        self.booting = self.machines
        self.snapshots = VirtualBoxSnapshots(vbox=self._vbox, machines=self.machines)

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """See protocols.Provider."""
        return (
            Tool("vagrant", "vagrant"),
            Tool("VBoxManage", "virtualbox"),
            Tool("ssh", "openssh-client"),
            Tool("ssh-keygen", "openssh-client"),
            Tool("ssh-keyscan", "openssh-client"),
            Tool("rsync", "rsync"),
        )

    def check(self) -> None:
        """See protocols.Provider. Without its kernel driver VBoxManage answers, but with a
        warning.
        """
        try:
            output = self._vbox.call("--version")
        except HashlabError as error:
            raise LaptopError(
                f"VirtualBox does not answer: {error.output.strip() or error.what}",
                next_step="install VirtualBox and check that `VBoxManage --version` works",
            ) from error
        if "WARNING" in output:
            warning = " ".join(output.split())
            raise LaptopError(
                f"VirtualBox's kernel driver is not loaded: {warning}",
                next_step="run `sudo /sbin/vboxconfig`, or with Debian's package "
                "`sudo modprobe vboxdrv`",
            )

    def probe(self) -> Probe:
        """See protocols.Provider."""
        try:
            self.check()
        except HashlabError as error:
            return Probe(False, Rank.VIRTUALBOX, error.what, error.next_step)
        detail = "virtual machines; experimental: never tried on a real VirtualBox"
        return Probe(True, Rank.VIRTUALBOX, detail)
