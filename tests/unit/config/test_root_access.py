"""Services that would get root on their machine: which, why, and in which line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashlab.config.model import Lab

SERVICES = """\
services:
  quiet:
    image: busybox
  tool:
    image: busybox
    {}
"""

BOUND = 'volumes: ["data:/data"]\nvolumes: {{data: {{driver_opts: {{type: {}}}}}}}'
GIVING = [
    ("privileged: true", "is privileged"),
    ("cap_add: [NET_ADMIN, CAP_SYS_ADMIN, all]", "has the capability SYS_ADMIN, ALL"),
    ('devices: ["/dev/sda:/dev/x:r"]', "uses the device /dev/sda"),
    ('device_cgroup_rules: ["b 8:* rwm"]', "may make device files"),
    ('volumes: ["/var/run/docker.sock:/docker.sock:ro"]', "mounts /var/run/docker.sock"),
    ("pre_start: [{command: hi, privileged: true}]", "has a privileged pre_start hook"),
    ("pre_stop: [{command: bye, privileged: true}]", "has a privileged pre_stop hook"),
    ('volumes: ["/run:/host-run:ro"]', "mounts /run, which has sockets"),
    ('volumes: ["/:/host:ro"]', "mounts /, which has sockets"),
    ('volumes: ["/run/containerd/containerd.sock:/s"]', "mounts /run/containerd/containerd.sock, "),
    ('volumes: ["/proc:/host/proc"]', "can write to /proc of its machine"),
    ('volumes: ["/sys/fs/cgroup:/x"]', "can write to /sys/fs/cgroup of its machine"),
    ('volumes: ["/var/lib:/x"]', "can write to /var/lib of its machine"),
    (BOUND.format("none, o: bind, device: /"), "mounts /, which has sockets"),
    (BOUND.format("none, o: bind, device: /etc"), "can write to /etc of its machine"),
    (BOUND.format("ext4, device: /dev/sda1"), "mounts the device /dev/sda1 as volume 'data'"),
    ('volumes: ["/srv/../etc:/x"]', "can write to /etc of its machine"),
]
BORROWED = """\
services:
  agent: {image: x, volumes_from: [proxy]}
  proxy: {image: x, volumes: ["/var/run/docker.sock:/docker.sock"]}
"""


def test_a_mount_of_another_service_gives_root_too(load: Callable[..., Lab]) -> None:
    lab = load(toml=TOML.format(""), compose=BORROWED)
    assert [(each.service, each.line) for each in lab.root_access] == [("agent", 3), ("proxy", 3)]
    assert len({service.machine for service in lab.services}) == 1


HARMLESS = [
    "privileged: false",
    "cap_add: [NET_ADMIN, SYS_TIME]",
    'volumes: ["/proc:/host/proc:ro", "/sys:/host/sys:ro", "/lib/modules:/lib/modules:ro"]',
    'volumes: ["/etc/localtime:/etc/localtime", "/srv/data:/data", "/var/log:/log"]',
    'volumes: ["./proc:/proc-copy", "data:/data", "/dev/shm:/dev/shm"]\nvolumes: {data: {}}',
    BOUND.format("none, o: bind, device: /srv/data"),
    BOUND.format('nfs, o: "addr=10.0.0.1", device: ":/export"'),
    "pid: host",
]
TOML = '[lab]\nname = "small"\n{}\n[machines.one]\naddress = "192.168.60.5"\n'


def read(load: Callable[..., Lab], key: str, allowed: str = "") -> Lab:
    return load(toml=TOML.format(allowed), compose=SERVICES.format(key))


@pytest.mark.parametrize(("key", "reason"), GIVING)
def test_a_key_that_gives_root_on_the_machine_is_found(
    load: Callable[..., Lab], key: str, reason: str
) -> None:
    [found] = read(load, key).root_access
    assert (found.service, found.file, found.line) == ("tool", "compose.yaml", 6)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("key", HARMLESS)
def test_a_key_that_does_not_give_root_is_not_found(load: Callable[..., Lab], key: str) -> None:
    assert read(load, key).root_access == ()


def test_a_service_that_hashlab_toml_names_may_be_root(load: Callable[..., Lab]) -> None:
    assert read(load, "privileged: true", 'privileged = ["tool"]').root_access == ()
    assert read(load, "privileged: true", 'privileged = ["quiet"]').root_access != ()


def test_a_name_in_privileged_that_is_not_a_service_is_reported(
    problems_of: Callable[..., tuple[object, ...]],
) -> None:
    [problem] = problems_of(
        toml=TOML.format('privileged = ["tol"]'), compose=SERVICES.format("init: true")
    )
    expected = "hashlab.toml:3: unknown service 'tol'. Perhaps you meant 'tool'."
    assert str(problem) == expected


def test_a_service_that_is_not_started_is_not_found(load: Callable[..., Lab]) -> None:
    compose = SERVICES.format("privileged: true\n    profiles: [debug]")
    lab = load(toml=TOML.format(""), compose=compose)
    assert lab.root_access == ()
    lab = load(toml=TOML.format(""), compose=compose, environ={"COMPOSE_PROFILES": "debug"})
    assert [each.service for each in lab.root_access] == ["tool"]


BUILT = """\
services:
  site:
    build:
      context: ./site
      ssh: {}
  tool: {{image: busybox}}
"""


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("[default]", "uses your SSH agent in its build"),
        ("default", "uses your SSH agent in its build"),
        ("{default: }", "uses your SSH agent in its build"),
        ("[github=/k/../key]", "uses the SSH key /key in its build"),
        ("[github=~/.ssh/id]", "uses the SSH key /me/.ssh/id in its build"),
        ("{default: , k: /k}", "uses your SSH agent and the SSH key /k in its build"),
    ],
)
def test_a_build_that_uses_keys_of_the_laptop_is_named(
    load: Callable[..., Lab], written: str, reason: str
) -> None:
    lab = load(toml=TOML.format(""), compose=BUILT.format(written), environ={"HOME": "/me"})
    assert [(each.service, each.reason, each.line) for each in lab.agent_access] == [
        ("site", reason, 3)
    ]
    assert (
        load(toml=TOML.format('ssh_agent = ["site"]'), compose=BUILT.format(written)).agent_access
        == ()
    )


def test_the_image_of_a_service_is_a_context_under_its_name(load: Callable[..., Lab]) -> None:
    contexts = "{context: ./site, additional_contexts: {own: service:tool, other: service:made}}"
    text = f"services:\n  site: {{build: {contexts}}}\n  tool: {{image: busybox}}\n"
    lab = load(toml=TOML.format(""), compose=f"{text}  made: {{build: ./site}}\n")
    build = next(image.build for image in lab.images if image.name == f"{lab.name}-site")
    assert build is not None
    assert dict(build.additional_contexts) == {
        "own": "docker-image://busybox",
        "other": f"docker-image://{lab.name}-made",
    }
