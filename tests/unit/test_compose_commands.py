"""The commands that Compose has too: they find the machine of a service by themselves."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running
from fakes.machine import FakeShell

from hashlab.cli import main
from hashlab.commands import Misuse
from hashlab.config.model import ForwardedPort, Image, Port
from hashlab.errors import ExitCode
from hashlab.protocols import Completed

Told = pytest.CaptureFixture[str]


def typed(*words: str) -> int:
    return main.run(*main.parse(words))


@pytest.fixture(autouse=True)
def here(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands run in this process, on the fakes of a lab that runs."""
    monkeypatch.setenv("HASHLAB_DAEMON", "0")
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    monkeypatch.setattr("hashlab.run.execution.make_world", lambda lab, **_: outside.world())
    running(outside)


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was spawned in place of a real ssh, which ends with 7."""
    asked: list[list[str]] = []

    def spawn(mode: int, file: str, words: list[str]) -> int:
        asked.append(words)
        return 7

    monkeypatch.setattr(os, "spawnvp", spawn)
    return asked


def test_exec_runs_a_command_in_the_container_and_passes_its_exit_code_on(
    outside: Outside, spawned: list[list[str]]
) -> None:
    assert typed("exec", "site", "ls", "-l", "/a b", "--help") == 7
    config = str(outside.state.ssh_config)
    [words] = spawned
    assert words[:6] == ["ssh", "-F", config, "-T", "-o", "LogLevel=ERROR"]
    assert words[6:] == [
        "--",
        "web",
        "docker exec --interactive small-site-1 ls -l '/a b' --help",
    ]


def test_exec_says_why_a_container_takes_no_command(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr(os, "spawnvp", lambda *_: 1)
    assert typed("exec", "site", "false") == 1
    assert capsys.readouterr().err == ""
    outside.machines["web"].engine.die("small-site-1")
    assert typed("exec", "site", "false") == ExitCode.LAB
    told = capsys.readouterr().err
    assert "container small-site-1 does not run: it is exited" in told
    assert "hashlab refresh" in told
    assert typed("stop", "site") == ExitCode.OK
    assert typed("exec", "site", "false") == ExitCode.LAB
    assert "hashlab start site" in capsys.readouterr().err


def test_replicas_are_counted_over_all_machines_of_a_service(
    outside: Outside, spawned: list[list[str]], capsys: Told
) -> None:
    site = next(service for service in outside.lab.services if service.name == "site")
    copies = [
        replace(site, name=f"site.{machine}", machine=machine, copy_of="site", replicas=1)
        for machine in ("web", "spare")
    ]
    others = [service for service in outside.lab.services if service.name != "site"]
    outside.lab = replace(outside.lab, services=(*others, *copies))
    assert typed("exec", "--index", "2", "site", "ls") == 7
    [words] = spawned
    assert words[-2:] == ["spare", "docker exec --interactive small-site.spare-1 ls"]
    assert typed("exec", "--index", "3", "site", "ls") == ExitCode.CONFIG
    assert "numbered from 1 to 2" in capsys.readouterr().err


def test_exec_takes_its_options_before_the_service(
    spawned: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlab.run.openssh.on_terminal", lambda: True)
    options = ("--index", "2", "-u", "root", "-w", "/srv", "-e", "A=1", "--env", "B=x y")
    assert typed("exec", *options, "site", "sh") == 7
    [words] = spawned
    assert words[3] == "-t"
    assert words[-1] == (
        "docker exec --interactive --tty --user=root --workdir=/srv --env=A=1 '--env=B=x y' "
        "small-site-2 sh"
    )
    assert typed("exec", "--no-tty", "site", "sh") == 7
    assert spawned[1][3] == "-T"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("siet", "ls"), "Perhaps you meant 'site'."),
        (("nothing", "ls"), "one of: queue, migrate, site"),
        (("--index", "3", "site", "ls"), "numbered from 1 to 2"),
        (("--index", "x", "site", "ls"), "numbered from 1 to 2"),
        (("site",), "hashlab exec site sh"),
    ],
)
def test_exec_says_what_to_type_instead(
    spawned: list[list[str]], capsys: Told, words: tuple[str, ...], told: str
) -> None:
    assert typed("exec", *words) == ExitCode.CONFIG
    assert told in capsys.readouterr().err
    assert spawned == []


def test_exec_without_a_service_is_wrong_usage() -> None:
    with pytest.raises(Misuse, match="SERVICE is missing") as wrong:
        main.parse(["exec"])
    assert wrong.value.next_step == "hashlab exec SERVICE [COMMAND...]"


def test_ps_lists_what_runs_with_its_addresses_on_the_laptop(
    outside: Outside, capsys: Told
) -> None:
    site = next(service for service in outside.lab.services if service.name == "site")
    ports = (Port(80, 80), Port(53, 53, "udp"), Port(9000))
    outside.lab = replace(
        outside.lab,
        services=tuple(
            replace(each, ports=ports) if each is site else each for each in outside.lab.services
        ),
    )
    assert outside.lab.machine("web").forwarded_ports == (ForwardedPort("site", 80, 8080),)
    outside.faults.calls.clear()
    assert typed("ps") == ExitCode.OK
    told = " ".join(capsys.readouterr().out.split())
    assert "small-site-1 site web running" in told
    assert "127.0.0.1:8080 → 80, 192.168.60.6:53 → 53/udp, 9000" in told
    assert "small-queue-1" in told
    assert "migrate" not in told
    assert outside.faults.changes() == []


def test_ps_all_lists_what_has_ended_and_a_name_only_that_service(capsys: Told) -> None:
    assert typed("ps", "--all", "migrate") == ExitCode.OK
    told = " ".join(capsys.readouterr().out.split())
    assert "small-migrate-1 migrate broker exited (0)" in told
    assert "small-site-1" not in told
    assert typed("ps", "migrate") == ExitCode.OK
    assert "no container runs" in capsys.readouterr().out
    assert typed("ps", "migrat") == ExitCode.CONFIG


def test_the_json_example_of_ps_has_the_fields_that_are_written_and_each_is_explained(
    capsys: Told,
) -> None:
    assert typed("ps", "--json") == ExitCode.OK
    real = json.loads(capsys.readouterr().out)
    page = (Path(__file__).parents[2] / "docs/reference/json.md").read_text(encoding="utf-8")
    examples = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    told = next(example for example in examples if "containers" in example)
    assert list(told) == list(real)
    assert list(told["containers"][0]) == list(real["containers"][0])
    names = [*told, *(f"containers[].{key}" for key in told["containers"][0])]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_ps_of_machines_that_do_not_run_is_empty(outside: Outside, capsys: Told) -> None:
    for machine in outside.machines.values():
        machine.state = "stopped"
    assert typed("ps", "--all") == ExitCode.OK
    assert "no container runs" in capsys.readouterr().out


def test_up_is_dev(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    outside.faults.calls.clear()
    assert typed("up") == ExitCode.OK
    assert outside.faults.changes() == []


def test_a_global_service_is_named_without_its_machine(
    outside: Outside, spawned: list[list[str]]
) -> None:
    outside.lab = replace(
        outside.lab,
        services=tuple(
            replace(each, name="site.web", copy_of="site") if each.name == "site" else each
            for each in outside.lab.services
        ),
    )
    assert typed("exec", "site", "ls") == 7
    assert spawned[0][-1] == "docker exec --interactive small-site.web-1 ls"


# stop, start, restart, down, halt


def states(outside: Outside) -> dict[str, str]:
    return {
        container.name: container.state
        for machine in outside.machines.values()
        for container in machine.engine.all.values()
    }


def record_of(outside: Outside) -> dict[str, Any]:
    """The record of the newest run."""
    newest = max(outside.state.runs.iterdir())
    document: dict[str, Any] = json.loads(newest.read_text())
    return document


def detail_of(outside: Outside, name: str) -> str:
    return next(row["detail"] for row in record_of(outside)["phases"] if row["name"] == name)


def test_what_was_stopped_stays_stopped_until_start(outside: Outside, capsys: Told) -> None:
    assert typed("stop", "site") == ExitCode.OK
    assert states(outside)["small-site-1"] == states(outside)["small-site-2"] == "exited"
    assert states(outside)["small-queue-1"] == "running"
    assert typed("refresh") == ExitCode.OK
    assert states(outside)["small-site-1"] == "exited"
    assert detail_of(outside, "proof").endswith("; stopped: site")
    assert detail_of(outside, "verify") == "stopped: site"
    capsys.readouterr()
    assert typed("status", "--json") == ExitCode.OK
    services = json.loads(capsys.readouterr().out)["services"]
    site = [each for each in services if each["name"] == "site"]
    assert {(each["state"], each["stopped_by"], each["problem"]) for each in site} == {
        ("stopped", "command", None)
    }
    assert typed("start", "site") == ExitCode.OK
    assert states(outside)["small-site-1"] == "running"
    assert detail_of(outside, "verify") != "stopped: site"
    assert not outside.state.stopped.exists()


def test_dev_starts_what_was_stopped(outside: Outside) -> None:
    assert typed("stop") == ExitCode.OK
    assert {name for name, state in states(outside).items() if state == "running"} == {
        f"small-{replica}.sandbox" for replica in ("queue-1", "migrate-1", "site-1", "site-2")
    }
    assert typed("dev") == ExitCode.OK
    assert states(outside)["small-site-1"] == states(outside)["small-queue-1"] == "running"


def test_a_service_ends_before_those_that_it_needs(outside: Outside) -> None:
    outside.faults.calls.clear()
    assert typed("stop") == ExitCode.OK
    stopped = [call.words for call in outside.faults.calls if call.name == "engine.stop"]
    assert [words[0] for words in stopped] == ["web", "web", "broker"]


def test_only_a_run_that_opens_ports_ends_with_addresses(capsys: Told) -> None:
    for command, told in (("stop", False), ("start", True), ("halt", False)):
        capsys.readouterr()
        assert typed(command) == ExitCode.OK
        assert ("http://127.0.0.1:8080" in capsys.readouterr().out) is told, command


def test_stopping_again_changes_nothing(outside: Outside) -> None:
    typed("stop", "site")
    outside.faults.calls.clear()
    assert typed("stop", "site") == ExitCode.OK
    assert outside.faults.changes() == []
    assert detail_of(outside, "stop") == "none runs"


def test_what_an_engine_started_again_by_itself_is_stopped_by_a_refresh(outside: Outside) -> None:
    typed("stop", "site")
    engine = outside.machines["web"].engine
    engine.start("small-site-1")
    assert typed("refresh") == ExitCode.OK
    assert states(outside)["small-site-1"] == "exited"


def test_restart_keeps_containers_and_leaves_alone_what_was_stopped(outside: Outside) -> None:
    typed("stop", "queue")
    before = outside.machines["web"].engine.by_name("small-site-1").id
    outside.faults.calls.clear()
    assert typed("restart") == ExitCode.OK
    assert outside.machines["web"].engine.by_name("small-site-1").id == before
    assert states(outside)["small-site-1"] == "running"
    assert states(outside)["small-queue-1"] == "exited"
    assert "engine.stop" in [call.name for call in outside.faults.calls]
    assert typed("restart", "queue") == ExitCode.OK
    assert states(outside)["small-queue-1"] == "running"


def test_down_leaves_machines_and_data_and_start_brings_all_back(outside: Outside) -> None:
    outside.machines["broker"].data["small_data"] = "orders"
    machines = dict(outside.machines)
    assert typed("down") == ExitCode.OK
    assert states(outside) == {}
    assert outside.machines["broker"].engine.networks_with({"hashlab.lab": outside.lab.id}) == {}
    assert typed("refresh") == ExitCode.OK
    assert states(outside) == {}
    assert typed("status") == ExitCode.OK
    assert typed("start") == ExitCode.OK
    assert states(outside)["small-site-1"] == "running"
    assert outside.machines == machines
    assert outside.machines["broker"].data == {"small_data": "orders"}


def test_down_with_volumes_is_destroy(outside: Outside) -> None:
    assert typed("down", "--volumes", "--yes") == ExitCode.OK
    assert outside.machines == {}
    assert record_of(outside)["command"] == "destroy"


def test_down_twice_changes_nothing(outside: Outside) -> None:
    typed("down")
    outside.faults.calls.clear()
    assert typed("down") == ExitCode.OK
    assert outside.faults.changes() == []


def test_halt_switches_every_machine_off_and_start_boots_them(outside: Outside) -> None:
    machines = dict(outside.machines)
    outside.faults.calls.clear()
    assert typed("halt") == ExitCode.OK
    ended = [call.name for call in outside.faults.calls if call.changes]
    assert ended == ["shell.end"] * 6, "containers end before the machine loses its power"
    assert {machine.state for machine in outside.machines.values()} == {"stopped"}
    assert typed("status") == ExitCode.OK
    assert typed("halt") == ExitCode.OK
    assert detail_of(outside, "halt") == "no machine runs"
    assert typed("start") == ExitCode.OK
    assert outside.machines == machines
    assert states(outside)["small-site-1"] == "running"


def machine_states(outside: Outside) -> set[str]:
    return {machine.state for machine in outside.machines.values()}


def test_a_suspended_lab_goes_on_where_it_was(outside: Outside, capsys: Told) -> None:
    before = states(outside)
    assert typed("suspend") == ExitCode.OK
    assert machine_states(outside) == {"paused"}
    assert typed("suspend") == ExitCode.OK
    assert detail_of(outside, "suspend") == "no machine runs"
    assert typed("status") == ExitCode.OK
    capsys.readouterr()
    assert typed("refresh") == ExitCode.LAB
    told = " ".join(capsys.readouterr().out.split())
    assert "the lab is suspended" in told
    assert "hashlab resume" in told
    assert typed("resume") == ExitCode.OK
    assert machine_states(outside) == {"running"}
    assert states(outside) == before
    assert typed("resume") == ExitCode.OK
    assert detail_of(outside, "resume") == "no machine is suspended"
    assert typed("refresh") == ExitCode.OK


@pytest.mark.parametrize(("command", "state"), [("dev", "running"), ("halt", "stopped")])
def test_other_commands_resume_a_suspended_lab_first(
    outside: Outside, command: str, state: str
) -> None:
    typed("suspend")
    assert typed(command) == ExitCode.OK
    assert machine_states(outside) == {state}
    assert not outside.state.suspended.exists()


def test_a_lab_of_which_one_machine_cannot_be_suspended_goes_on(outside: Outside) -> None:
    outside.faults.arm("provider.suspend", when="after")
    assert typed("suspend") == ExitCode.LAB
    outside.faults.disarm()
    assert machine_states(outside) == {"running"}
    assert typed("refresh") == ExitCode.OK


def test_no_machine_loses_its_power_if_the_containers_of_one_do_not_end(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr("fakes.machine.END", ())
    monkeypatch.setattr(FakeShell, "run", lambda *_, **__: Completed(1, "", "Job failed"))
    assert typed("halt") == ExitCode.LAB
    told = capsys.readouterr().out
    assert "its containers did not end" in told
    assert "Job failed" in told
    assert {machine.state for machine in outside.machines.values()} == {"running"}


def test_build_builds_the_images_of_services_whose_files_changed(outside: Outside) -> None:
    assert typed("build") == ExitCode.OK
    assert detail_of(outside, "build images") == "up to date"
    for folder in ("queue", "site"):
        (outside.lab.folder / folder / "Dockerfile").write_text("FROM scratch\n")
    assert typed("build", "site") == ExitCode.OK
    rows = [row for row in record_of(outside)["phases"] if row["name"] == "image"]
    assert [row["service"] for row in rows] == ["small/site"]
    assert "connect" not in [row["name"] for row in record_of(outside)["phases"]]


@pytest.mark.parametrize("command", ["stop", "start", "restart", "build", "ps"])
def test_an_unknown_service_is_refused_before_anything_happens(
    outside: Outside, capsys: Told, command: str
) -> None:
    outside.faults.calls.clear()
    assert typed(command, "siet") == ExitCode.CONFIG
    assert "Perhaps you meant 'site'." in capsys.readouterr().err
    assert outside.faults.changes() == []
    assert not outside.state.stopped.exists()


@pytest.mark.parametrize("command", ["stop", "start", "restart", "build", "ps", "exec", "run"])
def test_a_service_of_a_profile_that_is_not_active_is_explained(
    outside: Outside, capsys: Told, command: str
) -> None:
    outside.lab = replace(outside.lab, inactive=(("client", ("tools", "debug")),))
    words = ["ls"] if command in ("exec", "run") else []
    assert typed(command, "client", *words) == ExitCode.CONFIG
    told = capsys.readouterr().err
    assert "service client is active only with the profile tools, debug" in told
    assert "add --profile tools" in told


@pytest.mark.parametrize("text", ["", "{", "7", "[1]"])
def test_a_damaged_list_of_stopped_services_counts_as_none(outside: Outside, text: str) -> None:
    outside.state.stopped.write_text(text)
    assert outside.world().stopped() == frozenset()


def released(outside: Outside, number: str) -> None:
    """Let the registry have a release of the image that the service queue only names."""
    outside.laptop.registry.add("redis:7")
    outside.laptop.releases["redis:7"] = number


@pytest.fixture
def named(outside: Outside) -> Outside:
    """The lab runs, and its queue and its migration have an image that is only named."""
    services = tuple(
        replace(each, image="redis:7", build=None) if each.image == "small/queue" else each
        for each in outside.lab.services
    )
    images = tuple(each for each in outside.lab.images if each.name != "small/queue")
    outside.lab = replace(outside.lab, services=services, images=(*images, Image("redis:7")))
    released(outside, "1")
    assert typed("refresh") == ExitCode.OK
    outside.faults.calls.clear()
    return outside


def queue(outside: Outside) -> str:
    """Return the id of the container of the queue."""
    found = outside.machines["broker"].engine.all.values()
    return next(each.id for each in found if each.name == "small-queue-1")


def test_pull_gets_newer_images_and_a_refresh_brings_them(named: Outside) -> None:
    before = queue(named)
    released(named, "2")
    assert typed("pull") == ExitCode.OK
    assert [call.words[1] for call in named.faults.calls if call.name == "laptop.pull"] == [
        "redis:7"
    ]
    engine = named.machines["broker"].engine
    assert engine.images["redis:7"] == {"release": "1"}
    assert typed("refresh") == ExitCode.OK
    assert engine.images["redis:7"] == {"release": "2"}
    replaced = queue(named)
    assert replaced != before
    assert typed("refresh") == ExitCode.OK
    assert queue(named) == replaced


def test_an_image_that_is_the_newest_replaces_no_container(named: Outside) -> None:
    before = queue(named)
    assert typed("pull", "queue") == ExitCode.OK
    assert typed("refresh") == ExitCode.OK
    assert queue(named) == before


def test_pull_says_which_images_no_registry_has_and_changes_nothing(
    named: Outside, capsys: Told
) -> None:
    named.laptop.registry.clear()
    assert typed("pull") == ExitCode.LAB
    told = " ".join(capsys.readouterr().out.split())
    assert "cannot pull image redis:7: no registry answers" in told
    assert "images that are here stay" in told
    assert not named.state.pulled.exists()


def test_pull_leaves_alone_images_that_are_built_here(outside: Outside, capsys: Told) -> None:
    outside.faults.calls.clear()
    assert typed("pull", "site") == ExitCode.OK
    assert "built here: hashlab build" in " ".join(capsys.readouterr().out.split())
    assert outside.faults.changes() == []


def test_a_pulled_image_that_the_laptop_lost_is_pulled_again(named: Outside) -> None:
    released(named, "2")
    assert typed("pull") == ExitCode.OK
    named.laptop.images.clear()
    released(named, "3")
    assert typed("refresh") == ExitCode.OK
    assert named.machines["broker"].engine.images["redis:7"] == {"release": "3"}
    assert typed("refresh") == ExitCode.OK
    settled = queue(named)
    assert typed("refresh") == ExitCode.OK
    assert queue(named) == settled


@pytest.mark.parametrize("text", ["", "{", "7", '{"redis:7": 5}'])
def test_damaged_records_of_pulled_images_count_as_none(named: Outside, text: str) -> None:
    before = queue(named)
    named.state.pulled.write_text(text)
    assert typed("refresh") == ExitCode.OK
    assert queue(named) == before
