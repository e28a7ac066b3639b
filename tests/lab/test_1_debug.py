"""A debugger attaches to a JVM of the lab, and runs leave that service alone meanwhile."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from debugclients import SECONDS, jdb
from labkit import LabFolder, everything, rows

SOURCES = "user/src/main/java/hashcollision/user"
LIST = "    List<User> list() throws SQLException {\n"
EDIT = '        if (System.nanoTime() < 0) throw new SQLException("debugged");\n'

pytestmark = pytest.mark.skipif(shutil.which("jdb") is None, reason="no JDK here")


@contextmanager
def debugging(lab: LabFolder, *words: str) -> Iterator[str]:
    """`hashlab debug user`; the address that it opens."""
    running = lab.start("debug", "user", *words)
    try:
        yield running.wait_until(lambda line: "→" in line).partition("→ ")[2].strip()
    finally:
        running.process.terminate()
        assert running.process.wait(SECONDS) == 0


def detail(document: dict[str, Any], service: str) -> str:
    return next(str(r["detail"]) for r in rows(document, "container") if r["service"] == service)


def ask(url: str) -> Callable[[], None]:
    """Ask for a page in the background; return a function that waits for its end."""
    answers: list[int] = []

    def work() -> None:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            answers.append(answer.status)

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        thread.join(SECONDS)
        assert answers == [200]

    return end


def test_a_breakpoint_is_hit_and_a_refresh_leaves_the_session_alone(
    forum_lab: LabFolder, web_url: str
) -> None:
    before = everything(forum_lab)
    with debugging(forum_lab, "--write") as address, jdb(address) as debugger:
        debugger.say("stop in hashcollision.user.Users.list")
        debugger.until("Set breakpoint")
        answered = ask(f"{web_url}/api/user/users")
        assert "Users.list()" in debugger.until("Breakpoint hit:") + debugger.until("line=")
        debugger.say("clear hashcollision.user.Users.list")
        debugger.until("Removed:")
        debugger.say("cont")
        answered()
        forum_lab.edit(f"{SOURCES}/Users.java", LIST, LIST + EDIT)
        refused = forum_lab.run("refresh", "--json")
        assert refused.code == 4
        assert detail(refused.document, "user") == "left: a debugger is attached"
        assert "hashlab restart user" in refused.document["error"]["next_step"]
        assert everything(forum_lab) == before
    assert detail(forum_lab.json("refresh"), "user").startswith("reloaded: 1 class")
    assert everything(forum_lab) == before
    saved = json.loads((forum_lab.folder / ".vscode/launch.json").read_text())
    assert saved["configurations"][0]["sourcePaths"] == ["${workspaceFolder}/user/src/main/java"]


def test_a_restart_that_names_the_service_ends_the_session(forum_lab: LabFolder) -> None:
    with debugging(forum_lab) as address, jdb(address):
        forum_lab.edit(f"{SOURCES}/Users.java", EDIT, "")
        assert forum_lab.run("refresh").code == 4
        document = forum_lab.json("restart", "user")
        assert detail(document, "user").startswith(("replaced", "started again"))
