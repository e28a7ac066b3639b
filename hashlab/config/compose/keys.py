"""The keys of Compose that hashlab does not act on: each is noted or refused, with the reason.

A key of a mapping is either among the readers of its Table, and acts, or it is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from hashlab.config.readers import Noted, Refused

Keys: TypeAlias = Mapping[str, Noted | Refused]

_REMOVE = "Remove it."
_WINDOWS = "It exists on Windows only; remove it."
_RIGHTS = "A build gets no further rights on the laptop; remove it."
NO_IPV6 = "Overlays of the machines have IPv4 addresses only; remove it."
_SWARM_ONLY = Noted("it speaks of Docker Swarm's own services")
_METADATA = Noted("nothing on the machines reads it")
_BOX_HOLDS_IMAGES = "images are pulled and built for the box; hashlab pull gets newer ones"
_BUILD_CACHE = Noted("hashlab builds with the cache of the laptop's engine")
_ON_CHANGE = Noted("hashlab builds an image when its inputs changed")
_ATTESTATION = Noted("the image goes to the lab's machines, which ask for no attestation")
_MODEL = Refused("Machines have no Docker Model Runner; remove it, or run the model as a service.")
_EXTERNAL = Refused("A secret or config comes from file, environment or content.")
_SWARM_DRIVER = Refused("Docker Swarm's managers alone have such drivers; remove it.")

TOP: Keys = {
    "jobs": Refused("Write it under services, and start it by depends_on of another service."),
    "models": _MODEL,
}

SERVICE: Keys = {
    "attach": Noted("hashlab does not print the output of containers", default=(True,)),
    "cpu_count": Noted("engines on Linux do not have it"),
    "cpu_percent": Noted("engines on Linux do not have it"),
    "cpu_rt_period": Refused("The machines' kernel has no real-time groups; remove it."),
    "cpu_rt_runtime": Refused("The machines' kernel has no real-time groups; remove it."),
    "credential_spec": Refused(_WINDOWS),
    "gpus": Refused("Machines have no GPU; remove it."),
    "isolation": Refused(_WINDOWS, default=("default",)),
    "logging": Noted("hashlab reads the engine's own log"),
    "models": _MODEL,
    "provider": Refused("A provider runs on the laptop; start it yourself and remove the service."),
    "pull_policy": Noted(_BOX_HOLDS_IMAGES, default=("missing", "if_not_present", "build")),
    "pull_refresh_after": Noted(_BOX_HOLDS_IMAGES),
    "umask": Refused("Set it in the entrypoint of the image."),
    "storage_opt": Noted("the machines' file systems have no quotas"),
    "use_api_socket": Refused("It hands out the laptop's logins; mount /var/run/docker.sock."),
}

BUILD: Keys = {
    "cache_from": _BUILD_CACHE,
    "cache_to": _BUILD_CACHE,
    "platforms": Noted("images are built for the laptop's own platform"),
    "ulimits": Noted("the builder of the laptop's engine sets its own limits"),
    "entitlements": Refused(_RIGHTS),
    "isolation": Refused(_WINDOWS, default=("default",)),
    "no_cache": _ON_CHANGE,
    "no_cache_filter": _ON_CHANGE,
    "privileged": Refused(_RIGHTS),
    "provenance": _ATTESTATION,
    "pull": Noted("the base image is pulled when the laptop's engine lacks it"),
    "sbom": _ATTESTATION,
    "tags": Noted("the lab needs only the name of 'image'"),
}

DEPLOY: Keys = {
    "endpoint_mode": Noted("a name resolves to the addresses of its containers"),
    "labels": _SWARM_ONLY,
    "rollback_config": Noted(
        "a replica that does not get healthy ends the run, and the others stay"
    ),
}
UPDATE: Keys = {
    "max_failure_ratio": Noted("the first replica that does not get healthy ends the run"),
    "monitor": Noted("a replica is replaced when the one before it is healthy"),
    "order": Noted(
        "a replica is stopped before its new container starts, as both would have its ports",
        default=("stop-first",),
    ),
}
RESERVATIONS: Keys = {
    "cpus": Noted("a machine does not set cores aside"),
    "devices": Refused("Machines have no GPU or other such device; remove it."),
    "generic_resources": Noted("a machine does not set resources aside"),
}
RESTART_POLICY: Keys = {
    "delay": Noted("the engine itself chooses the time between restarts"),
    "window": Noted("the engine itself decides when a restart succeeded"),
}
PRE_START: Keys = {
    "per_replica": Refused(
        "Compose runs a step once for all replicas so far; remove it.", default=(False,)
    ),
}
WATCH: Keys = {
    "initial_sync": Noted("files are always synchronised when a container starts"),
}
PORT: Keys = {"app_protocol": _METADATA, "name": _METADATA}
MOUNT: Keys = {
    "consistency": Noted("a machine reads its own disk, so its view is consistent"),
    "image": Refused("Use a volume or a folder."),
}
MOUNT_BIND: Keys = {"selinux": Noted("the machines do not use SELinux")}
NETWORK: Keys = {
    "attachable": Noted("each network of a lab is attachable", default=(True,)),
    "enable_ipv6": Noted("overlays of the machines have IPv4 addresses only"),
}
IPAM: Keys = {"options": Noted("the Swarm gives out addresses by itself")}
POOL: Keys = {"aux_addresses": Noted("the Swarm sets no addresses aside")}
ATTACHMENT: Keys = {
    "driver_opts": Noted("an overlay has no options for one container"),
    "gw_priority": Noted("the way out of a container is a bridge of its machine"),
    "interface_name": Refused("Engines call interfaces eth0, eth1 and so on; remove it."),
    "ipv6_address": Refused(NO_IPV6),
    "link_local_ips": Refused("An overlay has no link-local addresses; remove it."),
}
# The words of network_mode, and the note about each.
_DEFAULT_MODE = (
    "the service is on the default network of the file: machines share no bridge, and names resolve"
)
NETWORK_MODES: Mapping[str, str] = {
    "bridge": _DEFAULT_MODE,
    "default": _DEFAULT_MODE,
    "host": "the service is on its machine's own network: names of services do not lead to it, "
    "and it finds none",
    "none": "",
}
ON_DEFAULT_NETWORK = ("bridge", "default")
SECRET: Keys = {
    "driver": _SWARM_DRIVER,
    "driver_opts": _SWARM_DRIVER,
    "external": _EXTERNAL,
    "labels": _METADATA,
    "name": _METADATA,
    "template_driver": _SWARM_DRIVER,
}
CONFIG: Keys = {
    "external": _EXTERNAL,
    "labels": _METADATA,
    "name": _METADATA,
    "template_driver": _SWARM_DRIVER,
}
