"""`hashlab ui` as a person types it: the address that it prints, its port, its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running

from hashlab.cli import main
from hashlab.errors import ConfigError, ExitCode, Problem
from hashlab.run.execution import Options
from hashlab.state.files import StateFolder
from hashlab.ui import serving

Told = pytest.CaptureFixture[str]


def typed(*words: str) -> int:
    return main.run(*main.parse(["ui", *words]))


@pytest.fixture(autouse=True)
def here(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running lab; Ctrl-C is pressed as soon as the page is there."""
    running(outside)
    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    monkeypatch.setattr(serving, "state_of", lambda _: StateFolder(outside.state.root, ""))
    monkeypatch.setattr(serving, "lab_folder", lambda _: Path("/lab"))

    class Quiet:
        def check(self) -> None:
            raise KeyboardInterrupt

    @contextmanager
    def collecting(*_: Any) -> Iterator[Quiet]:
        yield Quiet()

    monkeypatch.setattr(serving, "collecting", collecting)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was opened by which program, at a desktop with a terminal."""
    seen: list[tuple[str, str]] = []

    def open_address(program: str, address: str) -> bool:
        seen.append((program, address))
        return True

    monkeypatch.setattr(serving, "on_terminal", lambda: True)
    monkeypatch.setattr(serving, "opener", lambda environ: "xdg-open")
    monkeypatch.setattr(serving, "open_address", open_address)
    return seen


def test_it_prints_and_opens_an_address_with_a_code_until_ctrl_c(
    opened: list[tuple[str, str]], capsys: Told
) -> None:
    assert typed() == ExitCode.OK
    told = capsys.readouterr()
    [(program, address)] = opened
    assert told.out == f"{address}\n"
    assert program == "xdg-open"
    base, _, code = address.partition("/#")
    assert base.startswith("http://127.0.0.1:")
    assert len(code) > 40
    assert "one browser, within 2 minutes. Enter prints another." in told.err


def test_no_open_opens_nothing(opened: list[tuple[str, str]], capsys: Told) -> None:
    assert typed("--no-open") == ExitCode.OK
    assert opened == []
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_a_missing_program_is_reported(
    opened: list[tuple[str, str]], capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "open_address", lambda program, address: False)
    assert typed() == ExitCode.OK
    assert "xdg-open is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000", "-1", "x", "\uff18"])
def test_a_port_that_is_none_is_refused(port: str, capsys: Told) -> None:
    assert typed(f"--port={port}") == ExitCode.CONFIG
    assert f"{port} is not a valid port number" in capsys.readouterr().err


def test_a_port_that_is_taken_is_reported_with_the_way_out(capsys: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert typed("--port", str(port)) == ExitCode.LAPTOP
    told = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in told
    assert "hashlab ui, which takes a free port" in told


def test_files_that_cannot_be_read_are_reported_before_a_page_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    def broken(self: Options) -> None:
        raise ConfigError([Problem("compose.yaml", 3, "unknown key 'imag'", "image")])

    monkeypatch.setattr(Options, "world", broken)
    assert typed() == ExitCode.CONFIG
    told = capsys.readouterr()
    assert "unknown key 'imag'" in told.err
    assert told.out == ""
