"""Asks OpenSSH how a person's configuration reaches a host, and which host key the person knows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hashlab.drivers.login import quoted
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Endpoint, HostAccess, Runner

SECONDS = 20.0
# Names another file than ~/.ssh/config, as `ssh -F` does.
VARIABLE = "HASHLAB_USER_SSH_CONFIG"
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
# Options of OpenSSH that decide how a connection is made and who logs in.
LOGIN = {
    "addressfamily": "AddressFamily",
    "bindaddress": "BindAddress",
    "bindinterface": "BindInterface",
    "certificatefile": "CertificateFile",
    "identitiesonly": "IdentitiesOnly",
    "identityagent": "IdentityAgent",
    "pkcs11provider": "PKCS11Provider",
    "securitykeyprovider": "SecurityKeyProvider",
}
PATHS = ("certificatefile", "identityagent")


class PersonSsh:
    """Reads the configuration of the person's OpenSSH by means of its own client."""

    def __init__(self, runner: Runner, environ: Mapping[str, str]) -> None:
        self._runner = runner
        config = environ.get(VARIABLE)
        self._file = ("-F", config) if config else ()
        # Tools that hashlab runs do not get the variable.
        agent = environ.get("SSH_AUTH_SOCK")
        self._agent = (("IdentityAgent", quoted(agent)),) if agent else ()

    def locate(self, endpoint: str) -> HostAccess:
        """Return how OpenSSH reaches ``endpoint`` ([USER@]NAME[:PORT]). Nothing is contacted.

        Raises LabError if the configuration is not valid.
        """
        found = self._configured(endpoint)
        host, port = found["hostname"][0], int(found["port"][0])
        identities = tuple(
            str(path)
            for name in found.get("identityfile", ())
            if (path := Path(name).expanduser()).is_file()
        )
        proxy = self._proxy(found, host, port)
        options = [("IdentityFile", quoted(path)) for path in identities]
        options += [
            (name, quoted(value) if key in PATHS and value.startswith(("/", "~")) else value)
            for key, name in LOGIN.items()
            for value in found.get(key, ())
            if value not in ("none", "any", "internal", "SSH_AUTH_SOCK")
        ]
        if not any(name == "IdentityAgent" for name, _ in options):
            options += self._agent
        if proxy:
            options.append(("ProxyCommand", shlex.join(proxy).replace("%", "%%")))
        return HostAccess(
            Endpoint(host, port, found["user"][0]),
            self._host_key(found, host, port),
            identities,
            proxy,
            tuple(options),
        )

    def _configured(self, endpoint: str) -> dict[str, list[str]]:
        name, colon, port = endpoint.partition(":")
        argv = ["ssh", *self._file, "-G", *(("-p", port) if colon else ()), "--", name]
        done = self._runner.run(argv, timeout=SECONDS, cancel=CancelToken())
        if done.code != 0:
            raise LabError(
                "OpenSSH cannot read its configuration",
                where=endpoint,
                output=done.stderr,
                next_step=f"ssh -G {name} shows the problem",
            )
        found: dict[str, list[str]] = {}
        for line in done.stdout.splitlines():
            key, _, value = line.partition(" ")
            found.setdefault(key, []).append(value)
        return found

    def _proxy(self, found: Mapping[str, list[str]], host: str, port: int) -> tuple[str, ...]:
        """Return the command that leads through ProxyJump or ProxyCommand; none for a direct way.
        The person's own configuration leads to each jump.
        """
        jumps = found.get("proxyjump", ["none"])[0]
        if jumps != "none":
            *others, last = jumps.split(",")
            more = ("-J", ",".join(others)) if others else ()
            target = f"[{host}]:{port}"
            name, port_option = _host_and_port(last)
            batch = ("-o", "BatchMode=yes", *self._agent_of_jumps())
            return ("ssh", *self._file, *batch, *more, "-W", target, *port_option, "--", name)
        command = found.get("proxycommand", ["none"])[0]
        if command == "none":
            return ()
        # OpenSSH gives the line to a shell, with its tokens replaced.
        line = command.replace("%h", host).replace("%p", str(port))
        line = line.replace("%r", found["user"][0]).replace("%%", "%")
        line = f"exec {line}"
        return ("sh", "-c", line)

    def _agent_of_jumps(self) -> tuple[str, ...]:
        return tuple(word for name, path in self._agent for word in ("-o", f"{name}={path}"))

    def _host_key(self, found: Mapping[str, list[str]], host: str, port: int) -> str:
        """Return the best of the host keys that the person knows; "" for none."""
        name = found.get("hostkeyalias", [""])[0] or (host if port == 22 else f"[{host}]:{port}")
        files = [
            file
            for option in ("userknownhostsfile", "globalknownhostsfile")
            for value in found.get(option, ())
            for file in shlex.split(value)
        ]
        keys = dict(self._known(name, files))
        return next((f"{kind} {keys[kind]}" for kind in KINDS if kind in keys), "")

    def _known(self, name: str, files: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield kind and key of each line about ``name`` in files of host keys."""
        for file in files:
            path = Path(file).expanduser()
            if not path.is_file():
                continue
            argv = ["ssh-keygen", "-F", name, "-f", str(path)]
            done = self._runner.run(argv, timeout=SECONDS, cancel=CancelToken())
            for line in done.stdout.splitlines():
                words = line.split()
                # A line with a marker is an authority, or a key that is revoked.
                if len(words) >= 3 and not words[0].startswith(("#", "@")):
                    yield words[1], words[2]


def _host_and_port(jump: str) -> tuple[str, tuple[str, ...]]:
    """Return what OpenSSH's client takes for one jump of ProxyJump."""
    name = jump.removeprefix("ssh://")
    host, colon, port = name.rpartition(":")
    if colon and port.isdecimal():
        return host, ("-p", port)
    return name, ()
