"""Run steps: time them, run independent ones in parallel, wait for all, cancel, lose no error."""

from hashlab.pipeline.cancelling import Cancelled, CancelToken
from hashlab.pipeline.graph import Node, parallel, run_graph
from hashlab.pipeline.recording import UNIX_TIME, Listener, Recorder, Row, Status, Step, Track
from hashlab.pipeline.workflow import Part, Phase, RunResult, Where, joined, run_workflow

__all__ = [
    "UNIX_TIME",
    "CancelToken",
    "Cancelled",
    "Listener",
    "Node",
    "Part",
    "Phase",
    "Recorder",
    "Row",
    "RunResult",
    "Status",
    "Step",
    "Track",
    "Where",
    "joined",
    "parallel",
    "run_graph",
    "run_workflow",
]
