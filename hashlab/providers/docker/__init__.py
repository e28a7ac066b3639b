"""Provider ``docker``: each machine is a container with systemd, sshd and its own Docker Engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hashlab.errors import HashlabError, LaptopError
from hashlab.protocols import Engine, Probe, Rank, Tool
from hashlab.providers.docker.boxes import DockerBoxes
from hashlab.providers.docker.machines import DockerMachines
from hashlab.providers.docker.snapshots import DockerSnapshots
from hashlab.providers.isolation import Isolation
from hashlab.providers.seed import Seed
from hashlab.providers.vagrant import LabVagrant


class DockerProvider:
    """protocols.Provider on the laptop's Docker Engine."""

    name = "docker"
    publishes_ports = True
    keeps_ports = True
    shares_kernel = True
    time_factor = 1.0

    hosts = None

    def __init__(self, *, vagrant: LabVagrant, engine: Callable[[], Engine], cache: Path) -> None:
        """Make a provider. ``cache`` is a file that may be deleted; it holds results of probing the
        engine.
        """
        self._engine = engine
        isolation = Isolation(engine=engine, cache=cache)
        self.boxes = DockerBoxes(
            vagrant=vagrant, engine=engine, seed=Seed(engine=engine, isolation=isolation)
        )
        self.machines = DockerMachines(vagrant=vagrant, engine=engine, isolation=isolation)
        self.booting = self.machines
        self.snapshots = DockerSnapshots(engine=engine, machines=self.machines)

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """See protocols.Provider."""
        return (
            Tool("vagrant", "vagrant"),
            Tool("ssh", "openssh-client"),
            Tool("ssh-keygen", "openssh-client"),
            Tool("rsync", "rsync"),
        )

    def check(self) -> None:
        """See protocols.Provider."""
        info = self._engine().info()
        if info.get("OSType") != "linux":
            raise LaptopError(
                f"the Docker Engine runs {info.get('OSType')} containers",
                next_step="switch Docker to Linux containers",
            )
        if info.get("Driver") not in ("overlay2", "overlayfs"):
            raise LaptopError(
                f"the Docker Engine stores images with {info.get('Driver')!r}, not overlay2",
                next_step="set storage-driver to overlay2 in /etc/docker/daemon.json",
            )

    def probe(self) -> Probe:
        """See protocols.Provider."""
        try:
            self.check()
        except HashlabError as error:
            return Probe(False, Rank.DOCKER, error.what, error.next_step)
        return Probe(True, Rank.DOCKER, "machines are containers and share the laptop's kernel")
