"""The script of snapshots, on real folders that look like an engine's."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.providers.docker.snapshotparts import SCRIPT

pytestmark = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs GNU's tools")
LAYERS = ("aaa", "bbb")


def write(path: Path, text: str = "x\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def engine_folder(folder: Path) -> Path:
    """An engine with two image layers, a container, a volume and a Swarm."""
    for number, layer in enumerate(LAYERS):
        # As Docker writes it, without a newline at the end.
        write(folder / f"image/overlay2/layerdb/sha256/{number}/cache-id", layer)
        write(folder / f"overlay2/{layer}/diff/file", layer)
    write(folder / "overlay2/l/SHORT")
    write(folder / "overlay2/ccc/diff/written", "by a container\n")
    write(folder / "overlay2/ccc-init/diff/etc/hosts")
    (folder / "overlay2/ccc/work").mkdir()
    write(folder / "volumes/v/_data/rows", "then\n")
    write(folder / "swarm/state.json")
    write(folder / "engine-id")
    return folder


def run(what: str, *pairs: tuple[Path | str, Path]) -> str:
    words = [f"{source}:{target}" for source, target in pairs]
    done = subprocess.run(
        ["sh", "-c", SCRIPT, "sh", what, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def take(engine: Path, snapshot: Path) -> None:
    snapshot.mkdir()
    run("link", (engine, snapshot))
    run("copy", (engine, snapshot))


def restore(snapshot: Path, engine: Path) -> None:
    run("stage", (snapshot, engine))
    run("swap", (snapshot, engine))
    # The machine does this when it starts.
    shutil.rmtree(engine / ".hashlab-old")


def tree(folder: Path) -> dict[str, str]:
    """Return the content of everything but the Swarm, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
        if path.relative_to(folder).parts[0] != "swarm"
    }


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return engine_folder(tmp_path / "engine")


@pytest.fixture
def snapshot(tmp_path: Path, engine: Path) -> Path:
    take(engine, tmp_path / "snapshot")
    return tmp_path / "snapshot"


def test_layers_of_images_are_shared_and_all_else_is_copied(engine: Path, snapshot: Path) -> None:
    assert (snapshot / "layers").read_text().split() == list(LAYERS)
    data = snapshot / "data"
    shared = {p for p in tree(data) if (data / p).is_file() and (data / p).samefile(engine / p)}
    assert shared == {f"overlay2/{layer}/diff/file" for layer in LAYERS}
    assert tree(data) == tree(engine)
    assert not (data / "swarm").exists()


def test_a_layer_that_appears_before_the_pause_is_copied(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    run("link", (engine, tmp_path / "snapshot"))
    write(engine / "image/overlay2/layerdb/sha256/9/cache-id", "zzz")
    write(engine / "overlay2/zzz/diff/file", "late\n")
    run("copy", (engine, tmp_path / "snapshot"))
    kept = tmp_path / "snapshot/data/overlay2/zzz/diff/file"
    assert kept.read_text() == "late\n"
    assert not kept.samefile(engine / "overlay2/zzz/diff/file")


def database(engine: Path, *networks: tuple[str, str]) -> Path:
    """The text of the engine's database of networks."""
    kinds = (
        f'{{"name":"{name}","networkType":"{kind}","persist":true}}' for name, kind in networks
    )
    path = engine / "network/files/local-kv.db"
    write(path, "\0\1docker/network/v1.0/network/ab/".join(["", *kinds]))
    return path


OWN = (
    *(("bridge", "bridge"), ("docker_gwbridge", "bridge"), ("host", "host"), ("none", "null")),
    *(("ingress", "overlay"), ("hash-collision", "overlay")),
)


def test_networks_are_left_out_unless_a_user_created_one(engine: Path, tmp_path: Path) -> None:
    database(engine, *OWN)
    take(engine, tmp_path / "without")
    assert not (tmp_path / "without/data/network").exists()
    database(engine, *OWN, ("mine", "bridge"))
    take(engine, tmp_path / "with")
    assert (tmp_path / "with/data/network/files/local-kv.db").exists()


def test_an_engine_without_images_is_saved_too(tmp_path: Path) -> None:
    write(tmp_path / "engine/overlay2/l/SHORT")
    take(tmp_path / "engine", tmp_path / "snapshot")
    assert (tmp_path / "snapshot/layers").read_text() == ""
    assert (tmp_path / "snapshot/data/overlay2/l/SHORT").exists()


def later(engine: Path) -> None:
    """Change an engine after a snapshot."""
    write(engine / "volumes/v/_data/rows", "now\n")
    write(engine / "volumes/w/_data/rows")
    write(engine / "overlay2/ccc/diff/written", "again\n")
    write(engine / "overlay2/ddd/diff/file", "a new layer\n")
    write(engine / "image/overlay2/layerdb/sha256/7/cache-id", "ddd")
    shutil.rmtree(engine / "overlay2/bbb")
    (engine / "engine-id").unlink()
    write(engine / ".hidden")


def gone(engine: Path) -> None:
    """Remove an engine, as for a machine that is recreated."""
    shutil.rmtree(engine)
    engine.mkdir()


@pytest.mark.parametrize("happened", [later, gone, lambda _: None], ids=["later", "gone", "none"])
def test_a_restored_engine_equals_the_snapshot_after_any_number_of_restores(
    engine: Path, snapshot: Path, happened: Callable[[Path], None]
) -> None:
    before = tree(engine)
    kept = tree(snapshot)
    for _ in range(2):
        happened(engine)
        restore(snapshot, engine)
        assert tree(engine) == before
        assert not (engine / "swarm").exists()
    assert tree(snapshot) == kept


def test_writes_of_a_restored_engine_do_not_change_the_snapshot(
    engine: Path, snapshot: Path
) -> None:
    restore(snapshot, engine)
    kept = tree(snapshot)
    for path in ("overlay2/ccc/diff/written", "volumes/v/_data/rows", "engine-id"):
        with (engine / path).open("a") as stream:
            stream.write("more\n")
    assert tree(snapshot) == kept


def test_existing_layers_are_not_linked_again(engine: Path, snapshot: Path) -> None:
    run("stage", (snapshot, engine))
    staged = {path.name for path in (engine / ".hashlab-new/overlay2").iterdir()}
    assert staged == {"ccc", "ccc-init", "l"}


def test_staging_changes_nothing_that_a_running_engine_uses(engine: Path, snapshot: Path) -> None:
    later(engine)
    before = tree(engine)
    run("stage", (snapshot, engine))
    now = {path: text for path, text in tree(engine).items() if ".hashlab-" not in path}
    assert now == before


def test_an_unwanted_copy_is_removed_completely(engine: Path, snapshot: Path) -> None:
    before = tree(engine)
    run("stage", (snapshot, engine))
    run("unstage", (snapshot, engine))
    assert tree(engine) == before


def test_a_restore_that_was_cut_off_can_be_repeated(engine: Path, snapshot: Path) -> None:
    before = tree(engine)
    later(engine)
    run("stage", (snapshot, engine))
    (engine / ".hashlab-new/overlay2/half").mkdir()
    run("stage", (snapshot, engine))
    run("swap", (snapshot, engine))
    restore(snapshot, engine)
    assert tree(engine) == before


def test_staging_waits_for_a_killed_run_that_still_restores_data(
    engine: Path, snapshot: Path
) -> None:
    held = os.open(engine, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    words = ["sh", "-c", SCRIPT, "sh", "stage", f"{snapshot}:{engine}"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as staging:
        with pytest.raises(subprocess.TimeoutExpired):
            staging.wait(0.5)
        assert not (engine / ".hashlab-new").exists()
        os.close(held)
        assert staging.wait(60) == 0
    assert (engine / ".hashlab-new/engine-id").exists()


def description(snapshot: Path) -> list[str]:
    [line] = run("describe", ("", snapshot)).splitlines()
    where, *rest = line.split(" ")
    assert where == str(snapshot)
    return rest


def test_a_container_that_an_engine_makes_later_breaks_no_snapshot(engine: Path) -> None:
    marker = engine / "overlay2/bbb/committed"
    write(marker, "")
    os.utime(marker, (1, 1))
    snapshot = engine.parent / "later"
    take(engine, snapshot)
    before = description(snapshot)
    assert marker.samefile(snapshot / "data/overlay2/bbb/committed")
    marker.write_text("")
    assert description(snapshot) == before
    marker.write_text("something")
    assert description(snapshot) != before


def test_a_snapshot_is_described_by_entries_bytes_hash_and_own_disk(
    engine: Path, snapshot: Path
) -> None:
    entries, size, digest, own = description(snapshot)
    data = snapshot / "data"
    assert int(entries) == len(tree(data)) + 1
    assert int(size) == sum(len(text) for text in tree(data).values())
    assert len(digest) == 64
    copied = [p for p in data.rglob("*") if p.is_file() and p.stat().st_nlink == 1]
    assert int(own) == sum(p.stat().st_blocks * 512 for p in copied)


def test_sharing_a_layer_again_does_not_change_the_description(
    engine: Path, snapshot: Path
) -> None:
    before = description(snapshot)
    gone(engine)
    restore(snapshot, engine)
    assert description(snapshot)[:3] == before[:3]


def remove(data: Path) -> None:
    (data / "volumes/v/_data/rows").unlink()


def rename(data: Path) -> None:
    (data / "engine-id").rename(data / "engine-no")


def rewrite(data: Path) -> None:
    path = data / "volumes/v/_data/rows"
    path.write_text("thou\n"[: path.stat().st_size])
    os.utime(path, ns=(1, 1))


def add(data: Path) -> None:
    write(data / "overlay2/ccc/diff/more")


def link(data: Path) -> None:
    (data / "overlay2/l/OTHER").symlink_to("../aaa/diff")


@pytest.mark.parametrize("change", [remove, rename, rewrite, add, link])
def test_every_change_to_a_snapshot_changes_its_description(
    snapshot: Path, change: Callable[[Path], None]
) -> None:
    before = description(snapshot)
    change(snapshot / "data")
    assert description(snapshot)[:3] != before[:3]


def test_a_changed_list_of_layers_changes_the_description(snapshot: Path) -> None:
    before = description(snapshot)
    (snapshot / "layers").write_text("aaa\n")
    assert description(snapshot) != before


@pytest.mark.parametrize("what", ["link", "copy", "describe", "stage", "swap"])
def test_one_missing_folder_fails_the_whole(
    engine: Path, snapshot: Path, tmp_path: Path, what: str
) -> None:
    pairs = [f"{engine}:{tmp_path / 'other'}", f"{tmp_path}/no:{tmp_path}/never"]
    done = subprocess.run(
        ["sh", "-c", SCRIPT, "sh", what, *pairs],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0


def test_the_script_leaves_no_process_behind_that_holds_its_output(snapshot: Path) -> None:
    # communicate() returns only when no process holds the pipe any more.
    subprocess.run(
        ["sh", "-c", SCRIPT, "sh", "describe", f":{snapshot}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=10,
        check=True,
    )


# Entries that a machine's root may plant in its own folder to reach other files.


def fails(what: str, *pairs: tuple[Path | str, Path]) -> str:
    words = [f"{source}:{target}" for source, target in pairs]
    command = ["sh", "-c", SCRIPT, "sh", what, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of another machine. Nothing of it may get into a snapshot or be changed."""
    write(tmp_path / "elsewhere/secret", "secret\n")
    write(tmp_path / "elsewhere/overlay2/aaa/diff/secret", "secret\n")
    return tmp_path / "elsewhere"


def untouched(elsewhere: Path) -> bool:
    return set(tree(elsewhere)) == {
        "secret",
        *("overlay2", "overlay2/aaa", "overlay2/aaa/diff", "overlay2/aaa/diff/secret"),
    }


@pytest.mark.parametrize(
    "name", ["../../elsewhere", "/etc", "-v", "--target-directory=..", "a b", "'", "*", "..", "."]
)
def test_a_layers_name_is_no_path_and_no_option(
    engine: Path, tmp_path: Path, elsewhere: Path, name: str
) -> None:
    write(engine / "image/overlay2/layerdb/sha256/7/cache-id", name)
    take(engine, tmp_path / "snapshot")
    assert (tmp_path / "snapshot/layers").read_text().split() == list(LAYERS)
    assert "secret" not in "".join(tree(tmp_path / "snapshot").values())
    # a snapshot of an older hashlab
    (tmp_path / "snapshot/layers").write_text(f"{name}\naaa\nbbb\n")
    restore(tmp_path / "snapshot", engine)
    assert untouched(elsewhere)


@pytest.mark.parametrize("name", ["-v", "--target-directory=x", "a b", "new\nline", "'", "ü*"])
@pytest.mark.parametrize("where", [".", "overlay2"])
def test_names_that_look_like_options_or_paths_stay_names(
    engine: Path, tmp_path: Path, name: str, where: str
) -> None:
    write(engine / where / name / "file", "kept\n")
    take(engine, tmp_path / "snapshot")
    before = tree(engine)
    write(engine / where / name / "file", "changed\n")
    restore(tmp_path / "snapshot", engine)
    assert tree(engine) == before


@pytest.mark.parametrize(
    "name",
    [
        "volumes/v/_data/pipe",
        "image/overlay2/layerdb/sha256/9/cache-id",
        "network/files/local-kv.db",
        "containers/aaa/config.v2.json",
        "overlay2/ccc/diff/pipe",
        "engine-id",
    ],
)
def test_a_pipe_is_saved_and_restored_without_being_read(
    engine: Path, tmp_path: Path, name: str
) -> None:
    (engine / name).parent.mkdir(parents=True, exist_ok=True)
    (engine / name).unlink(missing_ok=True)
    os.mkfifo(engine / name)
    take(engine, tmp_path / "snapshot")
    run("describe", ("", tmp_path / "snapshot"))
    (engine / name).unlink()
    restore(tmp_path / "snapshot", engine)
    # Networks are left out unless a user created one.
    assert (engine / name).is_fifo() is not name.startswith("network")


@pytest.mark.parametrize("place", ["overlay2", "image/overlay2/layerdb/sha256"])
def test_a_link_in_place_of_a_folder_is_not_followed_when_a_snapshot_is_taken(
    engine: Path, tmp_path: Path, elsewhere: Path, place: str
) -> None:
    shutil.rmtree(engine / place)
    (engine / place).symlink_to(elsewhere / "overlay2")
    (tmp_path / "snapshot").mkdir()
    assert "is not a folder of its own" in fails("link", (engine, tmp_path / "snapshot"))
    assert "secret" not in "".join(tree(tmp_path / "snapshot").values())


@pytest.mark.parametrize("place", ["overlay2", ".hashlab-new", ".hashlab-old"])
def test_a_link_in_place_of_a_folder_is_not_followed_when_a_snapshot_is_staged(
    engine: Path, snapshot: Path, elsewhere: Path, place: str
) -> None:
    shutil.rmtree(engine / place, ignore_errors=True)
    (engine / place).symlink_to(elsewhere)
    if place == "overlay2":
        assert "is not a folder of its own" in fails("stage", (snapshot, engine))
    else:
        restore(snapshot, engine)
    assert untouched(elsewhere)


@pytest.mark.parametrize(
    "place", ["overlay2", ".hashlab-new", ".hashlab-old", ".hashlab-new/overlay2"]
)
def test_a_link_planted_before_the_exchange_is_not_followed(
    engine: Path, snapshot: Path, elsewhere: Path, place: str
) -> None:
    run("stage", (snapshot, engine))
    shutil.rmtree(engine / place, ignore_errors=True)
    (engine / place).symlink_to(elsewhere)
    if place == ".hashlab-old":
        run("swap", (snapshot, engine))
    else:
        assert "is not a folder of its own" in fails("swap", (snapshot, engine))
    assert untouched(elsewhere)
