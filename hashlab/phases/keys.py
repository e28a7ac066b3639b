"""The lab's own SSH key pair, and the OpenSSH files that let people and rsync use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hashlab.errors import LabError
from hashlab.phases.facts import MachineEndpoint
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.state.files import make_lasting, make_tool_folder, read_text, remove, write_text

KEYGEN_SECONDS = 30.0


def ensure_key(world: World) -> str:
    """Return the lab's public key; make the pair if it is missing or incomplete. Machines that are
    reached at the same time get one pair.
    """
    with world.lock:
        return _ensured(world)


def _ensured(world: World) -> str:
    key = world.state.key
    public = key.with_suffix(".pub")
    existing = _text(key) and _text(public)
    if existing:
        return existing
    make_tool_folder(key.parent)
    remove(key)
    remove(public)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"hashlab {world.lab.id}"]
    done = world.runner.run(
        [*command, "-f", str(key)], timeout=KEYGEN_SECONDS, cancel=CancelToken()
    )
    if done.code != 0:
        raise LabError("cannot make an SSH key", where=str(key), output=done.stderr)
    make_lasting(key)
    make_lasting(public)
    return _text(public)


def _text(path: Path) -> str:
    return (read_text(path) or "").strip()


def write_ssh_files(world: World, machines: Mapping[str, MachineEndpoint]) -> None:
    """Write known_hosts and config for every machine that can be reached."""
    known, hosts = [], []
    known_hosts = world.state.ssh / "known_hosts"
    # OpenSSH reads "%" as the start of a token.
    known_name = str(known_hosts).replace("%", "%%")
    for name, endpoint in machines.items():
        alias = f"{world.lab.id}-{name}"
        known.append(f"{alias} {endpoint.host_key}\n")
        login = "".join(f"  {key} {value}\n" for key, value in world.connector.login(name))
        hosts.append(
            f"Host {name}\n"
            f"  HostName {endpoint.ssh.host}\n"
            f"  Port {endpoint.ssh.port}\n"
            f"  User {endpoint.ssh.user}\n"
            f"  HostKeyAlias {alias}\n"
            f"{login}"
            f'  UserKnownHostsFile "{known_name}"\n'
            "  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n"
            "  LogLevel ERROR\n"
        )
    for path, text in ((known_hosts, "".join(known)), (world.state.ssh_config, "".join(hosts))):
        if read_text(path) != text:
            write_text(path, text)
