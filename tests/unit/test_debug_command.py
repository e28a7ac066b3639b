"""`hashlab debug` brings the port of a service's debugger to the laptop."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from fakes import Outside, running
from fakes.labs import change_service
from fakes.sessions import SshSessions

from hashlab.cli import main
from hashlab.config.model import Debugger, DebuggerKind
from hashlab.errors import ExitCode
from hashlab.run import debugging, forwarding

Told = pytest.CaptureFixture[str]
PAGE = Path(__file__).parents[2] / "docs/reference/json.md"
PROGRAM = Path(forwarding.__file__).parents[1] / "phases/programs/debuggers.sh"


def typed(*words: str) -> int:
    return main.run(*main.parse(["debug", *words]))


@pytest.fixture
def machines(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> SshSessions:
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    labelled(outside, "jdwp")
    running(outside)
    outside.machines["web"].debuggers["small-site-1", 5005] = "listening"
    sessions = SshSessions(outside, monkeypatch, debugging)
    sessions.sessions["web"] = [["#ready"]]
    return sessions


def labelled(outside: Outside, kind: DebuggerKind) -> None:
    debugger = Debugger(kind, 5005, outside.lab.folder / "src", "/srv")
    outside.lab = change_service(outside.lab, "site", debugger=debugger)


def test_the_port_of_the_containers_loopback_is_on_the_laptop(
    machines: SshSessions, capsys: Told
) -> None:
    assert typed("site") == ExitCode.OK
    told = capsys.readouterr()
    assert told.out.startswith("site:5005 (jdwp) → 127.0.0.1:5005\n")
    assert '"port": 5005' in told.out and '<option name="PORT" value="5005" />' in told.out
    assert machines.forwards()[0].startswith("127.0.0.1:5005:")
    assert machines.arguments() == ["small-site-1", "lo/5005"]


def test_another_port_of_the_laptop_is_in_the_configuration(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    assert typed("site", "--port", "7000") == ExitCode.OK
    assert '"port": 7000' in capsys.readouterr().out
    outside.ports_in_use.add(5005)
    machines.sessions["web"] = [["#ready"]]
    assert typed("site") == ExitCode.OK
    told = capsys.readouterr()
    assert "port 5005 of the laptop is not free" in told.err
    assert '"port": 40001' in told.out


def test_python_is_attached_by_hand_in_pycharm(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    labelled(outside, "debugpy")
    assert typed("site") == ExitCode.OK
    assert "remote address 127.0.0.1:5005, remote project path /srv\n" in capsys.readouterr().out


def test_write_puts_it_into_the_files_of_editors(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    assert typed("site", "--write") == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "site:5005 (jdwp) → 127.0.0.1:5005",
        "attach with .vscode/launch.json",
        "attach with .run/hashlab-site.run.xml",
    ]
    saved = json.loads((outside.lab.folder / ".vscode/launch.json").read_text())
    assert saved["configurations"][0]["sourcePaths"] == ["${workspaceFolder}/src"]


def test_a_service_without_the_label_is_refused(machines: SshSessions, capsys: Told) -> None:
    assert typed("queue") == ExitCode.CONFIG
    assert 'hashlab.debug: "jdwp 5005' in capsys.readouterr().err
    assert machines.commands == []


def test_a_service_that_runs_no_debugger_is_reported(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    outside.machines["web"].debuggers.clear()
    assert typed("site") == ExitCode.LAB
    assert "nothing listens on its port 5005" in capsys.readouterr().err
    outside.machines["web"].engine.remove("small-site-1")
    assert typed("site") == ExitCode.LAB
    assert "does not run" in capsys.readouterr().err


def test_a_debugger_that_is_attached_already_is_reported(
    machines: SshSessions, outside: Outside, capsys: Told
) -> None:
    outside.machines["web"].debuggers["small-site-1", 5005] = "attached"
    assert typed("site") == ExitCode.OK
    assert "a debugger is attached to site" in capsys.readouterr().err


def test_a_port_that_is_not_one_is_refused(machines: SshSessions, capsys: Told) -> None:
    assert typed("site", "--port", "http") == ExitCode.CONFIG
    assert "http is not a valid port number" in capsys.readouterr().err


def test_json_is_one_document_whose_fields_are_explained(
    machines: SshSessions, capsys: Told
) -> None:
    assert typed("site", "--json") == ExitCode.OK
    real = json.loads(capsys.readouterr().out)
    page = PAGE.read_text(encoding="utf-8")
    examples = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    told = next(each for each in examples if list(each) == list(real))
    assert list(told["vscode"]) == list(real["vscode"])
    assert [name for name in told if f"| `{name}` |" not in page] == []


def states(*arguments: object) -> list[str]:
    """Run the program of machines here, on processes of this laptop."""
    argv = ["sh", str(PROGRAM), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_a_machine_knows_whether_a_debugger_listens_or_is_attached(host: str) -> None:
    # As JVMs do, which list connections of IPv4 among those of IPv6.
    both = ":" in host
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=both) as server:
        port = server.getsockname()[1]
        assert states("self", port) == ["listening"]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert states("self", port, "self", 1) == ["attached", "nothing"]
    assert states("self", port) == ["nothing"]
