"""The main job with the Hash-Collision application: dev, every kind of refresh, proof."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from labkit import LabFolder, everything, fetch, kill_machine, replaced, rows

MACHINES = ("broker", "services", "web")


def settled(lab: LabFolder) -> dict[str, Any]:
    """The status once the engines' own health checks, 5 s apart, have all looked."""
    deadline = time.monotonic() + 60 * lab.time_factor
    while True:
        status = lab.status()
        if {service["health"] for service in status["services"]} == {"healthy"}:
            return status
        assert time.monotonic() < deadline, status


def test_an_unchanged_box_is_not_built_again(forum_lab: LabFolder) -> None:
    document = forum_lab.json("init-box")
    assert rows(document, "recipe")[0]["status"] == "skipped"
    assert document["seconds"] < 30
    assert all(row["status"] == "skipped" for row in rows(document, "system"))


@pytest.mark.full_pass
def test_status_shows_machines_and_what_runs_is_what_was_built(forum_lab: LabFolder) -> None:
    status = settled(forum_lab)
    assert [machine["name"] for machine in status["machines"]] == list(MACHINES)
    assert {machine["state"] for machine in status["machines"]} == {"running"}
    assert len(status["services"]) == 6
    for service in status["services"]:
        assert service["build"] == service["running_build"], service
        assert service["health"] == "healthy", service
    assert set(status["urls"]) >= {"web", "rabbitmq"}


@pytest.mark.full_pass
def test_each_service_tells_its_own_build(forum_lab: LabFolder, web_url: str) -> None:
    builds = {s["name"]: s["build"] for s in forum_lab.status()["services"]}
    for name in ("auth", "user", "qa"):
        health = json.loads(fetch(f"{web_url}/api/{name}/health"))
        assert health == {"status": health["status"], "service": name, "build": builds[name]}


def test_a_second_dev_changes_nothing(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    document = forum_lab.json("dev")
    assert everything(forum_lab) == before
    for name in ("artifacts", "prepare", "boot", "network", "upload", "containers"):
        assert {row["status"] for row in rows(document, name)} == {"skipped"}, name


def test_a_refresh_with_nothing_changed_touches_nothing(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    document = forum_lab.json("refresh")
    assert everything(forum_lab) == before
    assert sum(row["bytes_sent"] for row in document["phases"]) == 0
    assert not rows(document, "boot")


@pytest.mark.full_pass
def test_a_static_file_is_served_without_a_restart(forum_lab: LabFolder, web_url: str) -> None:
    before = everything(forum_lab)
    forum_lab.edit("ui/styles.css", ":root", "/* fresh paint */ :root")
    document = forum_lab.json("refresh")
    assert "fresh paint" in fetch(f"{web_url}/styles.css")
    assert everything(forum_lab) == before
    assert rows(document, "upload")[-1]["machine"] == "web" or any(
        row["machine"] == "web" and row["status"] == "ok" for row in rows(document, "upload")
    )


def test_a_deleted_static_file_is_gone(forum_lab: LabFolder, web_url: str) -> None:
    extra = forum_lab.folder / "ui" / "extra.txt"
    extra.write_text("here for a moment")
    forum_lab.run("refresh").ok()
    assert fetch(f"{web_url}/extra.txt") == "here for a moment"
    extra.unlink()
    forum_lab.run("refresh").ok()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{web_url}/extra.txt", timeout=5)
    assert refused.value.code == 404


@pytest.mark.full_pass
def test_one_java_class_restarts_only_its_service(forum_lab: LabFolder, web_url: str) -> None:
    before = everything(forum_lab)
    old_build = json.loads(fetch(f"{web_url}/api/user/health"))["build"]
    main = next((forum_lab.folder / "user/src/main").rglob("Users.java"))
    main.write_text(main.read_text() + '\nclass Marker { static final String TEXT = "x"; }\n')
    document = forum_lab.json("refresh")
    assert replaced(before, everything(forum_lab)) == {"user"}
    new_build = json.loads(fetch(f"{web_url}/api/user/health"))["build"]
    assert new_build != old_build
    assert rows(document, "artifacts")[0]["detail"].startswith("built user (")


def test_a_compile_error_is_shown_and_leaves_the_lab_alone(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    main = next((forum_lab.folder / "qa/src/main").rglob("*.java"))
    text = main.read_text()
    main.write_text(text + "\nthis is not Java\n")
    refused = forum_lab.run("refresh", "--json")
    main.write_text(text)
    assert refused.code == 4
    assert main.name in refused.document["error"]["output"]
    assert everything(forum_lab) == before
    forum_lab.run("refresh").ok()
    assert everything(forum_lab) == before


def test_a_changed_image_is_built_sent_and_used(forum_lab: LabFolder, web_url: str) -> None:
    before = everything(forum_lab)
    dockerfile = forum_lab.folder / "images/web/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + '\nLABEL painted="blue"\n')
    refreshed = forum_lab.run("refresh").ok()
    assert replaced(before, everything(forum_lab)) == {"web"}
    assert "the box is stale" in refreshed.stdout
    assert "the box is stale" in forum_lab.run("status").ok().stdout
    assert "blue" in forum_lab.on(
        "web", "docker inspect --format '{{.Config.Labels.painted}}' hash-collision-web-1"
    )
    fetch(web_url)


def test_secrets_stand_in_no_record_and_no_output(forum_lab: LabFolder) -> None:
    secrets = [path.read_text() for path in (forum_lab.folder / ".hashlab/secrets").iterdir()]
    assert len(secrets) == 8
    said = forum_lab.run("refresh", "--verbose").ok()
    told = said.stdout + said.stderr
    told += "".join(p.read_text() for p in (forum_lab.folder / ".hashlab/runs").iterdir())
    for machine in MACHINES:
        told += forum_lab.on(machine, "docker inspect $(docker ps -q); ps axww")
        told += forum_lab.on(
            machine, "for c in $(docker ps -q); do docker logs $c 2>&1 || true; done"
        )
    for secret in secrets:
        assert secret not in told


def test_a_file_changed_behind_our_back_is_caught_and_mended(forum_lab: LabFolder) -> None:
    forum_lab.on("web", "echo stale >> /var/lib/hashlab/hash-collision/files/ui/index.html")
    caught = forum_lab.run("verify")
    assert caught.code == 4
    assert "not what was built" in caught.stdout
    web = next(s for s in forum_lab.status()["services"] if s["name"] == "web")
    assert web["build"] != web["running_build"]
    forum_lab.run("refresh").ok()
    forum_lab.run("verify").ok()


def test_a_killed_container_comes_back(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    forum_lab.on("services", "docker rm -f hash-collision-qa-1")
    forum_lab.run("refresh").ok()
    assert replaced(before, everything(forum_lab)) == {"qa"}


def starts(lab: LabFolder, *names: str) -> list[str]:
    """When containers of the machine services were last started; "" for one that does not run."""
    shown = "{{if .State.Running}}{{.State.StartedAt}}{{end}}"
    listed = lab.on("services", f"docker inspect --format '{shown}' {' '.join(names)}")
    return listed.split("\n")[: len(names)]


def until_later(lab: LabFolder, before: list[str], *names: str) -> None:
    """Wait until all of these containers run and were started after ``before``."""
    deadline = time.monotonic() + 90
    while not all(now > then for now, then in zip(starts(lab, *names), before, strict=True)):
        assert time.monotonic() < deadline, "they did not come back"
        time.sleep(0.5)


def test_services_come_back_without_hashlab_when_their_sandboxes_end(forum_lab: LabFolder) -> None:
    container, sandbox = "hash-collision-user-1", "hash-collision-user-1.sandbox"
    before = starts(forum_lab, container)
    forum_lab.on("services", f"docker kill {sandbox}")
    until_later(forum_lab, before, container)
    assert starts(forum_lab, container) > starts(forum_lab, sandbox)
    everyone = [f"hash-collision-{name}-1" for name in ("auth", "user", "qa")]
    before = starts(forum_lab, *everyone)
    forum_lab.on("services", "sudo systemctl restart docker")
    until_later(forum_lab, before, *everyone)
    forum_lab.run("verify").ok()


@pytest.mark.full_pass
def test_a_machine_that_lost_its_power_comes_back(forum_lab: LabFolder) -> None:
    kill_machine(forum_lab, "services")
    states = {m["name"]: m["state"] for m in forum_lab.status()["machines"]}
    assert states == {"broker": "running", "services": "stopped", "web": "running"}
    forum_lab.run("dev").ok()
    forum_lab.run("verify").ok()


def users(url: str) -> set[str]:
    """Who is registered, as the page shows it."""
    return {user["name"] for user in json.loads(fetch(f"{url}/api/user/users"))["users"]}


def accepted(request: urllib.request.Request) -> bool:
    """Whether a request did its work; False when it was told to come back in a moment."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status in (200, 201)
    except urllib.error.HTTPError as refusal:
        if refusal.code != 503:
            raise
        return False


def register(url: str, name: str) -> None:
    """Register somebody, and wait until the event has reached the other service."""
    account = json.dumps({"name": name, "password": "long enough for anybody"}).encode()
    request = urllib.request.Request(
        f"{url}/api/auth/registrations", account, {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 60
    while not accepted(request):
        assert time.monotonic() < deadline, f"{name} could not register"
        time.sleep(0.5)
    deadline = time.monotonic() + 60
    while name not in users(url):
        assert time.monotonic() < deadline, f"{name} did not reach the user service"
        time.sleep(0.1)


@pytest.mark.full_pass
def test_a_restored_forum_has_the_people_of_that_instant(forum_lab: LabFolder) -> None:
    url = str(forum_lab.status()["urls"]["web"])
    register(url, "before_the_snapshot")
    document = forum_lab.json("snapshot", "instant")
    try:
        assert "they were paused for" in rows(document, "take")[0]["detail"]
        then = users(url)
        assert "before_the_snapshot" in then
        register(url, "after_the_snapshot")
        document = forum_lab.json("restore", "instant")
        assert rows(document, "verify")[0]["status"] == "ok"
        url = str(forum_lab.status()["urls"]["web"])
        assert users(url) == then
        register(url, "after_the_snapshot")
    finally:
        forum_lab.run("snapshots", "prune", "instant").ok()


def test_a_deleted_state_folder_is_found_again(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    secret = forum_lab.folder / ".hashlab/secrets/token_key"
    value = secret.read_text()
    for name in ("secrets", forum_lab.provider, "artifacts"):
        shutil.rmtree(forum_lab.folder / ".hashlab" / name)
    forum_lab.run("dev").ok()
    assert secret.read_text() == value
    assert everything(forum_lab) == before
