"""Names of secrets and configs, which a Swarm never changes: each version has its own. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hashlab.protocols import FileKind

# Bytes of the hash in a name, and the longest name that a Swarm takes.
HASH_BYTES, LONGEST = 6, 64
# A secret's name must not help to guess a short one: scrypt with these takes some 50 ms a guess.
COST, BLOCK = 1 << 14, 8


@dataclass(frozen=True)
class Version:
    """One content of a secret or config: its ``name`` in the Compose file, and ``full``, its name
    in the Swarm.
    """

    name: str
    kind: FileKind
    full: str
    data: bytes = field(repr=False)


def version(stack: str, name: str, kind: FileKind, data: bytes) -> Version:
    """Return this content under its name in the Swarm. The same content has the same name on every
    laptop.
    """
    salt = f"{kind}/{name}".encode()
    if kind == "secret":
        found = hashlib.scrypt(data, salt=salt, n=COST, r=BLOCK, p=1, dklen=HASH_BYTES).hex()
    else:
        found = hashlib.sha256(salt + b"\0" + data).hexdigest()[: 2 * HASH_BYTES]
    head = f"{stack}_{name}"[: LONGEST - 1 - len(found)]
    return Version(name, kind, f"{head}_{found}", data)
