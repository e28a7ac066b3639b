"""The keys that Compose allows and hashlab does not support, each with an alternative."""

from __future__ import annotations

_REMOVE = "Remove it."
_FILE_ONLY = "Only 'file' is supported."
_ONE_NETWORK = "Every service is on one network of the lab already; remove it."
_MACHINE_DECIDES = "Machines are alike; remove it."
_LIMITS = "Write deploy: {{resources: {{limits: {{{}: …}}}}}}."

TOP = {
    "include": "Write the services into this file.",
    "models": _REMOVE,
    "networks": _ONE_NETWORK,
}

SERVICE = {
    "annotations": "Use labels.",
    "attach": _REMOVE,
    "blkio_config": _REMOVE,
    "cgroup": _REMOVE,
    "cgroup_parent": _REMOVE,
    "container_name": "hashlab names containers; other services reach it by its service name.",
    "cpu_count": _LIMITS.format("cpus"),
    "cpu_percent": _LIMITS.format("cpus"),
    "cpu_period": _LIMITS.format("cpus"),
    "cpu_quota": _LIMITS.format("cpus"),
    "cpu_rt_period": _REMOVE,
    "cpu_rt_runtime": _REMOVE,
    "cpu_shares": _LIMITS.format("cpus"),
    "cpus": _LIMITS.format("cpus"),
    "cpuset": _LIMITS.format("cpus"),
    "credential_spec": _REMOVE,
    "device_cgroup_rules": _REMOVE,
    "devices": "Machines have no devices to pass on; remove it.",
    "dns": "Services find each other by name already; remove it.",
    "dns_opt": _REMOVE,
    "dns_search": _REMOVE,
    "domainname": "Use hostname.",
    "extends": "Use a YAML anchor and '<<: *anchor'.",
    "external_links": "Services find each other by name already; remove it.",
    "gpus": "Machines have no GPU; remove it.",
    "group_add": 'Use user: "uid:gid", or add the group in the Dockerfile.',
    "ipc": _REMOVE,
    "isolation": _REMOVE,
    "label_file": "Use labels.",
    "links": "Services find each other by name already; remove it.",
    "logging": "hashlab reads the engine's own log; remove it.",
    "mac_address": _REMOVE,
    "mem_limit": _LIMITS.format("memory"),
    "mem_reservation": _LIMITS.format("memory"),
    "mem_swappiness": _REMOVE,
    "memswap_limit": _LIMITS.format("memory"),
    "models": _REMOVE,
    "network_mode": _ONE_NETWORK,
    "networks": _ONE_NETWORK,
    "oom_kill_disable": _REMOVE,
    "oom_score_adj": _REMOVE,
    "pid": _REMOVE,
    "platform": _MACHINE_DECIDES,
    "post_start": "Put it into the entrypoint of the image.",
    "pre_stop": "Use stop_signal and stop_grace_period.",
    "privileged": "Name what it needs with cap_add.",
    "provider": _REMOVE,
    "pull_policy": "The box holds every image; remove it.",
    "pull_refresh_after": "The box holds every image; remove it.",
    "runtime": _MACHINE_DECIDES,
    "scale": "Write deploy: {replicas: …}.",
    "shm_size": "Mount a tmpfs at a path of its own, or remove it.",
    "stdin_open": "Containers run without a terminal; remove it.",
    "storage_opt": _REMOVE,
    "tty": "Containers run without a terminal; remove it.",
    "use_api_socket": _REMOVE,
    "userns_mode": _REMOVE,
    "uts": _REMOVE,
    "volumes_from": "Write the same volumes in both services.",
}

BUILD = {
    "additional_contexts": "Use one context that holds everything.",
    "cache_from": _REMOVE,
    "cache_to": _REMOVE,
    "dockerfile_inline": "Write a Dockerfile and name it with 'dockerfile'.",
    "entitlements": _REMOVE,
    "extra_hosts": _REMOVE,
    "isolation": _REMOVE,
    "labels": "Write LABEL in the Dockerfile.",
    "network": _REMOVE,
    "no_cache": _REMOVE,
    "platforms": _MACHINE_DECIDES,
    "privileged": _REMOVE,
    "provenance": _REMOVE,
    "pull": _REMOVE,
    "sbom": _REMOVE,
    "secrets": _REMOVE,
    "shm_size": _REMOVE,
    "ssh": _REMOVE,
    "tags": "Name the image with 'image' of the service.",
    "ulimits": _REMOVE,
}

DEPLOY = {
    "endpoint_mode": _REMOVE,
    "labels": "Use labels of the service.",
    "restart_policy": "Use restart of the service.",
    "rollback_config": _REMOVE,
    "update_config": _REMOVE,
}
PLACEMENT = {
    "max_replicas_per_node": "All replicas run on the service's one machine; remove it.",
    "preferences": 'Use constraints: ["node.hostname == NAME"].',
}
RESOURCES = {"reservations": "Use limits."}
HEALTHCHECK = {"start_interval": "The engine checks every 'interval'; use that and 'start_period'."}
WATCH = {
    "exec": "Use action: sync+restart.",
    "include": "Name the folder in 'path', and the exceptions in 'ignore'.",
    "initial_sync": "Bind mounts are always uploaded first; remove it.",
}
PORT = {"app_protocol": _REMOVE, "name": _REMOVE}
MOUNT = {"consistency": _REMOVE, "image": "Use a volume or a folder."}
MOUNT_BIND = {"propagation": _REMOVE, "recursive": _REMOVE, "selinux": _REMOVE}
MOUNT_VOLUME = {
    "labels": _REMOVE,
    "nocopy": _REMOVE,
    "subpath": "Mount the whole volume.",
}
VOLUME = {
    "driver_opts": "A volume lives on the disk of its machine; remove it.",
    "external": "A volume lives on the disk of its machine; remove it.",
    "labels": _REMOVE,
    "name": "A volume has the name of its key; remove it.",
}
SECRET = {
    "driver": _FILE_ONLY,
    "driver_opts": _FILE_ONLY,
    "environment": "Use file: ./.hashlab/secrets/NAME, and [secrets] generate in hashlab.toml.",
    "external": _FILE_ONLY,
    "labels": _REMOVE,
    "name": "It has the name of its key; remove it.",
    "template_driver": _FILE_ONLY,
}
CONFIG = {
    "content": "Write it into a file, and name that with 'file'.",
    "environment": "Write it into a file, and name that with 'file'.",
    "external": _FILE_ONLY,
    "labels": _REMOVE,
    "name": "It has the name of its key; remove it.",
    "template_driver": _FILE_ONLY,
}
_OWNER = "The file belongs to root; set its readers by 'mode'."
FILE_REFERENCE = {"gid": _OWNER, "uid": _OWNER}
