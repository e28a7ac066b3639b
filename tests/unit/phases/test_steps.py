"""Seed and verify: the user's commands with the lab's addresses, and what their output tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, connected, running, track_of
from fakes.outside import Silent

from hashlab.config.model import ForwardedPort, Step
from hashlab.errors import LabError
from hashlab.phases.seed import seed
from hashlab.phases.verify import verify
from hashlab.pipeline import CancelToken, Recorder, Row


def seeded(outside: Outside) -> Row:
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("seed") as track:
        seed(world, track, "")
    return recorder.rows()[0]


def test_a_lab_without_the_step_skips_it(outside: Outside) -> None:
    outside.lab = replace(outside.lab, seed=None, verify=None)
    running(outside)
    row = seeded(outside)
    assert (row.status, row.detail) == ("skipped", "hashlab.toml has no [seed]")


def test_the_last_line_of_the_output_is_the_rows_detail(outside: Outside) -> None:
    running(outside)
    outside.runner.prepare("PYTHON", "seed.py", stdout="one\n3 users, 7 posts\n\n")
    assert seeded(outside).detail == "3 users, 7 posts"


@pytest.mark.parametrize("output", ["", "\n", "\x1b[0m\x1b[0m\n"])
def test_a_step_that_says_nothing_is_done(outside: Outside, output: str) -> None:
    running(outside)
    outside.runner.prepare("PYTHON", "seed.py", stdout=output)
    assert seeded(outside).detail == "done"


def test_the_command_runs_in_the_labs_folder_and_knows_every_address(outside: Outside) -> None:
    broker, web, spare = outside.lab.machines
    ports = (
        ForwardedPort("site", 80, 8080),
        ForwardedPort("admin-ui", 81, 8081, "https"),
        ForwardedPort("raw", 82, 8082, "tcp"),
    )
    outside.lab = replace(
        outside.lab, machines=(broker, replace(web, forwarded_ports=ports), spare)
    )
    outside.ports_in_use = {8081}
    running(outside)
    seeded(outside)
    ran = outside.runner.ran[-1]
    assert ran.cwd == outside.lab.folder
    assert ran.env == {
        "HASHLAB_LAB": "small",
        "HASHLAB_PATIENCE": "1",
        "HASHLAB_SSH_CONFIG": str(outside.state.ssh_config),
        "HASHLAB_URL_SITE": "http://127.0.0.1:8080",
        "HASHLAB_URL_ADMIN_UI": "https://127.0.0.1:40001",
        "HASHLAB_URL_RAW": "tcp://127.0.0.1:8082",
    }


@pytest.mark.parametrize(
    ("written", "run"),
    [
        (("python3", "seed.py", "-x"), ("PYTHON", "seed.py", "-x")),
        (("python", "seed.py"), ("PYTHON", "seed.py")),
        (("./seed.sh", "python3"), ("./seed.sh", "python3")),
        (("/usr/bin/python3", "seed.py"), ("/usr/bin/python3", "seed.py")),
    ],
)
def test_python_is_the_one_hashlab_itself_runs_on(
    outside: Outside, written: tuple[str, ...], run: tuple[str, ...]
) -> None:
    running(outside)
    outside.lab = replace(outside.lab, seed=Step(written))
    outside.runner.prepare(*run)
    seeded(outside)
    assert outside.runner.ran[-1].command == run


def test_a_failed_step_tells_its_command_and_output(outside: Outside) -> None:
    running(outside)
    outside.runner.prepare("PYTHON", "verify.py", code=3, stdout="checking\n", stderr="site: 500\n")
    with pytest.raises(LabError) as failure, track_of() as track:
        verify(connected(outside), track, "")
    error = failure.value
    assert error.what == "verify failed with exit code 3"
    assert error.where == "python3 verify.py --all"
    assert error.output == "checking\nsite: 500\n"
    assert error.next_step == "hashlab status shows what runs"


def test_lines_are_passed_on_while_the_command_runs(outside: Outside) -> None:
    running(outside)
    listener = Silent()
    with track_of(listener) as track:
        seed(connected(outside), track, "")
    assert listener.lines[-2:] == ["loading", "10 loaded"]
