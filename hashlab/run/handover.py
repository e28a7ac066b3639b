"""Hands over what a process on the laptop needs in the place of a service: files only its user
reads.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import Service
from hashlab.phases.intercepting import Outbound, called
from hashlab.run.naming import Naming
from hashlab.state.files import make_folder, remove_tree, write_text

ENTER = Path(__file__).with_name("enter.sh")
HOSTS = Path("/etc/hosts")
JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"
# The folder that stands for /run/secrets, which a user cannot make.
SECRETS_VARIABLE = "HASHLAB_SECRETS"
# Names of the laptop itself, to which programs connect without the proxy.
OWN_NAMES = "localhost,127.0.0.1,::1"


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
    folder: Path,
    service: Service,
    reached: Sequence[Outbound],
    naming: Naming,
) -> Handover:
    """Write the files. In the mode "namespace" commands get the names of services by ``enter``;
    otherwise variables let JVMs read the file ``hosts``, and programs use the proxy, if there is
    one.
    """
    namespace, proxy_port = naming.mode == "namespace", naming.proxy_port
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
    if proxy_port:
        environment |= _proxy_variables(proxy_port)
    if not namespace:
        own = f"-Djdk.net.hosts.file={hosts}"
        if proxy_port and not reached:
            own = f"-DsocksProxyHost=127.0.0.1 -DsocksProxyPort={proxy_port}"
        environment[JAVA_OPTIONS] = f"{environment.get(JAVA_OPTIONS, '')} {own}".strip()
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


def _proxy_variables(port: int) -> dict[str, str]:
    """Return the variables that programs read, which have no standard: curl reads http_proxy in
    small letters only, Go both. Many speak HTTP to a proxy, few SOCKS.
    """
    http, socks = f"http://127.0.0.1:{port}", f"socks5h://127.0.0.1:{port}"
    values = {"all": socks, "http": http, "https": http, "no": OWN_NAMES}
    found = {f"{kind}_proxy": value for kind, value in values.items()}
    found |= {name.upper(): value for name, value in found.items()}
    # Node from 24 on reads the others only then.
    return {**found, "NODE_USE_ENV_PROXY": "1"}


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
    own = [f"{address} {' '.join(each)}" for address, each in names.items()]
    return "\n".join([*own, f"127.0.0.1 {' '.join(called(service))}", *lines, ""])
