"""Makes the configuration of a self-contained image: that of its base, and what the Compose file
says about the process. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashlab.config.model import Service
from hashlab.hashing import digest, short
from hashlab.phases.containers.body import healthcheck_body
from hashlab.phases.images import INPUTS_LABEL

CONTENT_LABEL = "hashlab.content"
# What an image keeps of its base. Its history may name build arguments.
IMAGE_KEYS = ("architecture", "os", "variant")
CONFIG_KEYS = (
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)


def configuration(
    base: Mapping[str, Any], service: Service, layers: Sequence[str]
) -> dict[str, Any]:
    """Return the configuration of an image with these layers (sha256:…).

    Variables of the environment are not in it: they say where it runs, and may be secret.
    """
    known = base.get("config") or {}
    config = {key: known[key] for key in CONFIG_KEYS if key in known} | _process(service)
    config = {key: value for key, value in config.items() if value}
    labels = dict(config.pop("Labels", {}))
    labels.pop(INPUTS_LABEL, None)
    image: dict[str, Any] = {
        **{key: base[key] for key in IMAGE_KEYS if base.get(key)},
        "created": "2000-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": list(layers)},
    }
    content = short(digest({**image, "config": config, "labels": labels}))
    image["config"] = {**config, "Labels": {**labels, CONTENT_LABEL: content}}
    return image


def content_id(configuration: Mapping[str, Any]) -> str:
    """Return the content id that a configuration carries."""
    return str(configuration["config"]["Labels"][CONTENT_LABEL])


def _process(service: Service) -> dict[str, Any]:
    """Return what the Compose file says about the process, in the image's own words."""
    values: dict[str, Any] = {
        "User": service.user,
        "WorkingDir": service.working_dir,
        "StopSignal": service.stop_signal,
        "Cmd": list(service.command) if service.command else None,
        "Healthcheck": healthcheck_body(service.healthcheck),
    }
    found = {key: value for key, value in values.items() if value}
    if service.entrypoint is not None:
        # As in a container, an entrypoint of its own is without the command of the base.
        found["Entrypoint"] = list(service.entrypoint)
        found.setdefault("Cmd", None)
    return found
