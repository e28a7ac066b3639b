"""Makes and removes hosts that hashlab did not make: containers with systemd and sshd.

By hand: ``python tests/hosts/testhosts.py make FOLDER web+docker db+bookworm`` and ``… remove
FOLDER``. FOLDER then holds the tester's key, ``config`` and ``known_hosts`` as a person's ~/.ssh
has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LABEL = "hashlab.test-hosts"
USER = "deploy"
START_SECONDS = 60.0
POLL_SECONDS = 0.2
# What a container needs to be a host where the engine itself lacks a capability, so that it cannot
# be privileged.
RIGHTS = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined", "--cgroupns=private"),
    *("--tmpfs", "/run", "--tmpfs", "/tmp"),
)


@dataclass(frozen=True)
class TestHosts:
    """Hosts by name, and the folder with what a person needs to reach them."""

    __test__ = False
    folder: Path
    names: tuple[str, ...]

    @property
    def config(self) -> Path:
        """The file that stands for the person's ~/.ssh/config."""
        return self.folder / "config"

    def container(self, name: str) -> str:
        """Return the name of a host's container."""
        return f"{self.folder.name}-{name}"

    def root(self, name: str, *argv: str) -> str:
        """Run a command as root on a host, without SSH; return its output."""
        return _docker("exec", self.container(name), *argv)

    def script(self, name: str, script: str) -> str:
        """Run a script of this folder as root on a host; return its output."""
        text = (HERE / f"{script}.sh").read_text(encoding="utf-8")
        return self.root(name, "sh", "-c", text)

    def address(self, name: str) -> str:
        """Return a host's address."""
        [found] = json.loads(_docker("inspect", self.container(name)))
        return str(found["NetworkSettings"]["Networks"][self.folder.name]["IPAddress"])


def make(
    folder: Path,
    names: Sequence[str],
    *,
    docker_on: Sequence[str] = (),
    debian_12: Sequence[str] = (),
) -> TestHosts:
    """Make hosts, and wait until their sshd answers. ``docker_on``: those that have an engine
    already; ``debian_12``: those that are not Debian 13. The network, the containers and their
    label bear the name of ``folder``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    hosts = TestHosts(folder, tuple(names))
    key = folder / "id_ed25519"
    if not key.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tester", "-f", str(key))
    public = key.with_suffix(".pub").read_text(encoding="ascii").strip()
    _docker("network", "create", "--label", f"{LABEL}={folder.name}", folder.name)
    for name in names:
        stage = "docker" if name in docker_on else "bare"
        image = build(stage, "bookworm" if name in debian_12 else "trixie")
        _docker(
            *("run", "--detach", "--name", hosts.container(name), "--hostname", name),
            *("--network", folder.name, "--label", f"{LABEL}={folder.name}"),
            *("--env", f"TESTER_KEY={public}", *RIGHTS, image),
        )
    known, config = [], []
    for name in names:
        address = hosts.address(name)
        known.append(f"{address} {_host_key(hosts, name)}\n")
        config.append(
            f"Host {name}.test\n  HostName {address}\n  User {USER}\n  IdentityFile {key}\n"
            f"  UserKnownHostsFile {folder / 'known_hosts'}\n  IdentitiesOnly yes\n"
        )
    (folder / "known_hosts").write_text("".join(known), encoding="ascii")
    hosts.config.write_text("".join(config), encoding="utf-8")
    for name in names:
        _await(hosts, name)
    return hosts


def build(stage: str, release: str) -> str:
    """Build the image of a kind of host; return its name. A second time it is there already."""
    image = f"hashlab-test-host:{stage}-{release}"
    base = f"BASE=debian:{release}-slim"
    argv = ("build", "--quiet", "--build-arg", base, "--target", stage)
    _docker(*argv, "--tag", image, str(HERE), environ={"DOCKER_BUILDKIT": "0"})
    return image


def remove(name: str) -> None:
    """Remove the hosts of the folder of this name, with their volumes and their network."""
    found = _docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={name}").split()
    if found:
        _docker("rm", "--force", "--volumes", *found)
    for network in _docker("network", "ls", "-q", "--filter", f"label={LABEL}={name}").split():
        _docker("network", "rm", network)


def _host_key(hosts: TestHosts, name: str) -> str:
    """Return a host's key, as its owner could read it to a person on the telephone."""
    deadline = time.monotonic() + START_SECONDS
    path = "/etc/ssh/ssh_host_ed25519_key.pub"
    while time.monotonic() < deadline:
        try:
            return " ".join(hosts.root(name, "cat", path).split()[:2])
        except RuntimeError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{name} has no host key after {START_SECONDS:g} s")


def _await(hosts: TestHosts, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        done = subprocess.run(
            ["ssh", "-F", str(hosts.config), "-o", "BatchMode=yes", f"{name}.test", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not answer: {done.stderr}")
        time.sleep(POLL_SECONDS)


def _docker(*argv: str, environ: dict[str, str] | None = None) -> str:
    return _run("docker", *argv, environ=environ)


def _run(*argv: str, environ: dict[str, str] | None = None) -> str:
    env = {**os.environ, **(environ or {})}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:3])}: {done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "make":
        kinds = {word.split("+")[0]: word.split("+")[1:] for word in rest}
        made = make(
            Path(where),
            list(kinds),
            docker_on=[name for name, kind in kinds.items() if "docker" in kind],
            debian_12=[name for name, kind in kinds.items() if "bookworm" in kind],
        )
        print(made.config)
    else:
        remove(Path(where).name)
