"""Signs and checks what says which box it is: metadata.json, which holds the box's checksum.

By ssh-keygen's signatures, so that people use the keys they have.
"""

from __future__ import annotations

from pathlib import Path

from hashlab.errors import LabError, LaptopError, UsageError
from hashlab.phases.world import World
from hashlab.pipeline import Track

SUFFIX = ".sig"
# What the signature is for: one that was made for mail or git does not count.
NAMESPACE = "hashlab-box"
SECONDS = 60.0


def signature_of(world: World, text: str, key: Path, track: Track) -> str:
    """Return the signature of ``text`` by an SSH key (a private one, or a public one of which the
    agent has the other half). Raises LaptopError.
    """
    if not key.is_file():
        raise UsageError(f"there is no key {key}", next_step="--sign ~/.ssh/id_ed25519")
    done = world.runner.run(
        ["ssh-keygen", "-Y", "sign", "-f", str(key.absolute()), "-n", NAMESPACE],
        stdin=text,
        timeout=SECONDS,
        cancel=track.cancel,
    )
    if done.code != 0:
        raise LaptopError(
            f"cannot sign with {key}",
            output=done.stderr,
            next_step="for a key with a passphrase: ssh-add it, then --sign KEY.pub",
        )
    return done.stdout


def check_signature(
    world: World, text: str, signature: Path, signers: Path, *, where: str, track: Track
) -> str:
    """Return who signed ``text``, one of those in the file ``signers`` (see ALLOWED SIGNERS in
    ssh-keygen(1)). Raises LabError when it was nobody of them.
    """
    if not signers.is_file():
        raise UsageError(f"there is no file {signers}", next_step="see: man ssh-keygen")
    names = ["-s", str(signature), "-f", str(signers.absolute())]

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        command = ["ssh-keygen", "-Y", *words]
        done = world.runner.run(command, stdin=stdin, timeout=SECONDS, cancel=track.cancel)
        return done.code, done.stdout, done.stderr

    code, found, why = run("find-principals", *names)
    for principal in found.split("\n") if code == 0 else ():
        identity = principal.strip()
        if not identity or identity.startswith("-"):
            continue
        code, _, why = run("verify", *names, "-I", identity, "-n", NAMESPACE, stdin=text)
        if code == 0:
            return identity
    raise LabError(
        f"it is not signed by anybody in {signers}",
        where=where,
        output=why,
        next_step="do not use it; ask the person from whom you have it",
    )
