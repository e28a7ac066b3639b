"""`hashlab destroy` on a real terminal, for a lab without machines."""

from __future__ import annotations

import fcntl
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from daemon_bench import SECONDS, Bench, Engine


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Bench]:
    engine = Engine()
    made = Bench(tmp_path / "lab", engine)
    try:
        yield made
    finally:
        made.close()
        engine.close()


def on_terminal(lab: Bench, *argv: str, answer: bytes) -> tuple[int, bytes]:
    """Answer the question that a command asks on its terminal; return exit code and output."""
    ours, theirs = pty.openpty()
    process = lab.start(
        *argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        environ={"HASHLAB_DAEMON": "0"},
    )
    os.close(theirs)
    output = b""
    with suppress(OSError):  # the command has ended
        while b"[y/N]" not in output and (piece := os.read(ours, 65536)):
            output += piece
        os.write(ours, answer)
        while piece := os.read(ours, 65536):
            output += piece
    os.close(ours)
    return process.wait(SECONDS), output


@pytest.mark.parametrize(
    ("answer", "code"), [(b"y\n", 0), (b"n\n", 130), (b"\x04", 130), (b"\x03", 130)]
)
def test_destroy_asks_on_a_terminal(lab: Bench, answer: bytes, code: int) -> None:
    ended, output = on_terminal(lab, "destroy", answer=answer)
    assert ended == code
    assert b"Delete lab alone with 1 machine and its data? [y/N]" in output
    assert b"Traceback" not in output


def test_destroy_with_yes_does_not_ask(lab: Bench) -> None:
    ended, output = on_terminal(lab, "destroy", "--yes", answer=b"")
    assert ended == 0
    assert b"[y/N]" not in output
