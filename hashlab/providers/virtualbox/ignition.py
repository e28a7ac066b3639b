"""The Ignition file that turns a fresh Flatcar into a machine of the lab."""

from __future__ import annotations

import json
from urllib.parse import quote

from hashlab.errors import LabError
from hashlab.protocols import PlannedMachine

# VirtualBox stores it as a guest property of at most 1,024 bytes, including the terminating zero.
LIMIT = 1023
PROPERTY = "/Ignition/Config"
FILES = "/var/lib/hashlab"
PREFIX_LENGTH = 24
# An update would restart a machine in use.
MASKED = ("update-engine.service", "locksmithd.service")


def ignition(planned: PlannedMachine, *, mac: str, user: str, public_key: str) -> str:
    """Return the file's text, as short as possible.

    ``mac``: the address of the machine's card in the lab's network. Raises LabError if the text is
    longer than ``LIMIT`` bytes.
    """
    # If several files match a card, the first by name applies; Flatcar's own is "zz-default".
    network = f"[Match]\nMACAddress={mac}\n[Network]\nAddress={planned.address}/{PREFIX_LENGTH}\n"
    value = {
        "ignition": {"version": "3.3.0"},
        "passwd": {"users": [{"name": user, "sshAuthorizedKeys": [_without_comment(public_key)]}]},
        "storage": {
            "directories": [{"path": FILES, "user": {"name": user}, "mode": 0o755}],
            "files": [
                _file("/etc/hostname", planned.name),
                _file("/etc/systemd/network/00-lab.network", network),
            ],
        },
        "systemd": {"units": [{"name": name, "mask": True} for name in MASKED]},
    }
    text = json.dumps(value, separators=(",", ":"))
    size = len(text.encode())
    if size > LIMIT:
        raise LabError(
            f"its Ignition file has {size} bytes, but VirtualBox accepts at most {LIMIT}",
            where=planned.name,
            next_step="give the machine and box.virtualbox.user shorter names, or delete "
            ".hashlab/virtualbox/ssh if its key is not one that hashlab made (ed25519)",
        )
    return text


def _without_comment(public_key: str) -> str:
    return " ".join(public_key.split()[:2])


def _file(path: str, content: str) -> dict[str, object]:
    # Ruby, VBoxManage and JSON read it in turn, so it must not need quoting in any of them.
    source = f"data:,{quote(content, safe='/=:')}"
    return {"path": path, "overwrite": True, "mode": 0o644, "contents": {"source": source}}
