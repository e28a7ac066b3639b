"""The contract of an incremental builder: the example's Java worker against Maven."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "hash-collision"
MAVEN = ["mvn", "--batch-mode", "--quiet", "-DskipTests", "--also-make"]
WORKER = ["./tools/java-worker", "tools/JavaWorker.java"]
SECONDS = 120
MODULES = ("common", "auth", "user")
TARGETS = ("auth", "user")

USER = "user/src/main/java/hashcollision/user"
COMMON = "common/src/main/java/hashcollision/common"

pytestmark = pytest.mark.skipif(
    not (shutil.which("javac") and shutil.which("mvn")), reason="needs a JDK, and Maven to compare"
)


class Example:
    """A copy of the example with a running worker, and a second copy that only Maven builds."""

    def __init__(self, folder: Path, truth: Path) -> None:
        self.folder = folder
        self.truth = truth
        self.worker = subprocess.Popen(
            WORKER, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.built = {target: self.inputs(target) for target in TARGETS}
        self.asked = 0

    def inputs(self, target: str) -> dict[str, bytes]:
        """Return the content of each file a target is compiled from, by its relative path."""
        roots = [self.folder / module / "src" / "main" for module in ("common", target)]
        paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that occurs exactly once."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Make or replace a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def ask(self, target: str = "user") -> dict[str, Any]:
        """Send the worker the changes since its last answer "done", as hashlab does."""
        [answer] = self.ask_at_once([target])
        return answer

    def ask_at_once(self, targets: list[str]) -> list[dict[str, Any]]:
        """Request several targets before the first is answered."""
        now = {target: self.inputs(target) for target in targets}
        for target in targets:
            before = self.built[target]
            changed = sorted(n for n in now[target] if now[target][n] != before.get(n))
            self.send(target, changed, sorted(before.keys() - now[target].keys()))
        answers = self.answers(len(targets))
        for target, answer in zip(targets, answers, strict=True):
            if answer["result"] == "done":
                self.built[target] = now[target]
        return answers

    def request(self, target: str, changed: list[str], removed: list[str]) -> dict[str, Any]:
        """Send one request unchanged, and wait for its answer."""
        self.send(target, changed, removed)
        [answer] = self.answers(1)
        return answer

    def send(self, target: str, changed: list[str], removed: list[str]) -> None:
        """Send one request unchanged."""
        assert self.worker.stdin is not None
        self.asked += 1
        output = f"{target}/target/app"
        fields = {"id": self.asked, "target": target, "output": output}
        line = json.dumps({**fields, "changed": changed, "removed": removed})
        self.worker.stdin.write(f"{line}\n")
        self.worker.stdin.flush()

    def answers(self, count: int) -> list[dict[str, Any]]:
        """Return the answers to the last requests, in the order of the requests."""
        assert self.worker.stdout is not None
        answers = [json.loads(self.worker.stdout.readline()) for _ in range(count)]
        answers.sort(key=lambda answer: int(answer["id"]))
        numbers = list(range(self.asked - count + 1, self.asked + 1))
        assert [answer["id"] for answer in answers] == numbers
        return answers

    def classes(self, target: str = "user") -> dict[str, bytes]:
        """Return the content of the worker's output folder."""
        return contents(self.folder / target / "target" / "app" / "classes")

    def mavens(self, target: str = "user") -> dict[str, bytes]:
        """Return the result of Maven's clean build of the same sources."""
        for module in MODULES:
            shutil.rmtree(self.truth / module / "src")
            shutil.copytree(self.folder / module / "src", self.truth / module / "src")
        maven(self.truth, "compile", target)
        return contents(self.truth / target / "target" / "app" / "classes")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder, by its relative path."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def maven(folder: Path, phase: str, targets: str) -> None:
    """Run Maven up to a phase."""
    done = subprocess.run(
        [*MAVEN, phase, "--projects", targets],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    top = tmp_path_factory.mktemp("java")
    ignored = shutil.ignore_patterns(".hashlab", "target", "__pycache__", "data", "ui")
    shutil.copytree(EXAMPLE, top / "lab", ignore=ignored)
    maven(top / "lab", "package", ",".join(TARGETS))
    shutil.copytree(top / "lab", top / "truth")
    made = Example(top / "lab", top / "truth")
    yield made
    assert made.worker.stdin is not None
    made.worker.stdin.close()
    assert made.worker.wait(SECONDS) == 0


@pytest.fixture
def example(_built: Example) -> Iterator[Example]:
    """The example as it is in the repository, with its output built from it."""
    yield _built
    for module in MODULES:
        shutil.rmtree(_built.folder / module / "src")
        shutil.copytree(EXAMPLE / module / "src", _built.folder / module / "src")
    for target in TARGETS:
        assert _built.ask(target)["result"] == "done"


@pytest.mark.parametrize("target", TARGETS)
def test_each_source_alone_and_all_together_make_mavens_bytes(
    example: Example, target: str
) -> None:
    before = example.classes(target)
    sources = [name for name in example.inputs(target) if name.endswith(".java")]
    assert len(sources) > 20
    for changed in [*([name] for name in sources), sources]:
        answer = example.request(target, changed, [])
        assert (answer["result"], answer["detail"]) == ("done", "0 classes"), changed
    gone = example.request(target, [], [f"{target}/src/main/java/Gone.java"])  # compiles all
    assert (gone["result"], gone["detail"]) == ("done", "0 classes")
    assert example.classes(target) == before


def test_an_edited_body_changes_one_class(example: Example) -> None:
    before = example.classes()
    example.edit(f"{USER}/Reputation.java", 'case "question" -> 5;', 'case "question" -> 6;')
    assert example.ask() == {
        "id": example.asked,
        "result": "done",
        "detail": "1 class",
        "output": "",
    }
    after = example.classes()
    assert {name for name in after if after[name] != before[name]} == {
        "hashcollision/user/Reputation.class"
    }
    assert after == example.mavens()


def test_services_built_in_one_call_equal_mavens(example: Example) -> None:
    health = "common/src/main/java/hashcollision/common/Health.java"
    example.edit(
        health,
        "public Status status() {",
        "static int seven() { return 7; }\n\n    public Status status() {",
    )
    answers = example.ask_at_once(list(TARGETS))
    assert [(a["result"], a["detail"]) for a in answers] == [("done", "1 class")] * len(TARGETS)
    for target in TARGETS:
        assert example.classes(target) == example.mavens(target)


def test_a_constant_and_a_type_of_common_reach_the_classes_that_use_them(example: Example) -> None:
    before = example.classes()
    example.edit(f"{COMMON}/messaging/EventTypes.java", '"vote.cast"', '"vote.was.cast"')
    example.edit(
        f"{COMMON}/messaging/EventTypes.java", "int previous, int value", "int previous, long value"
    )
    example.edit(f"{USER}/Reputation.java", "vote.value())", "(int) vote.value())")
    assert example.ask()["result"] == "done"
    after = example.classes()
    assert b"vote.was.cast" in after["hashcollision/user/UserEvents.class"]
    assert (
        after["hashcollision/user/UserEvents.class"]
        != before["hashcollision/user/UserEvents.class"]
    )
    assert after == example.mavens()


def test_an_api_that_others_use_in_the_old_way_is_an_error_and_nothing_is_written(
    example: Example,
) -> None:
    before = example.classes()
    example.edit(
        f"{USER}/Reputation.java", "changes(List<VoteCast> votes)", "shifts(List<VoteCast> votes)"
    )
    answer = example.ask()
    assert answer["result"] == "failed"
    assert f"{USER}/UserEvents.java:26: error:" in answer["output"]
    assert example.classes() == before


def test_a_syntax_error_is_shown_with_file_and_line(example: Example) -> None:
    before = example.classes()
    example.edit(f"{USER}/Users.java", "return new User(", "return neww User(")
    answer = example.ask()
    assert answer["result"] == "failed"
    assert answer["output"].startswith(f"{USER}/Users.java:51: error: ';' expected\n")
    assert "1 error" in answer["output"]
    assert example.classes() == before


def test_a_class_is_added_renamed_and_removed_with_its_nested_classes(example: Example) -> None:
    before = example.classes()
    body = """
        enum Kind { ONE, TWO }
        interface Shape { int size(); }
        Shape shape(Kind kind) {
            return new Shape() {
                public int size() { return switch (kind) { case ONE -> 1; case TWO -> 2; }; }
            };
        }
    """
    example.write(f"{USER}/Fresh.java", f"package hashcollision.user;\nclass Fresh {{{body}}}\n")
    assert example.ask()["detail"] == "5 classes"

    (example.folder / USER / "Fresh.java").unlink()
    example.write(f"{USER}/Newer.java", f"package hashcollision.user;\nclass Newer {{{body}}}\n")
    assert example.ask()["detail"] == "10 classes"
    after = example.classes()
    assert "hashcollision/user/Newer$Kind.class" in after
    assert not [name for name in after if "Fresh" in name]
    assert after == example.mavens()

    (example.folder / USER / "Newer.java").unlink()
    assert example.ask()["detail"] == "5 classes"
    assert example.classes() == before


def test_nested_and_anonymous_classes_follow_their_source(example: Example) -> None:
    example.edit(
        f"{USER}/Reputation.java",
        "    private Reputation() {}\n",
        """    private Reputation() {}

    private static class Inner {
        Runnable twice() { return new Runnable() { public void run() {} }; }
    }
    static class Second { Inner inner() { return new Inner(); } }
""",
    )
    assert example.ask()["detail"] == "4 classes"
    assert "hashcollision/user/Reputation$Inner$1.class" in example.classes()
    example.edit(f"{USER}/Reputation.java", "new Runnable() { public void run() {} }", "() -> {}")
    assert example.ask()["result"] == "done"
    assert "hashcollision/user/Reputation$Inner$1.class" not in example.classes()
    assert example.classes() == example.mavens()


def test_a_module_does_not_see_those_that_are_built_on_it(example: Example) -> None:
    example.edit(
        f"{COMMON}/Backoff.java",
        "    public void reset() {",
        "    Class<?> wrong = hashcollision.user.UserService.class;\n    public void reset() {",
    )
    answer = example.ask()
    assert answer["result"] == "failed"
    assert f"{COMMON}/Backoff.java:" in answer["output"]


def test_resources_are_added_changed_and_removed(example: Example) -> None:
    migration = "user/src/main/resources/db/service/V1__users.sql"
    example.write(migration, "SELECT 1;\n")
    example.write("common/src/main/resources/texts/de/hello.txt", "Hallo\n")
    example.edit(f"{USER}/Reputation.java", 'case "answer" -> 10;', 'case "answer" -> 11;')
    assert example.ask()["detail"] == "1 class, 2 resources"
    after = example.classes()
    assert after["db/service/V1__users.sql"] == b"SELECT 1;\n"
    assert after == example.mavens()
    shutil.rmtree(example.folder / "common/src/main/resources/texts")
    assert example.ask()["detail"] == "0 classes, 1 resource"
    assert not (example.folder / "user/target/app/classes/texts").exists()


def test_targets_are_built_in_turn_from_shared_modules(example: Example) -> None:
    example.edit(f"{COMMON}/Build.java", '"unknown"', '"not known"')
    for target in TARGETS:
        assert example.ask(target)["detail"] == "1 class"
        assert b"not known" in example.classes(target)["hashcollision/common/Build.class"]
    assert example.classes("auth") == example.mavens("auth")


def test_an_edit_that_is_taken_back_and_made_again_is_not_mixed_up(example: Example) -> None:
    first = {target: example.classes(target) for target in TARGETS}
    made: list[dict[str, dict[str, bytes]]] = []
    for old, new in 2 * [('"unknown"', '"not known"'), ('"not known"', '"unknown"')]:
        example.edit(f"{COMMON}/Build.java", old, new)
        assert [a["detail"] for a in example.ask_at_once(list(TARGETS))] == ["1 class"] * 2
        made.append({target: example.classes(target) for target in TARGETS})
    assert made[1] == made[3] == first
    assert made[0] == made[2]
    assert all(b"not known" in one["hashcollision/common/Build.class"] for one in made[0].values())


def test_without_libraries_or_output_a_clean_build_is_requested(example: Example) -> None:
    app = example.folder / "user" / "target" / "app"
    for folder in (app / "lib", app / "classes"):
        away = folder.rename(folder.with_name("away"))
        answer = example.request("user", [f"{USER}/Users.java"], [])
        assert answer["result"] == "rebuild"
        assert folder.name in answer["detail"]
        away.rename(folder)


@pytest.mark.parametrize("name", ["user/src/main/resources/.hidden", "user/src/main/other/x.txt"])
def test_changes_that_only_maven_understands_are_left_to_maven(example: Example, name: str) -> None:
    assert example.request("user", [name], [])["result"] == "rebuild"


def test_libraries_that_were_built_again_are_opened_again(example: Example) -> None:
    assert example.request("user", [f"{USER}/UserRoutes.java"], [])["detail"] == "0 classes"
    jar = example.folder / "user/target/app/lib/user-libraries.jar"
    kept = jar.rename(jar.with_name("kept"))
    with zipfile.ZipFile(jar, "w") as other:
        other.writestr("x", "")
    os.utime(jar, ns=(kept.stat().st_atime_ns, kept.stat().st_mtime_ns))
    without = example.request("user", [f"{USER}/UserRoutes.java"], [])
    kept.replace(jar)
    assert without["result"] == "failed"
    assert "package io.javalin.http does not exist" in without["output"]
    assert example.request("user", [f"{USER}/UserRoutes.java"], [])["detail"] == "0 classes"
