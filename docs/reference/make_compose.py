"""Makes docs/reference/compose.md from hashlab's tables of Compose's keys: ``inv docs-compose``.

A unit test fails if the page is stale.
"""

from __future__ import annotations

from pathlib import Path

from hashlab.config.compose import (
    environment,
    file,
    host_settings,
    image,
    loading,
    mounts,
    networks,
    ports,
    running,
    secret_files,
    service,
    volumes,
)
from hashlab.config.readers import Noted, Refused, Table

PAGE = Path(__file__).parent / "compose.md"
INTRODUCTION = """\
# Keys of Compose

<!-- made by `inv docs-compose` from hashlab/config/compose/ -->

Every key of the
[Compose Specification](https://github.com/compose-spec/compose-spec/blob/main/spec.md) of 2026,
and what hashlab does with it:

- **acts**: the key means what it means under `docker compose`. [config.md](config.md#composeyaml)
  has the details.
- **note**: the key has no effect in a lab, and the application does not miss it. A note names its
  lines.
- **error**: a lab cannot give it, and the application would miss it. The message says what to write
  instead.

A value that says what is so already (`attach: true`, `external: false`, an empty list) is neither
noted nor refused. Keys that begin with `x-` are yours. `hashlab config` shows what was read.
[Public Compose files](../explanation/public-files.md) lists 129 files and how many of them load.
"""
# The place of each table in a file, in the order of the page.
TABLES: dict[str, Table] = {
    "Top level": file.TOP_KEYS,
    "include": loading.INCLUDE_KEYS,
    "services.NAME": service.SERVICE_KEYS,
    "services.NAME.blkio_config": host_settings.BLOCK_IO_KEYS,
    "services.NAME.build": image.BUILD_KEYS,
    "services.NAME.configs and secrets": secret_files.FILE_KEYS,
    "services.NAME.depends_on.SERVICE": running.DEPENDENCY_KEYS,
    "services.NAME.deploy": running.DEPLOY_KEYS,
    "services.NAME.deploy.placement": running.PLACEMENT_KEYS,
    "services.NAME.deploy.placement.preferences": running.PREFERENCE_KEYS,
    "services.NAME.deploy.update_config": running.UPDATE_KEYS,
    "services.NAME.deploy.resources": running.RESOURCES_KEYS,
    "services.NAME.deploy.resources.limits": running.LIMITS_KEYS,
    "services.NAME.deploy.resources.reservations": running.RESERVATIONS_KEYS,
    "services.NAME.deploy.restart_policy": running.RESTART_POLICY_KEYS,
    "services.NAME.develop": running.DEVELOP_KEYS,
    "services.NAME.develop.watch": running.WATCH_KEYS,
    "services.NAME.devices": host_settings.DEVICE_KEYS,
    "services.NAME.env_file": environment.ENV_FILE_KEYS,
    "services.NAME.extends": loading.EXTENDS_KEYS,
    "services.NAME.healthcheck": running.HEALTHCHECK_KEYS,
    "services.NAME.networks.NETWORK": networks.ATTACHMENT_KEYS,
    "services.NAME.ports": ports.PORT_KEYS,
    "services.NAME.post_start and pre_stop": running.HOOK_KEYS,
    "services.NAME.pre_start": running.STEP_KEYS,
    "services.NAME.ulimits.NAME": running.ULIMIT_KEYS,
    "services.NAME.volumes": mounts.MOUNT_KEYS,
    "services.NAME.volumes.bind": mounts.BIND_KEYS,
    "services.NAME.volumes.tmpfs": mounts.TMPFS_KEYS,
    "services.NAME.volumes.volume": mounts.VOLUME_KEYS,
    "networks.NAME": networks.NETWORK_KEYS,
    "networks.NAME.external": networks.EXTERNAL_KEYS,
    "networks.NAME.ipam": networks.IPAM_KEYS,
    "networks.NAME.ipam.config": networks.POOL_KEYS,
    "volumes.NAME": volumes.VOLUME_KEYS,
    "volumes.NAME.external": volumes.EXTERNAL_KEYS,
    "secrets.NAME": secret_files.SECRET_KEYS,
    "configs.NAME": secret_files.CONFIG_KEYS,
}


def page() -> str:
    """Return the text of compose.md."""
    parts = [INTRODUCTION, *(_section(place, rows) for place, rows in TABLES.items())]
    return "\n".join(parts)


def _section(place: str, rows: Table) -> str:
    heading = place if " " in place else f"`{place}`"
    lines = [f"## {heading}", "", "| key | | why, or what to write instead |", "|---|---|---|"]
    lines += [_row(key, rows.others.get(key)) for key in sorted({*rows.readers, *rows.others})]
    return "\n".join([*lines, ""])


def _row(key: str, other: Noted | Refused | None) -> str:
    if other is None:
        return f"| `{key}` | acts | |"
    if isinstance(other, Refused):
        return f"| `{key}` | **error** | {_cell(other.hint)} |"
    why = other.why if other.why.startswith("hashlab") else other.why[:1].upper() + other.why[1:]
    return f"| `{key}` | note | {_cell(why)}. |"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
