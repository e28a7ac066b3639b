"""Provider ``hosts``: machines that are there already, reached by the person's own SSH."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hashlab.config.model import Lab
from hashlab.errors import HashlabError
from hashlab.protocols import Engine, Locate, Probe, Rank, Shells, Tool
from hashlab.providers.hosts.lab import LabHosts
from hashlab.providers.hosts.machines import HostMachines


class HostsProvider:
    """protocols.Provider of hosts that hashlab neither makes nor removes."""

    name = "hosts"
    publishes_ports = False
    keeps_ports = False
    shares_kernel = False
    time_factor = 2.0  # hosts may be far away
    boxes = None
    booting = None
    snapshots = None

    def __init__(
        self,
        lab: Lab,
        *,
        locate: Locate,
        shells: Callable[[], Shells],
        engine: Callable[[], Engine],
    ) -> None:
        """``locate``: how OpenSSH reaches an endpoint; ``shells``: opens connections; ``engine``:
        the laptop's, which builds the images.
        """
        self._lab = lab
        self.machines = HostMachines(locate=locate, shells=shells)
        self.hosts = LabHosts(self.machines, engine)

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """See protocols.Provider."""
        return (
            Tool("ssh", "openssh-client"),
            Tool("ssh-keygen", "openssh-client"),
            Tool("rsync", "rsync"),
        )

    def check(self) -> None:
        """See protocols.Provider. Contacts no host."""
        for machine in self._lab.machines:
            self.machines.access(machine)

    def probe(self) -> Probe:
        """See protocols.Provider."""
        try:
            self.check()
        except HashlabError as error:
            return Probe(False, Rank.DOCKER, error.what, error.next_step)
        number = len(self._lab.machines)
        return Probe(True, Rank.DOCKER, f"{number} hosts that are there already; experimental")
