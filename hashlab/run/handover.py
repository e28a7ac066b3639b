"""Hands over what a process on the laptop needs in the place of a service: files only its user
reads.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import Service
from hashlab.phases.intercepting import Outbound
from hashlab.state.files import make_folder, remove_tree, write_text

ENTER = Path(__file__).with_name("enter.sh")
HOSTS = Path("/etc/hosts")
JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"
# The folder that stands for /run/secrets, which a user cannot make.
SECRETS_VARIABLE = "HASHLAB_SECRETS"


@dataclass(frozen=True)
class Handover:
    """The files of an intercept. ``places``: the laptop's path by the path in the container;
    ``missing``: paths in the container whose content is on the machine only.
    """

    folder: Path
    environment: Mapping[str, str]
    places: Mapping[str, str]
    missing: tuple[str, ...]

    @property
    def hosts(self) -> Path:
        """The names of services, in the form of /etc/hosts."""
        return self.folder / "hosts"

    @property
    def environment_file(self) -> Path:
        """The variables, a line for each, as editors read them."""
        return self.folder / "environment"

    @property
    def enter(self) -> Path:
        """The program that runs a command with the names of the file ``hosts``."""
        return self.folder / "enter"


def hand_over(
    folder: Path, service: Service, reached: Iterable[Outbound], *, namespace: bool
) -> Handover:
    """Write the files. ``namespace``: commands can get the names of services by ``enter``;
    otherwise the variables let JVMs read the file ``hosts``.
    """
    remove_tree(folder)
    make_folder(folder)
    places = {bind.target: str(bind.source) for bind in service.binds}
    for mount in service.files:
        kind = "secrets" if mount.secret else "configs"
        path = folder / kind / mount.name
        make_folder(path.parent)
        source = mount.source
        _write(path, source.read_bytes() if isinstance(source, Path) else source.data)
        places[mount.target] = str(path)
    missing = [
        *(volume.target for volume in service.volumes),
        *(mount.target for mount in service.machine_mounts),
    ]
    environment = {
        name: _placed(value, places) for name, value in dict(service.environment).items()
    }
    if any(mount.secret for mount in service.files):
        environment[SECRETS_VARIABLE] = str(folder / "secrets")
    hosts = folder / "hosts"
    if not namespace:
        option = f"-Djdk.net.hosts.file={hosts}"
        environment[JAVA_OPTIONS] = f"{environment.get(JAVA_OPTIONS, '')} {option}".strip()
    done = Handover(folder, environment, places, tuple(sorted(missing)))
    write_text(hosts, _hosts_text(service, reached, whole=namespace))
    lines = [f"{name}={_line(value)}\n" for name, value in sorted(environment.items())]
    write_text(done.environment_file, "".join(lines))
    if namespace:
        write_text(done.enter, ENTER.read_text(encoding="utf-8"), mode=0o700)
    return done


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _placed(value: str, places: Mapping[str, str]) -> str:
    """Return a value that is a path in the container as the laptop's path."""
    for target in sorted(places, key=len, reverse=True):
        if value == target or value.startswith(f"{target.rstrip('/')}/"):
            return places[target] + value[len(target) :]
    return value


def _line(value: str) -> str:
    return shlex.quote(value) if "\n" in value else value


def _hosts_text(service: Service, reached: Iterable[Outbound], *, whole: bool) -> str:
    """Return the names: those of the laptop too (``whole``), or only what is in the lab."""
    lines: list[str] = []
    if whole and HOSTS.exists():
        lines += HOSTS.read_text(encoding="utf-8", errors="replace").splitlines()
    else:
        lines.append("127.0.0.1 localhost")
    names: dict[str, list[str]] = {}
    for each in reached:
        if each.name not in names.setdefault(each.address, []):
            names[each.address].append(each.name)
    # The laptop's own names must not hide those of the lab.
    own = [f"{address} {' '.join(called)}" for address, called in names.items()]
    return "\n".join([*own, f"127.0.0.1 {service.name}", *lines, ""])
