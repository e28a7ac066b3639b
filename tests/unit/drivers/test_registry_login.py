"""How a registry's challenge is answered: basic, token, and what is never sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from hashlab.drivers.registryauth import Authorizer, Login, find_login
from hashlab.errors import LabError, LaptopError

REALM = "https://login.test/token"
CHALLENGE = f'Bearer realm="{REALM}",service="registry.test"'


class Answers(BaseAdapter):
    """Answers requests as prepared, and keeps them."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__()
        self._status, self._body = status, body
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.requests.append(request)
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = self._status, request, REALM
        answer._content = json.dumps(self._body).encode()
        return answer

    def close(self) -> None:
        return None


def authorizer(login: Login, answers: Answers, *, plain: bool = False) -> Authorizer:
    session = requests.Session()
    session.mount("https://", answers)
    session.mount("http://", answers)
    return Authorizer("registry.test", login, session, plain=plain)


PERSON = Login("someone", "secret", source="config.json")


def test_a_basic_challenge_gets_user_and_password() -> None:
    header = authorizer(PERSON, Answers(200, {})).header('Basic realm="x"', "")
    assert header == "Basic " + base64.b64encode(b"someone:secret").decode()


def test_a_basic_challenge_without_a_login_has_no_answer() -> None:
    assert authorizer(Login(), Answers(200, {})).header('Basic realm="x"', "") is None


@pytest.mark.parametrize("body", [{"token": "t"}, {"access_token": "t"}])
def test_a_token_is_fetched_for_the_scope(body: object) -> None:
    answers = Answers(200, body)
    header = authorizer(PERSON, answers).header(CHALLENGE, "repository:lab/web:pull,push")
    assert header == "Bearer t"
    [request] = answers.requests
    assert request.method == "GET"
    assert "scope=repository%3Alab%2Fweb%3Apull%2Cpush" in str(request.url)
    assert "secret" not in str(request.url)


def test_an_identity_token_is_exchanged() -> None:
    answers = Answers(200, {"access_token": "t"})
    login = Login(identity="identity", source="config.json")
    assert authorizer(login, answers).header(CHALLENGE, "s") == "Bearer t"
    [request] = answers.requests
    assert request.method == "POST"
    assert "refresh_token=identity" in str(request.body)


def test_a_password_never_goes_to_a_login_service_without_encryption() -> None:
    answers = Answers(200, {"token": "t"})
    challenge = 'Bearer realm="http://login.test/token"'
    with pytest.raises(LabError, match="without encryption"):
        authorizer(PERSON, answers).header(challenge, "s")
    assert answers.requests == []
    assert authorizer(PERSON, answers, plain=True).header(challenge, "s") == "Bearer t"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_named(status: int) -> None:
    with pytest.raises(LabError, match="refuses the user someone") as failure:
        authorizer(PERSON, Answers(status, {})).header(CHALLENGE, "s")
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(("status", "body"), [(500, {}), (200, {}), (200, [])])
def test_a_login_service_that_fails_is_named(status: int, body: object) -> None:
    with pytest.raises(LabError, match="login service of registry"):
        authorizer(PERSON, Answers(status, body)).header(CHALLENGE, "s")


def test_an_unknown_kind_of_login_is_named() -> None:
    with pytest.raises(LabError, match="unknown login: Negotiate"):
        authorizer(PERSON, Answers(200, {})).header("Negotiate", "s")


def config(folder: Path, value: object) -> dict[str, str]:
    (folder / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return {"DOCKER_CONFIG": str(folder)}


def test_docker_hub_is_found_under_its_old_name(tmp_path: Path) -> None:
    auth = base64.b64encode(b"someone:secret").decode()
    environ = config(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": auth}}})
    assert find_login("docker.io", environ).user == "someone"
    assert find_login("registry.test", environ) == Login()


def test_an_identity_token_of_dockers_store_is_found(tmp_path: Path) -> None:
    auth = base64.b64encode(b"someone:").decode()
    entry = {"auth": auth, "identitytoken": "i"}
    found = find_login("registry.test", config(tmp_path, {"auths": {"registry.test": entry}}))
    assert found.identity == "i"


def test_the_environment_goes_before_dockers_store(tmp_path: Path) -> None:
    environ = config(tmp_path, {"auths": {}})
    environ |= {"HASHLAB_REGISTRY_USER": "a", "HASHLAB_REGISTRY_PASSWORD": "b"}
    found = find_login("registry.test", environ)
    assert (found.user, found.password) == ("a", "b")
    assert "'b'" not in repr(found)


def test_a_helper_that_is_missing_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(LaptopError, match="cannot be read") as failure:
        find_login("registry.test", config(tmp_path, {"credsStore": "not-installed"}))
    assert failure.value.next_step.startswith("docker login registry.test")
