"""The outside world in memory: engines, machines, Vagrant, a provider; refuses what is not prepared."""

from fakes.engine import Behaviour, Cluster, FakeEngine
from fakes.faults import Faults
from fakes.labs import change_service, small_lab, write_files
from fakes.machine import FakeMachine, FakeShell
from fakes.outside import (
    FakeConnector,
    FakeProvider,
    FakeRunner,
    FakeVagrant,
    Outside,
    make_world,
    track_of,
)

__all__ = [
    "Behaviour",
    "Cluster",
    "FakeConnector",
    "FakeEngine",
    "FakeMachine",
    "FakeProvider",
    "FakeRunner",
    "FakeShell",
    "FakeVagrant",
    "Faults",
    "Outside",
    "change_service",
    "make_world",
    "small_lab",
    "track_of",
    "write_files",
]
