"""Keys of a terminal, one at a time, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

from hashlab.ui.keys import Keys, run_in_terminal


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, int]]:
    """A terminal, and the end at which a person types."""
    person, own = os.openpty()
    with os.fdopen(own, "r") as stream:
        yield stream, person
    os.close(person)


def settings(stream: TextIO) -> list[Any]:
    return termios.tcgetattr(stream.fileno())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (b"r", "r"),
        (b"\x1b[A", "up"),
        (b"\x1bOB", "down"),
        (b"\x04", "q"),
        (b"\x1b[15~", "\x1b"),
        ("é".encode(), "\ufffd"),
    ],
)
def test_keys_have_names(terminal: tuple[TextIO, int], typed: bytes, name: str) -> None:
    stream, person = terminal
    keys = Keys(stream)
    with keys.single():
        os.write(person, typed)
        assert keys.next(5) == name


def test_no_key_in_time_is_no_key(terminal: tuple[TextIO, int]) -> None:
    assert Keys(terminal[0]).next(0) == ""


def test_keys_arrive_without_enter_and_the_terminal_is_given_back(
    terminal: tuple[TextIO, int],
) -> None:
    stream, _ = terminal
    before, stopping = settings(stream), signal.getsignal(signal.SIGTSTP)
    keys = Keys(stream)
    with keys.single():
        assert not settings(stream)[3] & (termios.ICANON | termios.ECHO)
        assert settings(stream)[3] & termios.ISIG
        with keys.lent():
            assert settings(stream) == before
        assert not settings(stream)[3] & termios.ICANON
    assert settings(stream) == before
    assert signal.getsignal(signal.SIGTSTP) == stopping


def test_the_terminal_is_given_back_after_a_failure(terminal: tuple[TextIO, int]) -> None:
    stream, _ = terminal
    before = settings(stream)
    with pytest.raises(KeyboardInterrupt), Keys(stream).single():
        raise KeyboardInterrupt
    assert settings(stream) == before


def test_a_terminal_that_is_gone_quits() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert Keys(stream).next(5) == "q"


def test_a_program_in_the_terminal_has_ctrl_c_for_itself() -> None:
    before = signal.getsignal(signal.SIGINT)
    script = (
        "import os, signal; os.kill(os.getppid(), signal.SIGINT); "
        "raise SystemExit(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    assert run_in_terminal([sys.executable, "-c", script]) == 1
    assert signal.getsignal(signal.SIGINT) == before
