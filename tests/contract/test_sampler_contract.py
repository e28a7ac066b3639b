"""The program that samples machines, on this laptop: the engine's words, the kernel's numbers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from contract_bench import BASE, Bench, real_engine

from hashlab.documents.samples import ContainerSample, MachineSample, machine_rates
from hashlab.metrics.sampling import Blocks, read_sample
from hashlab.phases.programs import SAMPLE

LAB = "hashlab-contract"


@pytest.fixture
def used(_base_image: str) -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("only root may read control groups and the engine's folder")
    made = Bench(real_engine(), None)
    yield made
    made.clean()
    made.engine.close()


def start(bench: Bench, script: str, **host: object) -> str:
    """Start a container of service site; return its name."""
    name = f"{bench.name('site')}-2"
    labels = {"hashlab.lab": LAB, "hashlab.service": "site", "hashlab.build": "b7"}
    body = {
        "Image": BASE,
        "Cmd": ["sh", "-c", script],
        "Labels": {**bench.labels, **labels},
        "HostConfig": {"NetworkMode": "none", **host},
    }
    bench.engine.create(name, body)
    bench.engine.start(name)
    return name


def sample() -> MachineSample:
    printed = subprocess.run(
        ["sh", "-c", SAMPLE, "sh", LAB, "0"], capture_output=True, timeout=30, check=True
    )
    [block] = Blocks().add(printed.stdout.splitlines())
    return read_sample("web", block, now=time.time())


def awaited(bench: Bench, name: str, state: str) -> ContainerSample:
    """Return the sample of a container once its engine says that it is in a state."""
    deadline = time.monotonic() + 20
    while True:
        [one] = [each for each in sample().containers if each.name == name]
        if one.state == state:
            return one
        assert time.monotonic() < deadline, one
        time.sleep(0.05)


def test_a_container_s_memory_processor_and_limit_are_its_own(used: Bench) -> None:
    script = "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; sleep 60"
    name = start(used, script, Memory=64 * 1024**2)
    first = awaited(used, name, "running")
    assert (first.service, first.replica, first.build) == ("site", 2, "b7")
    assert first.memory_limit_bytes == 64 * 1024**2
    assert first.started_at is not None
    assert abs(first.started_at - time.time()) < 20
    deadline = time.monotonic() + 20
    while (awaited(used, name, "running").cpu_seconds or 0) < 0.1:
        assert time.monotonic() < deadline
    last = awaited(used, name, "running")
    assert 0 < (last.memory_bytes or 0) < 64 * 1024**2


def test_a_container_that_ends_again_and_again_is_counted_by_the_engine(used: Bench) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    name = start(used, "exit 3", RestartPolicy=policy)
    ended = awaited(used, name, "exited")
    assert ended.restarts == 2
    assert ended.cpu_seconds is ended.memory_bytes is None


def test_the_laptop_s_own_figures_are_those_of_its_kernel(used: Bench) -> None:
    before = sample()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass
    after = sample()
    cores = machine_rates(before, after).cpu_cores
    assert cores is not None
    assert 0 < cores <= (os.cpu_count() or 1) + 0.5
    disk = os.statvfs("/var/lib/docker")
    assert after.disk_total_bytes == disk.f_blocks * disk.f_frsize
    assert after.engine_answers
    assert 0 < after.memory_bytes < after.memory_limit_bytes


def test_the_program_prints_samples_until_its_input_ends() -> None:
    program = subprocess.Popen(
        ["sh", "-c", SAMPLE, "sh", LAB, "0.1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdin is not None
    assert program.stdout is not None
    blocks, found = Blocks(), 0
    with program:
        try:
            while found < 3:
                found += len(list(blocks.add([program.stdout.readline().rstrip(b"\n")])))
            program.stdin.close()
            assert program.wait(10) != 0
        finally:
            with suppress(ProcessLookupError):
                program.kill()
