"""Short and long forms give the same values, and a whole lab is read as written."""

# ruff: noqa: E501

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from hashlab.config.load import load_lab
from hashlab.config.model import (
    Artifact,
    Builder,
    Dependency,
    ForwardedPort,
    Healthcheck,
    Image,
    Lab,
    Limits,
    Machine,
    Observe,
    OwnImages,
    Port,
    Service,
    Step,
    TmpfsMount,
    Ulimit,
    VolumeMount,
    Watch,
)
from hashlab.config.units import compose_bytes, seconds, toml_bytes
from hashlab.errors import ConfigError, UsageError

Load = Callable[..., Lab]

TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'
REST = """
volumes: {v: , w: {}}
secrets: {s: {file: ./src/app.txt}}
configs: {c: {file: ./src/app.txt}}
"""


@pytest.fixture
def service(load: Load) -> Callable[[str], Service]:
    """Return the service that has the given lines besides an image."""

    def read(text: str) -> Service:
        lines = "".join(f"    {line}\n" for line in text.splitlines())
        compose = f"services:\n  a:\n    image: x\n{lines}  b: {{image: x}}\n  c: {{image: x}}\n"
        lab = load(toml=TOML, compose=compose + REST, environ={"HOME_TOWN": "Hamburg"})
        return lab.services[0]

    return read


SAME = {
    "ports": ('ports: ["8080:80"]', "ports: [{target: 80, published: 8080}]", "ports: [{target: 80, published: '8080', protocol: tcp, mode: ingress}]"),
    "a port with an empty address": ('ports: [":8080:80"]', 'ports: ["8080:80"]'),
    "a port with an address": ('ports: ["127.0.0.1:8080:80/udp"]', "ports: [{target: 80, published: 8080, protocol: udp, host_ip: 127.0.0.1}]"),
    "a port the engine chooses": ("ports: [80]", 'ports: ["80"]', "ports: [{target: 80}]", 'ports: ["0:80"]'),
    "a range of ports": ('ports: ["8000-8001:80-81"]', 'ports: ["8000:80", "8001:81"]'),
    "a volume": ('volumes: ["v:/data"]', "volumes: [{type: volume, source: v, target: /data}]", 'volumes: ["v:/data:rw"]'),
    "a volume to read": ('volumes: ["v:/data:ro"]', "volumes: [{type: volume, source: v, target: /data, read_only: true}]"),
    "an anonymous volume": ('volumes: ["/data"]', "volumes: [{type: volume, target: /data/}]"),
    "a bind mount": ('volumes: ["./src:/data"]', "volumes: [{type: bind, source: ./src, target: /data}]", "volumes: [{type: bind, source: src, target: /data, bind: {create_host_path: false}}]"),
    "a tmpfs": ("tmpfs: /run:size=64m,mode=1770", 'tmpfs: ["/run:size=64m,mode=1770"]', "volumes: [{type: tmpfs, target: /run, tmpfs: {size: 64m, mode: 01770}}]"),
    "an environment": ("environment: {A: b, N: 1, T: true, E: }", "environment: [A=b, N=1, T=true, E]", 'environment: {A: "b", N: "1", T: "true"}'),
    "a variable of the laptop": ("environment: [HOME_TOWN]", "environment: {HOME_TOWN: }", "environment: {HOME_TOWN: Hamburg}", "environment: {HOME_TOWN: $HOME_TOWN}"),
    "labels": ("labels: {a.b: c, d: 1}", "labels: [a.b=c, d=1]"),
    "a command": ("command: sh -c 'echo \"a b\"'", "command: [sh, -c, 'echo \"a b\"']"),
    "an emptied entrypoint": ("entrypoint: ''", "entrypoint: []"),
    "the image's own command": ("command: ", ""),
    "a dependency": ("depends_on: [b, c]", "depends_on: {b: {condition: service_started}, c: {condition: service_started, required: true, restart: false}}"),
    "a healthcheck": ("healthcheck: {test: exit 0, interval: 90s}", "healthcheck: {test: [CMD-SHELL, exit 0], interval: 1m30s}"),
    "a disabled healthcheck": ("healthcheck: {disable: true}", "healthcheck: {test: [NONE]}"),
    "a secret": ("secrets: [s]", "secrets: [{source: s}]", "secrets: [{source: s, target: s, mode: 0444}]", "secrets: [{source: s, target: /run/secrets/s, mode: '0444'}]"),
    "a config": ("configs: [c]", "configs: [{source: c}]", "configs: [{source: c, target: /c, mode: 0o444}]"),
    "ulimits": ("ulimits: {nofile: 100}", "ulimits: {nofile: {soft: 100, hard: 100}}"),
    "sysctls": ("sysctls: {net.core.somaxconn: 1024}", "sysctls: [net.core.somaxconn=1024]"),
    "extra hosts": ('extra_hosts: ["a:10.0.0.1"]', 'extra_hosts: ["a=10.0.0.1"]', "extra_hosts: {a: 10.0.0.1}", "extra_hosts: {a: [10.0.0.1]}"),
    "ignored paths": ("volumes: ['./src:/s']\ndevelop: {watch: [{path: ./src, action: sync, ignore: a}]}", "volumes: ['./src:/s']\ndevelop: {watch: [{path: src/, action: sync, ignore: [a]}]}"),
    "limits": ("deploy: {resources: {limits: {cpus: '0.5', memory: 1g, pids: 9}}}", "deploy: {resources: {limits: {cpus: 0.50, memory: 1024mb, pids: '9'}}}"),
    "a limit of pids": ("pids_limit: 9", "pids_limit: '9'", "deploy: {resources: {limits: {pids: 9}}}", "pids_limit: 9\ndeploy: {resources: {limits: {pids: 9}}}"),
    "no limit of pids": ("pids_limit: -1", "pids_limit: 0", ""),
    "a switch": ("init: true", "init: 'true'", "init: yes"),
    "a restart policy": ("restart: no", "restart: 'no'", ""),
    "extensions": ("x-anything: {at: [all]}", "deploy: {x-more: 1}", ""),
    "expose": ("expose: [80, '81/udp']", "expose: ['80', 81/udp]"),
    "an env_file": ("env_file: ./src/app.env", "env_file: [src/app.env]", "env_file: [{path: ./src/app.env, required: true}, {path: ./gone, required: false}]"),
}  # fmt: skip


@pytest.mark.parametrize("forms", SAME.values(), ids=SAME)
def test_all_forms_of_a_key_give_the_same_service(
    forms: tuple[str, ...], service: Callable[[str], Service], tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.env").write_text("A=1\n")
    first, *others = [service(form) for form in forms]
    assert all(other == first for other in others)


VALUES: dict[str, tuple[str, str, object]] = {
    "a port": ('ports: ["127.0.0.1:8080:80/udp"]', "ports", (Port(80, 8080, "udp", "127.0.0.1"),)),
    "a port of a loopback address": (
        'ports: ["127.0.0.2:1:2"]',
        "ports",
        (Port(2, 1, "tcp", "127.0.0.2"),),
    ),
    "a volume": ('volumes: ["v:/d:ro"]', "volumes", (VolumeMount("v", "/d", True),)),
    "a tmpfs": ("tmpfs: /run:size=1k,mode=1770", "tmpfs", (TmpfsMount("/run", 1024, 0o1770),)),
    "a healthcheck": (
        "healthcheck: {test: [CMD, a], interval: 1s, timeout: 500ms, retries: 3, start_period: 1m}",
        "healthcheck",
        Healthcheck(("CMD", "a"), 1.0, 0.5, 3, 60.0),
    ),
    "a dependency": (
        "depends_on: {b: {condition: service_healthy}}",
        "depends_on",
        (Dependency("b", "service_healthy"),),
    ),
    "limits": (
        "deploy: {resources: {limits: {cpus: '1.5', memory: 1.5gb}}}",
        "limits",
        Limits(1.5, 1610612736),
    ),
    "ulimits": ("ulimits: {nofile: {soft: 1, hard: -1}}", "ulimits", (Ulimit("nofile", 1, -1),)),
    "a grace period": ("stop_grace_period: 1m30s", "stop_grace_period", 90.0),
    "an emptied entrypoint": ("entrypoint: ''", "entrypoint", ()),
    "a command": ("command: a 'b c'", "command", ("a", "b c")),
    "replicas": ("deploy: {mode: replicated, replicas: '2'}", "replicas", 2),
    "a build argument from the laptop": (
        "build: {context: ./site, args: [HOME_TOWN, NONE, A=b]}",
        "build.args",
        (("HOME_TOWN", "Hamburg"), ("A", "b")),
    ),
    "a user": ("user: '1000:1000'", "user", "1000:1000"),
}


@pytest.mark.parametrize(("text", "field", "expected"), VALUES.values(), ids=VALUES)
def test_a_key_gives_its_documented_value(
    text: str, field: str, expected: object, service: Callable[[str], Service]
) -> None:
    value: object = service(text)
    for name in field.split("."):
        value = getattr(value, name)
    assert value == expected


def test_own_variables_override_or_remove_those_of_env_files(
    service: Callable[[str], Service], tmp_path: Path
) -> None:
    (tmp_path / "one.env").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "two.env").write_text("B=2\n")
    found = service("env_file: [one.env, two.env]\nenvironment: {C: , D: $$x}")
    assert dict(found.environment) == {"A": "1", "B": "2", "D": "$x"}


NOTED = {
    "VERSION: 3.0": ("3", "3.0 is a number in YAML and becomes '3'"),
    "N: 1_000": ("1000", "1_000 is a number in YAML and becomes '1000'"),
    "B: 0b11": ("3", "0b11 is a number in YAML and becomes '3'"),
    "MODE: 0440": ("288", "0440 is a number in YAML and becomes '288'"),
    "ON: TRUE": ("true", "TRUE is a switch in YAML and becomes 'true'"),
    "D: 2020-01-01": ("2020-01-01 00:00:00 +0000 UTC", "2020-01-01 is a date in YAML and becomes"),
}


@pytest.mark.parametrize(("text", "expected"), NOTED.items(), ids=NOTED)
def test_a_value_that_yaml_changes_is_passed_on_as_compose_does_and_noted(
    text: str, expected: tuple[str, str], load: Load
) -> None:
    lab = load(compose=(("GREETING: ${GREETING:-hello}", text),))
    ((_, value),) = lab.services[1].environment
    (note,) = lab.notes
    assert value == expected[0]
    assert note.startswith(f"compose.yaml:14: {expected[1]}")
    assert note.endswith(f'to keep it as it is, write "{text.partition(": ")[2]}"')


def test_an_empty_string_means_the_value_of_the_image(service: Callable[[str], Service]) -> None:
    text = (
        'user: "${RUN_AS:-}"\nhostname: "${NAME:-}"\nrestart: ""\nworking_dir: ""\nstop_signal: ""'
    )
    assert service(text) == service("")


def test_names_may_have_capitals_and_images_built_of_them_have_not(load: Load) -> None:
    compose = """\
services:
  initContainer: {build: ./site, volumes: ["pgData:/d"], secrets: [DB_PASSWORD]}
volumes: {pgData: }
secrets: {DB_PASSWORD: {file: ./.hashlab/secrets/DB_PASSWORD}}
"""
    lab = load(toml=TOML + '[secrets]\ngenerate = ["DB_PASSWORD"]\n', compose=compose)
    (found,) = lab.services
    assert (found.name, found.image) == ("initContainer", "x-initcontainer")
    assert found.volumes == (VolumeMount("pgData", "/d"),)
    assert found.files[0].name == "DB_PASSWORD"


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_of_dots_is_refused(load: Load, name: str) -> None:
    compose = f"services: {{a: {{image: x}}}}\nvolumes: {{'{name}': }}\n"
    with pytest.raises(ConfigError, match="is not a valid name for a volume"):
        load(toml=TOML, compose=compose)


def test_a_whole_lab_is_read_as_written(load: Load, tmp_path: Path) -> None:
    lab = load()
    assert (lab.name, lab.provider, str(lab.subnet)) == ("small", "auto", "192.168.60.0/24")
    assert lab.machines == (
        Machine("broker", IPv4Address("192.168.60.5"), memory=1024**3),
        Machine(
            "web",
            IPv4Address("192.168.60.6"),
            cpus=2.0,
            forwarded_ports=(ForwardedPort("site", 8080, 8081),),
        ),
    )
    assert lab.builders == (Builder("make", ("./build.sh", "{targets}")),)
    assert lab.artifacts == (
        Artifact("app", ("src",), tmp_path / "out/app", builder="make", target="app"),
    )
    assert lab.verify == Step(("python3", "verify.py"))
    assert lab.seed is None
    assert lab.generated_secrets == ("key",)
    assert [image.name for image in lab.images] == ["rabbitmq:3", "small-site"]
    assert lab.services[1].image == "small-site"
    assert lab.services[1].watch == (Watch(tmp_path / "out/app", "sync+restart"),)
    assert lab.services[1].files[0].source == tmp_path / ".hashlab/secrets/key"
    assert lab.notes == ()


def test_what_is_observed_is_read(load: Load) -> None:
    assert load().observe == Observe(logs=False, days=7, disk=2 << 30)
    written = 'logs = true\nretention = "14d"\ndisk = "512 MiB"'
    compose = "services: {a: {image: x}}\n"
    lab = load(toml=f"{TOML}\n[observe]\n{written}\n", compose=compose)
    assert lab.observe == Observe(logs=True, days=14, disk=512 << 20)


def test_settings_of_images_are_read(load: Load, tmp_path: Path) -> None:
    more = 'output = "out/app"\n', 'output = "out/app"\nsbom = "out/bom.json"\n'
    end = (
        '"verify.py"]\n',
        '"verify.py"]\n[images]\nlayers = ["lib", "*.jar"]\nsbom = ["python3"]\n',
    )
    lab = load(toml=(more, end))
    assert lab.artifacts[0].sbom == tmp_path / "out/bom.json"
    assert lab.own_images == OwnImages(("lib", "*.jar"), ("python3",))


def test_files_of_secrets_and_configs_are_declared(load: Load, tmp_path: Path) -> None:
    more = "secrets:\n", "configs:\n  site:\n    file: ./src/app.txt\nsecrets:\n"
    lab = load(compose=(more,))
    assert lab.declared == (tmp_path / ".hashlab/secrets/key", tmp_path / "src/app.txt")
    assert lab.notes == ()


def test_a_secret_that_is_left_out_of_a_mount_is_noted(load: Load) -> None:
    declared = "secrets:\n", "configs:\n  site:\n    file: ./src/app.txt\nsecrets:\n"
    mounted = "- ./out/app:/app:ro\n", "- ./out/app:/app:ro\n      - ./src:/src\n"
    assert load(compose=(declared, mounted)).notes == (
        "src/app.txt is declared as a secret or config, so it is left out of the mount of src",
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ('a"b', "contains '\"', which OpenSSH"),
        ("a\\b", "which OpenSSH"),
        ("a${HOME}", "contains '${', which OpenSSH"),
        ("a:b", "contains ':', which Docker"),
        ("[a", "contains '[', which Vagrant"),
        ("a?b", "contains '?', which Vagrant"),
        ("a\nb", "the character '\\n'"),
        ("a\x1bb", "the character '\\x1b'"),
        ("a\udcff", "a byte that is not UTF-8"),
    ],
)
def test_a_folder_is_refused_if_a_tool_cannot_handle_its_path(
    tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        load_lab(tmp_path / name, environ={})
    assert said in str(refused.value)
    assert "rename the folder" in refused.value.next_step


@pytest.mark.parametrize("name", ["a b", "ü", "100%", "$x", "it's", "a*", "#a;b&c", "~a", "-a"])
def test_a_lab_may_be_in_any_other_folder(
    write_lab: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    shutil.copytree(write_lab(), tmp_path / name)
    assert load_lab(tmp_path / name, environ={}).folder == tmp_path / name


def test_a_lab_cannot_be_changed(load: Load) -> None:
    with pytest.raises(FrozenInstanceError):
        load().name = "other"  # type: ignore[misc]


def test_loading_writes_nothing(load: Load, tmp_path: Path) -> None:
    load()
    before = sorted(tmp_path.rglob("*"))
    load()
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path / ".hashlab").exists()


def test_an_image_of_several_services_has_the_build_of_the_service_that_builds_it(
    load: Load, tmp_path: Path
) -> None:
    compose = "services:\n  a: {image: x}\n  b: {image: x, build: ./site}\n  c: {image: x, build: {context: site}}\n"
    lab = load(toml=TOML, compose=compose)
    (image,) = lab.images
    assert image.build is not None
    assert image == Image("x", lab.services[1].build, watched=((), (), ()))
    assert image.build.dockerfile == tmp_path / "site/Dockerfile"


def test_paths_of_a_compose_file_are_relative_to_its_folder(load: Load, tmp_path: Path) -> None:
    files = {
        "deploy/compose.yaml": "services:\n  a: {image: '${IMAGE}', volumes: ['../src:/s']}\n",
        "deploy/.env": "IMAGE=y\n",
    }
    toml = TOML.replace('"x"\n', '"x"\ncompose = "deploy/compose.yaml"\n')
    lab = load(toml=toml, files=files)
    assert lab.services[0].image == "y"
    assert lab.services[0].binds[0].source == tmp_path / "src"


def test_the_provider_of_the_command_line_overrides_the_file(load: Load) -> None:
    toml = (('"small"\n', '"small"\nprovider = "docker"\n'),)
    assert load(toml=toml).provider == "docker"
    assert load(toml=toml, provider="libvirt").provider == "libvirt"
    assert load(toml=toml, provider="auto").provider == "auto"


def test_rules_of_one_provider_are_not_checked_for_a_lab_that_accepts_any(load: Load) -> None:
    toml = '[lab]\nname = "small"\nprovider = "auto"\nsubnet = "10.1.1.0/24"\n'
    toml += '[machines.one]\naddress = "10.1.1.5"\n'
    lab = load(toml=toml, compose="services: {a: {image: x}}\n")
    assert (lab.provider, str(lab.subnet)) == ("auto", "10.1.1.0/24")


def test_harmless_keys_are_noted(load: Load) -> None:
    compose = "name: other\nversion: 3.8\nservices: {a: {image: x}}\n"
    assert load(toml=TOML, compose=compose).notes == (
        "compose.yaml:1: 'name' is not used: hashlab.toml calls the lab 'x'",
        "compose.yaml:2: 'version' is obsolete and not used",
    )


def test_arrays_of_tables_may_be_written_in_both_forms(load: Load) -> None:
    toml = TOML + '[[machines.one.forwarded_ports]]\nid = "a"\nguest = 80\nhost = 8080\n'
    lab = load(toml=toml, compose="services: {a: {image: x, ports: ['80:80']}}\n")
    assert lab.machines[0].forwarded_ports == (ForwardedPort("a", 80, 8080),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512m", 512 * 1024**2), ("1g", 1024**3), ("1.5gb", 1610612736), ("1KiB", 1024), ("7", 7), ("7b", 7), ("x", None), ("1 x", None), ("-1m", None)],
)  # fmt: skip
def test_sizes_in_compose_use_powers_of_1024(text: str, expected: int | None) -> None:
    assert compose_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512 MiB", 512 * 1024**2), ("1GiB", 1024**3), ("1.5 KiB", 1536), ("7 B", 7), ("1 GB", None), ("1g", None), ("MiB", None)],
)  # fmt: skip
def test_sizes_of_toml_are_binary_units_written_in_full(text: str, expected: int | None) -> None:
    assert toml_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5s", 1.5), ("0", 0.0), ("10", None), ("s", None), ("1 s", None), ("", None)],
)  # fmt: skip
def test_durations_are_numbers_with_units(text: str, expected: float | None) -> None:
    assert seconds(text) == expected
