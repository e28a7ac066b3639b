"""The files that hashlab puts on a host, and the programs that it runs there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from importlib import resources

RECORD = "/etc/hashlab/host.json"
NETWORK = "/etc/hashlab/network"
SWARM = "/etc/hashlab/swarm"
FIREWALL_UNIT = """\
[Unit]
Description=Let only the lab's hosts reach this host's Swarm
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/hashlab-firewall

[Install]
WantedBy=multi-user.target
"""
SANDBOXES_UNIT = """\
[Unit]
Description=Keep services in the networks of their sandboxes
After=docker.service
Requires=docker.service
PartOf=docker.service

[Service]
ExecStart=/usr/bin/socat UNIX-CONNECT:/run/docker.sock EXEC:/usr/local/sbin/hashlab-sandboxes
Restart=always
RestartSec=1
SuccessExitStatus=143

[Install]
WantedBy=docker.service
"""
ENGINE_SETTINGS = "[Service]\nExecStartPre=-/usr/local/sbin/hashlab-await-manager\n"


def program(name: str) -> str:
    """Return a program of this folder."""
    return resources.files("hashlab.providers.hosts").joinpath(f"{name}.sh").read_text("utf-8")


def _system(name: str) -> str:
    return resources.files("hashlab.providers").joinpath("system", f"{name}.sh").read_text("utf-8")


def host_files() -> dict[str, str]:
    """Return the files that every host gets, by path; programs are those in a folder sbin."""
    units = "/etc/systemd/system"
    return {
        "/usr/local/sbin/hashlab-firewall": program("firewall"),
        "/usr/local/sbin/hashlab-sandboxes": _system("sandboxes"),
        "/usr/local/sbin/hashlab-await-manager": _system("await-manager"),
        f"{units}/hashlab-firewall.service": FIREWALL_UNIT,
        f"{units}/hashlab-sandboxes.service": SANDBOXES_UNIT,
        f"{units}/docker.service.d/hashlab.conf": ENGINE_SETTINGS,
    }


def recipe() -> str:
    """Return the hash of all that preparing a host consists of, apart from its address."""
    texts = [*sorted(host_files().items()), ("prepare", program("prepare"))]
    return hashlib.sha256(repr(texts).encode()).hexdigest()[:12]


def digest(text: str) -> str:
    """Return the hash of a file's content, as ``facts.sh`` prints it."""
    return hashlib.sha256(text.encode()).hexdigest()


def archive(files: Mapping[str, str]) -> bytes:
    """Return files by absolute path as a tar archive of root's."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as opened:
        for folder in _folders(files):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            opened.addfile(member)
        for path, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(content), 0o755 if "/sbin/" in path else 0o644
            opened.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _folders(paths: Iterable[str]) -> list[str]:
    """Return the folders that a host may lack, which must be made."""
    wanted = ("etc/hashlab", "etc/systemd/system/docker.service.d")
    return [each for each in wanted if any(path.startswith(f"/{each}/") for path in paths)]
