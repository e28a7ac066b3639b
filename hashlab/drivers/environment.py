"""The environment of every tool that hashlab runs, and the one engine they are all led to."""

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
# Variables that tools keep. All others are for the user's own calls: they could lead Vagrant to
# another Vagrantfile, Docker's client to another engine, Ruby to other libraries.
KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR"),
        *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        # Where Vagrant keeps boxes and plugins, and VirtualBox its machines.
        *("VAGRANT_HOME", "VBOX_USER_HOME", "VBOX_INSTALL_PATH"),
        *(name for proxy in PROXIES for name in (proxy, proxy.upper())),
    }
)
KEPT_PREFIXES = ("NIX_", "WSL", "VAGRANT_WSL_")
# What docker-py and Docker's client need to know of an engine on a port.
TLS = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True)
class EngineAddress:
    """Where the laptop's engine is: ``host`` as in DOCKER_HOST; ``source``: what says so;
    ``problem``: why hashlab cannot use it, "" if it can.
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
    settings = _docker_folder(environ)
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
        return EngineAddress("", source, f"there is no Docker context {name}")
    return _checked(host, source)


def _checked(host: str, source: str) -> EngineAddress:
    """Refuse an engine on another computer: hashlab reaches machines at 127.0.0.1, and shares
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


def _docker_folder(environ: Mapping[str, str]) -> Path:
    """Where Docker's client keeps its settings."""
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")


def _json(path: Path) -> Mapping[str, Any]:
    """A file of Docker's client; empty where it cannot be read, as the client takes it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def tool_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a tool (Vagrant, ssh, rsync, virsh, VBoxManage, …): what it needs
    of the user's, answers in English, loopback past every proxy, and the one engine.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES)
    }
    engine = engine_address(environ)
    tls = {name: environ[name] for name in TLS if name in environ and not engine.socket}
    led = {"DOCKER_HOST": engine.host} if engine.host else {}
    # Ruby takes file names for ASCII under plain "C".
    fixed = {
        "LC_ALL": "C.UTF-8",
        "LIBVIRT_DEFAULT_URI": LIBVIRT_URI,
        # Proxies, helpers and contexts of the client's settings are for the user's own calls.
        "DOCKER_CONFIG": NO_SETTINGS,
    }
    if "VAGRANT_HOME" in kept:
        # Tools run in other folders.
        fixed["VAGRANT_HOME"] = str(Path(kept["VAGRANT_HOME"]).expanduser().absolute())
    return {**kept, **fixed, **led, **tls, **past_proxies(environ)}


def past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep calls to this laptop from going to a proxy; empty without
    one. Programs read the one name or the other.
    """
    if not any(environ.get(name) for proxy in PROXIES for name in (proxy, proxy.upper())):
        return {}
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    listed = [word.strip() for word in known.split(",") if word.strip()]
    value = ",".join([*listed, *(name for name in LOOPBACK if name not in listed)])
    return {"no_proxy": value, "NO_PROXY": value}


def user_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a user's own command: the user's, with loopback past every proxy,
    for such commands ask the lab at 127.0.0.1.
    """
    return {**environ, **past_proxies(environ)}
