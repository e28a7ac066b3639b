"""Completion, in the real shells: what each offers behind some words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.commands import completion

BASH = """\
source ./script
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_hashlab
printf '%s\\n' "${COMPREPLY[@]}"
"""
# What zsh's own completion would do with the words that are offered.
ZSH = """\
compdef() { :; }
_describe() { print -l -- "${(@)${(P)2}%%:*}"; }
_files() { print -l -- files $@; }
source ./script
words=("$@"); CURRENT=$#
_hashlab
"""
FISH = 'source ./script; complete -C "$argv"'


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of two machines, two services and one snapshot, and a program `hashlab` for the
    scripts. Another snapshot has a name that a shell would run.
    """
    (tmp_path / "hashlab.toml").write_text("[machines.front]\n[machines.back]\n")
    (tmp_path / "compose.yaml").write_text(
        "services: {web: {image: nginx}, worker: {image: nginx, profiles: [tools]}}\n"
    )
    manifest = tmp_path / ".hashlab/docker/snapshots/first.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    (manifest.parent / "$(touch pwned).json").write_text("{}")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/hashlab"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hashlab "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(shell: str, lab: Path, *words: str) -> list[str]:
    """What a shell offers behind words, the last of which is being typed."""
    (lab / "script").write_text({"bash": completion._bash, "zsh": completion._zsh}[shell]())
    command = {"bash": ["bash", "-c", BASH, "bash"], "zsh": ["zsh", "-f", "-c", ZSH, "zsh"]}[shell]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    # zsh chooses from what is offered after that.
    return [word for word in done.stdout.split() if word.startswith(words[-1])]


def offered_by_fish(shell: str, lab: Path, *words: str) -> list[str]:
    (lab / "script").write_text(completion._fish())
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH, " ".join(words)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def shell(name: str, offers: Callable[..., list[str]]) -> object:
    missing = pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    return pytest.param(name, offers, marks=missing, id=name)


SHELLS = [shell("bash", offered), shell("zsh", offered), shell("fish", offered_by_fish)]
CASES = [
    (["hashlab", "re"], {"refresh", "report", "restart", "restore", "resume"}),
    (["hashlab", "--lab", "box", "wa"], {"watch"}),
    (["hashlab", "box", "p"], {"prune"}),
    (["hashlab", "box", "export", "--si"], {"--sign"}),
    (["hashlab", "destroy", "--y"], {"--yes"}),
    (["hashlab", "--ver"], {"--verbose", "--version"}),
    (["hashlab", "dev", "--provider", "l"], {"libvirt"}),
    (["hashlab", "completion", "z"], {"zsh"}),
    (["hashlab", "help", "snap"], {"snapshot", "snapshots"}),
    (["hashlab", "ssh", "f"], {"front"}),
    (["hashlab", "exec", "w"], {"web", "worker"}),
    (["hashlab", "restart", "web", "wo"], {"worker"}),
    (["hashlab", "dev", "--from", "f"], {"first"}),
    (["hashlab", "restore", "--json", "f"], {"first"}),
    (["hashlab", "snapshots", "prune", "f"], {"first"}),
]


@pytest.mark.parametrize(("name", "offers"), SHELLS)
def test_a_shell_offers_what_may_follow(
    lab: Path, name: str, offers: Callable[..., list[str]]
) -> None:
    for words, expected in CASES:
        assert {*offers(name, lab, *words)} == expected, words


@pytest.mark.parametrize(("name", "offers"), SHELLS)
def test_a_name_in_a_labs_files_is_not_run_by_a_shell(
    lab: Path, name: str, offers: Callable[..., list[str]]
) -> None:
    assert "first" in offers(name, lab, "hashlab", "restore", "")
    assert not (lab / "pwned").exists()


@pytest.mark.parametrize(("name", "offers"), [SHELLS[0], SHELLS[2]])
def test_files_are_offered_where_a_file_is_named(
    lab: Path, name: str, offers: Callable[..., list[str]]
) -> None:
    assert offers(name, lab, "hashlab", "box", "import", "hashlab.t") == ["hashlab.toml"]
    assert offers(name, lab, "hashlab", "report", "--output", "hashlab.t") == ["hashlab.toml"]


def test_names_are_printed_for_a_script_and_none_without_a_lab(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    completion.run(shell="machines")
    completion.run(shell="services")
    completion.run(shell="snapshots")
    assert capsys.readouterr().out == "front\nback\nweb\nworker\nfirst\n"
    (lab / "hashlab.toml").write_text("machines = [no TOML")
    completion.run(shell="machines")
    monkeypatch.chdir("/")
    completion.run(shell="machines")
    completion.run(shell="services")
    completion.run(shell="snapshots")
    assert capsys.readouterr().out == ""
