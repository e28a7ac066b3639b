"""The question before services start that could become root on the laptop."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from fakes import Outside, running

from hashlab.commands import build, dev, refresh, restart, restore, start
from hashlab.config.model import RootAccess
from hashlab.errors import ExitCode
from hashlab.phases.stop import save_stopped
from hashlab.run import execution, workflows
from hashlab.run.execution import Options

SOCKET = RootAccess("site", "mounts /var/run/docker.sock", "compose.yaml", 12)
DEVICE = RootAccess("queue", "is privileged", "compose.yaml", 3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def lab(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A lab that runs, with a service that could become root since the last run."""
    running(outside)
    outside.lab = replace(outside.lab, root_access=(SOCKET,))
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    monkeypatch.setattr(execution, "make_world", lambda lab, **_: outside.world(lab))
    return outside


def at_terminal(answer: str, *, command: str = "refresh") -> tuple[int, str]:
    """Run a command at a terminal; return its exit code and what stderr shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", Terminal(answer))
        patch.setattr(sys, "stderr", Terminal())
        return run(command), sys.stderr.getvalue()  # type: ignore[union-attr]


def run(command: str, *, yes: bool = False) -> int:
    if command == "dev":
        return dev.run(Options(), replace=False, snapshot="", images=False, observed=(), yes=yes)
    if command == "start":
        return start.run(Options(), service=("site",))
    if command == "restart":
        return restart.run(Options(), service=("site",))
    return refresh.run(Options())


@pytest.mark.parametrize("command", ["dev", "refresh"])
def test_a_person_is_asked_once_for_the_same_list(lab: Outside, command: str) -> None:
    code, shown = at_terminal("y\n", command=command)
    assert code == ExitCode.OK
    assert "could become root on this laptop" in shown
    assert "compose.yaml:12: site mounts /var/run/docker.sock\nStart them? [y/N] " in shown
    code, shown = at_terminal("", command="refresh")
    assert (code, shown) == (ExitCode.OK, "")


@pytest.mark.parametrize("command", ["dev", "start", "restart"])
def test_after_a_no_what_was_stopped_stays_so(lab: Outside, command: str) -> None:
    save_stopped(lab.world(), ["site"])
    assert at_terminal("n\n", command=command)[0] == ExitCode.INTERRUPTED
    assert lab.world().stopped() == {"site"}
    assert at_terminal("y\n", command=command)[0] == ExitCode.OK
    assert lab.world().stopped() == frozenset()


def test_another_line_of_the_same_key_asks_nothing(lab: Outside) -> None:
    at_terminal("yes\n")
    lab.lab = replace(lab.lab, root_access=(replace(SOCKET, line=99),))
    assert at_terminal("") == (ExitCode.OK, "")


def test_a_longer_list_is_asked_again(lab: Outside) -> None:
    at_terminal("y\n")
    lab.lab = replace(lab.lab, root_access=(DEVICE, SOCKET))
    code, shown = at_terminal("n\n")
    assert code == ExitCode.INTERRUPTED
    assert "compose.yaml:3: queue is privileged" in shown


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_after_any_other_answer_nothing_is_started(lab: Outside, answer: str) -> None:
    before = len(lab.faults.calls)
    code, shown = at_terminal(answer)
    assert code == ExitCode.INTERRUPTED
    assert "not confirmed: nothing was started" in shown
    assert lab.faults.calls[before:] == []


@pytest.mark.parametrize("command", ["dev", "refresh"])
def test_without_a_terminal_the_line_to_write_is_shown(
    lab: Outside, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.lab = replace(lab.lab, root_access=(DEVICE, SOCKET, replace(DEVICE, reason="again")))
    assert run(command) == ExitCode.CONFIG
    shown = " ".join(capsys.readouterr().err.split())
    assert "compose.yaml:12: site mounts /var/run/docker.sock" in shown
    assert 'privileged = ["queue", "site"]' in shown


def test_a_restore_asks_too(lab: Outside, capsys: pytest.CaptureFixture[str]) -> None:
    assert restore.run(Options(), name="first") == ExitCode.CONFIG
    assert "services of this lab could become root" in capsys.readouterr().err


def test_yes_asks_nothing_now_and_in_later_runs(lab: Outside) -> None:
    assert run("dev", yes=True) == ExitCode.OK
    assert run("refresh") == ExitCode.OK


def test_virtual_machines_need_no_consent(lab: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.provider, "shares_kernel", False)
    assert run("refresh") == ExitCode.OK


def test_a_run_that_starts_no_service_asks_nothing(lab: Outside) -> None:
    assert execution.run("seed", workflows.SEED, Options()) == ExitCode.OK


KEYS = RootAccess("site", "uses your SSH agent in its build", "compose.yaml", 7)


@pytest.mark.parametrize("shared", [False, True])
def test_keys_for_builds_are_asked_for_on_every_provider(
    lab: Outside, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(lab.provider, "shares_kernel", shared)
    lab.lab = replace(lab.lab, agent_access=(KEYS,))
    code, shown = at_terminal("y\n")
    assert code == ExitCode.OK
    assert "compose.yaml:7: site uses your SSH agent in its build\nBuild them? [y/N] " in shown
    assert ("become root" in shown) is shared
    assert at_terminal("") == (ExitCode.OK, "")


def test_a_build_alone_asks_for_keys_and_nobody_else_is_asked(
    lab: Outside, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build.run(Options(), service=()) == ExitCode.OK
    lab.lab = replace(lab.lab, root_access=(), agent_access=(KEYS,))
    assert build.run(Options(), service=()) == ExitCode.CONFIG
    told = " ".join(capsys.readouterr().err.split())
    assert "services of this lab would use your SSH keys in builds" in told
    assert 'write under [lab] of hashlab.toml: ssh_agent = ["site"]' in told
    assert execution.run("seed", workflows.SEED, Options()) == ExitCode.OK


def test_a_damaged_answer_counts_as_none(lab: Outside) -> None:
    at_terminal("y\n")
    lab.state.consent.write_text("{")
    assert run("refresh") == ExitCode.CONFIG


def test_every_workflow_that_starts_containers_is_known() -> None:
    made = [workflows.replacing("web"), workflows.restore("first"), workflows.dev_from("first")]
    for workflow in (workflows.DEV, workflows.REFRESH, *made):
        assert workflows.starts_services(workflow)
    for other in (workflows.SEED, workflows.VERIFY, workflows.DESTROY, workflows.INIT_BOX):
        assert not workflows.starts_services(other)


def test_every_workflow_that_builds_images_is_known() -> None:
    made = [workflows.building(["site"]), workflows.restore("first"), workflows.replacing("web")]
    for workflow in (workflows.DEV, workflows.REFRESH, workflows.INIT_BOX, *made):
        assert workflows.builds_images(workflow)
    for other in (workflows.SEED, workflows.VERIFY, workflows.DESTROY, workflows.DOWN):
        assert not workflows.builds_images(other)
