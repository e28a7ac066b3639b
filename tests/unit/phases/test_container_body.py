"""Create requests: every attribute of a service under the name the Engine API gives it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, small_lab

from hashlab.config.model import (
    Attachment,
    BindMount,
    BlockIo,
    Device,
    FileMount,
    Healthcheck,
    Lab,
    Limits,
    Link,
    MachineMount,
    Port,
    Service,
    TmpfsMount,
    Ulimit,
    Volume,
    VolumeMount,
)
from hashlab.phases.containers.body import container_body, container_name

HOST = "HostConfig"
SECOND = 1_000_000_000

# attribute, its value, where the Engine API (1.41) wants it, what must stand there
CASES: list[tuple[str, Any, tuple[str, ...], Any]] = [
    ("image", "other:1", ("Image",), "other:1"),
    ("command", ("run", "a b"), ("Cmd",), ["run", "a b"]),
    ("command", (), ("Cmd",), []),
    ("entrypoint", ("/entry", "-x"), ("Entrypoint",), ["/entry", "-x"]),
    ("environment", (("A", "1"), ("B", "x=y")), ("Env",), ["A=1", "B=x=y"]),
    ("ports", (Port(80),), ("ExposedPorts",), {"80/tcp": {}}),
    (
        "ports",
        (Port(80, 8080), Port(53, 53, "udp", "127.0.0.1"), Port(80, 8081)),
        (HOST, "PortBindings"),
        {
            "80/tcp": [
                {"HostIp": "", "HostPort": "8080"},
                {"HostIp": "", "HostPort": "8081"},
            ],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
        },
    ),
    ("ports", (Port(80),), (HOST, "PortBindings"), {"80/tcp": [{"HostIp": "", "HostPort": ""}]}),
    ("expose", ("9000", "53/udp"), ("ExposedPorts",), {"9000/tcp": {}, "53/udp": {}}),
    (
        "volumes",
        (VolumeMount("data", "/data", read_only=True), VolumeMount("", "/scratch")),
        (HOST, "Mounts"),
        [
            {
                "Type": "volume",
                "Target": "/data",
                "ReadOnly": True,
                "Source": "small_data",
                "VolumeOptions": {"Labels": {"hashlab.lab": "ID"}},
            },
            {"Type": "volume", "Target": "/scratch", "ReadOnly": False},
        ],
    ),
    (
        "tmpfs",
        (TmpfsMount("/run"), TmpfsMount("/tmp", size=1 << 20, mode=0o1777)),
        (HOST, "Mounts"),
        [
            {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {}},
            {
                "Type": "tmpfs",
                "Target": "/tmp",
                "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777},
            },
        ],
    ),
    (
        "healthcheck",
        Healthcheck(("CMD-SHELL", "ok"), interval=1.5, timeout=2, retries=3, start_period=0.25),
        ("Healthcheck",),
        {
            "Test": ["CMD-SHELL", "ok"],
            "Interval": 1_500_000_000,
            "Timeout": 2 * SECOND,
            "StartPeriod": 250_000_000,
            "Retries": 3,
        },
    ),
    ("healthcheck", Healthcheck(("NONE",)), ("Healthcheck",), {"Test": ["NONE"]}),
    ("healthcheck", Healthcheck(interval=1.0), ("Healthcheck",), {"Interval": SECOND}),
    ("limits", Limits(cpus=0.5), (HOST, "NanoCpus"), SECOND // 2),
    ("limits", Limits(memory=1 << 30), (HOST, "Memory"), 1 << 30),
    ("limits", Limits(pids=50), (HOST, "PidsLimit"), 50),
    ("restart", "no", (HOST, "RestartPolicy"), {"Name": "no"}),
    ("restart", "always", (HOST, "RestartPolicy"), {"Name": "always"}),
    (
        "restart",
        "on-failure:3",
        (HOST, "RestartPolicy"),
        {"Name": "on-failure", "MaximumRetryCount": 3},
    ),
    ("user", "1000:1000", ("User",), "1000:1000"),
    ("working_dir", "/srv", ("WorkingDir",), "/srv"),
    ("init", True, (HOST, "Init"), True),
    ("init", False, (HOST, "Init"), False),
    ("stop_signal", "SIGINT", ("StopSignal",), "SIGINT"),
    ("stop_grace_period", 2.6, ("StopTimeout",), 3),
    ("stop_grace_period", 0.0, ("StopTimeout",), 0),
    ("cap_add", ("NET_ADMIN",), (HOST, "CapAdd"), ["NET_ADMIN"]),
    ("cap_drop", ("ALL",), (HOST, "CapDrop"), ["ALL"]),
    ("read_only", True, (HOST, "ReadonlyRootfs"), True),
    ("security_opt", ("seccomp=unconfined",), (HOST, "SecurityOpt"), ["seccomp=unconfined"]),
    ("seccomp", '{"a":1}', (HOST, "SecurityOpt"), ['seccomp={"a":1}']),
    (
        "ulimits",
        (Ulimit("nofile", 10, 20),),
        (HOST, "Ulimits"),
        [{"Name": "nofile", "Soft": 10, "Hard": 20}],
    ),
    ("sysctls", (("net.x", "1"),), (HOST, "Sysctls"), {"net.x": "1"}),
    ("extra_hosts", ("db:10.0.0.1",), (HOST, "ExtraHosts"), ["db:10.0.0.1"]),
    ("hostname", "box", ("Hostname",), "box"),
    (
        "healthcheck",
        Healthcheck(start_interval=0.5),
        ("Healthcheck",),
        {"StartInterval": SECOND // 2},
    ),
    ("tty", True, ("Tty",), True),
    ("stdin_open", True, ("OpenStdin",), True),
    ("domainname", "lab.test", ("Domainname",), "lab.test"),
    ("privileged", True, (HOST, "Privileged"), True),
    ("annotations", (("a", "b"),), (HOST, "Annotations"), {"a": "b"}),
    ("cgroup", "host", (HOST, "CgroupnsMode"), "host"),
    ("cgroup_parent", "mine.slice", (HOST, "CgroupParent"), "mine.slice"),
    ("cpu_period", 100_000, (HOST, "CpuPeriod"), 100_000),
    ("cpu_quota", 50_000, (HOST, "CpuQuota"), 50_000),
    ("cpu_shares", 512, (HOST, "CpuShares"), 512),
    ("cpuset", "0,1", (HOST, "CpusetCpus"), "0,1"),
    ("device_cgroup_rules", ("c 1:3 mr",), (HOST, "DeviceCgroupRules"), ["c 1:3 mr"]),
    (
        "devices",
        (Device("/dev/fuse", "/dev/fuse", "rw"),),
        (HOST, "Devices"),
        [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rw"}],
    ),
    ("dns", ("10.0.0.1",), (HOST, "Dns"), ["10.0.0.1"]),
    ("dns_opt", ("ndots:1",), (HOST, "DnsOptions"), ["ndots:1"]),
    ("dns_search", ("lab.test",), (HOST, "DnsSearch"), ["lab.test"]),
    ("group_add", ("audio", "1000"), (HOST, "GroupAdd"), ["audio", "1000"]),
    ("ipc", "shareable", (HOST, "IpcMode"), "shareable"),
    ("mem_reservation", 1 << 26, (HOST, "MemoryReservation"), 1 << 26),
    ("mem_swappiness", 0, (HOST, "MemorySwappiness"), 0),
    ("memswap_limit", -1, (HOST, "MemorySwap"), -1),
    ("oom_kill_disable", True, (HOST, "OomKillDisable"), True),
    ("oom_score_adj", -500, (HOST, "OomScoreAdj"), -500),
    ("pid", "host", (HOST, "PidMode"), "host"),
    ("runtime", "runc", (HOST, "Runtime"), "runc"),
    ("shm_size", 1 << 28, (HOST, "ShmSize"), 1 << 28),
    ("userns_mode", "host", (HOST, "UsernsMode"), "host"),
    ("uts", "host", (HOST, "UTSMode"), "host"),
    ("blkio_config", BlockIo(weight=300), (HOST, "BlkioWeight"), 300),
    (
        "blkio_config",
        BlockIo(device_read_bps=(("/dev/sda", 1 << 20),)),
        (HOST, "BlkioDeviceReadBps"),
        [{"Path": "/dev/sda", "Rate": 1 << 20}],
    ),
    (
        "blkio_config",
        BlockIo(weight_device=(("/dev/sda", 400),)),
        (HOST, "BlkioWeightDevice"),
        [{"Path": "/dev/sda", "Weight": 400}],
    ),
    (
        "machine_mounts",
        (
            MachineMount("/proc", "/host/proc", read_only=True, propagation="rslave"),
            MachineMount("/srv", "/srv", recursive="disabled", create=False),
        ),
        (HOST, "Mounts"),
        [
            {
                "Type": "bind",
                "Source": "/proc",
                "Target": "/host/proc",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rslave", "CreateMountpoint": True},
            },
            {
                "Type": "bind",
                "Source": "/srv",
                "Target": "/srv",
                "ReadOnly": False,
                "BindOptions": {"NonRecursive": True},
            },
        ],
    ),
    (
        "networks",
        (Attachment("default", ("two",), "10.9.0.7", "02:42:ac:11:00:02"),),
        ("NetworkingConfig", "EndpointsConfig", "small_default", "IPAMConfig"),
        {"IPv4Address": "10.9.0.7"},
    ),
    (
        "links",
        (Link("queue", "broker"), Link("site", "site")),
        ("NetworkingConfig", "EndpointsConfig", "small_default", "Links"),
        ["queue:broker"],
    ),
    ("volumes_from", ("db:ro", "web"), (HOST, "VolumesFrom"), ["db:ro", "web"]),
    ("ipc", "service:db", (HOST, "IpcMode"), "container:db"),
    (
        "mac_address",
        "02:42:ac:11:00:03",
        ("NetworkingConfig", "EndpointsConfig", "small_default", "MacAddress"),
        "02:42:ac:11:00:03",
    ),
    (
        "container_name",
        "shop-db",
        ("NetworkingConfig", "EndpointsConfig", "small_default", "Aliases"),
        ["bare", "shop-db"],
    ),
    (
        "aliases",
        ("bare-1", "bare"),
        ("NetworkingConfig", "EndpointsConfig", "small_default", "Aliases"),
        ["bare", "bare-1"],
    ),
    (
        "volumes",
        (VolumeMount("data", "/data", nocopy=True, labels=(("a", "b"),), subpath="in"),),
        (HOST, "Mounts"),
        [
            {
                "Type": "volume",
                "Target": "/data",
                "ReadOnly": False,
                "Source": "small_data",
                "VolumeOptions": {
                    "Labels": {"a": "b", "hashlab.lab": "ID"},
                    "NoCopy": True,
                    "Subpath": "in",
                },
            }
        ],
    ),
    (
        "tmpfs",
        (TmpfsMount("/tmp", size=1 << 20, mode=0o700, options=("noexec", "uid=1000")),),
        (HOST, "Tmpfs"),
        {"/tmp": "noexec,uid=1000,size=1048576,mode=700"},
    ),
]
# What a container's create request has no word for: hashlab itself acts on it.
ELSEWHERE = {
    *("name", "machine", "build", "depends_on", "replicas", "watch", "post_start", "pre_stop"),
    *("label_file", "pre_start", "debugger", "copy_of", "parallelism", "update_delay"),
    *("front", "front_of", "rollback"),
}
# Have tests of their own below.
BELOW = {"labels", "binds", "files", "network_mode"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return small_lab(tmp_path)


def body(lab: Lab, name: str = "bare", *, build: str = "", **attributes: Any) -> dict[str, Any]:
    """The request for a service that has nothing but these attributes."""
    service = Service(name, "web", **{"image": "bare:1", **attributes})
    return container_body(lab, service, build=build)


def test_every_attribute_of_a_service_is_tested() -> None:
    attributes = {field.name for field in fields(Service)}
    assert attributes == {case[0] for case in CASES} | ELSEWHERE | BELOW


@pytest.mark.parametrize(("attribute", "value", "place", "expected"), CASES)
def test_an_attribute_stands_where_the_engine_api_wants_it(
    lab: Lab, attribute: str, value: Any, place: tuple[str, ...], expected: Any
) -> None:
    found: Any = body(lab, **{attribute: value})
    for key in place:
        found = found[key]
    assert found == _with_id(expected, lab.id)


def _with_id(value: Any, lab_id: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_id(inner, lab_id) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_id(inner, lab_id) for inner in value]
    return lab_id if value == "ID" else value


def test_a_seccomp_profile_takes_the_place_of_its_file(lab: Lab) -> None:
    options = ("seccomp:./profile.json", "no-new-privileges:true")
    request = body(lab, security_opt=options, seccomp="{}")
    assert request[HOST]["SecurityOpt"] == ["no-new-privileges:true", "seccomp={}"]


def test_what_is_not_set_is_left_to_the_image_and_the_engine(lab: Lab) -> None:
    bare = body(lab)
    assert set(bare) == {
        "Image",
        "Env",
        "Labels",
        "ExposedPorts",
        "HostConfig",
        "NetworkingConfig",
    }
    assert set(bare[HOST]) == {"NetworkMode", "Mounts", "RestartPolicy"}


def test_a_service_is_on_the_labs_network_under_its_own_name(lab: Lab) -> None:
    bare = body(lab)
    assert bare[HOST]["NetworkMode"] == "small_default"
    endpoints = bare["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints == {"small_default": {"Aliases": ["bare"]}}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("none", "none"), ("host", "host")],
)
def test_a_network_mode_takes_the_place_of_the_labs_networks(
    lab: Lab, mode: str, expected: str
) -> None:
    made = body(lab, network_mode=mode, networks=())
    assert made[HOST]["NetworkMode"] == expected
    assert made["NetworkingConfig"] == {"EndpointsConfig": {}}


def test_the_mode_bridge_is_the_default_network(lab: Lab) -> None:
    assert body(lab, network_mode="bridge")[HOST]["NetworkMode"] == "small_default"


def test_a_container_is_labelled_with_lab_service_and_build(lab: Lab) -> None:
    labels = body(lab, build="abc", labels=(("team", "a"),))["Labels"]
    assert labels == {
        "team": "a",
        "hashlab.lab": lab.id,
        "hashlab.service": "bare",
        "hashlab.build": "abc",
    }


def test_labels_of_hashlab_win_over_those_of_the_user(lab: Lab) -> None:
    labels = body(lab, labels=(("hashlab.service", "mine"),))["Labels"]
    assert labels["hashlab.service"] == "bare"


def test_the_process_is_told_its_build_in_its_environment(lab: Lab) -> None:
    assert body(lab, build="abc", environment=(("A", "1"),))["Env"] == [
        "A=1",
        "HASHLAB_BUILD=abc",
    ]
    assert body(lab)["Env"] == []


def test_binds_come_from_the_labs_folder_on_the_machine(lab: Lab) -> None:
    binds = (BindMount(lab.folder / "static", "/static", read_only=True),)
    assert body(lab, binds=binds)[HOST]["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/var/lib/hashlab/small/files/static",
            "Target": "/static",
            "ReadOnly": True,
        }
    ]


def test_secrets_and_configs_are_mounted_read_only_from_their_own_folder(lab: Lab) -> None:
    files = (FileMount("key", lab.folder / "key", "/run/secrets/key", secret=True),)
    assert body(lab, files=files)[HOST]["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/var/lib/hashlab/small/secrets/secret/key/444",
            "Target": "/run/secrets/key",
            "ReadOnly": True,
        }
    ]


def test_the_engine_knows_every_name_in_a_request_that_uses_them_all(lab: Lab) -> None:
    """The fake engine refuses names the Engine API does not have."""
    engine = FakeEngine()
    engine.images["bare:1"] = {}
    engine.create_bridge("small_default", "10.9.0.0/24", {})
    everything = {attribute: value for attribute, value, _, _ in CASES if attribute != "image"}
    engine.create("one", body(lab, build="abc", **everything))


def test_the_same_service_makes_the_same_request(lab: Lab) -> None:
    site = next(service for service in lab.services if service.name == "site")
    again = next(s for s in small_lab(lab.folder).services if s.name == "site")
    assert container_body(lab, site) == container_body(lab, again)


def test_containers_are_named_as_compose_names_them(lab: Lab) -> None:
    site = next(service for service in lab.services if service.name == "site")
    assert container_name(lab, site, 2) == "small-site-2"


def test_a_volume_of_the_top_level_decides_name_options_and_labels(tmp_path: Path) -> None:
    volumes = (
        Volume("data", "shared", driver_opts=(("type", "nfs"), ("o", "addr=1.2.3.4"))),
        Volume("logs", "small_logs", labels=(("a", "b"),)),
        Volume("old", "old", external=True),
    )
    mounts = tuple(VolumeMount(volume.key, f"/{volume.key}") for volume in volumes)
    lab = small_lab(tmp_path, volumes=volumes)
    service = Service("web", "web", "x", volumes=mounts)
    shared, logs, old = container_body(lab, service)[HOST]["Mounts"]
    assert (shared["Source"], logs["Source"], old["Source"]) == ("shared", "small_logs", "old")
    assert shared["VolumeOptions"] == {
        "Labels": {"hashlab.lab": lab.id},
        "DriverConfig": {"Name": "local", "Options": {"type": "nfs", "o": "addr=1.2.3.4"}},
    }
    assert logs["VolumeOptions"] == {"Labels": {"a": "b", "hashlab.lab": lab.id}}
    assert "VolumeOptions" not in old
