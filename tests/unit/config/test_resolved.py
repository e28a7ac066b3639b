"""A lab in Compose's resolved shape: Compose's keys and forms, machines and notes beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hashlab.config.compose.resolved import resolved
from hashlab.config.load import load_lab
from hashlab.config.model import Lab

FULL = """\
services:
  web:
    build: {context: ., args: {KIND: full}, target: final}
    command: ["serve", "--price", "5$$"]
    environment: {GREETING: "hello $NAME", EMPTY: ""}
    ports: ["127.0.0.1:8080-8081:80-81", "53/udp"]
    volumes: ["./site:/site:ro", "data:/data", "/cache"]
    tmpfs: /run:size=64k,mode=1770
    secrets: [key]
    configs: [{source: settings, target: /etc/settings, mode: 0400}]
    healthcheck: {test: "true", interval: 90s, timeout: 500ms, start_period: 1h, retries: 3}
    depends_on: {db: {condition: service_started, required: false}}
    deploy: {resources: {limits: {cpus: 0.5, memory: 64m, pids: 9}}}
    develop: {watch: [{path: ./site, action: sync, target: /site, ignore: ["*.tmp"]}]}
    ulimits: {nproc: 9, nofile: {soft: 1, hard: 2}}
    extra_hosts: ["router:10.0.0.1"]
    labels: [a=b]
    sysctls: {net.core.somaxconn: 9}
    stop_grace_period: 1m30s
    init: true
    restart: always
  db:
    image: postgres:16
    deploy: {replicas: 2}
    healthcheck: {disable: true}
volumes: {data: , unused: }
secrets: {key: {file: ./key}}
configs: {settings: {file: ./settings}}
"""
TOML = """\
[lab]
name = "shop"
[machines.one]
address = "192.168.60.5"
memory = "64 MiB"
"""


@pytest.fixture
def full(tmp_path: Path) -> Lab:
    """Return a lab that uses nearly every key."""
    (tmp_path / "site").mkdir()
    texts = {"compose.yaml": FULL, "hashlab.toml": TOML, "Dockerfile": "FROM scratch AS final\n"}
    for name, text in {**texts, "key": "secret\n", "settings": "a=b\n"}.items():
        (tmp_path / name).write_text(text)
    return load_lab(tmp_path, environ={"NAME": "me"})


def test_a_service_has_the_forms_that_compose_prints(full: Lab) -> None:
    web = resolved(full)["services"]["web"]
    folder = str(full.folder)
    assert web["build"] == {
        "context": folder,
        "dockerfile": "Dockerfile",
        "args": {"KIND": "full"},
        "target": "final",
    }
    assert web["environment"] == {"GREETING": "hello me", "EMPTY": ""}
    assert web["depends_on"] == {"db": {"condition": "service_started", "required": False}}
    assert resolved(full)["services"]["db"]["deploy"] == {"replicas": 2}
    limits = {"cpus": 0.5, "memory": "67108864", "pids": 9}
    assert web["deploy"] == {"resources": {"limits": limits}}
    assert web["ulimits"] == {"nproc": 9, "nofile": {"soft": 1, "hard": 2}}
    assert web["extra_hosts"] == ["router=10.0.0.1"]
    assert web["labels"] == {"a": "b"}
    assert web["sysctls"] == {"net.core.somaxconn": "9"}
    assert (web["init"], web["restart"], web["entrypoint"]) == (True, "always", None)
    assert web["develop"]["watch"] == [
        {"path": f"{folder}/site", "action": "sync", "target": "/site", "ignore": ["*.tmp"]}
    ]


def test_each_port_of_a_range_has_an_entry(full: Lab) -> None:
    rest = {"mode": "ingress", "protocol": "tcp", "host_ip": "127.0.0.1"}
    assert resolved(full)["services"]["web"]["ports"] == [
        {"target": 80, "published": "8080", **rest},
        {"target": 81, "published": "8081", **rest},
        {"target": 53, "mode": "ingress", "protocol": "udp"},
    ]


def test_all_mounts_are_in_the_long_form(full: Lab) -> None:
    [bind, named, anonymous, tmpfs] = resolved(full)["services"]["web"]["volumes"]
    assert (bind["type"], bind["source"]) == ("bind", f"{full.folder}/site")
    assert bind["read_only"]
    assert (named["source"], named["target"]) == ("data", "/data")
    assert anonymous == {"type": "volume", "target": "/cache", "volume": {}}
    assert tmpfs["tmpfs"] == {"size": "65536", "mode": 0o1770}


def test_times_are_written_as_compose_writes_them(full: Lab) -> None:
    web = resolved(full)["services"]["web"]
    assert web["stop_grace_period"] == "1m30s"
    check = web["healthcheck"]
    assert check["test"] == ["CMD-SHELL", "true"]
    assert [check[key] for key in ("interval", "timeout", "start_period", "retries")] == [
        "1m30s",
        "500ms",
        "1h0m0s",
        3,
    ]
    assert resolved(full)["services"]["db"]["healthcheck"] == {"disable": True}


def test_only_volumes_secrets_and_configs_in_use_are_listed(full: Lab) -> None:
    shape = resolved(full)
    assert shape["volumes"] == {"data": {"name": "shop_data"}}
    assert shape["secrets"] == {"key": {"name": "shop_key", "file": f"{full.folder}/key"}}
    assert list(shape["configs"]) == ["settings"]
    web = shape["services"]["web"]
    assert web["secrets"] == [{"source": "key", "target": "/run/secrets/key"}]
    assert web["configs"] == [{"source": "settings", "target": "/etc/settings", "mode": "0400"}]


HOST = """\
services:
  web:
    image: nginx
    container_name: front
    annotations: {a: b}
    volumes:
      - /srv/data:/data:ro,rslave
      - {type: volume, source: data, target: /sub, volume: {nocopy: true, subpath: part}}
    tmpfs: /run:size=64k,mode=1770,noexec
    devices: ["/dev/null:/dev/x:r"]
    shm_size: 64m
    mem_limit: 128m
    memswap_limit: 256m
    blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 12mb}]}
volumes: {data: }
"""


def test_settings_of_the_machine_have_the_forms_that_compose_prints(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(HOST)
    (tmp_path / "hashlab.toml").write_text(TOML)
    web = resolved(load_lab(tmp_path, environ={}))["services"]["web"]
    assert web["volumes"] == [
        {
            "type": "bind",
            "source": "/srv/data",
            "target": "/data",
            "read_only": True,
            "bind": {"propagation": "rslave"},
        },
        {
            "type": "volume",
            "source": "data",
            "target": "/sub",
            "volume": {"nocopy": True, "subpath": "part"},
        },
    ]
    assert web["tmpfs"] == ["/run:noexec,size=65536,mode=1770"]
    assert web["devices"] == [{"source": "/dev/null", "target": "/dev/x", "permissions": "r"}]
    assert (web["shm_size"], web["memswap_limit"]) == ("67108864", "268435456")
    rates = [{"path": "/dev/sda", "rate": 12582912}]
    assert web["blkio_config"] == {"weight": 300, "device_read_bps": rates}
    assert web["annotations"] == {"a": "b"}
    assert (web["container_name"], web["networks"]) == ("front", {"default": None})


def test_the_content_of_a_secret_is_not_in_it(full: Lab) -> None:
    (full.folder / "key").write_text("7he-S3cret")
    assert "7he-S3cret" not in json.dumps(resolved(full))


def test_machines_and_notes_are_in_the_extension(full: Lab) -> None:
    shape = resolved(replace(full, notes=("a note",)))
    machines = {"one": {"address": "192.168.60.5", "memory": 67108864}}
    assert shape["x-hashlab"] == {"machines": machines, "notes": ["a note"]}
    assert shape["services"]["db"]["x-hashlab"] == {"machine": "one"}


def test_an_image_that_only_this_lab_names_is_left_out(full: Lab) -> None:
    services = resolved(full)["services"]
    assert "image" not in services["web"]
    assert services["db"]["image"] == "postgres:16"


def test_a_dollar_is_doubled_as_in_a_compose_file(full: Lab) -> None:
    assert resolved(full)["services"]["web"]["command"] == ["serve", "--price", "5$$"]


def test_a_field_without_a_shape_of_its_own_is_printed_under_its_name(full: Lab) -> None:
    service = replace(full.services[1], user="me", read_only=True, expose=("80",))
    shape = resolved(replace(full, services=(service,)))["services"]["db"]
    assert (shape["user"], shape["read_only"], shape["expose"]) == ("me", True, ["80"])
