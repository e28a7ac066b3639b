"""The outside world in memory. It refuses every call that a test did not prepare."""

from fakes.engine import Behaviour, Cluster, FakeEngine
from fakes.faults import Faults
from fakes.labs import behind_front, change_service, small_lab, spread_over, write_files
from fakes.machine import FakeMachine, FakeShell
from fakes.oddnames import ODD_NAMES
from fakes.outside import (
    FakeConnector,
    FakeProvider,
    FakeRunner,
    FakeVagrant,
    Outside,
    make_world,
    track_of,
)
from fakes.pastruns import CAUSE, MORNING, past_run, refresh_rows, save_runs
from fakes.running import (
    carry_out,
    connected,
    go,
    phase_of,
    register_box,
    rows,
    run,
    running,
)
from fakes.swarm import FakeSwarm

__all__ = [
    "CAUSE",
    "MORNING",
    "ODD_NAMES",
    "Behaviour",
    "Cluster",
    "FakeConnector",
    "FakeEngine",
    "FakeMachine",
    "FakeProvider",
    "FakeRunner",
    "FakeShell",
    "FakeSwarm",
    "FakeVagrant",
    "Faults",
    "Outside",
    "behind_front",
    "carry_out",
    "change_service",
    "connected",
    "go",
    "make_world",
    "past_run",
    "phase_of",
    "refresh_rows",
    "register_box",
    "rows",
    "run",
    "running",
    "save_runs",
    "small_lab",
    "spread_over",
    "track_of",
    "write_files",
]
