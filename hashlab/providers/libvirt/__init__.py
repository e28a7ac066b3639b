"""Provider ``libvirt``: virtual machines by vagrant-libvirt, with KVM or by emulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hashlab.errors import HashlabError, LaptopError
from hashlab.protocols import Engine, KvmProbe, Probe, Rank, Runner, Tool
from hashlab.providers.isolation import Isolation
from hashlab.providers.libvirt.boxes import LibvirtBoxes
from hashlab.providers.libvirt.machines import LibvirtMachines
from hashlab.providers.libvirt.snapshots import LibvirtSnapshots
from hashlab.providers.libvirt.virsh import Virsh
from hashlab.providers.seed import Seed
from hashlab.providers.vagrant import LabVagrant

PLUGIN = "vagrant-libvirt"
# The file by which Debian's package announces the plugin. Other installations list it in Vagrant's
# home.
DEBIAN_PLUGIN = Path("/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json")
# Measured with the example application: emulation runs its JVMs about ten times slower.
KVM_TIME_FACTOR = 2.0
EMULATION_TIME_FACTOR = 10.0


class LibvirtProvider:
    """protocols.Provider on the laptop's libvirt; boxes are built on its Docker Engine."""

    name = "libvirt"
    publishes_ports = False
    keeps_ports = False
    shares_kernel = False

    hosts = None

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        engine: Callable[[], Engine],
        runner: Runner,
        kvm: Callable[[], KvmProbe],
        environ: Mapping[str, str],
        cache: Path,
        work: Path,
        cores: int,
    ) -> None:
        """Make a provider.

        ``kvm``: the result of booting a guest under KVM; ``cache``: a file for results of probing
        the engine; ``work``: a folder for snapshots and files passed to libvirt; ``cores``: the
        number of the laptop's cores.
        """
        self._engine = engine
        self._virsh = Virsh(runner)
        self._kvm = kvm
        self._environ = environ
        seed = Seed(engine=engine, isolation=Isolation(engine=engine, cache=cache))
        self.boxes = LibvirtBoxes(
            vagrant=vagrant, engine=engine, seed=seed, runner=runner, virsh=self._virsh
        )
        self.machines = LibvirtMachines(
            vagrant=vagrant,
            time_factor=lambda: self.time_factor,
            virsh=self._virsh,
            kvm=lambda: kvm().works,
            work=work,
            cores=cores,
        )
        self.booting = self.machines
        self.snapshots = LibvirtSnapshots(
            virsh=self._virsh, machines=self.machines, folder=work / "snapshots"
        )

    @property
    def time_factor(self) -> float:
        """See protocols.Provider."""
        return KVM_TIME_FACTOR if self._kvm().works else EMULATION_TIME_FACTOR

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """See protocols.Provider."""
        return (
            Tool("vagrant", "vagrant"),
            Tool("virsh", "libvirt-clients"),
            Tool("qemu-img", "qemu-utils"),
            Tool("qemu-system-x86_64", "qemu-system-x86"),
            Tool("ssh", "openssh-client"),
            Tool("ssh-keygen", "openssh-client"),
            Tool("rsync", "rsync"),
        )

    def check(self) -> None:
        """See protocols.Provider."""
        self._engine().info()  # boxes and images are built on this engine
        if not self._plugin_is_installed():
            raise LaptopError(
                f"Vagrant's plugin {PLUGIN} is not installed",
                next_step=f"apt-get install {PLUGIN}, or: vagrant plugin install {PLUGIN}",
            )
        try:
            self._virsh.call("list")
        except HashlabError as error:
            raise LaptopError(
                f"libvirt does not answer: {error.output.strip() or error.what}",
                next_step="start it (systemctl start libvirtd) and join its group "
                "(usermod -aG libvirt USER); Debian, Ubuntu: apt-get install libvirt-daemon-system",
            ) from error

    def probe(self) -> Probe:
        """See protocols.Provider."""
        kvm = self._kvm()
        rank = Rank.LIBVIRT_KVM if kvm.works else Rank.LIBVIRT_EMULATED
        try:
            self.check()
        except HashlabError as error:
            return Probe(False, rank, error.what, error.next_step)
        how = "with KVM" if kvm.works else "by emulation, about ten times slower"
        return Probe(True, rank, f"virtual machines {how}: {kvm.why}", kvm.next_step)

    def _plugin_is_installed(self) -> bool:
        """Return whether Vagrant's plugin is installed. Calling Vagrant itself would take a
        second.
        """
        home = self._environ.get("VAGRANT_HOME")
        own = Path(home) if home else Path(self._environ.get("HOME", "~")) / ".vagrant.d"
        for path in (DEBIAN_PLUGIN, own.expanduser() / "plugins.json"):
            try:
                if PLUGIN in path.read_text(encoding="utf-8"):
                    return True
            except FileNotFoundError:
                continue
        return False
