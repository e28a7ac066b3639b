"""The environment that tools get, and the engine that it leads them to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hashlab.drivers.environment import (
    EngineAddress,
    engine_address,
    past_proxies,
    tool_environment,
    user_environment,
)

WORK = "unix:///work/docker.sock"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with Docker's settings, which tests write."""
    (tmp_path / ".docker").mkdir()
    return tmp_path


def settings(home: Path, **values: object) -> None:
    (home / ".docker" / "config.json").write_text(json.dumps(values))


def context(home: Path, name: str, meta: object) -> None:
    folder = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta))


def leads_to(home: Path, host: str, name: str = "work") -> None:
    context(home, name, {"Name": name, "Endpoints": {"docker": {"Host": host}}})


def test_without_settings_the_engine_is_at_the_default_socket(home: Path) -> None:
    found = engine_address({"HOME": str(home)})
    assert found == EngineAddress("unix:///var/run/docker.sock", "the default")
    assert found.socket == "/var/run/docker.sock"


def test_docker_host_overrides_contexts_and_the_variable_overrides_settings(home: Path) -> None:
    environ = {"HOME": str(home)}
    settings(home, currentContext="work")
    leads_to(home, WORK)
    leads_to(home, "unix:///play/docker.sock", "play")
    assert engine_address(environ) == EngineAddress(WORK, "the current Docker context work")
    environ["DOCKER_CONTEXT"] = "play"
    played = EngineAddress("unix:///play/docker.sock", "DOCKER_CONTEXT")
    assert engine_address(environ) == played
    environ["DOCKER_HOST"] = "unix:///host.sock"
    assert engine_address(environ) == EngineAddress("unix:///host.sock", "DOCKER_HOST")
    environ["DOCKER_CONTEXT"] = "default"
    del environ["DOCKER_HOST"]
    assert engine_address(environ).source == "the default"


def test_settings_may_be_in_another_folder(home: Path, tmp_path: Path) -> None:
    leads_to(home, WORK)
    environ = {"HOME": "/nonexistent", "DOCKER_CONFIG": str(home / ".docker")}
    assert engine_address({**environ, "DOCKER_CONTEXT": "work"}).host == WORK


@pytest.mark.parametrize(
    "host",
    ["tcp://127.0.0.1:2375", "tcp://localhost:2376", "127.0.0.1:2375", "tcp://[::1]:2375"],
)
def test_an_engine_on_a_port_of_this_laptop_is_accepted(host: str) -> None:
    assert engine_address({"DOCKER_HOST": host}).problem == ""


@pytest.mark.parametrize(
    "host",
    [
        "ssh://me@build.example",
        "tcp://192.0.2.7:2376",
        "build.example:2375",
        "npipe:////./pipe/docker_engine",
        "unix://",
        "fd://3",
        "nonsense",
        "tcp://[",
    ],
)
def test_an_engine_that_is_not_on_this_laptop_is_refused_by_name(home: Path, host: str) -> None:
    found = engine_address({"DOCKER_HOST": host})
    assert host in found.problem
    leads_to(home, host)
    found = engine_address({"HOME": str(home), "DOCKER_CONTEXT": "work"})
    assert found.problem and found.source == "DOCKER_CONTEXT"


@pytest.mark.parametrize("meta", [{}, [], {"Endpoints": None}, {"Endpoints": {"docker": []}}, 7])
def test_a_context_without_a_host_is_refused_by_name(home: Path, meta: object) -> None:
    settings(home, currentContext="work")
    assert "the Docker context work does not exist" in engine_address({"HOME": str(home)}).problem
    context(home, "work", meta)
    assert "the Docker context work does not exist" in engine_address({"HOME": str(home)}).problem


@pytest.mark.parametrize("text", ["", "[", "[]", "null", "[" * 100_000, '{"currentContext": 7}'])
def test_damaged_settings_of_dockers_client_end_in_no_traceback(home: Path, text: str) -> None:
    (home / ".docker" / "config.json").write_text(text)
    found = engine_address({"HOME": str(home)})
    assert found.source == "the default" or "the Docker context 7 does not exist" in found.problem


def test_tools_get_no_variable_that_redirects_them(home: Path) -> None:
    user = {
        "HOME": str(home),
        "PATH": "/bin",
        "VAGRANT_HOME": "boxes",
        **dict.fromkeys(("VAGRANT_CWD", "VAGRANT_VAGRANTFILE", "VAGRANT_DOTFILE_PATH"), "/else"),
        **dict.fromkeys(("VAGRANT_DEFAULT_PROVIDER", "VAGRANT_LOG", "VAGRANT_EXPERIMENTAL"), "x"),
        **dict.fromkeys(("DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST"), "x"),
        **dict.fromkeys(("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"), "x"),
        **dict.fromkeys(("RUBYOPT", "RUBYLIB", "GEM_HOME", "BUNDLE_GEMFILE"), "x"),
        **dict.fromkeys(("RSYNC_RSH", "RSYNC_PROXY", "SSH_AUTH_SOCK", "BASH_ENV", "ENV"), "x"),
        **dict.fromkeys(("LANG", "LANGUAGE", "LC_MESSAGES", "LIBVIRT_DEFAULT_URI"), "de_DE"),
    }
    settings(home, currentContext="work", credsStore="desktop")
    leads_to(home, WORK)
    assert tool_environment(user) == {
        "HOME": str(home),
        "PATH": "/bin",
        "VAGRANT_HOME": str(Path("boxes").absolute()),
        "LC_ALL": "C.UTF-8",
        "LIBVIRT_DEFAULT_URI": "qemu:///system",
        "DOCKER_HOST": WORK,
        "DOCKER_CONFIG": "/nonexistent",
    }


def test_an_engine_on_a_port_keeps_its_certificates() -> None:
    user = {
        "DOCKER_HOST": "tcp://127.0.0.1:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/certificates",
    }
    assert user.items() <= tool_environment(user).items()


def test_calls_to_this_laptop_bypass_every_proxy() -> None:
    assert past_proxies({"PATH": "/bin", "http_proxy": ""}) == {}
    user = {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intern.example, 127.0.0.1"}
    value = "intern.example,127.0.0.1,localhost,::1"
    assert past_proxies(user) == {"no_proxy": value, "NO_PROXY": value}
    for environment in (tool_environment(user), user_environment(user)):
        assert environment["HTTP_PROXY"] == user["HTTP_PROXY"]
        assert environment["no_proxy"] == value


def test_a_users_own_command_gets_the_users_variables() -> None:
    user = {"LANG": "de_DE", "DOCKER_CONTEXT": "work", "JAVA_HOME": "/jdk"}
    assert user_environment(user) == user
