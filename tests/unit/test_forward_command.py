"""`hashlab forward` brings ports of services to the laptop, by one SSH connection a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes import Outside, go, running
from fakes.sessions import SshSessions

from hashlab.cli import main
from hashlab.errors import ExitCode
from hashlab.protocols import Completed
from hashlab.run import forwarding, workflows

Told = pytest.CaptureFixture[str]
LOST = Completed(255, "", "Connection closed by remote host\nmore")
PAGE = Path(__file__).parents[2] / "docs/reference/json.md"


def typed(*words: str) -> int:
    return main.run(*main.parse(["forward", *words]))


@pytest.fixture
def machines(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> SshSessions:
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    monkeypatch.setattr(forwarding, "AGAIN_SECONDS", 0.01)
    running(outside)
    return SshSessions(outside, monkeypatch, forwarding)


def test_a_port_answers_at_the_same_number_on_the_laptop(
    machines: SshSessions, capsys: Told
) -> None:
    machines.sessions["broker"] = [["#ready"]]
    assert typed("queue:5672") == ExitCode.OK
    told = capsys.readouterr()
    assert (told.out, told.err) == ("queue:5672 → 127.0.0.1:5672\n", "")
    [forward] = machines.forwards()
    assert re.fullmatch(r"127\.0\.0\.1:5672:/run/hashlab-forward-[0-9a-f]{16}/1", forward)
    assert machines.arguments() == ["small-queue-1", "5672"]


def test_each_machine_has_one_connection_for_all_its_ports(
    machines: SshSessions, capsys: Told
) -> None:
    machines.sessions = {"broker": [["#ready"]], "web": [["#ready"]]}
    assert typed("queue:5672", "site:80=9000", "queue:15672") == ExitCode.OK
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "queue:15672 → 127.0.0.1:15672",
        "queue:5672 → 127.0.0.1:5672",
        "site:80 → 127.0.0.1:9000",
    ]
    assert len(machines.commands) == 2


def test_a_port_of_the_laptop_that_is_not_free_is_replaced_and_reported(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    outside.ports_in_use |= {5672, 80}
    machines.sessions = {"broker": [["#ready"]], "web": [["#ready"]]}
    assert typed("queue:5672", "site:80") == ExitCode.OK
    told = capsys.readouterr()
    assert "queue:5672 is at 127.0.0.1:40001" in told.err
    assert "site:80 → 127.0.0.1:8080\n" in told.out


def test_two_services_with_the_same_port_get_different_ones(
    machines: SshSessions, capsys: Told
) -> None:
    machines.sessions = {"broker": [["#ready"]], "web": [["#ready"]]}
    assert typed("queue:5000", "site:5000") == ExitCode.OK
    places = [line.rpartition(":")[2] for line in capsys.readouterr().out.splitlines()]
    assert len(set(places)) == 2


def test_without_a_port_it_takes_those_that_the_container_exposes(
    outside: Outside, machines: SshSessions, capsys: Told
) -> None:
    expose(outside, "5672", "15672", "53/udp")
    machines.sessions["broker"] = [["#ready"]]
    assert typed("queue") == ExitCode.OK
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "queue:5672",
        "queue:15672",
    ]


def expose(outside: Outside, *ports: str) -> None:
    """Let the container of the queue expose these ports."""
    engine = outside.machines["broker"].engine
    found = next(c for c in engine.all.values() if c.name == "small-queue-1")
    found.body = {**found.body, "ExposedPorts": {p: {} for p in ports}}


def test_a_service_that_exposes_nothing_or_much_asks_for_a_port(
    outside: Outside, machines: SshSessions, capsys: Told
) -> None:
    expose(outside)
    assert typed("queue") == ExitCode.CONFIG
    assert "hashlab forward queue:PORT" in capsys.readouterr().err
    expose(outside, "1/tcp", "2/tcp")
    assert typed("queue=9000") == ExitCode.CONFIG
    assert "hashlab forward queue:1=9000" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["queue:http", ":80", "queue:0", "queue:80=70000", "quue:80"])
def test_a_word_that_names_no_port_of_a_service_is_refused(
    machines: SshSessions, word: str, capsys: Told
) -> None:
    assert typed(word) == ExitCode.CONFIG
    assert capsys.readouterr().err
    assert machines.commands == []


def test_without_a_service_it_says_what_to_type(machines: SshSessions, capsys: Told) -> None:
    assert typed() == ExitCode.CONFIG
    assert "hashlab forward SERVICE[:PORT]" in capsys.readouterr().err


def test_a_service_without_a_container_is_reported(
    outside: Outside, machines: SshSessions, capsys: Told
) -> None:
    outside.machines["broker"].engine.remove("small-queue-1")
    assert typed("queue") == ExitCode.LAB
    assert "small-queue-1 does not exist" in capsys.readouterr().err


def test_a_machine_that_goes_away_is_reported_once_and_its_ports_follow(
    machines: SshSessions, capsys: Told
) -> None:
    machines.sessions["broker"] = [["#ready", LOST], [LOST], [LOST], [LOST], ["#ready"]]
    assert typed("queue:5672") == ExitCode.OK
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "machine broker does not answer (Connection closed by remote host); "
        "its ports follow when it does",
        "machine broker answers again",
    ]
    assert told.out.count("→") == 1
    folders = {words[words.index("-L") + 1] for words in machines.commands}
    assert len(folders) == 5, "the machine may still hold the folder of the last connection"


def test_a_short_break_is_repaired_without_a_word(machines: SshSessions, capsys: Told) -> None:
    machines.sessions["broker"] = [["#ready", LOST], ["#ready"]]
    assert typed("queue:5672") == ExitCode.OK
    assert capsys.readouterr().err == ""


def test_a_connection_that_fails_is_reported_once(machines: SshSessions, capsys: Told) -> None:
    why = "#failed 2 nothing listens on this port"
    machines.sessions["broker"] = [["#ready", why, why]]
    assert typed("queue:5672", "queue:9") == ExitCode.OK
    assert capsys.readouterr().err == "queue:9: nothing listens on this port\n"


def test_an_ssh_that_cannot_start_ends_it(
    outside: Outside, machines: SshSessions, capsys: Told
) -> None:
    outside.faults.arm("runner.stream.ssh")
    assert typed("queue:5672") != ExitCode.OK
    assert capsys.readouterr().err


def test_json_is_one_document_whose_fields_are_explained(
    machines: SshSessions, capsys: Told
) -> None:
    machines.sessions = {"broker": [["#ready"]], "web": [["#ready"]]}
    assert typed("queue:5672", "site:8000", "--json") == ExitCode.OK
    real = json.loads(capsys.readouterr().out)
    assert [port["service"] for port in real["ports"]] == ["queue", "site"]
    page = PAGE.read_text(encoding="utf-8")
    examples = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    told = next(each for each in examples if list(each) == list(real))
    assert list(told["ports"][0]) == list(real["ports"][0])
    names = [*told, *(f"ports[].{key}" for key in told["ports"][0])]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_lab_without_machines_is_reported(
    outside: Outside, machines: SshSessions, capsys: Told
) -> None:
    go(outside, workflows.DESTROY)
    assert typed("queue:5672") == ExitCode.LAB
    assert "has no machines" in capsys.readouterr().err
