"""Credentials for a registry: from the environment or Docker's own store, and tokens made of them.

No credential is written to a file, shown, or given to a program as an argument. Docker's credential
helpers, which docker-py runs, get the registry's name and print the password.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from docker.auth import AuthConfig, load_config
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from hashlab.drivers.environment import docker_folder
from hashlab.errors import LabError, LaptopError

USER, PASSWORD = "HASHLAB_REGISTRY_USER", "HASHLAB_REGISTRY_PASSWORD"
HUB, HUB_KEY = "docker.io", "https://index.docker.io/v1/"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
TOKEN_SECONDS = 30.0


@dataclass(frozen=True)
class Login:
    """A user and a password, or a token that a login gave (``identity``). ``source``: where they
    come from; "" if there are none.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    source: str = ""


def find_login(host: str, environ: Mapping[str, str]) -> Login:
    """Return the login for a registry. Raises LaptopError if Docker's store cannot be read."""
    if environ.get(USER) and environ.get(PASSWORD):
        return Login(environ[USER], environ[PASSWORD], source=f"{USER} and {PASSWORD}")
    file = docker_folder(environ) / "config.json"
    if not file.is_file():
        return Login()
    try:
        with warnings.catch_warnings():
            # A helper that is missing is an error, too, which is explained below.
            warnings.simplefilter("ignore")
            config: AuthConfig = load_config(str(file))
            found = config.resolve_authconfig(HUB_KEY if host == HUB else host) or {}
    except (StoreError, DockerException, ValueError, TypeError, AttributeError) as error:
        raise LaptopError(
            f"Docker's credentials for {host} cannot be read: {error}",
            where=str(file),
            next_step=f"docker login {host}, or set {USER} and {PASSWORD}",
        ) from error
    return _login(found, str(file))


def _login(found: Mapping[str, Any], source: str) -> Login:
    # docker-py and helpers disagree about the spelling.
    known = {str(key).lower(): str(value or "") for key, value in found.items()}
    user, password = known.get("username", ""), known.get("password", "")
    login = Login(user, password, known.get("identitytoken", ""))
    if login.user == "<token>":
        login = Login(identity=login.password)
    if not (login.identity or (login.user and login.password)):
        return Login()
    return Login(login.user, login.password, login.identity, source)


class Authorizer:
    """Answers a registry's challenges. ``plain``: the registry itself speaks plain HTTP."""

    def __init__(self, host: str, login: Login, session: requests.Session, *, plain: bool) -> None:
        self.host, self.login = host, login
        self._session, self._plain = session, plain

    def header(self, challenge: str, scope: str) -> str | None:
        """Return the header Authorization for a challenge (WWW-Authenticate) and a scope such as
        repository:NAME:pull,push; None if there is no login for it. Raises LabError.
        """
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            return self._basic() if self.login.user else None
        if kind.lower() != "bearer":
            raise LabError(f"registry {self.host} wants an unknown login: {kind or 'none named'}")
        parameters = dict(_PARAMETER.findall(rest))
        return f"Bearer {self._token(parameters, scope)}"

    def _basic(self) -> str:
        header = requests.Request("GET", "http://x", auth=(self.login.user, self.login.password))
        return str(header.prepare().headers["Authorization"])

    def _token(self, parameters: Mapping[str, str], scope: str) -> str:
        realm = parameters.get("realm", "")
        if urlsplit(realm).scheme != "https" and not self._plain:
            raise LabError(
                f"registry {self.host} asks for the password without encryption", where=realm
            )
        values = {"service": parameters.get("service", ""), "scope": scope}
        answer = self._ask(realm, values)
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise refused(self.host, self.login)
        try:
            answer.raise_for_status()
            body = answer.json()
            return str(body.get("token") or body["access_token"])
        except (requests.RequestException, ValueError, KeyError, AttributeError) as error:
            raise LabError(
                f"the login service of registry {self.host} fails: {error}", where=realm
            ) from error

    def _ask(self, realm: str, values: Mapping[str, str]) -> requests.Response:
        if self.login.identity:
            form = {
                **values,
                "grant_type": "refresh_token",
                "client_id": "hashlab",
                "refresh_token": self.login.identity,
            }
            return self._session.post(realm, data=form, timeout=TOKEN_SECONDS)
        headers = {"Authorization": self._basic()} if self.login.user else {}
        return self._session.get(realm, params=values, headers=headers, timeout=TOKEN_SECONDS)


def refused(host: str, login: Login) -> LabError:
    """Return the error for a registry that does not accept a login, or wants one."""
    if not login.source:
        return LabError(
            f"registry {host} wants a login",
            next_step=f"docker login {host}, or set {USER} and {PASSWORD}",
        )
    name = f"user {login.user}" if login.user else "login"
    return LabError(
        f"registry {host} refuses the {name}: wrong or expired password",
        where=login.source,
        next_step=f"docker login {host}",
    )
