"""What goes wrong on a laptop: killed runs, lost machines, taken ports and subnets, Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from deploykit import rolling, steady
from labkit import (
    COMMAND_SECONDS,
    LabFolder,
    docker,
    everything,
    everything_of,
    fetch,
    kill_machine,
    lose_machine,
    replaced,
    rows,
    try_docker,
)
from mountkit import COMPOSE, DECLARED, SHOW, inside, make_odd, on_the_laptop, show

# The line after which a run is at work on each phase.
KILLED_IN = {
    "prepare": "doctor",
    "boot": "prepare",
    "connect": "connect front",
    "network": "connect back",
    "upload": "network",
    "containers": "upload back",
    "healthy": "container back greeter",
    "verify": "proof",
}


# Leave the Swarm with the engine held still while it tells the others, longer than it tries to.
HALF_LEFT = r"""
sudo journalctl --unit docker --follow --lines 0 | grep -m 1 'left gossip cluster' | {
    read -r _
    sudo pkill -STOP -x dockerd; sleep 1.5; sudo pkill -CONT -x dockerd
} &
until pgrep -x journalctl > /dev/null; do sleep 0.05; done
sudo docker swarm leave; wait
grep -c ':1F0A [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6
"""


def greeting(lab: LabFolder) -> str:
    """Address of what travels from one machine through the other to the laptop."""
    return f"{lab.json('status')['urls']['web']}/greeting"


def test_a_run_killed_in_any_phase_is_simply_run_again(hello_lab: LabFolder) -> None:
    """Each run goes a phase further than the one before, and none of them may end in order."""
    hello_lab.run("destroy").ok()
    for phase, line in KILLED_IN.items():
        run = hello_lab.start("dev")
        run.wait_for(line)
        assert run.signal(signal.SIGKILL) == -signal.SIGKILL, phase
    assert hello_lab.json("dev")["ok"]
    assert "hello" in fetch(greeting(hello_lab))
    assert all(s["build"] == s["running_build"] for s in hello_lab.status()["services"])


def test_what_the_user_has_set_leads_no_tool_elsewhere(
    hello_lab: LabFolder, tmp_path: Path
) -> None:
    """Neither Vagrant nor Docker's client, ssh or the lab's own commands, which ask 127.0.0.1."""
    (tmp_path / "config.json").write_text('{"credsStore": "no-such-helper"}')
    proxy = "http://127.0.0.1:9"
    user = {
        "DOCKER_CONFIG": str(tmp_path),
        "DOCKER_CONTEXT": "default",
        "DOCKER_DEFAULT_PLATFORM": "plan9/mips",
        "VAGRANT_CWD": "/nonexistent",
        "VAGRANT_VAGRANTFILE": "Nofile",
        "VAGRANT_DEFAULT_PROVIDER": "none",
        "VAGRANT_DOTFILE_PATH": "/nonexistent",
        "RUBYOPT": "-rno-such-library",
        "RSYNC_RSH": "false",
        "LC_ALL": "de_DE.UTF-8",
        "LIBVIRT_DEFAULT_URI": "qemu+ssh://192.0.2.1/system",
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy),
    }
    hello_lab.run("destroy", timeout=COMMAND_SECONDS, **user).ok()
    assert hello_lab.json("dev", **user)["ok"]
    assert hello_lab.json("refresh", **user)["ok"]
    checks = hello_lab.json("doctor", **user)["checks"]
    [engine] = [check["detail"] for check in checks if check["name"] == "engine"]
    assert engine.endswith("at unix:///var/run/docker.sock (the default)")


def test_ctrl_c_names_what_is_half_done(hello_lab: LabFolder) -> None:
    hello_lab.run("destroy").ok()
    run = hello_lab.start("dev", "--verbose")
    run.wait_for("boot | ")
    assert run.signal(signal.SIGINT) == 130
    said = "".join(run.lines)
    assert "Half done: " in said and "boot" in said
    assert "Traceback" not in said
    hello_lab.run("dev").ok()


def test_destroy_takes_a_half_built_lab(hello_lab: LabFolder) -> None:
    hello_lab.run("destroy").ok()
    run = hello_lab.start("dev")
    run.wait_for("connect front")
    run.signal(signal.SIGKILL)
    hello_lab.run("destroy").ok()
    assert everything_of(hello_lab) == []


def test_a_second_run_is_told_who_holds_the_lab(hello_lab: LabFolder) -> None:
    lock = hello_lab.folder / ".hashlab/lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(json.dumps({"pid": 4711, "command": "dev", "since": "2026-01-01T10:00:00"}))
        held.flush()
        refused = hello_lab.run("refresh")
    assert refused.code == 5
    assert "dev (process 4711) since 2026-01-01T10:00:00" in refused.stderr
    hello_lab.run("dev").ok()


def test_a_stopped_machine_is_told_and_started_again(hello_lab: LabFolder) -> None:
    hello_lab.run("dev").ok()
    kill_machine(hello_lab, "back")
    status = hello_lab.status()
    states = {m["name"]: m["state"] for m in status["machines"]}
    assert states == {"front": "running", "back": "stopped"}
    assert {s["name"]: s["state"] for s in status["services"]}["greeter"] == "stopped"
    assert hello_lab.run("status").code == 4
    page = hello_lab.folder / "site/index.html"
    page.write_text(page.read_text() + "<!-- while back was away -->")
    refused = hello_lab.run("refresh")
    assert refused.code == 4
    assert "back" in refused.stdout and "hashlab dev" in refused.stdout
    assert "Left as it was: greeter; and what needs it: web" in refused.stdout
    # What the other machine can do without it was done.
    assert "while back was away" in fetch(hello_lab.status()["urls"]["web"])
    hello_lab.run("dev").ok()
    assert "hello" in fetch(greeting(hello_lab))


# Ends with 0 on TERM, is not restarted, and says nothing of itself: as Redis without `restart`.
CACHE = """
  cache:
    build: ./images/greeter
    entrypoint: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
    deploy: { placement: { constraints: ["node.hostname == back"] } }
"""


def test_a_service_that_ended_with_its_machine_is_no_ok_until_it_runs_again(
    hello_lab: LabFolder,
) -> None:
    file = hello_lab.folder / "compose.yaml"
    before = file.read_text()
    file.write_text(before + CACHE)
    try:
        hello_lab.run("dev").ok()
        hello_lab.on("back", "docker stop hello-cache-1")
        assert hello_lab.on("back", "docker inspect -f {{.State.ExitCode}} hello-cache-1") == "0\n"
        assert hello_lab.run("verify").code == hello_lab.run("status").code == 4
        document = hello_lab.json("refresh")
        details = {row["service"]: row["detail"] for row in rows(document, "container")}
        assert details["cache"] == "started again: it had ended with exit code 0"
        hello_lab.run("verify").ok()
    finally:
        file.write_text(before)
    hello_lab.run("dev").ok()


@pytest.mark.slow  # an engine takes up to a minute to find names again
def test_a_restarted_engine_is_waited_for_until_its_names_lead_somewhere(
    hello_lab: LabFolder,
) -> None:
    """The others know none of the first machine's names for a minute."""
    hello_lab.run("dev").ok()
    hello_lab.on("front", "sudo systemctl restart docker")
    document = hello_lab.json("refresh")
    assert rows(document, "names")[0]["status"] == "ok"
    answered = hello_lab.on("back", "docker exec hello-greeter-1 getent hosts web")
    assert "web" in answered
    assert "hello" in fetch(greeting(hello_lab), timeout=1)


def test_a_lost_machine_is_made_anew_and_the_others_join_it(hello_lab: LabFolder) -> None:
    hello_lab.run("dev").ok()
    lose_machine(hello_lab, "front")
    hello_lab.run("dev").ok()
    assert "hello" in fetch(greeting(hello_lab))


def test_an_engine_that_never_left_its_swarm_whole_hears_of_the_others_again(
    hello_lab: LabFolder,
) -> None:
    for _ in range(3):  # on a busy laptop the engine may have told the others before it is held
        hello_lab.run("dev").ok()
        listening = hello_lab.on("back", f"bash -c {shlex.quote(HALF_LEFT)}; true")
        if ":1" in listening:
            break
    else:
        pytest.fail(f"the engine left its Swarm whole each time: {listening}")
    said = hello_lab.run("dev", "--verbose").ok().stdout
    assert "back: engine restarted" in said
    assert "hello" in fetch(greeting(hello_lab))


@pytest.mark.parametrize(
    ("command", "named", "done"),
    [
        (
            "systemctl stop docker.socket docker.service",
            "the machine's Docker Engine is stopped",
            "was stopped, and was started",
        ),
        (
            "systemctl kill --signal=STOP --kill-whom=main docker.service",
            "the machine's Docker Engine hangs",
            "did not answer, and was restarted",
        ),
    ],
    ids=["stopped", "hanging"],
)
def test_an_engine_that_does_not_work_is_named_by_refresh_and_started_by_dev(
    hello_lab: LabFolder, command: str, named: str, done: str
) -> None:
    hello_lab.run("dev").ok()
    hello_lab.on("back", f"sudo {command}")
    began = time.monotonic()
    said = hello_lab.run("refresh")
    assert time.monotonic() - began < 30 * hello_lab.time_factor
    assert said.code == 4
    assert f"back: {named}" in said.stdout + said.stderr
    assert "hashlab dev" in said.stdout + said.stderr
    said = hello_lab.run("dev").ok()
    assert f"the Docker Engine of machine back {done}" in said.stdout
    assert "hello" in fetch(greeting(hello_lab))
    # Neither a stop nor a start of the engine opens the machine's network.
    rules = hello_lab.on("back", "sudo iptables --table mangle --list-rules PREROUTING")
    assert "-j HASHLAB" in rules


def test_a_mounted_folder_removed_by_hand_is_back_after_a_refresh(hello_lab: LabFolder) -> None:
    hello_lab.run("dev").ok()
    before = inside(hello_lab, "ls /app")
    hello_lab.on("back", "sudo rm -r /var/lib/hashlab/hello/files/greeter")
    said = hello_lab.run("refresh", "--verbose").ok()
    assert "the folder at /app was removed on its machine" in said.stdout
    assert inside(hello_lab, "ls /app") == before != ""
    assert "hello" in fetch(greeting(hello_lab))


def test_a_changed_environment_variable_restarts_its_service(hello_lab: LabFolder) -> None:
    hello_lab.run("dev").ok()
    document = hello_lab.json("refresh", GREETING="good morning")
    assert "good morning" in fetch(greeting(hello_lab))
    assert [r["service"] for r in rows(document, "container") if r["status"] == "ok"] == ["greeter"]
    hello_lab.run("refresh").ok()


def test_a_mount_shows_what_a_bind_mount_of_docker_shows(hello_lab: LabFolder) -> None:
    """And no link in it, of the laptop, of the image or of a container, leads anything astray."""
    hello_lab.run("dev").ok()
    folder = hello_lab.folder
    make_odd(folder / "odd")
    (folder / "secret.txt").write_text("secret")
    (folder / "config.txt").write_text("config")
    hello_lab.edit("compose.yaml", *COMPOSE)
    with (folder / "compose.yaml").open("a") as compose:
        compose.write(DECLARED)
    said = hello_lab.run("refresh").ok().stdout
    assert "links that lead out of their mount" in said
    here = show(on_the_laptop(folder / "odd", SHOW.format("/odd")))
    assert show(inside(hello_lab, SHOW.format("/odd"))) == here
    assert show(inside(hello_lab, SHOW.format("/run/odd"))) == here
    assert {b"f 4755  ./set-uid", b"f 644  ./caf\xe9", b"l 777 /dev/zero ./device"} <= set(here)
    secrets = "/run/secrets/token /run/secrets/open"
    assert inside(hello_lab, f"cat {secrets} /etc/token") == "secretsecretconfig"
    assert inside(hello_lab, f"stat -c %a:%u {secrets}").split() == ["400:0", "444:0"]
    # What a container plants, and a folder that it closes, with names enough for rsync.
    planted = "cd /odd && rm -r sub empty && ln -s /home/core sub && ln -s /etc empty"
    inside(hello_lab, f"{planted} && mkdir -m 0700 closed", user="1000")
    (folder / "odd/sub/page").write_text("two\n")
    (folder / "odd/sub/.profile").write_text("planted\n")
    (folder / "odd/empty").chmod(0o711)
    (folder / "odd/closed").mkdir(mode=0o700)
    for number in range(70):
        (folder / f"odd/closed/#{number}\n").write_text(f"{number}")
    hello_lab.run("refresh").ok()
    here = show(on_the_laptop(folder / "odd", SHOW.format("/odd")))
    assert show(inside(hello_lab, SHOW.format("/odd"), user="1000")) == here
    assert inside(hello_lab, "cat /odd/sub/page") == "two\n"
    home = hello_lab.on("back", "cat /home/core/.profile; stat -c %a /etc; ls /home/core")
    assert home == "755\n"
    for name in ("odd", "secret.txt", "config.txt"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    hello_lab.edit("compose.yaml", *reversed(COMPOSE))
    hello_lab.edit("compose.yaml", DECLARED, "")
    hello_lab.run("refresh").ok()
    assert hello_lab.on("back", "sudo ls -A /var/lib/hashlab/hello/files") == "greeter\n"


def test_a_taken_port_is_replaced_and_told(hello_lab: LabFolder) -> None:
    hello_lab.run("destroy").ok()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", 8090))
        squatter.listen()
        said = hello_lab.run("dev").ok().stdout
        assert "port 8090 (web) is in use; using" in said
        hello_lab.run("refresh").ok()
        url = hello_lab.status()["urls"]["web"]
        assert not url.endswith(":8090")
        assert "hello" in fetch(f"{url}/greeting")
    # Once it is free again, it leads to the same machine.
    before = everything(hello_lab)
    hello_lab.run("refresh").ok()
    assert greeting(hello_lab).startswith("http://127.0.0.1:8090/")
    assert "hello" in fetch(greeting(hello_lab))
    assert everything(hello_lab) == before


@contextmanager
def subnet_taken(subnet: str) -> Iterator[None]:
    """A network of somebody else's in a subnet; whoever has it already will do."""
    name = "hashlab-test-squatter"
    try_docker("network", "rm", name)  # of a run that was killed
    made = try_docker("network", "create", "--subnet", subnet, name)
    assert made.returncode == 0 or "overlaps" in made.stderr, made.stderr
    try:
        yield
    finally:
        if made.returncode == 0:
            docker("network", "rm", name)


def test_a_taken_subnet_is_replaced_and_told(hello_lab: LabFolder) -> None:
    hello_lab.run("destroy").ok()
    with subnet_taken("192.168.61.0/24"):
        said = hello_lab.run("dev").ok().stdout
        assert "subnet 192.168.61.0/24 is in use" in said
        status = hello_lab.status()
        assert not any(m["address"].startswith("192.168.61.") for m in status["machines"])
        assert "hello" in fetch(f"{status['urls']['web']}/greeting")


def test_bad_configuration_touches_nothing(hello_lab: LabFolder, tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_text('[lab]\nnam = "x"\n')
    broken = LabFolder(tmp_path).run("dev")
    assert broken.code == 2
    assert "hashlab.toml:2:" in broken.stderr and "'name'" in broken.stderr
    assert not (tmp_path / ".hashlab").exists()


def test_destroy_leaves_nothing(hello_lab: LabFolder) -> None:
    hello_lab.run("dev").ok()
    assert everything_of(hello_lab) != []
    document = hello_lab.json("destroy")
    assert document["ok"]
    assert everything_of(hello_lab) == []
    left = {path.name for path in (hello_lab.folder / ".hashlab").iterdir()}
    stays = {"runs", "lock", "engine.json", "kvm.json", "artifacts", "children"}
    stays |= {"daemon.lock", "daemon.log", ".gitignore", "events.jsonl", "events.lock"}
    assert left <= {*stays, hello_lab.provider}
    assert list(hello_lab.state.iterdir()) == []
    assert hello_lab.run("destroy").ok()


NETWORKS = """\
services:
  web: { networks: [front, back], links: ["greeter:hi"] }
  greeter:
    networks: { back: { aliases: [salutation], ipv4_address: 10.99.0.77 } }
    deploy: { placement: { constraints: ["node.hostname == back"] } }
  outsider: &idle
    image: hello-greeter
    init: true
    stop_grace_period: 1s
    command: [sleep, infinity]
    networks: [front]
    deploy: { placement: { constraints: ["node.hostname == back"] } }
  sidecar: { <<: *idle, networks: !reset [], network_mode: "service:greeter" }
networks:
  front:
  back: { internal: true, ipam: { config: [{ subnet: 10.99.0.0/24 }] } }
"""


def within(lab: LabFolder, service: str, machine: str, command: str) -> str:
    """Run a shell command in a container; return what it printed, even if it failed."""
    words = ["docker", "exec", f"hello-{service}-1", "bash", "-c", f"{command} || true"]
    return lab.on(machine, shlex.join(words))


def ask(address: str) -> str:
    """Return a shell command that asks the greeter at an address. An answer counts, a connection
    does not: some laptops' own networks take any.
    """
    request = r"printf 'GET /greeting HTTP/1.0\r\n\r\n' >&3 && cat <&3"
    return f"timeout 3 bash -c {shlex.quote(f'exec 3<>/dev/tcp/{address}/8000 && {request}')}"


def found(lab: LabFolder, service: str, machine: str, name: str) -> str:
    """Return the address that a name has in a container; "" if it has none."""
    return within(lab, service, machine, f"getent hosts {name}").partition(" ")[0]


def overlays(lab: LabFolder) -> set[str]:
    listing = lab.on("front", "docker network ls --filter driver=overlay --format '{{.Name}}'")
    return set(listing.split()) - {"ingress"}


def test_a_service_finds_only_what_shares_a_network_with_it(hello_lab: LabFolder) -> None:
    file = hello_lab.folder / "compose.override.yaml"
    file.write_text(NETWORKS)
    try:
        hello_lab.run("dev").ok()
        assert overlays(hello_lab) == {"hello_front", "hello_back"}
        assert "hello" in fetch(greeting(hello_lab))
        names = ("greeter", "salutation", "hi")
        assert {found(hello_lab, "web", "front", name) for name in names} == {"10.99.0.77"}
        # A link is known to the service that has it, and to no other.
        assert found(hello_lab, "greeter", "back", "hi") == ""
        assert found(hello_lab, "outsider", "back", "web") != ""
        assert [found(hello_lab, "outsider", "back", name) for name in names] == ["", "", ""]
        assert "greeting" not in within(hello_lab, "outsider", "back", ask("10.99.0.77"))
        assert "greeting" in within(hello_lab, "web", "front", ask("10.99.0.77"))
        # The lines of default routes: an internal network has none.
        way_out = "grep -c $'\\t00000000\\t.*\\t00000000\\t' /proc/net/route"
        assert within(hello_lab, "greeter", "back", way_out).strip() == "0"
        assert within(hello_lab, "outsider", "back", way_out).strip() == "1"
        assert "greeting" in within(hello_lab, "sidecar", "back", ask("127.0.0.1"))
        before = everything(hello_lab)
        assert rows(hello_lab.json("refresh"), "containers")[0]["status"] == "skipped"
        # The new container takes over the network of the old one, in which the sidecar stays.
        hello_lab.run("refresh", GREETING="hello again").ok()
        assert replaced(before, everything(hello_lab)) == {"greeter"}
        assert "hello again" in fetch(greeting(hello_lab))
        assert "greeting" in within(hello_lab, "sidecar", "back", ask("127.0.0.1"))
        hello_lab.run("refresh").ok()
        before = everything(hello_lab)
        hello_lab.edit(file.name, "internal: true", "internal: false")
        hello_lab.run("refresh").ok()
        assert replaced(before, everything(hello_lab)) == {"web", "greeter", "sidecar"}
        assert within(hello_lab, "greeter", "back", way_out).strip() == "1"
    finally:
        file.unlink()
    hello_lab.run("dev").ok()
    assert overlays(hello_lab) == {"hello_default"}
    assert "hello" in fetch(greeting(hello_lab))


# A service whose files are in its own file system, on the image of another one.
COPIED = """
services:
  copied:
    image: hello-greeter
    entrypoint: ["sleep", "infinity"]
    init: true
    stop_grace_period: 1s
    deploy: {placement: {constraints: ["node.hostname == back"]}}
    develop:
      watch:
        - {action: sync, path: ./copied, target: /srv/copied, ignore: ["*.tmp"]}
"""


def test_files_are_copied_into_a_container_that_has_no_mount_for_them(
    hello_lab: LabFolder,
) -> None:
    folder, file = hello_lab.folder / "copied", hello_lab.folder / "compose.override.yaml"
    (folder / "sub").mkdir(parents=True)
    for name in ("one", "sub/two", "x.tmp"):
        (folder / name).write_text(f"{name} 1")
    (folder / "link").symlink_to("sub/two")
    file.write_text(COPIED)
    show = (
        "cd /srv/copied && for f in $(find . -type f -o -type l | sort); do echo $f $(cat $f); done"
    )
    try:
        hello_lab.run("dev").ok()
        shown = within(hello_lab, "copied", "back", show).splitlines()
        assert shown == ["./link sub/two 1", "./one one 1", "./sub/two sub/two 1"]
        before = everything(hello_lab)
        (folder / "one").write_text("one 2")
        (folder / "link").unlink()
        document = hello_lab.json("refresh")
        assert [r["detail"] for r in rows(document, "container") if r["service"] == "copied"] == [
            "synchronised: 1 copied, 1 deleted"
        ]
        assert everything(hello_lab) == before
        shown = within(hello_lab, "copied", "back", show).splitlines()
        assert shown == ["./one one 2", "./sub/two sub/two 1"]
        by_hand = "echo by hand > /srv/copied/one"
        hello_lab.on("back", f"docker exec --user 0 hello-copied-1 sh -c {shlex.quote(by_hand)}")
        refused = hello_lab.run("verify")
        assert refused.code == 4
        assert "copied on back: it runs build" in " ".join(refused.stdout.split())
        hello_lab.run("refresh").ok()
        assert "one 2" in within(hello_lab, "copied", "back", show)
        hello_lab.on("back", "docker rm --force hello-copied-1")
        hello_lab.run("dev").ok()
        shown = within(hello_lab, "copied", "back", show).splitlines()
        assert shown == ["./one one 2", "./sub/two sub/two 1"]
    finally:
        file.unlink()
        shutil.rmtree(folder)
    hello_lab.run("dev").ok()


def test_a_machine_is_sent_only_the_layer_of_an_image_that_changed(hello_lab: LabFolder) -> None:
    folder = hello_lab.folder / "images/greeter"
    (folder / "extra").write_bytes(os.urandom(30_000))
    with (folder / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("COPY extra /extra\n")
    document = hello_lab.json("refresh")
    sent = {row["machine"]: row["bytes_sent"] for row in rows(document, "images")}
    assert 30_000 < sent["back"] < 200_000
    assert sent["front"] == 0
    assert within(hello_lab, "greeter", "back", "wc -c < /extra").strip() == "30000"
    (folder / "extra").write_bytes(os.urandom(30_000))
    hello_lab.run("refresh").ok()
    assert "hello" in fetch(greeting(hello_lab))


def test_a_pipeline_runs_the_lab_from_its_own_images_and_an_edit_sends_their_last_layer(
    hello_lab: LabFolder, tmp_path: Path
) -> None:
    report, summary = tmp_path / "report.xml", tmp_path / "summary.md"
    files = ("--junit", str(report), "--summary", str(summary))
    hello_lab.run("pipeline", "--yes", "--keep", *files).ok()
    suite = ElementTree.parse(report).getroot()
    cases = [case.get("name") for case in suite]
    assert (suite.get("failures"), len(cases)) == ("0", len(set(cases)))
    assert {"assemble", "verify"} <= set(cases)
    assert summary.read_text().startswith("## hashlab pipeline: passed in ")
    mounts = "docker inspect --format '{{range .Mounts}}{{.Type}} {{end}}' hello-greeter-1"
    assert hello_lab.on("back", mounts).split() == ["tmpfs"]
    hello_lab.edit("greeter/greeter.py", "not found", "unknown")
    document = hello_lab.json("refresh")
    sent = {row["machine"]: row["bytes_sent"] for row in rows(document, "images")}
    assert 0 < sent["back"] < 100_000
    assert sent["front"] == 0
    hello_lab.run("verify").ok()
    assert all(service["stale"] is None for service in hello_lab.status()["services"])
    hello_lab.edit("greeter/greeter.py", "unknown", "not found")
    hello_lab.run("dev").ok()


@pytest.mark.slow  # a stack is deployed and removed
def test_machines_pull_images_from_the_laptop_and_run_them_as_a_stack(
    hello_lab: LabFolder, tmp_path: Path
) -> None:
    """Without hashlab's containers: a Swarm takes the exported file as it is."""
    hello_lab.run("push").ok()
    assert rows(hello_lab.json("push"), "deliver")[0]["status"] == "skipped"
    hello_lab.run("export", "stack", str(tmp_path), "--dnsrr").ok()
    url = greeting(hello_lab)
    hello_lab.run("down").ok()
    try:
        for machine in ("front", "back"):
            hello_lab.on("front", f"docker node update --label-add machine={machine} {machine}")
        stack = (tmp_path / "stack.yaml").read_text(encoding="utf-8")
        deploy = "docker stack deploy --detach=false --compose-file - hello"
        hello_lab.run("ssh", "front", "--command", deploy, input=stack).ok()
        assert "hello" in fetch(url)
    finally:
        hello_lab.on("front", "docker stack rm --detach=false hello")
    hello_lab.run("dev").ok()


@pytest.mark.slow  # three deployments of a stack
def test_a_stack_changes_version_without_a_lost_request_and_a_broken_one_goes_back(
    hello_lab: LabFolder,
) -> None:
    """The page's server is not replaced: without IPVS its port is that of one machine."""
    lab = hello_lab
    with rolling(lab):
        plan = lab.json("deploy", "--to", "machines", "--plan")
        assert {each["change"] for each in plan["services"]} == {"new"}
        done = lab.run("deploy", "--to", "machines").ok()
        [url] = [line.split()[-1] for line in done.stdout.splitlines() if "web answers" in line]
        assert "v1 one red" in fetch(f"{url}/greeting")

        lab.edit("greeter/greeter.py", '"v1 "', '"v2 "')
        (lab.folder / "password").write_text("other", encoding="utf-8")
        with steady(f"{url}/greeting") as load:
            document = lab.json("deploy", "--to", "machines")
        [greeter] = [each for each in document["services"] if each["service"] == "greeter"]
        assert greeter["why"] == ["image", "secret password"]
        assert load.failures == []
        assert set(load.answers) == {"v1 one red", "v2 other red"}

        start = "ThreadingHTTPServer(("
        lab.edit("greeter/greeter.py", start, f'raise SystemExit("v3 is broken")\n{start}')
        with steady(f"{url}/greeting") as load:
            broken = lab.run("deploy", "--to", "machines")
        assert broken.code == 4
        assert "it was rolled back" in broken.stdout
        assert "v3 is broken" in broken.stdout
        assert load.failures == []
        assert set(load.answers) == {"v2 other red"}

        lab.run("deploy", "--to", "machines", "--remove").ok()
        left = "docker service ls --quiet; docker secret ls --quiet; docker config ls --quiet"
        assert lab.on("front", left).strip() == ""
