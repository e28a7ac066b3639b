"""A folder with nothing but a Compose file, and the commands that Compose has too."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from labkit import LabFolder, copy_example, daemons_of, everything, everything_of, fetch

PORT = 8177
URL = f"http://127.0.0.1:{PORT}/"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[LabFolder]:
    """The small example without hashlab.toml, brought up by one command."""
    lab = copy_example("hello", tmp_path_factory.mktemp("labs") / "bare", provider)
    (lab.folder / "hashlab.toml").unlink()
    lab.edit("compose.yaml", '"80:8080"', f'"{PORT}:8080"')
    lab.edit(
        "compose.yaml", 'deploy:\n      placement: { constraints: ["node.hostname == front"] }', ""
    )
    try:
        lab.run("up").ok()
        yield lab
    finally:
        lab.run("down", "--volumes", "--yes").ok()
        deadline = time.monotonic() + 10
        while daemons_of(lab) and time.monotonic() < deadline:  # it has been told, and ends
            time.sleep(0.1)
        assert everything_of(lab) == []


def states(lab: LabFolder) -> dict[str, str]:
    return {service["name"]: service["state"] for service in lab.status()["services"]}


def phases(document: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["status"] for row in document["phases"]}


def test_one_command_brings_up_a_folder_with_a_compose_file_alone(lab: LabFolder) -> None:
    assert "hello" in fetch(URL)
    machines = [machine["name"] for machine in lab.status()["machines"]]
    assert machines == ["one", "two"]
    assert {s["machine"] for s in lab.status()["services"]} == {"one", "two"}


def test_exec_finds_the_machine_and_passes_the_exit_code_on(lab: LabFolder) -> None:
    done = lab.run("exec", "greeter", "sh", "-c", "echo $GREETING --help; exit 7")
    assert (done.code, done.stdout) == (7, "hello --help\n")


def test_run_passes_input_output_and_exit_code(lab: LabFolder) -> None:
    asks = "cat; echo $GREETING $MORE; getent hosts web >/dev/null || exit 1; exit 7"
    words = ["run", "--rm", "-T", "-e", "MORE=words", "greeter", "sh", "-c", asks]
    done = lab.run(*words, input="from the laptop\n")
    assert (done.code, done.stdout) == (7, "from the laptop\nhello words\n"), done.stderr
    assert one_offs(lab) == {}


def test_run_leaves_no_container_that_could_not_start(lab: LabFolder) -> None:
    done = lab.run("run", "--user", "missing", "greeter")
    assert done.code == 1
    assert "unable to find user missing" in done.stderr
    assert one_offs(lab) == {}


def test_a_refresh_leaves_a_one_off_container_alone_until_it_ends(lab: LabFolder) -> None:
    client = lab.start("run", "-T", "greeter", "sh", "-c", "echo ready; exec sleep 600")
    client.wait_for("ready")
    document = lab.json("refresh")
    assert phases(document)["containers"] == "skipped"
    assert phases(document)["proof"] == "ok"
    [(name, state)] = one_offs(lab).items()
    assert state == "running"
    assert client.signal(signal.SIGINT) == 130
    assert one_offs(lab) == {name: "exited"}
    lab.run("refresh").ok()
    assert one_offs(lab) == {}


def one_offs(lab: LabFolder) -> dict[str, str]:
    """Return the states of the containers that `hashlab run` made, by name."""
    containers = lab.json("ps", "--all")["containers"]
    return {c["name"]: c["state"] for c in containers if "-run-" in c["name"]}


def test_what_was_stopped_stays_stopped_until_start(lab: LabFolder) -> None:
    lab.run("stop", "greeter").ok()
    assert phases(lab.json("refresh"))["verify"] == "skipped"
    assert states(lab) == {"web": "running", "greeter": "stopped"}
    assert [c["service"] for c in lab.json("ps")["containers"]] == ["web"]
    lab.run("start", "greeter").ok()
    # The engine asks for the health later than hashlab, which has waited for it.
    assert states(lab)["greeter"] in ("running", "starting")


def test_restart_keeps_the_containers(lab: LabFolder) -> None:
    before = {c["name"]: c["since"] for c in lab.json("ps")["containers"]}
    lab.run("restart", "web").ok()
    after = {c["name"]: c["since"] for c in lab.json("ps")["containers"]}
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["bare-web-1"]


BASE = """
services:
  worker:
    image: bare-greeter
    user: "0"
    init: true
    restart: always
    environment: { WORD: base, OF: base }
    entrypoint: [sh, -c]
    command: ["exec sleep infinity"]
"""
OVERRIDE = """
services:
  # Services that share a volume share a machine, so the lab needs no third one.
  greeter:
    environment: { MORE: override }
    volumes: ["shared:/shared:ro"]
  writer:
    extends: { file: base.yaml, service: worker }
    command: ["echo $$WORD of $$OF > /shared/word; exec sleep infinity"]
    environment: { WORD: mine }
    volumes: ["shared:/shared"]
  reader:
    extends: { file: base.yaml, service: worker }
    volumes: ["shared:/shared"]
    pre_start:
      - { image: bare-web, command: ["getent hosts web && echo one > /shared/steps"] }
      - { command: ["echo two >> /shared/steps"] }
  pair:
    extends: { file: base.yaml, service: worker }
    deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }
volumes:
  shared: {}
"""


def test_extends_an_override_a_shared_volume_and_replicas_act_as_in_compose(lab: LabFolder) -> None:
    (lab.folder / "base.yaml").write_text(BASE)
    (lab.folder / "compose.override.yaml").write_text(OVERRIDE)
    lab.run("refresh").ok()
    places = {service["name"]: service["machine"] for service in lab.status()["services"]}
    assert places["writer"] == places["reader"] == places["greeter"]
    assert {places["pair.one"], places["pair.two"]} == {"one", "two"}
    assert lab.run("exec", "reader", "cat", "/shared/word").ok().stdout == "mine of base\n"
    assert lab.run("exec", "reader", "cat", "/shared/steps").ok().stdout == "one\ntwo\n"
    assert lab.run("exec", "greeter", "sh", "-c", "echo $MORE").ok().stdout == "override\n"
    asked = lab.run("exec", "reader", "getent", "ahostsv4", "pair").ok().stdout
    assert len({line.split()[0] for line in asked.splitlines()}) == 2
    (lab.folder / "compose.override.yaml").unlink()
    lab.run("refresh").ok()
    assert set(states(lab)) == {"web", "greeter"}


def test_a_port_that_is_added_needs_no_new_machine(lab: LabFolder) -> None:
    lab.edit("compose.yaml", f'"{PORT}:8080"', f'"{PORT}:8080", "{PORT + 1}:8080"')
    lab.run("refresh").ok()
    assert fetch(f"http://127.0.0.1:{PORT + 1}/") == fetch(URL)


def test_down_leaves_the_machines_and_start_brings_all_back(lab: LabFolder) -> None:
    lab.run("down").ok()
    assert lab.json("ps", "--all")["containers"] == []
    assert states(lab) == {"web": "stopped", "greeter": "stopped"}
    lab.run("start").ok()
    assert fetch(URL)


def test_a_suspended_lab_takes_no_processor_and_goes_on(lab: LabFolder) -> None:
    before = {c["name"]: c["since"] for c in lab.json("ps")["containers"]}
    lab.run("suspend").ok()
    assert {machine["state"] for machine in lab.status()["machines"]} == {"paused"}
    refused = lab.run("refresh")
    assert (refused.code, "hashlab resume" in refused.stdout) == (4, True)
    lab.run("resume").ok()
    assert fetch(URL)
    assert {c["name"]: c["since"] for c in lab.json("ps")["containers"]} == before
    lab.run("verify").ok()


def test_halt_switches_the_machines_off_and_dev_boots_them(lab: LabFolder) -> None:
    lab.run("halt").ok()
    assert {machine["state"] for machine in lab.status()["machines"]} == {"stopped"}
    document = lab.json("dev")
    assert fetch(URL)
    # Worker engines wait for their manager's; otherwise they look for it a minute later.
    names = next(row for row in document["phases"] if row["name"] == "names")
    assert names["seconds"] < 30


def test_cp_copies_from_and_to_a_container(lab: LabFolder) -> None:
    there, back = lab.folder / "there.txt", lab.folder / "back.txt"
    lab.run("cp", "web:/srv/site/.", str(lab.folder / "copy")).ok()
    assert (lab.folder / "copy/index.html").read_text() == fetch(URL)
    there.write_text("words")
    lab.edit("compose.yaml", "read_only: true", "read_only: false")
    lab.run("refresh").ok()
    lab.run("cp", str(there), "greeter:/opt/words.txt").ok()
    assert lab.run("exec", "greeter", "cat", "/opt/words.txt").ok().stdout == "words"
    lab.run("cp", "greeter:/opt/words.txt", str(back)).ok()
    assert back.read_text() == "words"


def left_on_machines(lab: LabFolder) -> str:
    """Return the sockets and programs of `hashlab forward` that are on the machines."""
    command = "ls /run | grep hashlab-forward; ps ax -o args | grep '[/]run/hashlab-forward'; true"
    return "".join(lab.on(machine["name"], command) for machine in lab.status()["machines"])


def test_a_forwarded_port_follows_its_container_into_an_internal_network(lab: LabFolder) -> None:
    run = lab.start("forward", "greeter:8000", "web")
    try:
        line = run.wait_until(lambda line: line.startswith("greeter:8000 → "))
        run.wait_for("web:8080 → ")
        address = line.split()[-1]
        assert lab.run("open", "greeter", "--print").ok().stdout == f"http://{address}\n"
        assert "greeting" in fetch(f"http://{address}/greeting")
        before = everything(lab)["bare-greeter-1"]
        lab.edit("compose.yaml", "services:", "networks: { inner: { internal: true } }\nservices:")
        for service, networks in (("web", "default, inner"), ("greeter", "inner")):
            build = f"build: ./images/{service}"
            lab.edit("compose.yaml", build, f"{build}\n    networks: [{networks}]")
        lab.run("refresh").ok()
        assert everything(lab)["bare-greeter-1"] != before
        assert "greeting" in fetch(f"http://{address}/greeting", timeout=5)
        assert left_on_machines(lab)
    finally:
        code = run.signal(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in "".join(run.lines)
    assert left_on_machines(lab) == ""


def test_a_forward_that_is_killed_leaves_nothing(lab: LabFolder) -> None:
    run = lab.start("forward", "greeter:8000")
    address = run.wait_until(lambda line: "→" in line).split()[-1]
    run.signal(signal.SIGKILL)
    deadline = time.monotonic() + 10 * lab.time_factor
    while (left := left_on_machines(lab)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == ""
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://{address}/greeting", timeout=0)
    assert lab.run("open", "greeter", "--print").code == 2


def test_init_writes_the_same_lab(lab: LabFolder) -> None:
    lab.run("init").ok()
    assert phases(lab.json("refresh"))["containers"] == "skipped"
