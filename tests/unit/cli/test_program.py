"""`hashlab` as a program: help, wrong words, and the question that `destroy` asks."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import Outside, running
from invoke.program import Program

from hashlab import __version__, tasks
from hashlab.cli import main
from hashlab.commands import destroy
from hashlab.errors import ExitCode
from hashlab.run import execution, labs
from hashlab.run.execution import Options

Told = pytest.CaptureFixture[str]


def typed(*words: str) -> int:
    """Run a command line; return its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["hashlab", *words])
        main.main()
    return int(ended.value.code or 0)


def test_help_is_the_same_however_it_is_asked_for(capsys: Told) -> None:
    pages = []
    for words in (["help", "dev"], ["dev", "--help"], ["dev", "-h"], ["--help", "dev"]):
        assert typed(*words) == ExitCode.OK
        pages.append(capsys.readouterr().out)
    assert len({*pages}) == 1
    assert "hashlab dev --replace" in pages[0]
    for words in ([], ["help"], ["--help"]):
        assert typed(*words) == ExitCode.OK
        assert "Set up a lab\n  init " in capsys.readouterr().out


def test_the_help_of_an_unknown_command_is_wrong_usage(capsys: Told) -> None:
    assert typed("help", "dve") == ExitCode.CONFIG
    assert "did you mean: hashlab help dev" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_shown(capsys: Told, word: str) -> None:
    assert typed(word) == ExitCode.OK
    assert capsys.readouterr().out == f"hashlab {__version__}\n"


def test_a_dry_run_is_refused_and_destroys_nothing(outside: Outside, capsys: Told) -> None:
    running(outside)
    assert typed("--dry", "destroy") == ExitCode.CONFIG
    assert typed("destroy", "--dry") == ExitCode.CONFIG
    with pytest.raises(SystemExit) as ended:
        Program(name="inv", namespace=tasks.namespace).run(["inv", "--dry", "destroy"])
    assert ended.value.code == ExitCode.CONFIG
    assert "hashlab has no dry run" in capsys.readouterr().err
    assert outside.machines


def test_a_wrong_command_line_is_one_document_too(capsys: Told) -> None:
    assert typed("refresh", "--json", "--nonsense") == ExitCode.CONFIG
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["error"]["exit_code"]) == (False, 2)


def test_a_lab_that_does_not_exist_is_named(
    tmp_path: Path, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("status", "--lab", "WRONG") == ExitCode.CONFIG
    assert "--lab WRONG: this folder does not exist" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert typed("status", "--lab", "empty") == ExitCode.CONFIG
    assert f"does not exist in {tmp_path / 'empty'}" in " ".join(capsys.readouterr().err.split())


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    line = f'{sys.executable} -m hashlab help | true; echo "${{PIPESTATUS[0]}}" >&2'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stderr in ("0\n", f"{main.BROKEN_PIPE}\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def lab(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A lab that runs, and is the one that a command is about."""
    running(outside)
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    monkeypatch.setattr(execution, "make_world", lambda lab, **_: outside.world())
    monkeypatch.setattr(labs, "read_lab", lambda lab, provider: outside.lab)
    monkeypatch.setattr(labs, "lab_folder", lambda lab: outside.lab.folder)
    return outside


def destroyed(stdin: io.StringIO, *, yes: bool = False, box: bool = False) -> tuple[int, str]:
    """Destroy the lab at a terminal; return the exit code, and what was written to stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stderr", Terminal())
        code = destroy.run(Options(), yes=yes, box=box, keep_observed=False)
        written = sys.stderr.getvalue()  # type: ignore[union-attr]
    return code, written


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_destroy_asks_a_person_and_takes_a_yes(lab: Outside, answer: str) -> None:
    code, written = destroyed(Terminal(answer))
    assert code == ExitCode.OK
    assert "Delete lab small with 3 machines and its data? [y/N] " in written
    assert not lab.machines


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yesterday\n"])
def test_any_other_answer_deletes_nothing(lab: Outside, answer: str) -> None:
    code, written = destroyed(Terminal(answer), box=True)
    assert code == ExitCode.INTERRUPTED
    assert "3 machines, its box and its data" in written
    assert "nothing was deleted" in written
    assert lab.machines


@pytest.mark.parametrize(("yes", "stdin"), [(True, Terminal("n\n")), (False, io.StringIO("n\n"))])
def test_destroy_does_not_ask_with_yes_or_without_a_terminal(
    lab: Outside, yes: bool, stdin: io.StringIO
) -> None:
    code, written = destroyed(stdin, yes=yes)
    assert code == ExitCode.OK
    assert "[y/N]" not in written
    assert not lab.machines


def test_the_module_is_the_program_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hashlab", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"hashlab {__version__}\n"
