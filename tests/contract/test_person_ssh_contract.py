"""Asks the real OpenSSH what a person's configuration means. Nothing is contacted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hashlab.drivers.personssh import VARIABLE, PersonSsh
from hashlab.drivers.process import ProcessRunner
from hashlab.errors import LabError
from hashlab.protocols import HostAccess

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no OpenSSH")
ED, ECDSA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEE", "ecdsa-sha2-nistp256 AAAAE2VjZHNh"


class Home:
    """A folder that stands for a person's ~/.ssh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "key").write_text("key", encoding="ascii")

    def locate(self, endpoint: str, config: str = "", known: str = "") -> HostAccess:
        (self.folder / "known").write_text(known, encoding="ascii")
        own = f"UserKnownHostsFile {self.folder}/known\nGlobalKnownHostsFile /dev/null\n"
        text = f"{config}Host *\n{own}IdentityFile {self.folder}/key\n"
        (self.folder / "config").write_text(text, encoding="ascii")
        runner = ProcessRunner(children=self.folder / "children")
        return PersonSsh(runner, {VARIABLE: str(self.folder / "config")}).locate(endpoint)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_name_leads_to_host_port_user_and_keys(home: Home) -> None:
    config = "Host web\nHostName 10.0.0.5\nPort 2222\nUser deploy\n"
    found = home.locate("web", config, f"[10.0.0.5]:2222 {ED}\n10.0.0.5 {ECDSA}\n")
    assert (found.endpoint.host, found.endpoint.port, found.endpoint.user) == (
        "10.0.0.5",
        2222,
        "deploy",
    )
    assert found.host_key == ED
    assert found.identities == (f"{home.folder}/key",)
    assert found.proxy == ()
    assert ("IdentityFile", f'"{home.folder}/key"') in found.options


def test_user_and_port_of_the_endpoint_come_before_those_of_the_configuration(home: Home) -> None:
    config = "Host web\nUser deploy\nPort 22\n"
    found = home.locate("anna@web:2200", config).endpoint
    assert (found.user, found.port) == ("anna", 2200)


def test_of_several_host_keys_the_best_is_taken(home: Home) -> None:
    assert home.locate("web", known=f"web {ECDSA}\nweb,10.0.0.5 {ED}\n").host_key == ED


def test_host_names_may_be_hashed(home: Home) -> None:
    home.locate("web", known=f"web {ED}\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", home.folder / "known"], check=True, capture_output=True
    )
    hashed = (home.folder / "known").read_text(encoding="ascii")
    assert "web" not in hashed
    assert home.locate("web", known=hashed).host_key == ED


@pytest.mark.parametrize("line", ["", f"other {ED}\n", f"@revoked web {ED}\n"])
def test_a_host_key_that_the_person_does_not_know_is_none(home: Home, line: str) -> None:
    assert home.locate("web", known=line).host_key == ""


def test_an_authority_of_host_keys_is_not_a_host_key(home: Home) -> None:
    assert home.locate("web", known=f"@cert-authority web {ED}\n").host_key == ""


def test_an_alias_of_the_host_key_is_obeyed(home: Home) -> None:
    config = "Host web\nHostKeyAlias gate\n"
    assert home.locate("web", config, f"gate {ED}\n").host_key == ED


def test_the_way_leads_through_jumps_as_the_person_has_them(home: Home) -> None:
    found = home.locate("web", "Host web\nHostName 10.0.0.5\nProxyJump gate,anna@inner:2022\n")
    assert found.proxy[:3] == ("ssh", "-F", f"{home.folder}/config")
    assert found.proxy[-8:] == (
        "-J",
        "gate",
        "-W",
        "[10.0.0.5]:22",
        "-p",
        "2022",
        "--",
        "anna@inner",
    )
    assert dict(found.options)["ProxyCommand"].startswith("ssh -F ")


def test_a_proxy_command_gets_host_port_and_user(home: Home) -> None:
    found = home.locate("web", "Host web\nUser anna\nProxyCommand nc -X 5 %h %p %r %%\n")
    assert found.proxy == ("sh", "-c", "exec nc -X 5 web 22 anna %")


def test_a_configuration_that_openssh_refuses_is_a_failure(home: Home) -> None:
    with pytest.raises(LabError, match="cannot read its configuration") as caught:
        home.locate("web", "Nonsense yes\n")
    assert "nonsense" in caught.value.output.lower()
    assert caught.value.next_step == "ssh -G web shows the problem"
