"""The Protocols through which phases and providers use the outside world, and the plain values they
exchange.
"""

from hashlab.protocols.engine import (
    STOP_SECONDS,
    BuildSettings,
    ContainerState,
    Engine,
    ImageBuilder,
    Layer,
    NetworkPlace,
    NetworkState,
    SwarmState,
)
from hashlab.protocols.hosts import (
    HostAccess,
    HostCheck,
    HostPlan,
    Hosts,
    HostShell,
    Locate,
    Shells,
)
from hashlab.protocols.laptop import Completed, Download, KvmProbe, Runner, StreamingRunner, Vagrant
from hashlab.protocols.links import Connector, Endpoint, Link, Shell
from hashlab.protocols.machines import LAB_LABEL, SSH_PORT, ObservedMachine, PlannedMachine
from hashlab.protocols.observing import (
    LogStore,
    Measured,
    MetricStore,
    Observation,
    Observer,
    StoreAddress,
    StoreState,
)
from hashlab.protocols.provider import (
    Booting,
    BoxContents,
    Boxes,
    BoxManifest,
    Machines,
    Probe,
    Provider,
    Rank,
    Tool,
)
from hashlab.protocols.registry import OpenRegistry, Registry, ServeLayout
from hashlab.protocols.snapshots import MachineSnapshot, PutBack, SnapshotManifest, Snapshots, Taken
from hashlab.protocols.watching import Folders, Watcher
from hashlab.protocols.workers import BuildAnswer, BuildRequest, Workers

__all__ = [
    "LAB_LABEL",
    "SSH_PORT",
    "STOP_SECONDS",
    "Booting",
    "BoxContents",
    "BoxManifest",
    "Boxes",
    "BuildAnswer",
    "BuildRequest",
    "BuildSettings",
    "Completed",
    "Connector",
    "ContainerState",
    "Download",
    "Endpoint",
    "Engine",
    "Folders",
    "HostAccess",
    "HostCheck",
    "HostPlan",
    "HostShell",
    "Hosts",
    "ImageBuilder",
    "KvmProbe",
    "Layer",
    "Link",
    "Locate",
    "LogStore",
    "MachineSnapshot",
    "Machines",
    "Measured",
    "MetricStore",
    "NetworkPlace",
    "NetworkState",
    "Observation",
    "ObservedMachine",
    "Observer",
    "OpenRegistry",
    "PlannedMachine",
    "Probe",
    "Provider",
    "PutBack",
    "Rank",
    "Registry",
    "Runner",
    "ServeLayout",
    "Shell",
    "Shells",
    "SnapshotManifest",
    "Snapshots",
    "StoreAddress",
    "StoreState",
    "StreamingRunner",
    "SwarmState",
    "Taken",
    "Tool",
    "Vagrant",
    "Watcher",
    "Workers",
]
