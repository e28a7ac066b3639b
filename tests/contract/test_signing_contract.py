"""Signatures of boxes by the real ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, track_of

from hashlab.drivers.process import ProcessRunner
from hashlab.errors import HashlabError, LabError, LaptopError, UsageError
from hashlab.phases.boxes.signing import NAMESPACE, check_signature, signature_of
from hashlab.phases.world import World

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen signs")
TEXT = '{"name": "hashlab/small"}\n'


@pytest.fixture
def world(outside: Outside, tmp_path: Path) -> World:
    return replace(outside.world(), runner=ProcessRunner(children=tmp_path / "children"))


def keys(folder: Path, name: str, passphrase: str = "") -> Path:
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)],
        check=True,
    )
    return path


def allowed(folder: Path, key: Path, options: str = "") -> Path:
    path = folder / f"signers of {key.name}"
    path.write_text(f"ann@example.org {options} {key.with_suffix('.pub').read_text()}")
    return path


def checked(world: World, text: str, signature: str, signers: Path, folder: Path) -> str:
    path = folder / "metadata.json.sig"
    path.write_text(signature)
    with track_of() as track:
        return check_signature(world, text, path, signers, where="here", track=track)


def test_a_box_is_identified_by_its_signer(world: World, tmp_path: Path) -> None:
    key = keys(tmp_path, "ann key")
    with track_of() as track:
        signature = signature_of(world, TEXT, key, track)
    signers = allowed(tmp_path, key)
    assert checked(world, TEXT, signature, signers, tmp_path) == "ann@example.org"
    other = allowed(tmp_path, keys(tmp_path, "bob"))
    old = allowed(tmp_path, key, 'valid-before="20200101"')
    mail = allowed(tmp_path, key, 'namespaces="mail"')
    for text, file in ((TEXT + " ", signers), (TEXT, other)):
        with pytest.raises(LabError, match="not signed by any key"):
            checked(world, text, signature, file, tmp_path)
    for file in (old, mail):
        with pytest.raises(LabError, match="not signed by any key"):
            checked(world, TEXT, signature, file, tmp_path)
    with pytest.raises(LabError, match="not signed by any key"):
        checked(world, TEXT, "rubbish", signers, tmp_path)


def test_a_signature_of_another_file_does_not_count(world: World, tmp_path: Path) -> None:
    key = keys(tmp_path, "ann")
    words = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", "git"]
    done = subprocess.run(words, input=TEXT, capture_output=True, text=True, check=True)
    assert NAMESPACE != "git"
    with pytest.raises(LabError, match="not signed by any key"):
        checked(world, TEXT, done.stdout, allowed(tmp_path, key), tmp_path)


def test_a_key_that_cannot_sign_is_reported(world: World, tmp_path: Path) -> None:
    locked = keys(tmp_path, "locked", "secret passphrase")
    (tmp_path / "no key").write_text("no key")
    expected: list[tuple[Path, type[HashlabError]]] = [
        (tmp_path / "nowhere", UsageError),
        (tmp_path / "no key", LaptopError),
        (locked, LaptopError),
    ]
    for key, kind in expected:
        with track_of() as track, pytest.raises(kind):
            signature_of(world, TEXT, key, track)
    with pytest.raises(UsageError, match="does not exist"):
        checked(world, TEXT, "", tmp_path / "nowhere", tmp_path)
