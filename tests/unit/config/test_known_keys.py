"""The tables contain every key of the Compose Specification, so that none is silently ignored."""

from __future__ import annotations

import pytest

from hashlab.config.compose import environment, file, image, mounts, ports, running, service
from hashlab.config.readers import Table

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
    "ServiceConfigOrSecretServiceConfigOrSecret": mounts.FILE_KEYS,
    "Healthcheck": running.HEALTHCHECK_KEYS,
    "ServiceDependsOn": running.DEPENDENCY_KEYS,
    "Deployment": running.DEPLOY_KEYS,
    "DeploymentPlacement": running.PLACEMENT_KEYS,
    "DeploymentResources": running.RESOURCES_KEYS,
    "DeploymentResourcesLimits": running.LIMITS_KEYS,
    "Development": running.DEVELOP_KEYS,
    "DevelopmentWatchItem": running.WATCH_KEYS,
    "UlimitsUlimits": running.ULIMIT_KEYS,
    "Volume": file.VOLUME_KEYS,
    "Secret": file.SECRET_KEYS,
    "Config": file.CONFIG_KEYS,
}


@pytest.mark.parametrize(("model", "table"), PAIRS.items(), ids=PAIRS)
def test_each_key_of_compose_is_supported_or_reported(model: str, table: Table) -> None:
    fields = getattr(models, model).model_fields
    known = {field.alias or name for name, field in fields.items()}
    assert set(table.readers) | set(table.unsupported) == known
    assert not set(table.readers) & set(table.unsupported)


def test_each_key_that_is_not_supported_has_a_hint() -> None:
    for table in PAIRS.values():
        for key, hint in table.unsupported.items():
            assert hint.endswith((".", "}")), key
            assert hint[0].isupper() or hint.startswith("hashlab"), key
