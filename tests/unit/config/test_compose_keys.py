"""Keys of Compose act, or are noted once with all their lines; a default value says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashlab.config.compose import host_settings
from hashlab.config.model import (
    BlockIo,
    Device,
    Healthcheck,
    Lab,
    Limits,
    Port,
    Service,
    TmpfsMount,
)
from hashlab.errors import ConfigError

Load = Callable[..., Lab]

TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'


@pytest.fixture
def load_text(load: Load) -> Callable[..., Lab]:
    """Load a Compose file on one machine."""
    return lambda text, **more: load(toml=TOML, compose=text, **more)


@pytest.fixture
def loaded(load_text: Callable[..., Lab]) -> Callable[[str], tuple[Service, tuple[str, ...]]]:
    """Return the service that has the given line besides an image, and the notes of the lab."""

    def read(line: str) -> tuple[Service, tuple[str, ...]]:
        lab = load_text(f"services:\n  a:\n    image: x\n    {line}\nvolumes: {{v: }}\n")
        return lab.services[0], lab.notes

    return read


ACT = {
    "scale: 2": {"replicas": 2},
    "mem_limit: 512m": {"limits": Limits(memory=512 << 20)},
    "cpus: 0.5": {"limits": Limits(cpus=0.5)},
    "pids_limit: 100": {"limits": Limits(pids=100)},
    "deploy: {resources: {limits: {cpus: '0', memory: '0', pids: 0}}}": {"limits": Limits()},
    "deploy: {resources: {reservations: {memory: 64m}}}": {"mem_reservation": 64 << 20},
    "mem_reservation: 64m": {"mem_reservation": 64 << 20},
    "shm_size: 256mb": {"shm_size": 256 << 20},
    "tty: true": {"tty": True},
    "stdin_open: true": {"stdin_open": True},
    "privileged: true": {"privileged": True},
    "cap_add: [net_admin, CAP_CHOWN]": {"cap_add": ("net_admin", "CAP_CHOWN")},
    "group_add: [audio, 1000]": {"group_add": ("audio", "1000")},
    "ipc: host": {"ipc": "host"},
    "devices: [/dev/fuse]": {"devices": (Device("/dev/fuse", "/dev/fuse"),)},
    "devices: ['/dev/a:rw']": {"devices": (Device("/dev/a", "/dev/a", "rw"),)},
    "devices: ['/dev/a:/dev/b:r']": {"devices": (Device("/dev/a", "/dev/b", "r"),)},
    "devices: [{source: /dev/a, permissions: r}]": {"devices": (Device("/dev/a", "/dev/a", "r"),)},
    "blkio_config: {weight: 300, device_read_bps: [{path: /dev/a, rate: 1mb}]}": {
        "blkio_config": BlockIo(weight=300, device_read_bps=(("/dev/a", 1 << 20),))
    },
    "dns: 10.0.0.1": {"dns": ("10.0.0.1",)},
    "dns: [10.0.0.1, 10.0.0.2]": {"dns": ("10.0.0.1", "10.0.0.2")},
    "dns_search: lab.test": {"dns_search": ("lab.test",)},
    "dns_search: ''": {"dns_search": ("",)},
    "hostname: shop_db": {"hostname": "shop_db"},
    "deploy: {restart_policy: {condition: any}}": {"restart": "always"},
    "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}": {
        "restart": "on-failure:3"
    },
    "healthcheck: {test: [CMD, x], start_interval: 1s}": {
        "healthcheck": Healthcheck(("CMD", "x"), start_interval=1.0)
    },
    "healthcheck: {test: [CMD, x], disable: true}": {"healthcheck": Healthcheck(("NONE",))},
    "tmpfs: ['/run:rw,noexec,size=64k', '/tmp:uid=1000,size=10%']": {
        "tmpfs": (
            TmpfsMount("/run", size=64 << 10, options=("rw", "noexec")),
            TmpfsMount("/tmp", options=("uid=1000", "size=10%")),
        )
    },
    "annotations: {a: b}": {"annotations": (("a", "b"),)},
    "memswap_limit: 0": {"memswap_limit": 0},
    "oom_score_adj: -500": {"oom_score_adj": -500},
}


@pytest.mark.parametrize(("line", "expected"), ACT.items(), ids=ACT)
def test_a_key_acts_without_a_note(loaded: Any, line: str, expected: dict[str, Any]) -> None:
    service, notes = loaded(line)
    assert {key: getattr(service, key) for key in expected} == expected
    assert notes == ()


DEFAULTS = (
    "attach: true",
    "pull_policy: missing",
    "privileged: false",
    "scale: 1",
    "links: []",
    "dns: []",
    "oom_kill_disable: false",
    "gpus: []",
    "isolation: default",
    "use_api_socket: false",
    "user: ''",
    "working_dir: ''",
    "hostname: ''",
    "restart: ''",
    "stop_signal: ''",
    "ipc: ''",
    "volumes: ['v:/data:rw']",
    "build: {no_cache: false, pull: false}",
)


@pytest.mark.parametrize("line", DEFAULTS)
def test_a_key_at_its_default_changes_nothing_and_is_not_noted(
    loaded: Any, load_text: Any, line: str
) -> None:
    bare = load_text("services:\n  a: {image: x}\n").services[0]
    if line.startswith(("volumes", "build")):
        assert loaded(line.replace("build: {", "build: {context: ./site, "))[1] == ()
    else:
        assert loaded(line) == (bare, ())


NOTED = {
    "logging: {driver: json-file}": "'logging' has no effect: hashlab reads the engine's own log",
    "pull_policy: always": "'pull_policy' has no effect",
    "deploy: {labels: {a: b}}": "'labels' has no effect",
    "deploy: {update_config: {order: start-first}}": "'order' has no effect",
    "deploy: {endpoint_mode: vip}": "'endpoint_mode' has no effect",
    "deploy: {restart_policy: {condition: any, max_attempts: 3}}": "'max_attempts' has no effect",
    "ports: [{target: 80, mode: ingress}]": "'mode: ingress' has no effect",
    "ports: [{target: 80, name: web, app_protocol: http}]": "'name' has no effect",
    "ports: ['[::1]:8080:80', '8080:80']": "a port of an IPv6 address has no effect",
    "ports: ['[::]:8080:80', '8080:80']": "a port of an IPv6 address has no effect",
    "ports: [{target: 80, host_ip: 'fe80::1'}]": "a port of an IPv6 address has no effect",
    "volumes: ['v:/data:z']": "the mount mode 'z' has no effect",
    "volumes: ['v:/data:ro,cached']": "the mount mode 'cached' has no effect",
    "volumes: ['v:/data:roz']": "the mount mode 'roz' is unknown: it has no effect, as in Compose",
    "container_name: shop-db": "is a further name of the service",
    "build: {context: ./site, cache_from: [y]}": "'cache_from' has no effect",
    "platform: linux/s390x": "machines run the laptop's, linux/",
}


@pytest.mark.parametrize(("line", "expected"), NOTED.items(), ids=NOTED)
def test_a_key_without_effect_is_noted(loaded: Any, line: str, expected: str) -> None:
    notes = loaded(line)[1]
    assert any(note.startswith("compose.yaml:4: ") and expected in note for note in notes), notes


def test_a_cause_is_one_note_with_all_its_lines(load_text: Any) -> None:
    text = "services:\n  a:\n    image: x\n    logging: {driver: local}\n"
    lab = load_text(text + "  b:\n    image: x\n    logging: {driver: local}\n")
    assert lab.notes == (
        "compose.yaml:4, 7: 'logging' has no effect: hashlab reads the engine's own log",
    )


def test_equal_problems_of_a_file_are_one_message_with_all_their_lines(load_text: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("services:\n  a: {image: x, gpus: all}\n  b: {image: x, gpus: all}\n")
    assert str(caught.value).startswith("compose.yaml:2, 3: 'gpus' is valid Compose")
    assert len(caught.value.problems) == 2


def test_the_platform_of_the_machines_is_not_noted(
    loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_settings, "machine_architecture", lambda: "arm64")
    assert loaded("platform: linux/arm64/v8")[1] == ()
    assert "linux/arm64" in loaded("platform: linux/amd64")[1][0]


def test_a_container_name_is_a_further_name(loaded: Any) -> None:
    assert loaded("container_name: shop-db")[0].container_name == "shop-db"


def test_the_restart_policy_of_deploy_wins_as_in_compose(loaded: Any) -> None:
    line = "restart: always\n    deploy: {restart_policy: {condition: none}}"
    assert loaded(line)[0].restart == "no"


def test_a_port_of_an_ipv6_address_is_left_out(loaded: Any) -> None:
    service, _ = loaded("ports: ['[::1]:8080:80', '127.0.0.1:8080:80']")
    assert service.ports == (Port(80, 8080, "tcp", "127.0.0.1"),)


def test_a_seccomp_profile_is_read_from_the_laptop(loaded: Any, tmp_path: Path) -> None:
    (tmp_path / "open.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}\n')
    service, _ = loaded("security_opt: ['seccomp:./open.json']")
    assert service.security_opt == ("seccomp:./open.json",)
    assert service.seccomp == '{"defaultAction":"SCMP_ACT_ALLOW"}'


CONTAINERS = {
    "network_mode: container:vpn": ("network_mode", "service:tunnel"),
    "ipc: container:vpn": ("ipc", "service:tunnel"),
    "pid: container:vpn": ("pid", "service:tunnel"),
    "volumes_from: ['container:vpn:ro']": ("volumes_from", ("tunnel:ro",)),
}


@pytest.mark.parametrize("line", CONTAINERS)
def test_a_container_of_this_file_means_its_service(load_text: Any, line: str) -> None:
    text = f"services:\n  a:\n    image: x\n    {line}\n"
    lab = load_text(text + "  tunnel: {image: x, container_name: vpn}\n")
    field, value = CONTAINERS[line]
    assert getattr(lab.services[0], field) == value
    assert [each.service for each in lab.services[0].depends_on] == ["tunnel"]
    with pytest.raises(ConfigError, match="names a container that hashlab does not run"):
        load_text(text + "  tunnel: {image: x, container_name: other}\n")
