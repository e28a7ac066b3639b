"""Secrets: made once, found again on machines, readable by nobody else, and told to nobody."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from fakes import Outside, go, rows, run, running

from hashlab.config.model import FileMount
from hashlab.documents import json_text
from hashlab.documents.run import run_record
from hashlab.phases.upload.laptop import secret_path
from hashlab.run import workflows

SECRET = FileMount("password", Path("password"), "/run/secrets/password", 0o400, secret=True)


def password(outside: Outside) -> str:
    return (outside.state.secrets / "password").read_text()


def test_a_generated_secret_is_made_once_and_kept(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX, workflows.DEV)
    assert rows(result, "secrets")[0].detail == "1 made, 0 found on machines"
    first = password(outside)
    result = go(outside, workflows.REFRESH)
    assert rows(result, "secrets")[0].detail == "1 exist"
    assert password(outside) == first


def test_a_secret_is_long_and_has_no_line_end(outside: Outside) -> None:
    running(outside)
    assert len(password(outside)) >= 32
    assert password(outside).strip() == password(outside)


def test_two_labs_have_two_secrets(outside: Outside) -> None:
    outside.lab = replace(outside.lab, generated_secrets=("password", "other"))
    running(outside)
    assert (outside.state.secrets / "other").read_text() != password(outside)


def test_only_the_owner_may_read_a_secret_on_the_laptop(outside: Outside) -> None:
    running(outside)
    mode = (outside.state.secrets / "password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_lost_secret_is_found_on_the_machine_that_holds_it(outside: Outside) -> None:
    """The data on the machine was made with it: a new one would lock everybody out."""
    first = password(running(outside))
    (outside.state.secrets / "password").unlink()
    result = go(outside, workflows.REFRESH)
    assert rows(result, "secrets")[0].detail == "0 made, 1 found on machines"
    assert password(outside) == first
    assert stat.S_IMODE((outside.state.secrets / "password").stat().st_mode) == 0o600
    assert "engine.create" not in outside.faults.names()


def test_an_empty_file_on_a_machine_is_no_secret(outside: Outside) -> None:
    running(outside)
    for machine in outside.machines.values():
        path = secret_path(outside.lab, SECRET)
        machine.disk.make_folder(str(PurePosixPath(path).parent))
        machine.disk.put(path, b"")
    (outside.state.secrets / "password").unlink()
    go(outside, workflows.REFRESH)
    assert len(password(outside)) >= 32


def test_bytes_on_a_machine_that_are_no_text_are_no_secret(outside: Outside) -> None:
    running(outside)
    path = secret_path(outside.lab, SECRET)
    outside.machines["web"].disk.files[path].content = b"caf\xe9"
    (outside.state.secrets / "password").unlink()
    go(outside, workflows.REFRESH)
    assert len(password(outside)) >= 32


def test_an_empty_file_on_the_laptop_is_no_secret_and_is_made_again(outside: Outside) -> None:
    """As a full disk leaves it."""
    before = password(running(outside))
    (outside.state.secrets / "password").write_text("")
    go(outside, workflows.REFRESH)
    assert password(outside) == before, "a machine holds it"


def test_a_lab_without_secrets_has_nothing_to_do(outside: Outside) -> None:
    outside.lab = replace(outside.lab, generated_secrets=())
    (outside.state.secrets).mkdir(parents=True)
    (outside.state.secrets / "password").write_text("the user's own")
    result = go(outside, workflows.INIT_BOX, workflows.DEV)
    assert rows(result, "secrets")[0].status == "skipped"


@pytest.mark.parametrize("breaks", ["", "connector.copy", "engine.start", "shell.place"])
def test_a_secret_is_in_no_row_record_message_command_or_file_but_its_own(
    outside: Outside, breaks: str
) -> None:
    go(outside, workflows.INIT_BOX)
    if breaks:
        outside.faults.arm(breaks)
    result = run(outside, workflows.DEV)
    secret = password(outside)

    told = [str(row) for row in result.rows]
    told += [json_text(run_record("dev", "small", "docker", result)), str(result.error)]
    told += [repr(call) for call in outside.faults.calls]
    told += [repr(ran) for ran in outside.runner.ran]
    for machine in outside.machines.values():
        told += [repr(container.body) for container in machine.engine.all.values()]
    assert [text for text in told if secret in text] == []

    kept = [path for path in outside.lab.folder.rglob("*") if path.is_file()]
    assert [path.name for path in kept if secret in path.read_text()] == ["password"]


def test_a_secret_lies_only_on_machines_whose_services_mount_it(outside: Outside) -> None:
    secret = password(running(outside)).encode()
    holders = {
        (name, path)
        for name, machine in outside.machines.items()
        for path, file in machine.disk.files.items()
        if secret in file.content
    }
    assert holders == {("web", secret_path(outside.lab, SECRET))}


def test_destroy_forgets_secrets_and_the_next_lab_has_new_ones(outside: Outside) -> None:
    first = password(running(outside))
    go(outside, workflows.DESTROY, workflows.DEV)
    assert password(outside) != first
