"""`hashlab open` finds the address of a published or forwarded port, and opens it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from fakes import Outside, change_service, running

from hashlab.cli import main
from hashlab.config.model import ForwardedPort, Port
from hashlab.documents.forward import ForwardedTarget, Forwards
from hashlab.errors import ExitCode
from hashlab.protocols import Observation, StoreAddress, StoreState
from hashlab.run import desktop
from hashlab.run.recorded_forwards import recorded, running_forwards

Told = pytest.CaptureFixture[str]
QUEUE = ForwardedTarget("queue", "small-queue-1", "broker", 15672, "127.0.0.1:15672")


def typed(*words: str) -> int:
    return main.run(*main.parse(["open", *words]))


@pytest.fixture(autouse=True)
def here(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    outside.lab = change_service(outside.lab, "site", ports=(Port(8000, 80),))
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    running(outside)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was opened by which program, at a desktop with a terminal."""
    seen: list[tuple[str, str]] = []

    def open_address(program: str, address: str) -> bool:
        seen.append((program, address))
        return True

    monkeypatch.setattr("hashlab.run.openssh.on_terminal", lambda: True)
    monkeypatch.setattr("hashlab.run.desktop.opener", lambda environ: "xdg-open")
    monkeypatch.setattr("hashlab.run.desktop.open_address", open_address)
    return seen


@pytest.mark.parametrize("words", [[], ["site"], ["site:8000"]])
def test_the_published_port_is_opened(
    words: list[str], opened: list[tuple[str, str]], capsys: Told
) -> None:
    assert typed(*words) == ExitCode.OK
    assert capsys.readouterr().out == "http://127.0.0.1:8080\n"
    assert opened == [("xdg-open", "http://127.0.0.1:8080")]


def test_print_opens_nothing(opened: list[tuple[str, str]], capsys: Told) -> None:
    assert typed("site", "--print") == ExitCode.OK
    assert capsys.readouterr().out == "http://127.0.0.1:8080\n"
    assert opened == []


def test_without_a_terminal_nothing_is_opened(
    opened: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlab.run.openssh.on_terminal", lambda: False)
    assert typed("site") == ExitCode.OK
    assert opened == []


def test_a_port_that_is_forwarded_now_is_found(outside: Outside, capsys: Told) -> None:
    with recorded(outside.state.forwards, Forwards("small", (QUEUE,))):
        assert typed("queue") == ExitCode.OK
        assert typed("queue:15672") == ExitCode.OK
        assert capsys.readouterr().out == "http://127.0.0.1:15672\n" * 2
        assert typed("queue:5672") == ExitCode.CONFIG
    assert typed("queue") == ExitCode.CONFIG
    assert "hashlab forward queue, and beside it: hashlab open queue" in capsys.readouterr().err


def test_the_record_of_a_forward_that_was_killed_does_not_count(outside: Outside) -> None:
    folder = outside.state.forwards
    with recorded(folder, Forwards("small", (QUEUE,))):
        [mine] = folder.iterdir()
        left = folder / "1.json"
        left.write_text(mine.read_text())
        (folder / "note.txt").write_text("of another program")
        assert running_forwards(folder) == [QUEUE]
        assert not left.exists()
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_a_port_that_is_not_for_browsers_is_only_printed(
    outside: Outside, opened: list[tuple[str, str]], capsys: Told
) -> None:
    tcp = (ForwardedPort("site", 80, 8080, scheme="tcp"),)
    machines = tuple(
        replace(m, forwarded_ports=tcp) if m.forwarded_ports else m for m in outside.lab.machines
    )
    outside.lab = replace(outside.lab, machines=machines)
    assert typed("site") == ExitCode.OK
    told = capsys.readouterr()
    assert (told.out, opened) == ("tcp://127.0.0.1:8080\n", [])
    assert "not one for a browser" in told.err


@pytest.mark.parametrize("word", ["sight", "site:x", "site:8000=9000"])
def test_a_word_that_names_no_service_or_port_is_refused(word: str, capsys: Told) -> None:
    assert typed(word) == ExitCode.CONFIG
    assert capsys.readouterr().err


def test_a_lab_without_an_address_says_what_to_type(outside: Outside, capsys: Told) -> None:
    machines = tuple(replace(m, forwarded_ports=()) for m in outside.lab.machines)
    outside.lab = replace(outside.lab, machines=machines)
    assert typed() == ExitCode.CONFIG
    assert "lab small has no address on the laptop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "platform", "program"),
    [
        ({"DISPLAY": ":0"}, "linux", "xdg-open"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "xdg-open"),
        ({"DISPLAY": ""}, "linux", None),
        ({}, "darwin", "open"),
        ({"SSH_CONNECTION": "a b"}, "darwin", None),
    ],
)
def test_a_desktop_has_a_program_that_opens_addresses(
    environ: dict[str, str], platform: str, program: str | None
) -> None:
    assert desktop.opener(environ, platform) == program


def test_a_program_that_is_not_installed_is_reported(
    opened: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr("hashlab.run.desktop.open_address", lambda *words: False)
    assert typed("site") == ExitCode.OK
    assert "xdg-open is not installed" in capsys.readouterr().err


def test_a_program_is_started_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def spawn(program: str, argv: list[str], *_: object, **__: object) -> int:
        started.append(argv)
        if len(started) > 1:
            raise FileNotFoundError
        return 1

    monkeypatch.setattr(os, "posix_spawnp", spawn)
    assert desktop.open_address("xdg-open", "http://x")
    assert not desktop.open_address("xdg-open", "http://x")
    assert started == [["xdg-open", "http://x"]] * 2


def test_a_store_s_page_is_opened_with_how_to_sign_in(outside: Outside, capsys: Told) -> None:
    address = StoreAddress(8428, "hashlab", "secret")
    outside.observer.seen = Observation("", {"metrics": StoreState(address)}, {})
    assert typed("metrics", "--print") == ExitCode.OK
    said = capsys.readouterr()
    assert said.out == "http://127.0.0.1:8428/\n"
    assert said.err == f"sign in: user hashlab, password in {outside.state.observe}/password\n"
    assert typed("logs", "--print") == ExitCode.LAB
    assert "the log store does not run" in (said := capsys.readouterr()).err
    assert "hashlab dev --with logs" in said.err


def test_a_service_that_is_called_like_a_store_comes_first(outside: Outside, capsys: Told) -> None:
    named = [replace(each, name="metrics") if each.name == "site" else each
             for each in outside.lab.services]  # fmt: skip
    outside.lab = replace(outside.lab, services=tuple(named))
    assert typed("metrics", "--print") == ExitCode.OK
    assert capsys.readouterr().out == "http://127.0.0.1:8080\n"
