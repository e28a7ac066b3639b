"""The environment of every tool that hashlab runs. It leads all of them to the same Docker
Engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_CONTEXT = "default"
NO_SETTINGS = "/nonexistent"
LIBVIRT_URI = "qemu:///system"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
# Variables that tools keep. The others could lead Vagrant to another Vagrantfile, Docker's client
# to another engine, or Ruby to other libraries; they are kept only for the user's own commands.
KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR"),
        *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        # Folders of Vagrant's boxes and plugins, and of VirtualBox's machines.
        *("VAGRANT_HOME", "VBOX_USER_HOME", "VBOX_INSTALL_PATH"),
        *(name for proxy in PROXIES for name in (proxy, proxy.upper())),
    }
)
KEPT_PREFIXES = ("NIX_", "WSL", "VAGRANT_WSL_")
# Settings that docker-py and Docker's client need for an engine on a port.
TLS = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True)
class EngineAddress:
    """The address of the laptop's engine.

    ``host``: as in DOCKER_HOST; ``source``: the setting that names it; ``problem``: why hashlab
    cannot use it, "" if it can.
    """

    host: str
    source: str
    problem: str = ""

    @property
    def socket(self) -> str:
        """The path of its socket; "" for an engine on a port."""
        scheme, _, path = self.host.partition("://")
        return path if scheme == "unix" else ""


def engine_address(environ: Mapping[str, str]) -> EngineAddress:
    """Return the engine that Docker's own client would use: DOCKER_HOST, else DOCKER_CONTEXT, else
    the current context of the client's settings, else the default socket.
    """
    if "DOCKER_HOST" in environ:
        return _checked(environ["DOCKER_HOST"] or DEFAULT_HOST, "DOCKER_HOST")
    settings = docker_folder(environ)
    name, source = environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        name = str(_json(settings / "config.json").get("currentContext") or DEFAULT_CONTEXT)
        source = f"the current Docker context {name}"
    if name == DEFAULT_CONTEXT:
        return EngineAddress(DEFAULT_HOST, "the default")
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(settings / "contexts" / "meta" / folder / "meta.json")
    try:
        host = str(meta["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError):
        return EngineAddress("", source, f"the Docker context {name} does not exist")
    return _checked(host, source)


def _checked(host: str, source: str) -> EngineAddress:
    """Refuse an engine on another computer: hashlab connects to machines at 127.0.0.1, and shares
    folders with the engine.
    """
    if "://" not in host:
        host = f"tcp://{host}"
    if host.startswith("unix:///") or _on_a_port_here(host):
        return EngineAddress(host, source)
    return EngineAddress(host, source, f"the Docker Engine at {host} is not on this laptop")


def _on_a_port_here(host: str) -> bool:
    try:
        parts = urlsplit(host)
    except ValueError:
        return False
    local = (parts.hostname or "localhost") in LOOPBACK
    return local and parts.scheme in ("tcp", "http", "https")


def docker_folder(environ: Mapping[str, str]) -> Path:
    """Return the settings folder of Docker's client."""
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")


def _json(path: Path) -> Mapping[str, Any]:
    """Return a settings file of Docker's client; empty if it is unreadable, as the client treats
    it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def tool_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a tool (Vagrant, ssh, rsync, virsh, VBoxManage, …).

    It has the variables that tools need, English messages, no proxy for loopback, and the one
    engine.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES)
    }
    engine = engine_address(environ)
    tls = {name: environ[name] for name in TLS if name in environ and not engine.socket}
    engine_host = {"DOCKER_HOST": engine.host} if engine.host else {}
    # Under plain "C" Ruby would read file names as ASCII.
    fixed = {
        "LC_ALL": "C.UTF-8",
        "LIBVIRT_DEFAULT_URI": LIBVIRT_URI,
        # Proxies, helpers and contexts of the client's settings are for the user's own commands.
        "DOCKER_CONFIG": NO_SETTINGS,
    }
    if "VAGRANT_HOME" in kept:
        # Tools run in other folders, so the path must be absolute.
        fixed["VAGRANT_HOME"] = str(Path(kept["VAGRANT_HOME"]).expanduser().absolute())
    return {**kept, **fixed, **engine_host, **tls, **past_proxies(environ)}


def past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep calls to this laptop from going to a proxy; empty if no proxy
    is set.

    Both spellings are set, because a program may read either.
    """
    if not any(environ.get(name) for proxy in PROXIES for name in (proxy, proxy.upper())):
        return {}
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    listed = [word.strip() for word in known.split(",") if word.strip()]
    value = ",".join([*listed, *(name for name in LOOPBACK if name not in listed)])
    return {"no_proxy": value, "NO_PROXY": value}


def user_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a user's own command: the user's environment, but no proxy for
    loopback, because such commands call the lab at 127.0.0.1.
    """
    return {**environ, **past_proxies(environ)}
