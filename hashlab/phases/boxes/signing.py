"""Signs metadata.json, which holds a box's checksum, and checks its signature.

Uses ssh-keygen, so that people can sign with the keys they have.
"""

from __future__ import annotations

from pathlib import Path

from hashlab.errors import LabError, LaptopError, UsageError
from hashlab.phases.world import World
from hashlab.pipeline import Track

SUFFIX = ".sig"
# The purpose in the signature: signatures for mail or git do not count.
NAMESPACE = "hashlab-box"
SECONDS = 60.0


def signature_of(world: World, text: str, key: Path, track: Track) -> str:
    """Return the signature of ``text`` by an SSH key (a private key, or a public key whose private
    key the agent has). Raises LaptopError.
    """
    if not key.is_file():
        raise UsageError(f"key {key} does not exist", next_step="--sign ~/.ssh/id_ed25519")
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
    """Return which of the file ``signers`` signed ``text`` (see ALLOWED SIGNERS in ssh-keygen(1)).
    Raises LabError if none of them did.
    """
    if not signers.is_file():
        raise UsageError(f"the file {signers} does not exist", next_step="see: man ssh-keygen")
    names = ["-s", str(signature), "-f", str(signers.absolute())]

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        command = ["ssh-keygen", "-Y", *arguments]
        done = world.runner.run(command, stdin=stdin, timeout=SECONDS, cancel=track.cancel)
        return done.code, done.stdout, done.stderr

    code, output, why = run("find-principals", *names)
    for principal in output.split("\n") if code == 0 else ():
        identity = principal.strip()
        if not identity or identity.startswith("-"):
            continue
        code, _, why = run("verify", *names, "-I", identity, "-n", NAMESPACE, stdin=text)
        if code == 0:
            return identity
    raise LabError(
        f"it is not signed by any key in {signers}",
        where=where,
        output=why,
        next_step="do not use it; ask the person who gave it to you",
    )
