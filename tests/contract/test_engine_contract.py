"""The contract of an engine, for phases: the fake one, this laptop's, and the same through
channels.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_bench import BASE, PREFIX, Bench, real_engine
from fakes import Behaviour, track_of, write_files
from fakes.engine import Container
from fakes.outside import Silent

from hashlab.config.model import Network
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import read_context
from hashlab.phases.layers import saved_layers, without
from hashlab.pipeline import CancelToken, parallel
from hashlab.protocols import BuildSettings, Completed, SwarmState

FOR_EVER = ["sleep", "1000"]
PATIENCE = 20.0
SAYS = ["sh", "-c", "for n in 1 2 3; do echo line $n; done; exit 3"]
EXECUTED = ["sh", "-c", "echo out; echo err >&2; exit 4"]


def create(bench: Bench, what: str = "one", **body: Any) -> str:
    """Create a container of the base image. On the fake, prepare the behaviour of the real one."""
    if bench.fake:
        bench.fake.behave(tuple(SAYS), Behaviour(exits=3, log="line 1\nline 2\nline 3\n"))
        bench.fake.behave(("true",), Behaviour(exits=0))
        bench.fake.executes[tuple(EXECUTED)] = _execute
    request = {"Image": BASE, "Cmd": FOR_EVER, "Labels": bench.labels} | body
    return bench.engine.create(bench.name(what), request)


def _execute(_: Container) -> Completed:
    return Completed(4, "out\n", "err\n")


def started(bench: Bench, what: str = "one", **body: Any) -> str:
    container = create(bench, what, **body)
    bench.engine.start(container)
    return container


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def test_info_has_the_values_that_providers_need(bench: Bench) -> None:
    info = bench.engine.info()
    assert info["OSType"] == "linux"
    assert {"ID", "Driver", "DockerRootDir", "Swarm"} <= set(info)


def test_it_answers(bench: Bench) -> None:
    assert bench.engine.answers(PATIENCE)


def test_a_container_is_created_and_does_not_run_yet(bench: Bench) -> None:
    made = create(bench)
    state = bench.engine.container(made)
    assert state is not None
    assert (state.id, state.name, state.state) == (made, bench.name("one"), "created")
    assert (state.pid, state.health, state.image) == (0, "", BASE)
    assert state.labels == bench.labels


def test_a_container_is_found_by_its_name_and_by_its_id(bench: Bench) -> None:
    made = create(bench)
    assert bench.engine.container(made) == bench.engine.container(bench.name("one"))


def test_a_missing_container_is_none(bench: Bench) -> None:
    assert bench.engine.container(bench.name("none")) is None
    assert bench.engine.inspect(bench.name("none")) is None


def test_a_name_can_be_used_once(bench: Bench) -> None:
    create(bench)
    with pytest.raises(LabError, match=bench.name("one")):
        create(bench)


def test_a_container_of_a_missing_image_is_refused(bench: Bench) -> None:
    with pytest.raises(LabError, match=r"(?i)no such image"):
        create(bench, Image=f"{bench.name('nothing')}:1")


def test_a_started_container_runs_and_has_a_process(bench: Bench) -> None:
    state = bench.engine.container(started(bench))
    assert state is not None
    assert state.state == "running"
    assert state.pid > 0
    assert state.started_at


def test_starting_twice_is_fine_and_starting_a_missing_container_fails(bench: Bench) -> None:
    bench.engine.start(started(bench))
    with pytest.raises(LabError):
        bench.engine.start(bench.name("none"))


def test_a_stopped_container_is_still_there_without_a_process(bench: Bench) -> None:
    made = started(bench)
    bench.engine.stop(made, timeout=0)
    state = bench.engine.container(made)
    assert state is not None
    assert (state.state, state.pid, state.exit_code) == ("exited", 0, 137)
    bench.engine.stop(made, timeout=0)


def test_stopping_a_missing_container_is_a_failure(bench: Bench) -> None:
    with pytest.raises(LabError):
        bench.engine.stop(bench.name("none"), timeout=0)


def test_a_running_container_can_be_removed_and_a_gone_one_again(bench: Bench) -> None:
    made = started(bench)
    bench.engine.remove(made)
    assert bench.engine.container(made) is None
    bench.engine.remove(made)


def test_a_container_that_ended_has_its_exit_code_and_last_lines(bench: Bench) -> None:
    made = started(bench, Cmd=SAYS)
    assert bench.engine.wait(made, timeout=20) == 3
    state = bench.engine.container(made)
    assert state is not None
    assert (state.state, state.exit_code, state.pid) == ("exited", 3, 0)
    assert bench.engine.logs(made) == "line 1\nline 2\nline 3\n"
    assert bench.engine.logs(made, lines=2) == "line 2\nline 3\n"


def test_waiting_for_a_container_that_does_not_end_is_a_failure(bench: Bench) -> None:
    made = started(bench)
    with pytest.raises(LabError, match="did not end"):
        bench.engine.wait(made, timeout=1)


def test_a_command_inside_returns_its_code_and_both_streams(bench: Bench) -> None:
    made = started(bench)
    assert bench.engine.execute(made, EXECUTED) == Completed(4, "out\n", "err\n")


def test_a_command_inside_has_its_folder_and_variables(bench: Bench) -> None:
    show = ("sh", "-c", "pwd; echo $WORD")
    made = started(bench)
    if bench.fake:
        bench.fake.executes[show] = lambda _: Completed(0, "/bin\nmagic\n", "")
    done = bench.engine.execute(made, show, folder="/bin", environment={"WORD": "magic"})
    assert done == Completed(0, "/bin\nmagic\n", "")


def test_files_are_put_into_a_container_whether_it_runs_or_not(bench: Bench) -> None:
    made = create(bench)
    read = ["sh", "-c", "cat /code/sub/one; readlink /code/link; stat -c %a:%u /code/sub/one"]
    # The shell of the base image is its only program.
    rm = ["sh", "-c", "rm -f -- /code/link"]
    if bench.fake:
        bench.fake.executes[tuple(read)] = _described
        bench.fake.executes[tuple(rm)] = _without_link
    bench.engine.put(made, _archive(b"1\n"))
    bench.engine.start(made)
    assert bench.engine.execute(made, read).stdout == "1\nsub/one\n640:0\n"
    bench.engine.put(made, _archive(b"2\n"))
    assert bench.engine.execute(made, read).stdout == "2\nsub/one\n640:0\n"
    assert bench.engine.execute(made, rm, user="0").code == 0
    assert bench.engine.execute(made, read).stdout == "2\n640:0\n"


def test_a_file_of_a_container_that_never_ran_is_read(bench: Bench) -> None:
    made = create(bench)
    bench.engine.put(made, _archive(b"1\n"))
    assert bench.engine.read_file(made, "/code/sub/one") == b"1\n"
    with pytest.raises(LabError, match="cannot read /code/other of container"):
        bench.engine.read_file(made, "/code/other")


def test_files_for_a_missing_container_are_refused(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot copy files into container"):
        bench.engine.put(bench.name("none"), _archive(b""))


def _archive(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        file = tarfile.TarInfo("code/sub/one")
        file.size, file.mode = len(content), 0o640
        archive.addfile(file, io.BytesIO(content))
        link = tarfile.TarInfo("code/link")
        link.type, link.linkname = tarfile.SYMTYPE, "sub/one"
        archive.addfile(link)
    return buffer.getvalue()


def _without_link(container: Container) -> Completed:
    del container.own["/code/link"]
    return Completed(0, "", "")


def _described(container: Container) -> Completed:
    one, link = container.own["/code/sub/one"], container.own.get("/code/link")
    target = f"{link.target}\n" if link else ""
    return Completed(0, f"{one.content.decode()}{target}{one.mode:o}:0\n", "")


def test_no_command_runs_inside_a_stopped_container(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot run sh"):
        bench.engine.execute(create(bench), EXECUTED)
    with pytest.raises(LabError, match="cannot run sh"):
        bench.engine.execute(bench.name("none"), EXECUTED)


def test_containers_are_found_by_label_with_or_without_value(bench: Bench) -> None:
    one = started(bench, "one", Labels={**bench.labels, "role": "a"})
    two = create(bench, "two", Labels={**bench.labels, "role": "b"})
    ended = started(bench, "ended", Cmd=["true"])

    def found(labels: dict[str, str]) -> set[str]:
        return {state.id for state in bench.engine.containers({**bench.labels, **labels})}

    assert found({}) == {one, two, ended}
    assert found({"role": ""}) == {one, two}
    assert found({"role": "b"}) == {two}
    assert found({"role": "c"}) == set()


def test_health_is_reported_until_it_is_healthy(bench: Bench) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 50_000_000}
    made = started(bench, Healthcheck=check)

    def health() -> str:
        state = bench.engine.container(made)
        return state.health if state else "gone"

    assert health() in ("starting", "healthy")
    until(lambda: health() == "healthy")


def test_a_disabled_health_check_reports_nothing(bench: Bench) -> None:
    state = bench.engine.container(started(bench, Healthcheck={"Test": ["NONE"]}))
    assert state is not None
    assert state.health == ""


def test_the_requested_environment_and_limits_are_set(bench: Bench) -> None:
    host = {
        "NanoCpus": 500_000_000,
        "Memory": 64 << 20,
        "PidsLimit": 50,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "ReadonlyRootfs": True,
        "Init": True,
        "ExtraHosts": ["db:10.0.0.1"],
        "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
        "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "SecurityOpt": ["no-new-privileges"],
    }
    made = create(bench, Env=["A=x=y", "B="], HostConfig=host)
    found = bench.engine.inspect(made)
    assert found is not None
    assert found["Id"] == made
    assert {"A=x=y", "B="} <= set(found["Config"]["Env"])
    assert found["Config"]["Labels"] == bench.labels
    kept = {key: found["HostConfig"][key] for key in host}
    # Engines since 28 show capabilities with their kernel's prefix.
    for key in ("CapAdd", "CapDrop"):
        kept[key] = [name.removeprefix("CAP_") for name in kept[key]]
    assert kept == host


def test_a_bind_mount_of_a_missing_path_is_refused(bench: Bench, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    if bench.fake:
        bench.fake.path_exists = lambda path: Path(path).exists()
    mount = {"Type": "bind", "Source": missing, "Target": "/in", "ReadOnly": True}
    with pytest.raises(LabError, match="does not exist"):
        create(bench, HostConfig={"Mounts": [mount]})


def test_a_mounted_volume_is_made_with_its_labels_and_outlives_the_container(
    bench: Bench,
) -> None:
    name = bench.name("data")
    mounts = [
        {
            "Type": "volume",
            "Source": name,
            "Target": "/data",
            "ReadOnly": False,
            "VolumeOptions": {"Labels": bench.labels},
        },
        {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 1 << 20}},
    ]
    made = started(bench, HostConfig={"Mounts": mounts})
    assert bench.engine.volumes(bench.labels) == [name]
    bench.engine.remove(made)
    assert bench.engine.volumes(bench.labels) == [name]


def test_a_mounted_volume_is_made_with_the_options_of_its_driver(bench: Bench) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    mount = {
        "Type": "volume",
        "Source": bench.name("data"),
        "Target": "/data",
        "VolumeOptions": {
            "Labels": bench.labels,
            "DriverConfig": {"Name": "local", "Options": options},
        },
    }
    made = started(bench, HostConfig={"Mounts": [mount]})
    assert bench.engine.volumes(bench.labels) == [bench.name("data")]
    assert bench.engine.volume_options([bench.name("data"), bench.name("other")]) == {
        bench.name("data"): options
    }
    bench.engine.remove(made)


def test_a_container_says_whose_namespaces_and_volumes_it_shares(bench: Bench) -> None:
    owner = started(bench, "owner", HostConfig={"IpcMode": "shareable"})
    config = {"IpcMode": f"container:{owner}", "VolumesFrom": [f"{owner}:ro"]}
    for what, host in (("ipc", config), ("pid", {"PidMode": f"container:{owner}"})):
        made = bench.engine.container(started(bench, what, HostConfig=host))
        assert made is not None
        assert made.shares == {owner}
    alone = bench.engine.container(owner)
    assert alone is not None
    assert not alone.shares


def test_volumes_are_made_found_by_label_and_removed_repeatedly(bench: Bench) -> None:
    one, two = bench.name("one"), bench.name("two")
    bench.engine.create_volume(two, {**bench.labels, "role": "b"})
    assert not bench.engine.has_volume(one)
    bench.engine.create_volume(one, bench.labels)
    bench.engine.create_volume(one, bench.labels)
    assert bench.engine.has_volume(one)
    assert bench.engine.volumes(bench.labels) == [one, two]
    assert bench.engine.volumes({**bench.labels, "role": ""}) == [two]
    bench.engine.remove_volume(one)
    bench.engine.remove_volume(one)
    assert bench.engine.volumes(bench.labels) == [two]


MAC = "02:42:0a:d5:4d:09"
SUBNETS = ["10.213.77.0/24", "10.213.78.0/24", "10.213.79.0/24"]


def bridge(bench: Bench, what: str = "net") -> tuple[str, str]:
    """Make a network on a free subnet; return its name and subnet."""
    taken = {subnet for subnets in bench.engine.networks().values() for subnet in subnets}
    subnet = next(subnet for subnet in SUBNETS if subnet not in taken)
    bench.engine.create_bridge(bench.name(what), subnet, bench.labels)
    return bench.name(what), subnet


def id_of(bench: Bench, network: str) -> str:
    found = bench.engine.network(network)
    assert found is not None
    return found.id


def test_a_network_is_made_with_its_subnet_and_found(bench: Bench) -> None:
    assert bench.engine.network(bench.name("net")) is None
    name, subnet = bridge(bench)
    assert bench.engine.networks()[name] == (subnet,)
    found = bench.engine.network(name)
    assert found is not None
    assert (found.name, found.driver, found.attachable) == (name, "bridge", False)
    assert found.labels == bench.labels
    assert bench.engine.networks_with(bench.labels) == {name: found}
    bench.engine.remove_network(name)
    bench.engine.remove_network(name)
    assert name not in bench.engine.networks()


def test_a_networks_name_is_not_found_by_its_beginning(bench: Bench) -> None:
    name, _ = bridge(bench, "longer")
    assert bench.engine.network(name.removesuffix("er")) is None


def test_a_network_is_not_made_twice(bench: Bench) -> None:
    name, subnet = bridge(bench)
    with pytest.raises(LabError, match="already exists"):
        bench.engine.create_bridge(name, subnet, bench.labels)


def test_a_container_lists_its_networks_with_its_names_there(bench: Bench) -> None:
    name, _ = bridge(bench)
    body: dict[str, Any] = {
        "HostConfig": {"NetworkMode": name},
        "NetworkingConfig": {"EndpointsConfig": {name: {"Aliases": ["one"]}}},
    }
    made = started(bench, **body)
    state = bench.engine.container(made)
    assert state is not None
    assert state.network_mode == name
    assert {name: place.id for name, place in state.networks.items()} == {name: id_of(bench, name)}
    assert "one" in state.networks[name].aliases
    with pytest.raises(LabError, match="active endpoints"):
        bench.engine.remove_network(name)


def test_the_built_in_networks_exist(bench: Bench) -> None:
    assert {"bridge", "host", "none"} <= set(bench.engine.networks())


LEVEL = BuildSettings({"LEVEL": "7"})


def build(
    bench: Bench,
    folder: Path,
    dockerfile: str,
    what: str = "image",
    listener: Silent | None = None,
    settings: BuildSettings = LEVEL,
) -> str:
    """Build an image from a Dockerfile; return its name."""
    write_files(folder, {"context/file": "content", "context/Dockerfile": dockerfile})
    name = f"{bench.name(what)}:1"
    with track_of(listener or Silent()) as track:
        bench.engine.build_image(
            name,
            context=read_context(
                folder / "context",
                folder / "context/Dockerfile",
                boundary=Boundary(),
                digests=Digests(),
            ),
            settings=settings,
            labels={"hashlab.inputs.artifacts": "abc"},
            owner=bench.run,
            track=track,
        )
    return name


def test_an_image_is_built_with_its_labels_and_its_steps_are_reported(
    bench: Bench, tmp_path: Path
) -> None:
    listener = Silent()
    name = build(bench, tmp_path, f"FROM {BASE}\nARG LEVEL\nCOPY file /\n", listener=listener)
    assert bench.engine.image_labels([name, BASE, bench.name("none")]) == {
        name: {"hashlab.inputs.artifacts": "abc"},
        BASE: {},
    }
    assert any(line.startswith("Step 1/") for line in listener.lines)


@pytest.mark.usefixtures("_base_image")
def test_an_image_gets_its_listed_context(tmp_path: Path) -> None:
    """Links, modes, empty folders and odd names are included; state and declared files are not."""
    odd = os.fsdecode(b"odd \xff\n#%")
    files = {
        "run.sh": "",
        odd: "",
        "hashlab.toml": "",
        ".hashlab/ssh/key": "private",
        "db": "secret",
    }
    show = "cd /context && busybox find . -exec busybox stat -c '%n|%a|%N' {} ';' | busybox sort"
    files["Dockerfile"] = f"FROM {BASE}\nCOPY . /context\nRUN {show}\n"
    files[".dockerignore"] = "Dockerfile\n.dockerignore\n"
    root = tmp_path / "app"
    write_files(root, files)
    (root / "run.sh").chmod(0o640)
    (root / "empty").mkdir(mode=0o700)
    (root / "link").symlink_to("../outside")
    boundary = Boundary(frozenset({root / "db"}))
    context = read_context(root, root / "Dockerfile", boundary=boundary, digests=Digests())
    engine, listener = real_engine(), Silent()
    name = f"{PREFIX}context:1"
    try:
        with track_of(listener) as track:
            owner = name.partition(":")[0]
            engine.build_image(
                name, context=context, settings=BuildSettings(), labels={}, owner=owner, track=track
            )
    finally:
        engine.remove_image(name)
    shown = "\n".join(listener.lines)
    lines = ("./run.sh|640|", "./empty|700|", "./link|777|'./link' -> '../outside'")
    assert [line for line in lines if line not in shown] == []
    assert "./odd " in shown
    assert not [name for name in (".hashlab", "./db|", "ockerfile|") if name in shown]


@pytest.mark.usefixtures("_base_image")
@pytest.mark.parametrize(
    "rules",
    [
        "docs\n!docs/keep.md\n**/f\n",
        "\ufeff/a/\r\n # none\r\n#hash\r\n\\#hash\r\n",
        "a/**\n!a/b\na/b/c\n[^a-d]*\n",
        "*\n!docs\n! a/b/c\nx?d\n./b/../docs/*.md \n",
    ],
)
def test_a_context_contains_what_dockers_own_client_sends(tmp_path: Path, rules: str) -> None:
    """The classic builder's client, which packs contexts by itself."""
    files = ["a/f", "a/b/f", "a/b/c/f.txt", "docs/one.md", "docs/keep.md", "x.d/y", "#hash", "z z"]
    write_files(tmp_path, dict.fromkeys(files, "") | {".dockerignore": rules})
    show = "cd /context && busybox find . -mindepth 1"
    write_files(tmp_path, {"Dockerfile": f"FROM {BASE}\nCOPY . /context\nRUN {show}\n"})
    mine = read_context(
        tmp_path, tmp_path / "Dockerfile", boundary=Boundary(), digests=Digests()
    ).entries
    name = f"{PREFIX}client:1"
    command = ["docker", "build", "--no-cache", "--tag", name, str(tmp_path)]
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    try:
        done = subprocess.run(
            command, env=environ, check=False, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        pytest.skip("Docker's own client is not on the PATH")
    if "legacy builder" in done.stderr and done.returncode:
        pytest.skip("this client of Docker's has no classic builder any more")
    assert done.returncode == 0, done.stderr
    real_engine().remove_image(name)
    theirs = {line[2:] for line in done.stdout.splitlines() if line.startswith("./")}
    assert {entry.name for entry in mine} == theirs


@pytest.mark.usefixtures("_base_image")
def test_a_build_has_its_network_hosts_and_shared_memory(tmp_path: Path) -> None:
    show = "busybox cat /etc/hosts; busybox df -k /dev/shm; busybox ls /sys/class/net"
    settings = BuildSettings(network="none", shm_size=7 << 20, extra_hosts=("router:10.0.0.1",))
    context = read_context(
        tmp_path,
        None,
        boundary=Boundary(),
        digests=Digests(),
        inline=f"FROM {BASE}\nRUN {show}\n",
    )
    engine, listener, name = real_engine(), Silent(), f"{PREFIX}settings:1"
    try:
        with track_of(listener) as track:
            engine.build_image(
                name, context=context, settings=settings, labels={}, owner="x", track=track
            )
    finally:
        engine.remove_image(name)
    shown = "\n".join(listener.lines)
    assert re.search(r"10\.0\.0\.1\s+router", shown)
    assert re.search(r"\s7168\s.*/dev/shm", shown)
    assert "eth0" not in shown


def test_a_build_that_fails_is_a_failure_with_its_output(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="non-zero code") as failure:
        build(bench, tmp_path, f"FROM {BASE}\nRUN false\n", "failing")
    assert failure.value.output
    assert bench.engine.image_labels([f"{bench.name('failing')}:1"]) == {}


TWO_STAGES = "FROM {base} AS first\nCOPY file /{name}\nFROM {base}\nCOPY --from=first /{name} /\n"


def test_stages_of_a_build_are_named_and_replaced_by_those_of_the_next(
    bench: Bench, tmp_path: Path
) -> None:
    engine = bench.engine
    name = build(bench, tmp_path, TWO_STAGES.format(base=BASE, name="one"))
    [stage] = engine.stages(bench.run)
    old = [*engine.image_ids([stage, name]).values()]
    build(bench, tmp_path, TWO_STAGES.format(base=BASE, name="two"))
    assert engine.stages(bench.run) == [stage]
    assert stage in engine.stages()
    if bench.fake is None:
        assert engine.image_ids(old) == {}, "what a build replaced is gone"
    assert engine.remove_image(stage)
    assert engine.stages(bench.run) == []


def test_a_build_with_one_stage_leaves_none(bench: Bench, tmp_path: Path) -> None:
    build(bench, tmp_path, TWO_STAGES.format(base=BASE, name="one"))
    build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    if bench.fake is None:
        assert bench.engine.stages(bench.run) == []


def test_the_stages_of_a_failed_build_are_named_until_the_next_one_succeeds(
    bench: Bench, tmp_path: Path
) -> None:
    if bench.fake is not None:
        pytest.skip("the fake stops before it has built anything")
    with pytest.raises(LabError):
        build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\nRUN false\n")
    [left] = bench.engine.stages(bench.run)
    assert "-failed-" in left
    build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    assert bench.engine.stages(bench.run) == []


def test_images_are_saved_and_loaded_as_one_stream_with_their_labels(
    bench: Bench, tmp_path: Path
) -> None:
    one = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    other = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /other\n", "other")
    stream = list(bench.engine.save_images([one, other]))
    for name in (one, other):
        assert bench.engine.remove_image(name)
    assert bench.engine.image_labels([one, other]) == {}
    bench.engine.load_images(iter(stream))
    labels = {"hashlab.inputs.artifacts": "abc"}
    assert bench.engine.image_labels([one, other]) == {one: labels, other: labels}


def test_an_image_is_loaded_without_the_layers_that_the_engine_has(
    bench: Bench, tmp_path: Path
) -> None:
    """The base stays; the archive has only the layer on top of it."""
    made = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    archive = tmp_path / "saved.tar"
    archive.write_bytes(b"".join(bench.engine.save_images([made])))
    assert bench.engine.layers() >= saved_layers(archive).keys()
    assert bench.engine.remove_image(made)
    known = bench.engine.layers()
    lacking = [member for layer, member in saved_layers(archive).items() if layer not in known]
    assert len(lacking) == 1
    sent = b"".join(without(archive, known))
    assert len(sent) < archive.stat().st_size
    bench.engine.load_images(iter([sent]))
    assert bench.engine.image_labels([made]) == {made: {"hashlab.inputs.artifacts": "abc"}}
    if bench.fake is None:
        container = create(bench, Image=made, Cmd=["cat", "/file"])
        bench.engine.start(container)
        assert bench.engine.wait(container, timeout=20) == 0


def test_an_image_that_lost_its_name_is_removed_by_its_label(bench: Bench, tmp_path: Path) -> None:
    name = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    [old] = bench.engine.image_ids([name]).values()
    build(bench, tmp_path, f"FROM {BASE}\nCOPY file /other\n")
    bench.engine.prune_images({"hashlab.inputs.artifacts": "abc"})
    assert bench.engine.image_ids([name, old]).keys() == {name}


def test_an_image_that_was_built_here_has_no_pulled_layers(bench: Bench, tmp_path: Path) -> None:
    name = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    pulled = bench.engine.pulled_layers("hashlab.inputs.artifacts")
    archive = tmp_path / "saved.tar"
    archive.write_bytes(b"".join(bench.engine.save_images([name])))
    assert not pulled & {layer[-1] for layer in saved_layers(archive)}


def test_a_missing_image_cannot_be_saved(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot save images"):
        list(bench.engine.save_images([f"{bench.name('none')}:1"]))


def test_removing_an_image_returns_whether_it_existed(bench: Bench, tmp_path: Path) -> None:
    name = build(bench, tmp_path, f"FROM {BASE}\nCOPY file /\n")
    assert bench.engine.remove_image(name) is True
    assert bench.engine.remove_image(name) is False


def test_an_image_that_no_registry_has_is_a_failure(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot pull image"), track_of() as track:
        bench.engine.pull("127.0.0.1:1/hashlab-contract/none:1", track=track)


def test_an_engine_without_a_swarm_reports_that_and_has_no_token(bench: Bench) -> None:
    if bench.engine.swarm().joined:
        pytest.skip("this laptop's Docker Engine is in a Swarm, which is none of our business")
    assert bench.engine.swarm() == SwarmState(active=False, manager=False)
    with pytest.raises(LabError):
        bench.engine.swarm_token()
    with pytest.raises(LabError):
        bench.engine.create_overlay(Network("one", bench.name("overlay")), bench.labels)


def test_many_threads_can_use_one_engine_at_once(bench: Bench) -> None:
    made = started(bench)

    def ask(_: int) -> str:
        state = bench.engine.container(made)
        return state.state if state else "gone"

    assert parallel(range(24), ask, CancelToken()) == ["running"] * 24


def test_a_paused_container_stays_frozen_until_it_is_resumed(bench: Bench) -> None:
    made = started(bench)
    bench.engine.pause(made)
    state = bench.engine.container(made)
    assert state is not None
    assert state.state == "paused"
    bench.engine.unpause(made)
    bench.engine.unpause(made)
    state = bench.engine.container(made)
    assert state is not None
    assert state.state == "running"


def test_only_running_containers_can_be_paused(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot pause"):
        bench.engine.pause(create(bench))
    with pytest.raises(LabError, match="cannot pause"):
        bench.engine.pause(bench.name("none"))


def test_an_image_is_made_of_a_paused_container_with_its_labels_and_more(bench: Bench) -> None:
    made, name = started(bench), f"{bench.name('image')}:1"
    bench.engine.pause(made)
    marks = {"empty": "", "quoted": 'a "b" c'}
    identifier = bench.engine.commit(made, name, marks)
    assert bench.engine.image_ids([name, bench.name("none")]) == {name: identifier}
    assert bench.engine.image_labels([name]) == {name: {**bench.labels, **marks}}
    assert bench.engine.images_with(bench.labels) == [name]
    state = bench.engine.container(made)
    assert state is not None
    assert state.state == "paused"
    bench.engine.unpause(made)
    again = bench.engine.create(
        bench.name("again"), {"Image": identifier, "Cmd": FOR_EVER, "Labels": bench.labels}
    )
    bench.engine.start(again)


def test_an_image_in_use_is_refused_and_by_force_loses_its_name_only(bench: Bench) -> None:
    name = f"{bench.name('image')}:1"
    identifier = bench.engine.commit(create(bench), name, {})
    user = bench.engine.create(
        bench.name("user"), {"Image": name, "Cmd": FOR_EVER, "Labels": bench.labels}
    )
    bench.engine.start(user)
    with pytest.raises(LabError, match="cannot remove image"):
        bench.engine.remove_image(name)
    assert bench.engine.remove_image(name, force=True) is True
    assert bench.engine.images_with(bench.labels) == [identifier]
    assert bench.engine.container(user) is not None
    bench.engine.remove(user)
    assert bench.engine.remove_image(identifier) is True
    assert bench.engine.images_with(bench.labels) == []


def test_a_container_is_made_on_a_network_at_an_address_and_detached(bench: Bench) -> None:
    name, subnet = bridge(bench)
    address = subnet.replace(".0/24", ".77")
    at = {"IPAMConfig": {"IPv4Address": address}, "Aliases": ["one"]}
    made = create(
        bench,
        HostConfig={"NetworkMode": name},
        NetworkingConfig={"EndpointsConfig": {name: at}},
    )
    bench.engine.start(made)
    state, found = bench.engine.container(made), bench.engine.inspect(made)
    assert state is not None
    assert found is not None
    assert state.networks[name].id == id_of(bench, name)
    assert found["NetworkSettings"]["Networks"][name]["IPAddress"] == address
    bench.engine.disconnect(name, made)
    state = bench.engine.container(made)
    assert state is not None
    assert name not in state.networks


def test_a_paused_container_can_change_its_networks(bench: Bench) -> None:
    made = create(bench)
    name, _ = bridge(bench)
    endpoint = {"Aliases": ["one"], "Links": ["two:second"], "MacAddress": MAC}
    bench.engine.connect(name, made, endpoint)
    state = bench.engine.container(made)
    assert state is not None
    assert name in state.networks
    bench.engine.start(made)
    state = bench.engine.container(made)
    assert state is not None
    assert state.networks[name].id == id_of(bench, name)
    assert "one" in state.networks[name].aliases
    bench.engine.stop(made, timeout=0)
    bench.engine.disconnect(name, made)
    state = bench.engine.container(made)
    assert state is not None
    assert name not in state.networks
    with pytest.raises(LabError, match="cannot attach"):
        bench.engine.connect(name, bench.name("none"), {})
    with pytest.raises(LabError, match="cannot detach"):
        bench.engine.disconnect(name, bench.name("none"))


def test_images_left_by_builds_count_as_held(bench: Bench, tmp_path: Path) -> None:
    before = bench.engine.held()
    assert set(before) == {"images", "volumes", "snapshots"}
    build(bench, tmp_path, TWO_STAGES.format(base=BASE, name="one"))
    assert bench.engine.held()["images"] > before["images"]


def test_images_with_a_health_check_are_recognised(bench: Bench, tmp_path: Path) -> None:
    plain = build(bench, tmp_path, f"FROM {BASE}\n", "plain")
    check = "HEALTHCHECK --interval=1h CMD true\n"
    checked = build(bench, tmp_path, f"FROM {BASE}\n{check}", "checked")
    none = build(bench, tmp_path, f"FROM {BASE}\n{check}HEALTHCHECK NONE\n", "none")
    if bench.fake:
        bench.fake.checked_images = {checked}
    assert bench.engine.health_checked([plain, checked, none, bench.name("gone")]) == [checked]
