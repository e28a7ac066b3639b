"""Small edits of the Hash-Collision application: one class, one resource, a reloaded process."""

from __future__ import annotations

import json
from typing import Any

from labkit import LabFolder, everything, fetch, replaced, rows

SOURCES = "user/src/main/java/hashcollision/user"
CLASSES = "/var/lib/hashlab/hash-collision/files/user/target/app/classes"
LIST = "    List<User> list() throws SQLException {\n"
NEVER = '        if (System.nanoTime() < 0) throw new SQLException("never {}");\n'


def built(document: dict[str, Any]) -> str:
    """What the run says that it built."""
    return str(rows(document, "artifacts")[0]["detail"])


def what_became_of(document: dict[str, Any], service: str) -> str:
    """What the run says that it did with a service's container."""
    return next(
        str(row["detail"]) for row in rows(document, "container") if row["service"] == service
    )


def running_build(lab: LabFolder, web_url: str) -> str:
    """The build that service ``user`` shows, which must be the one that was built."""
    shown = str(json.loads(fetch(f"{web_url}/api/user/health"))["build"])
    status = next(s for s in lab.status()["services"] if s["name"] == "user")
    assert status["build"] == status["running_build"] == shown
    return shown


def test_one_class_is_compiled_alone_and_sent_alone(forum_lab: LabFolder, web_url: str) -> None:
    forum_lab.run("refresh", JRE_VARIANT="").ok()
    before = everything(forum_lab)
    forum_lab.edit(f"{SOURCES}/Users.java", LIST, LIST + NEVER.format(1))
    document = forum_lab.json("refresh", JRE_VARIANT="")
    assert built(document).startswith("built user (")
    assert sum(row["bytes_sent"] for row in document["phases"]) <= 32 * 1024
    assert "no JVM takes a debugger" in what_became_of(document, "user")
    assert replaced(before, everything(forum_lab)) == {"user"}
    assert document["causes"][0]["files"] == [f"{SOURCES}/Users.java"]
    forum_lab.run("refresh").ok()
    running_build(forum_lab, web_url)


def test_a_clean_build_of_the_same_sources_is_the_same_build(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    forum_lab.edit("user/pom.xml", "</project>", "<!-- the same in other words --></project>")
    document = forum_lab.json("refresh")
    assert built(document) == "built user"
    assert everything(forum_lab) == before
    assert sum(row["bytes_sent"] for row in document["phases"]) == 0


def test_a_class_that_was_renamed_or_deleted_leaves_the_machine(forum_lab: LabFolder) -> None:
    folder = forum_lab.folder / SOURCES
    (folder / "Before.java").write_text(
        "package hashcollision.user;\n\nfinal class Before { static final class Inner {} }\n"
    )
    forum_lab.run("refresh").ok()
    found = forum_lab.on("services", f"ls {CLASSES}/hashcollision/user")
    assert {"Before.class", "Before$Inner.class"} <= set(found.split())
    (folder / "Before.java").unlink()
    (folder / "After.java").write_text("package hashcollision.user;\n\nfinal class After {}\n")
    forum_lab.run("refresh").ok()
    found = forum_lab.on("services", f"ls {CLASSES}/hashcollision/user")
    assert "After.class" in found and "Before" not in found
    (folder / "After.java").unlink()
    forum_lab.run("refresh").ok()
    assert "After" not in forum_lab.on("services", f"ls {CLASSES}/hashcollision/user")
    forum_lab.run("verify").ok()


def test_a_changed_resource_restarts_its_service_alone(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    (forum_lab.folder / "user/src/main/resources/motd.txt").write_text("good morning\n")
    forum_lab.run("refresh").ok()
    assert forum_lab.on("services", f"cat {CLASSES}/motd.txt") == "good morning\n"
    assert replaced(before, everything(forum_lab)) == {"user"}
    (forum_lab.folder / "user/src/main/resources/motd.txt").unlink()
    forum_lab.run("refresh").ok()
    assert "motd" not in forum_lab.on("services", f"ls {CLASSES}")


def test_a_change_of_what_all_share_reaches_all_three(forum_lab: LabFolder) -> None:
    before = everything(forum_lab)
    forum_lab.edit(
        "common/src/main/java/hashcollision/common/Health.java",
        "            return Status.OK;",
        "            return System.nanoTime() < 0 ? Status.STARTING : Status.OK;",
    )
    document = forum_lab.json("refresh")
    assert everything(forum_lab) == before
    became = [what_became_of(document, name) for name in ("auth", "user", "qa")]
    assert [detail.startswith("reloaded: 1 class") for detail in became] == [True] * 3
    assert [built(document).count(f"{name} (") for name in ("auth", "user", "qa")] == [1, 1, 1]


def start_of(lab: LabFolder, service: str) -> str:
    """When the service's process was started."""
    return lab.on(
        "services", f"docker inspect -f '{{{{.State.StartedAt}}}}' hash-collision-{service}-1"
    )


def test_a_method_body_goes_into_the_running_process(forum_lab: LabFolder, web_url: str) -> None:
    ids, started = everything(forum_lab), start_of(forum_lab, "user")
    old = running_build(forum_lab, web_url)
    forum_lab.edit(f"{SOURCES}/Users.java", LIST, LIST + NEVER.format(2))
    document = forum_lab.json("refresh")
    assert what_became_of(document, "user").startswith("reloaded: 1 class")
    assert (everything(forum_lab), start_of(forum_lab, "user")) == (ids, started)
    assert running_build(forum_lab, web_url) != old
    assert rows(document, "seed")[0]["status"] == "skipped"
    assert forum_lab.run("verify").ok()
    assert rows(forum_lab.json("refresh"), "containers")[0]["status"] == "skipped"
    commands = forum_lab.json("report")["commands"]
    assert next(each for each in commands if each["command"] == "refresh")["swaps"] >= 2


def test_what_was_reloaded_and_then_started_anew_is_found_stale_and_mended(
    forum_lab: LabFolder, web_url: str
) -> None:
    forum_lab.edit(f"{SOURCES}/Users.java", "never 2", "never 3")
    assert what_became_of(forum_lab.json("refresh"), "user").startswith("reloaded")
    forum_lab.on("services", "docker restart -t 2 hash-collision-user-1")
    caught = forum_lab.run("verify")
    assert caught.code == 4
    assert "user on services: it took files in, and was restarted" in caught.stdout
    assert what_became_of(forum_lab.json("refresh"), "user").startswith("replaced")
    running_build(forum_lab, web_url)


def test_what_the_process_does_not_take_restarts_it_and_says_why(
    forum_lab: LabFolder, web_url: str
) -> None:
    ids = everything(forum_lab)
    added = f"    int added() {{\n        return 1;\n    }}\n\n{LIST}"
    forum_lab.edit(f"{SOURCES}/Users.java", LIST, added)
    document = forum_lab.json("refresh")
    assert "it adds the method added()" in what_became_of(document, "user")
    assert replaced(ids, everything(forum_lab)) == {"user"}
    running_build(forum_lab, web_url)
