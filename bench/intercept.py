"""Measures what `hashlab intercept` adds to a connection, in both directions, on a lab that runs.

    .venv/bin/python bench/intercept.py LAB SERVICE OTHER --rounds 5

Both services' images must have Python. A server of this program runs in the container of SERVICE,
then on the laptop in its place; a client in the container of OTHER connects to it by its name. Then
the client runs on the laptop in the place of OTHER. All of it ends with the program. The exit code
is 1 if more than 3 ms are added to a connection, or less than 50 MB/s go through.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import HASHLAB

MOST_ADDED_MS = 3.0
LEAST_MB = 50.0
PORT = 9099
READY_SECONDS = 60.0
# Answers a line with that number of bytes. Ends by itself, or at the line "end".
SERVER = """
import os, socketserver, sys, threading
threading.Timer(300, os._exit, [1]).start()
class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    def handle(self):
        for line in self.rfile:
            if line == b"end\\n":
                os._exit(0)
            number = int(line)
            while number > 0:
                self.wfile.write(BLOCK[:number])
                number -= len(BLOCK)
BLOCK = b"x" * 1000000
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
# Sends a line; fails if it gets no answer. The line "end" has none.
LINE = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as sock:
    sock.sendall(sys.argv[3].encode() + b"\\n")
    assert sock.recv(1) or sys.argv[3] == "end"
"""
# Prints milliseconds of a connection with its first answer and of a further answer, then MB/s.
CLIENT = """
import json, socket, statistics, sys, time
host, port = sys.argv[1], int(sys.argv[2])
def connected():
    sock = socket.create_connection((host, port), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
def asked(sock, number):
    sock.sendall(b"%d\\n" % number)
    while number > 0:
        got = len(sock.recv(min(number, 1000000)))
        assert got, "closed"
        number -= got
def timed(work, *words):
    began = time.perf_counter()
    work(*words)
    return time.perf_counter() - began
def once():
    with connected() as sock:
        asked(sock, 1)
once()
first = [timed(once) for _ in range(100)]
with connected() as sock:
    trips = [timed(asked, sock, 1) for _ in range(500)]
    rate = 100 / timed(asked, sock, 100000000)
print(json.dumps([statistics.median(first) * 1000, statistics.median(trips) * 1000, rate]))
"""


@dataclass(frozen=True)
class Figures:
    """Milliseconds of a connection with its first answer, of a further answer; MB/s."""

    connect: float
    trip: float
    rate: float

    def __str__(self) -> str:
        return f"{self.connect:6.2f} ms  {self.trip:6.2f} ms  {self.rate:6.0f} MB/s"


def python(program: str, *words: str) -> list[str]:
    """Return the command that runs a program with these arguments."""
    return ["python3", "-c", program, *words]


class Lab:
    """The lab, and the two services."""

    def __init__(self, folder: str, service: str, other: str) -> None:
        self._folder, self.service, self.other = folder, service, other

    def words(self, command: str, *words: str) -> list[str]:
        """Return a command line of hashlab for this lab."""
        return [str(HASHLAB), command, "--lab", self._folder, *words]

    def inside(self, service: str, command: list[str]) -> list[str]:
        """Return the command line that runs a command in a service's container."""
        return self.words("exec", "--no-tty", service, *command)

    def in_place_of(self, service: str, command: list[str], *words: str) -> list[str]:
        """Return the command line that runs a command on the laptop in the service's place."""
        return self.words("intercept", service, *words, "--", *command)

    def client(self) -> list[str]:
        """Return the client that connects to the service."""
        return python(CLIENT, self.service, str(PORT))

    def send(self, line: str) -> bool:
        """Send a line to the server from the other service; return whether that worked."""
        words = self.inside(self.other, python(LINE, self.service, str(PORT), line))
        return subprocess.run(words, check=False, capture_output=True).returncode == 0


@contextmanager
def running(words: list[str], lab: Lab) -> Iterator[None]:
    """Run a server during the block; it answers at its beginning."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            await_answer(lab)
            yield
        finally:
            lab.send("end")
            process.wait(30)


def await_answer(lab: Lab) -> None:
    """Wait until the server answers the other service."""
    deadline = time.monotonic() + READY_SECONDS
    while not lab.send("1"):
        if time.monotonic() > deadline:
            sys.exit(f"{lab.other} does not reach the server at {lab.service}:{PORT}")
        time.sleep(0.2)


def measured(words: list[str], rounds: int) -> Figures:
    """Run the client several times; return the medians."""
    found = []
    for _ in range(rounds):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return Figures(*(statistics.median(column) for column in zip(*found, strict=True)))


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> int:
    """Measure, print, and compare with what is promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=Path)
    parser.add_argument("service")
    parser.add_argument("other")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    lab = Lab(str(given.lab), given.service, given.other)
    print("                          connect, answer   answer   throughput")
    with running(lab.inside(lab.service, python(SERVER, "", str(PORT))), lab):
        direct = measured(lab.inside(lab.other, lab.client()), given.rounds)
        print(f"container → container     {direct}", flush=True)
        outward = measured(lab.in_place_of(lab.other, lab.client()), given.rounds)
        print(f"laptop → container        {outward}", flush=True)
    port = free_port()
    server = python(SERVER, "127.0.0.1", str(port))
    words = lab.in_place_of(lab.service, server, "--port", f"{PORT}={port}")
    with running(words, lab):
        inward = measured(lab.inside(lab.other, lab.client()), given.rounds)
        print(f"container → laptop        {inward}", flush=True)
    kept = all(
        way.connect - direct.connect <= MOST_ADDED_MS and way.rate >= LEAST_MB
        for way in (outward, inward)
    )
    print(
        f"at most {MOST_ADDED_MS:g} ms added, at least {LEAST_MB:g} MB/s: {'yes' if kept else 'NO'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
