"""Reads single keys from the terminal, and gives it back as it was."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# A terminal sends these for keys without a character.
NAMES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x04": "q",
}
# The signals that a program in the terminal handles itself.
HANDLED = (signal.SIGINT, signal.SIGTSTP, signal.SIGQUIT)


class Keys:
    """The keys of ``stream``, a terminal, during the block."""

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno()
        self._before: list[Any] | None = None

    def next(self, seconds: float) -> str:
        """Return the next key, "" if none was pressed in time. A key that is not known has its
        character as name.
        """
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(self._descriptor, 16)
        if not pressed:
            return "q"  # the terminal is gone
        return NAMES.get(pressed, pressed[:1].decode(errors="replace"))

    @contextmanager
    def single(self) -> Iterator[None]:
        """Deliver keys at once and do not show them. Ctrl-C still interrupts; Ctrl-Z does nothing,
        because the shell would come back to a terminal in this state.
        """
        before = self._before = termios.tcgetattr(self._descriptor)
        stopping = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        try:
            tty.setcbreak(self._descriptor, termios.TCSANOW)
            yield
        finally:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)
            signal.signal(signal.SIGTSTP, stopping)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Lend the terminal to another program, as the shell left it."""
        own = termios.tcgetattr(self._descriptor)
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before or own)
        try:
            yield
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, own)


def run_in_terminal(command: list[str]) -> int:
    """Run a program that has the terminal until it ends; return its exit code. Raises OSError."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in HANDLED}
    try:
        pid = os.posix_spawn(command[0], command, os.environ, setsigdef=HANDLED)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
