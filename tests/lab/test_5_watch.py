"""A lab that is watched: saves, a machine without power, Ctrl-C, and the logs of its services."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labkit import LabFolder, Running, fetch, kill_machine, power_on

PAGE = "site/index.html"
PROGRAM = "greeter/greeter.py"


@pytest.fixture(scope="module")
def lab(hello_lab: LabFolder) -> LabFolder:
    """The small example, up."""
    hello_lab.run("dev").ok()
    return hello_lab


@pytest.fixture
def watched(lab: LabFolder) -> Iterator[Running]:
    """`hashlab watch` after its first refresh; ended by Ctrl-C unless the test did it."""
    run = lab.start("watch")
    try:
        run.wait_for("(start)", timeout=120 * lab.time_factor)
        yield run
    finally:
        if run.process.poll() is None:
            run.signal(signal.SIGINT)


def url(lab: LabFolder) -> str:
    return str(lab.status()["urls"]["web"])


def add(lab: LabFolder, name: str, text: str) -> None:
    """Append to a file as some editors do: a new file takes the place of the old one."""
    path = lab.folder / name
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
    fresh.replace(path)


def told_of(run: Running, name: str, lab: LabFolder) -> str:
    """The line of the first round trip that went well for this file."""
    return run.wait_until(
        lambda line: name in line and " s  " in line and "failed" not in line,
        timeout=120 * lab.time_factor,
        what=name,
    )


def at_work(lab: LabFolder) -> bool:
    """Whether a run holds the lab at this moment: then its name is in the lock's file."""
    return "refresh" in (lab.folder / ".hashlab/lock").read_text(encoding="utf-8")


def until_at_work(lab: LabFolder) -> None:
    deadline = time.monotonic() + 30 * lab.time_factor
    while not at_work(lab):
        assert time.monotonic() < deadline, "no refresh began"
        time.sleep(0.005)


def well(lab: LabFolder) -> None:
    """What runs is what was built."""
    status = lab.status()
    assert all(s["build"] == s["running_build"] and not s["stale"] for s in status["services"])


def test_it_says_what_is_watched_and_that_nothing_had_changed(watched: Running) -> None:
    said = "".join(watched.lines)
    assert "hello: watching hashlab.toml, compose.yaml" in said
    assert "site" in said and "Ctrl-C ends it" in said
    assert "nothing changed  (start)" in said


@pytest.mark.full_pass
def test_a_saved_page_is_served_without_a_restart(lab: LabFolder, watched: Running) -> None:
    before = lab.containers("front")
    add(lab, PAGE, "<!-- saved once -->")
    line = told_of(watched, PAGE, lab)
    assert "1 file sent to front" in line
    assert float(line.split()[1]) < 5 * lab.time_factor
    assert "saved once" in fetch(url(lab))
    assert lab.containers("front") == before


def test_a_saved_program_is_restarted(lab: LabFolder, watched: Running) -> None:
    before = lab.containers("back")
    add(lab, PROGRAM, "\n# saved once\n")
    assert "greeter replaced" in told_of(watched, PROGRAM, lab)
    assert lab.containers("back") != before
    assert "hello" in fetch(f"{url(lab)}/greeting")


def test_a_page_saved_during_a_refresh_arrives_too(lab: LabFolder, watched: Running) -> None:
    add(lab, PROGRAM, "\n# saved before the page\n")
    until_at_work(lab)
    add(lab, PAGE, "<!-- saved during a refresh -->")
    told_of(watched, PROGRAM, lab)
    told_of(watched, PAGE, lab)
    assert "saved during a refresh" in fetch(url(lab))
    well(lab)


def test_many_saves_at_once_are_one_round_trip(lab: LabFolder, watched: Running) -> None:
    known = len(list((lab.folder / ".hashlab/runs").glob("*-refresh.json")))
    names = [f"site/many-{number}.txt" for number in range(50)]
    for name in names:
        (lab.folder / name).write_text(name)
    assert "50 files sent to front" in told_of(watched, "site/many-0.txt", lab)
    assert len(list((lab.folder / ".hashlab/runs").glob("*-refresh.json"))) == known + 1
    for name in names:
        (lab.folder / name).unlink()
    watched.wait_for("50 files deleted on front", timeout=120 * lab.time_factor)


def test_a_broken_file_is_told_and_waited_for(lab: LabFolder, watched: Running) -> None:
    toml = lab.folder / "hashlab.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text + "\noops\n", encoding="utf-8")
    watched.wait_for("not valid TOML")
    add(lab, PAGE, "<!-- saved while a file was broken -->")
    toml.write_text(text, encoding="utf-8")
    watched.wait_until(lambda line: "1 file sent to front" in line, timeout=120 * lab.time_factor)
    assert "while a file was broken" in fetch(url(lab))


def test_a_lab_that_another_run_holds_is_waited_for(lab: LabFolder, watched: Running) -> None:
    with Path(lab.folder / ".hashlab/lock").open("w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(json.dumps({"pid": 4711, "command": "dev", "since": "2026-01-01T10:00:00"}))
        held.flush()
        add(lab, PAGE, "<!-- saved while the lab was held -->")
        watched.wait_for("dev (process 4711) since 2026-01-01T10:00:00; waiting for its end")
    watched.wait_for("(the lab is free again", timeout=120 * lab.time_factor)
    assert "while the lab was held" in fetch(url(lab))


def test_a_machine_that_lost_its_power_is_told_and_refreshed_when_it_is_back(
    lab: LabFolder, watched: Running
) -> None:
    kill_machine(lab, "back")
    add(lab, PROGRAM, "\n# saved while a machine was away\n")
    watched.wait_for("or for back to answer", timeout=180 * lab.time_factor)
    assert "hashlab dev" in "".join(watched.lines)
    power_on(lab, "back")
    watched.wait_until(
        lambda line: ("(back answers" in line or "(tried again" in line) and "failed" not in line,
        timeout=300 * lab.time_factor,
        what="a round trip after the machine came back",
    )
    assert "hello" in fetch(f"{url(lab)}/greeting")
    well(lab)


def say(lab: LabFolder, machine: str, service: str, text: str) -> None:
    """Let a container print a line, as its first process would."""
    lab.on(machine, f"docker exec hello-{service}-1 sh -c 'echo {text} > /proc/1/fd/1'")


def printed(lab: LabFolder, *words: str) -> list[dict[str, Any]]:
    """Return the lines of `hashlab logs`."""
    done = lab.run("logs", "--json", *words).ok()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_logs_of_two_machines_are_in_the_order_of_time(lab: LabFolder) -> None:
    for number, (machine, service) in enumerate((("front", "web"), ("back", "greeter")) * 2):
        say(lab, machine, service, f"turn {number}")
    lines = printed(lab, "--since", "10m", "--grep", "^turn ")
    assert [(each["service"], each["message"]) for each in lines] == [
        ("web", "turn 0"),
        ("greeter", "turn 1"),
        ("web", "turn 2"),
        ("greeter", "turn 3"),
    ]
    [line] = printed(lab, "--machine", "front", "--unit", "docker", "--tail", "1")
    assert (line["machine"], line["unit"], line["service"]) == ("front", "docker", None)


def test_logs_outlive_the_container_that_a_refresh_replaces(lab: LabFolder) -> None:
    say(lab, "back", "greeter", "before the refresh")
    before = lab.containers("back")
    lab.run("refresh", GREETING="good morning").ok()
    assert lab.containers("back") != before
    say(lab, "back", "greeter", "after the refresh")
    first, second = printed(lab, "greeter", "--grep", "the refresh$")
    assert (first["message"], second["message"]) == ("before the refresh", "after the refresh")
    assert first["running_build"] != second["running_build"]
    lab.run("refresh").ok()


def test_a_line_longer_than_the_engine_keeps_in_one_piece_is_whole(lab: LabFolder) -> None:
    program = "print('x' * 50000, file=open('/proc/1/fd/1', 'w'))"
    lab.on("back", f'docker exec hello-greeter-1 python3 -c "{program}"')
    [line] = printed(lab, "greeter", "--grep", "^x+$")
    assert len(line["message"]) == 50000


def test_followed_logs_lose_no_line_when_a_machine_loses_its_power(lab: LabFolder) -> None:
    run = lab.start("logs", "--follow", "--json")
    try:
        say(lab, "back", "greeter", "first of back")
        run.wait_for("first of back")
        kill_machine(lab, "back")
        run.wait_for("machine back does not answer", timeout=60 * lab.time_factor)
        say(lab, "front", "web", "line of front")
        run.wait_for("line of front")
        power_on(lab, "back")
        run.wait_for("machine back answers again", timeout=120 * lab.time_factor)
        lab.run("refresh").ok()
        say(lab, "back", "greeter", "second of back")
        run.wait_for("second of back")
    finally:
        code = run.signal(signal.SIGINT)
    text = "".join(run.lines)
    assert [text.count(each) for each in ("first of", "line of front", "second of")] == [1, 1, 1]
    assert "Traceback" not in text
    assert code == 0


def test_ctrl_c_leaves_at_once_and_everything_as_it_was(lab: LabFolder, watched: Running) -> None:
    before = {**lab.containers("front"), **lab.containers("back")}
    began = time.monotonic()
    assert watched.signal(signal.SIGINT) == 0
    assert time.monotonic() - began < 5 * lab.time_factor
    assert "Traceback" not in "".join(watched.lines)
    assert {**lab.containers("front"), **lab.containers("back")} == before
    well(lab)


def test_ctrl_c_during_a_refresh_names_what_is_half_done(lab: LabFolder, watched: Running) -> None:
    add(lab, PROGRAM, "\n# saved before Ctrl-C\n")
    until_at_work(lab)
    assert watched.signal(signal.SIGINT) == 130
    said = "".join(watched.lines)
    assert "Half done: " in said
    assert "Traceback" not in said
    lab.run("refresh").ok()
    well(lab)


def test_it_survives_a_checkout_and_heeds_no_editor(watched: Running, lab: LabFolder) -> None:
    """Folders go and come back under it, as `git checkout` has them."""
    site, away = lab.folder / "site", lab.folder / "site.away"
    for _ in range(5):
        (site / ".index.html.swp").write_text("vim", encoding="utf-8")
        site.rename(away)
        time.sleep(0.05)
        away.rename(site)
    (site / ".index.html.swp").unlink()
    add(lab, PAGE, "<!-- after the checkout -->\n")
    told_of(watched, PAGE, lab)
    assert "after the checkout" in fetch(url(lab))
    assert not [line for line in watched.lines if ".swp" in line]
    well(lab)
