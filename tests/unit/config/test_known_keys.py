"""The tables contain every key of the Compose Specification, so that none is silently ignored."""

from __future__ import annotations

import pytest

from hashlab.config.compose import (
    environment,
    file,
    host_settings,
    image,
    mounts,
    networks,
    ports,
    running,
    secret_files,
    service,
    volumes,
)
from hashlab.config.readers import Refused, Table

models = pytest.importorskip("compose_spec.models")

PAIRS = {
    "ComposeSpecification": file.TOP_KEYS,
    "Service": service.SERVICE_KEYS,
    "ServiceBuild": image.BUILD_KEYS,
    "EnvFileEnvFile": environment.ENV_FILE_KEYS,
    "ServicePorts": ports.PORT_KEYS,
    "ServiceVolumes": mounts.MOUNT_KEYS,
    "ServiceVolumesBind": mounts.BIND_KEYS,
    "ServiceVolumesVolume": mounts.VOLUME_KEYS,
    "ServiceVolumesTmpfs": mounts.TMPFS_KEYS,
    "ServiceConfigOrSecretServiceConfigOrSecret": secret_files.FILE_KEYS,
    "Healthcheck": running.HEALTHCHECK_KEYS,
    "ServiceDependsOn": running.DEPENDENCY_KEYS,
    "Deployment": running.DEPLOY_KEYS,
    "DeploymentPlacement": running.PLACEMENT_KEYS,
    "DeploymentResources": running.RESOURCES_KEYS,
    "DeploymentResourcesLimits": running.LIMITS_KEYS,
    "DeploymentResourcesReservations": running.RESERVATIONS_KEYS,
    "DeploymentRestartPolicy": running.RESTART_POLICY_KEYS,
    "ServiceBlkioConfig": host_settings.BLOCK_IO_KEYS,
    "Development": running.DEVELOP_KEYS,
    "DevelopmentWatchItem": running.WATCH_KEYS,
    "UlimitsUlimits": running.ULIMIT_KEYS,
    "ServiceNetworks": networks.ATTACHMENT_KEYS,
    "Network": networks.NETWORK_KEYS,
    "NetworkExternal": networks.EXTERNAL_KEYS,
    "NetworkIpam": networks.IPAM_KEYS,
    "NetworkIpamConfigItem": networks.POOL_KEYS,
    "ServiceHook": running.HOOK_KEYS,
    "Volume": volumes.VOLUME_KEYS,
    "Secret": secret_files.SECRET_KEYS,
    "Config": secret_files.CONFIG_KEYS,
}
# Keys that are newer than the package.
NEWER = {
    "ComposeSpecification": {"jobs"},
    "Service": {"pre_start", "umask"},
    "ServiceBuild": {"no_cache_filter"},
}


@pytest.mark.parametrize(("model", "table"), PAIRS.items(), ids=PAIRS)
def test_each_key_of_compose_is_supported_or_reported(model: str, table: Table) -> None:
    fields = getattr(models, model).model_fields
    known = {field.alias or name for name, field in fields.items()}
    assert set(table.readers) | set(table.others) == known | NEWER.get(model, set())
    assert not set(table.readers) & set(table.others)


def test_each_key_that_is_refused_has_a_hint_and_each_noted_one_a_reason() -> None:
    for table in PAIRS.values():
        for key, rule in table.others.items():
            if isinstance(rule, Refused):
                assert rule.hint.endswith("."), key
                assert rule.hint[0].isupper(), key
            else:
                assert not rule.why.endswith("."), key
