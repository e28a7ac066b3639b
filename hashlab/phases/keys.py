"""The lab's own SSH key pair, and the OpenSSH files that let people and rsync use it."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.errors import LabError
from hashlab.phases.world import Reach, World
from hashlab.pipeline import CancelToken
from hashlab.statefiles import write_text

KEYGEN_SECONDS = 30.0


def ensure_key(world: World) -> str:
    """Return the lab's public key, making the pair when there is none."""
    key = world.state.key
    public = key.with_suffix(".pub")
    if key.exists() and public.exists():
        return public.read_text(encoding="utf-8").strip()
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"hashlab {world.lab.id}"]
    done = world.runner.run(
        [*command, "-f", str(key)], timeout=KEYGEN_SECONDS, cancel=CancelToken()
    )
    if done.code != 0:
        raise LabError("cannot make an SSH key", where=str(key), output=done.stderr)
    return public.read_text(encoding="utf-8").strip()


def write_ssh_files(world: World, machines: Mapping[str, Reach]) -> None:
    """Write known_hosts and config for every machine that can be reached."""
    known, hosts = [], []
    known_hosts = world.state.ssh / "known_hosts"
    for name, reach in machines.items():
        alias = f"{world.lab.id}-{name}"
        known.append(f"{alias} {reach.host_key}\n")
        hosts.append(
            f"Host {name}\n"
            f"  HostName {reach.endpoint.host}\n"
            f"  Port {reach.endpoint.port}\n"
            f"  User {reach.endpoint.user}\n"
            f"  HostKeyAlias {alias}\n"
            f'  IdentityFile "{world.state.key}"\n'
            f'  UserKnownHostsFile "{known_hosts}"\n'
            "  GlobalKnownHostsFile /dev/null\n"
            "  IdentitiesOnly yes\n"
            "  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n"
            "  LogLevel ERROR\n"
        )
    write_text(known_hosts, "".join(known))
    write_text(world.state.ssh_config, "".join(hosts))
