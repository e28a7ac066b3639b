"""`hashlab run`: a command in a new container of a service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from fakes import Outside, running
from fakes.engine import Container

from hashlab.cli import main
from hashlab.config.model import Attachment, Link, Network, RootAccess, Service
from hashlab.errors import ExitCode

Told = pytest.CaptureFixture[str]
Spawn = Callable[[list[str]], int]


def typed(*words: str) -> int:
    return main.run(*main.parse(words))


@pytest.fixture(autouse=True)
def here(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands run in this process, on the fakes of a lab that runs."""
    monkeypatch.setenv("HASHLAB_DAEMON", "0")
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    monkeypatch.setattr("hashlab.run.execution.make_world", lambda lab, **_: outside.world())
    running(outside)
    outside.faults.calls.clear()


@pytest.fixture
def ssh(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of the ssh clients that were spawned; each starts the container and ends with 7."""
    asked: list[list[str]] = []

    def start(words: list[str]) -> int:
        asked.append(words)
        outside.machines["web"].engine.start(words[-1].split()[-1])
        return 7

    instead(monkeypatch, start)
    return asked


def instead(monkeypatch: pytest.MonkeyPatch, spawn: Spawn) -> None:
    monkeypatch.setattr(os, "spawnvp", lambda mode, file, words: spawn(words))


def one_offs(outside: Outside) -> list[Container]:
    return [
        container
        for machine in outside.machines.values()
        for container in machine.engine.all.values()
        if "-run-" in container.name
    ]


def change(outside: Outside, name: str, **changes: object) -> None:
    """Change a service in the Compose file."""
    services: tuple[Service, ...] = tuple(
        replace(each, **changes) if each.name == name else each  # type: ignore[arg-type]
        for each in outside.lab.services
    )
    outside.lab = replace(outside.lab, services=services)


def test_run_starts_a_container_with_the_command_and_passes_its_exit_code_on(
    outside: Outside, ssh: list[list[str]]
) -> None:
    assert typed("run", "site", "ls", "-l", "--help") == 7
    [made] = one_offs(outside)
    [words] = ssh
    assert words[:4] == ["ssh", "-F", str(outside.state.ssh_config), "-T"]
    assert words[-2:] == ["web", f"docker start --attach --interactive {made.name}"]
    assert made.body["Cmd"] == ["ls", "-l", "--help"]
    assert made.body["OpenStdin"]
    assert made.body["StdinOnce"]
    assert "Tty" not in made.body
    assert made.body["HostConfig"]["AutoRemove"] is False


def test_the_container_is_that_of_the_service_without_names_ports_and_restarts(
    outside: Outside, ssh: list[list[str]]
) -> None:
    places = (Attachment("default", ("alias",), ipv4_address="10.0.1.9"), Attachment("back"))
    networks = (*outside.lab.networks, Network("back", "small_back"))
    outside.lab = replace(outside.lab, networks=networks)
    change(outside, "site", networks=places, links=(Link("queue", "mail"),))
    assert typed("refresh") == ExitCode.OK
    typed("run", "site")
    [made] = one_offs(outside)
    own = outside.machines["web"].engine.by_name("small-site-1")
    assert made.body["Image"] == own.body["Image"]
    assert made.body["HostConfig"]["Mounts"] == own.body["HostConfig"]["Mounts"]
    assert "PortBindings" not in made.body["HostConfig"]
    assert made.body["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    first = {"small_default": {"Links": ["queue:mail"]}}
    assert made.body["NetworkingConfig"] == {"EndpointsConfig": first}
    assert set(made.networks) == {"small_default", "small_back"}
    assert "hashlab.service" not in made.body["Labels"]


def test_options_replace_what_the_service_says(
    outside: Outside, ssh: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlab.run.openssh.on_terminal", lambda: True)
    monkeypatch.setattr(outside, "environ", {**outside.environ, "TOKEN": "t"})
    options = ("--rm", "-u", "root", "-w", "/srv", "-e", "A=1=2", "-e", "TOKEN", "-e", "NOT_SET")
    typed("run", *options, "--entrypoint", "sh -c 'a b'", "site")
    [made] = one_offs(outside)
    assert ssh[0][3] == "-t"
    assert made.body["HostConfig"]["AutoRemove"] is True
    assert (made.body["User"], made.body["WorkingDir"]) == ("root", "/srv")
    assert {"A=1=2", "TOKEN=t"} <= set(made.body["Env"])
    assert not any(each.startswith("NOT_SET") for each in made.body["Env"])
    assert made.body["Entrypoint"] == ["sh", "-c", "a b"]
    assert made.body["Cmd"] == [], "the image's command belongs to its own entrypoint"
    assert made.body["Tty"]


def test_an_entrypoint_with_an_open_quote_is_refused(outside: Outside, capsys: Told) -> None:
    assert typed("run", "--entrypoint", "sh '", "site") == ExitCode.CONFIG
    assert "quote it as for a shell" in capsys.readouterr().err
    assert one_offs(outside) == []


def test_a_service_that_is_needed_and_does_not_run_is_named(
    outside: Outside, ssh: list[list[str]], capsys: Told
) -> None:
    assert typed("stop", "queue") == ExitCode.OK
    assert typed("run", "site", "ls") == ExitCode.LAB
    assert "hashlab start queue, or run it with --no-deps" in capsys.readouterr().err
    assert ssh == []
    assert typed("run", "--no-deps", "site", "ls") == 7
    assert len(one_offs(outside)) == 1


def test_a_service_is_not_guessed(outside: Outside, capsys: Told) -> None:
    assert typed("run", "siet", "ls") == ExitCode.CONFIG
    assert "Perhaps you meant 'site'." in capsys.readouterr().err


def test_an_image_that_the_machine_lacks_needs_a_refresh(outside: Outside, capsys: Told) -> None:
    change(outside, "site", image="small/other")
    assert typed("run", "site", "ls") == ExitCode.LAB
    told = capsys.readouterr().err
    assert "the image small/other is missing" in told
    assert "hashlab refresh" in told


def test_a_network_that_the_machine_lacks_needs_a_refresh(outside: Outside, capsys: Told) -> None:
    networks = (*outside.lab.networks, Network("back", "small_back"))
    outside.lab = replace(outside.lab, networks=networks)
    change(outside, "site", networks=(Attachment("default"), Attachment("back")))
    assert typed("run", "site", "ls") == ExitCode.LAB
    assert "hashlab refresh" in capsys.readouterr().err
    assert one_offs(outside) == []


def test_rights_that_were_not_agreed_to_are_asked_for(
    outside: Outside, ssh: list[list[str]], capsys: Told
) -> None:
    asked = (RootAccess("site", "is privileged", "compose.yaml", 3),)
    outside.lab = replace(outside.lab, root_access=asked)
    assert typed("run", "site", "ls") == ExitCode.CONFIG
    assert "could become root on this laptop" in capsys.readouterr().err
    assert one_offs(outside) == []


def test_a_refresh_keeps_a_running_one_off_and_removes_one_that_has_ended(
    outside: Outside, ssh: list[list[str]]
) -> None:
    typed("run", "site", "first")
    typed("run", "site", "second")
    first, second = one_offs(outside)
    outside.machines["web"].engine.stop(first.name, timeout=1)
    unverified = outside.state.unverified.exists()
    assert typed("refresh") == ExitCode.OK
    assert one_offs(outside) == [second]
    assert outside.state.unverified.exists() is unverified, "no data of a service was lost"
    assert typed("status") == ExitCode.OK
    assert typed("stop", "site") == ExitCode.OK
    assert second.state == "running"
    assert typed("down") == ExitCode.OK
    assert one_offs(outside) == []


def test_ps_all_lists_one_off_containers(
    outside: Outside, ssh: list[list[str]], capsys: Told
) -> None:
    typed("run", "site", "ls")
    [made] = one_offs(outside)
    capsys.readouterr()
    assert typed("ps", "--json") == ExitCode.OK
    assert made.name not in capsys.readouterr().out
    assert typed("ps", "--all", "--json", "site") == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)["containers"]
    assert [row["name"] for row in rows] == ["small-site-1", "small-site-2", made.name]
    assert (rows[2]["service"], rows[2]["ports"]) == ("site", [])


def test_ctrl_c_stops_the_container(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(words: list[str]) -> int:
        outside.machines["web"].engine.start(words[-1].split()[-1])
        raise KeyboardInterrupt

    instead(monkeypatch, interrupt)
    assert typed("run", "site", "sleep", "9") == ExitCode.INTERRUPTED
    [made] = one_offs(outside)
    assert made.state == "exited"


def test_a_container_that_did_not_start_is_removed(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, lambda words: 1)
    assert typed("run", "site", "missing") == 1
    assert one_offs(outside) == []


def test_a_container_whose_client_lost_its_connection_goes_on(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(words: list[str]) -> int:
        outside.machines["web"].engine.start(words[-1].split()[-1])
        return 255

    instead(monkeypatch, cut)
    assert typed("run", "site", "long") == 255
    [made] = one_offs(outside)
    assert made.state == "running"
