"""The lab as frozen values: the checked content of hashlab.toml and compose.yaml.

Its modules have one subject each; all other packages import their names from here.
"""

from __future__ import annotations

from hashlab.config.model.builds import (
    Artifact,
    Build,
    Builder,
    Image,
    Incremental,
    OwnImages,
    Reload,
    Step,
)
from hashlab.config.model.debugging import Debugger, DebuggerKind
from hashlab.config.model.lab import Lab, RootAccess, lab_id
from hashlab.config.model.machines import BoxSettings, ForwardedPort, Machine, VirtualBoxBase
from hashlab.config.model.mounts import (
    BindMount,
    Content,
    FileMount,
    MachineMount,
    TmpfsMount,
    Volume,
    VolumeMount,
)
from hashlab.config.model.networks import (
    OVERLAY_OPTIONS,
    AddressPool,
    Attachment,
    Link,
    Network,
    Port,
)
from hashlab.config.model.observing import Observe
from hashlab.config.model.service import (
    BlockIo,
    Condition,
    CopyName,
    Dependency,
    Device,
    Healthcheck,
    Limits,
    Service,
    Ulimit,
)
from hashlab.config.model.watching import Hook, InitStep, Watch, WatchAction, deciding

__all__ = [
    "OVERLAY_OPTIONS",
    "AddressPool",
    "Artifact",
    "Attachment",
    "BindMount",
    "BlockIo",
    "BoxSettings",
    "Build",
    "Builder",
    "Condition",
    "Content",
    "CopyName",
    "Debugger",
    "DebuggerKind",
    "Dependency",
    "Device",
    "FileMount",
    "ForwardedPort",
    "Healthcheck",
    "Hook",
    "Image",
    "Incremental",
    "InitStep",
    "Lab",
    "Limits",
    "Link",
    "Machine",
    "MachineMount",
    "Network",
    "Observe",
    "OwnImages",
    "Port",
    "Reload",
    "RootAccess",
    "Service",
    "Step",
    "TmpfsMount",
    "Ulimit",
    "VirtualBoxBase",
    "Volume",
    "VolumeMount",
    "Watch",
    "WatchAction",
    "deciding",
    "lab_id",
]
