"""Build contexts contain exactly the files that Docker would send, and all of them are in the
hash.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fakes import write_files

from hashlab.errors import ConfigError, FilesChanged, LabError
from hashlab.hashing import Digests, digest
from hashlab.inputs.artifacts import read_inputs
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import BuildContext, read_context

FILES = {
    "Dockerfile": "FROM scratch\n",
    "run.sh": "",
    "docs/one.md": "",
    "docs/keep.md": "",
    "target/app.jar": "",
    "a b/ü.txt": "",
    ".hidden": "",
}


def context(root: Path, *declared: Path, dockerfile: Path | None = None) -> BuildContext:
    boundary = Boundary(frozenset(declared))
    return read_context(
        root, dockerfile or root / "Dockerfile", boundary=boundary, digests=Digests()
    )


def names(root: Path, kind: str = "file", *declared: Path) -> set[str]:
    return {e.name for e in context(root, *declared).entries if e.kind == kind}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path / "app", FILES)
    return tmp_path / "app"


def test_without_dockerignore_everything_is_sent(root: Path) -> None:
    assert names(root) == set(FILES)
    assert names(root, "folder") == {"docs", "target", "a b"}


@pytest.mark.parametrize(
    ("rules", "left_out", "folders"),
    [
        ("target\n", {"target/app.jar"}, {"docs", "a b"}),
        ("target/**\n", {"target/app.jar"}, {"docs", "a b", "target"}),
        ("docs\n!docs/keep.md\n", {"docs/one.md"}, {"docs", "a b", "target"}),
        ("**\n!**/keep.md\n!Dockerfile", set(FILES) - {"docs/keep.md", "Dockerfile"}, {"docs"}),
        ("\ufeffdocs\r\n", {"docs/one.md", "docs/keep.md"}, {"a b", "target"}),
    ],
)
def test_dockerignore_excludes_files(
    root: Path, rules: str, left_out: set[str], folders: set[str]
) -> None:
    write_files(root, {".dockerignore": rules})
    assert names(root) - {".dockerignore"} == set(FILES) - left_out
    assert names(root, "folder") == folders


def test_a_dockerfile_may_have_an_ignore_file_of_its_own(root: Path) -> None:
    write_files(root, {".dockerignore": "docs\n", "Dockerfile.dockerignore": "target\n"})
    assert "docs/one.md" in names(root)
    assert "target/app.jar" not in names(root)


@pytest.mark.parametrize(
    ("rules", "line", "what"),
    [
        (b"docs\nt\xfcr\n", 2, "is not UTF-8"),
        ("docs\n".encode("utf-16"), 1, "is not UTF-8"),
        (b"# all\n\n[a\n", 3, "'[a' is not a valid pattern"),
    ],
)
def test_an_ignore_file_that_docker_refuses_is_named_with_its_line(
    root: Path, rules: bytes, line: int, what: str
) -> None:
    (root / ".dockerignore").write_bytes(rules)
    with pytest.raises(ConfigError) as caught:
        context(root)
    assert str(caught.value).startswith(f"{root}/.dockerignore:{line}: {what}")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "run.sh").write_text("edited"),
    "a new file": lambda root: (root / "new").write_text(""),
    "a file that went": lambda root: (root / "run.sh").unlink(),
    "a new name": lambda root: (root / "run.sh").rename(root / "go.sh"),
    "a mode": lambda root: (root / "run.sh").chmod(0o600),
    "an execute mark": lambda root: (root / "run.sh").chmod(0o755),
    "a folder's mode": lambda root: (root / "docs").chmod(0o700),
    "an empty folder": lambda root: (root / "empty").mkdir(),
    "a new link": lambda root: (root / "new").symlink_to("run.sh"),
    "a link's target": lambda root: _link(root / "link", "docs/keep.md"),
    "a link to a folder": lambda root: _link(root / "link", "docs"),
    "a dangling link": lambda root: _link(root / "link", "nowhere"),
    "a loop": lambda root: _link(root / "link", "link"),
    "a link instead of a file": lambda root: _link(root / "run.sh", "link"),
    "the Dockerfile": lambda root: (root / "Dockerfile").write_text("FROM a\n"),
    "a name that is not UTF-8": lambda root: (root / os.fsdecode(b"\xff")).write_text(""),
}


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_that_docker_would_send_changes_the_hash(root: Path, change: str) -> None:
    (root / "link").symlink_to("docs/one.md")
    before = digest(context(root).document())
    assert digest(context(root).document()) == before
    CHANGES[change](root)
    assert digest(context(root).document()) != before


def test_a_link_counts_by_its_target_path_and_not_by_its_content(
    root: Path, tmp_path: Path
) -> None:
    write_files(tmp_path, {"outside/file": "1"})
    (root / "link").symlink_to("../outside")
    before = context(root)
    write_files(tmp_path, {"outside/file": "2"})
    assert context(root) == before
    assert names(root, "link") == {"link"}


def test_only_files_folders_and_links_are_sent(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    assert names(root) == set(FILES)


def test_no_state_and_no_declared_file_is_ever_in_a_context(root: Path) -> None:
    state = {
        "hashlab.toml": "",
        ".hashlab/docker/ssh/key": "private",
        "sub/.hashlab/secrets/password": "",
        "db.txt": "secret",
    }
    write_files(root, state)
    found = context(root, root / "db.txt")
    assert not [e.name for e in found.entries if ".hashlab" in e.name or e.name == "db.txt"]
    assert found.kept == ("db.txt",)


def test_temporary_files_of_editors_are_not_sent(root: Path) -> None:
    before = context(root)
    write_files(root, {".run.sh.swp": "", "run.sh~": "", "docs/4913": "", "docs/.#one.md": ""})
    assert context(root) == before


def test_a_context_is_listed_again_if_a_file_vanishes_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = Digests()
    file = digests.file

    def vanish(path: Path) -> str:
        if path.name == "one.md":
            monkeypatch.setattr(digests, "file", file)
            path.unlink()
        return file(path)

    monkeypatch.setattr(digests, "file", vanish)
    found = read_context(root, root / "Dockerfile", boundary=Boundary(), digests=digests)
    assert "docs/one.md" not in [entry.name for entry in found.entries]


def test_endlessly_nested_folders_are_refused(root: Path) -> None:
    deep = root
    for _ in range(260):
        deep /= "d"
        deep.mkdir()
    with pytest.raises(LabError, match="nested more than 200 levels"):
        context(root)
    write_files(root, {".dockerignore": "d/d\n"})
    assert "d" in names(root, "folder")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Become another user for a while, because root may read everything."""
    if os.geteuid() != 0:
        pytest.skip("only root may be another user for a while")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("closed", ["app/run.sh", "app/docs", "app/.dockerignore"])
def test_a_file_that_may_not_be_read_is_named(closed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, {f"app/{name}": text for name, text in FILES.items()})
        write_files(root, {"app/.dockerignore": "target\n"})
        root.chmod(0o755)
        (root / closed).chmod(0)
        with as_nobody(), pytest.raises(LabError) as refused:
            context(root / "app")
        assert str(refused.value).startswith(f"cannot read {root / closed}: Permission denied")


def test_a_checkout_during_reading_is_not_a_failure(root: Path) -> None:
    """Git removes and rewrites files; folders vanish and reappear."""
    done = threading.Event()

    def check_out() -> None:
        for number in range(400):
            shutil.rmtree(root / "docs")
            write_files(root, {"docs/new/three.md": str(number), "run.sh": str(number)})
            (root / "run.sh").unlink()
            write_files(root, {name: str(number) for name in FILES})
        done.set()

    git = threading.Thread(target=check_out)
    git.start()
    count = 0
    while not done.is_set():
        with suppress(FilesChanged):  # the checkout took longer than hashlab waits
            context(root)
            read_inputs(root, ["docs", "**/*.md"], Digests())
        count += 1
    git.join()
    assert count
    assert "docs/new/three.md" in names(root)


def test_a_missing_dockerfile_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashlab.hashing.PAUSE_SECONDS", 0)
    (root / "Dockerfile").unlink()
    with pytest.raises(FilesChanged, match=r"cannot read .*/app/Dockerfile: No such file"):
        context(root)
