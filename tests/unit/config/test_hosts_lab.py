"""Labs on hosts that are there already: endpoints, local ports, encryption, one identity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.config.load import load_lab
from hashlab.config.model import Lab
from hashlab.errors import Problem

HOSTS = """\
[lab]
name = "small"
provider = "hosts"

[machines.broker]
endpoint = "deploy@broker.example.org:2222"

[machines.web]
endpoint = "web"
forwarded_ports = [
  { id = "site", guest = 8080, host = 8081 },
]

[secrets]
generate = ["key"]

[artifacts.app]
command = ["./build.sh"]
inputs = ["src"]
output = "out/app"
"""


def test_hosts_have_endpoints_and_addresses_that_are_found_later(load: Callable[..., Lab]) -> None:
    lab = load(toml=HOSTS)
    assert [m.endpoint for m in lab.machines] == ["deploy@broker.example.org:2222", "web"]
    assert all(machine.address.is_unspecified for machine in lab.machines)


def test_an_address_in_no_subnet_of_hashlab_is_fine_for_a_host(load: Callable[..., Lab]) -> None:
    lab = load(toml=HOSTS.replace('"web"\n', '"web"\naddress = "10.9.8.7"\n'))
    assert str(lab.machine("web").address) == "10.9.8.7"


def test_a_port_without_an_address_is_published_on_the_hosts_own_127_0_0_1(
    load: Callable[..., Lab],
) -> None:
    assert [port.host_ip for port in load(toml=HOSTS).service("site").ports] == ["127.0.0.1"]


def test_a_port_that_the_compose_file_opens_to_all_stays_open(load: Callable[..., Lab]) -> None:
    lab = load(toml=HOSTS, compose=(('"8080:80"', '"0.0.0.0:8080:80"'),))
    assert [port.host_ip for port in lab.service("site").ports] == ["0.0.0.0"]


def test_networks_are_encrypted_unless_the_file_forbids_it(load: Callable[..., Lab]) -> None:
    assert [network.options for network in load(toml=HOSTS).networks] == [{"encrypted": ""}]
    plain = HOSTS.replace('"hosts"\n', '"hosts"\nencrypt = false\n')
    assert [network.options for network in load(toml=plain).networks] == [{}]


def test_other_providers_ignore_endpoints(load: Callable[..., Lab]) -> None:
    lab = load(toml=HOSTS, provider="docker")
    assert [port.host_ip for port in lab.service("site").ports] == [""]
    assert [network.encrypted for network in lab.networks] == [False]
    assert not lab.machine("web").address.is_unspecified


def test_a_lab_on_hosts_is_the_same_from_every_folder(
    load: Callable[..., Lab], tmp_path: Path
) -> None:
    lab = load(toml=HOSTS)
    for path in list(tmp_path.rglob("*")):
        target = tmp_path / "other" / path.relative_to(tmp_path)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "other/build.sh").chmod(0o755)
    assert load_lab(tmp_path / "other", environ={}).id == lab.id
    assert load_lab(tmp_path / "other", environ={}, provider="docker").id != lab.id


def test_a_host_more_does_not_make_another_lab(load: Callable[..., Lab]) -> None:
    more = HOSTS + '[machines.spare]\nendpoint = "spare"\n'
    assert load(toml=more).id == load(toml=HOSTS).id


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('endpoint = "web"\n', "", "machine 'web' has no endpoint"),
        (
            'endpoint = "web"',
            'endpoint = "deploy@broker.example.org:2222"',
            "deploy@broker.example.org:2222 is already the endpoint of machine 'broker'",
        ),
        ('endpoint = "web"', 'endpoint = "-oProxyCommand=x"', "'-oProxyCommand=x' is not a valid"),
        ('endpoint = "web"', 'endpoint = "a b"', "'a b' is not a valid endpoint of a host"),
        ('"hosts"\n', '"hosts"\nencrypt = "no"\n', "expected true or false"),
    ],
)
def test_a_bad_host_is_reported(
    problems_of: Callable[..., tuple[Problem, ...]], old: str, new: str, message: str
) -> None:
    assert HOSTS.count(old) == 1
    [problem] = problems_of(toml=HOSTS.replace(old, new))
    assert message in problem.message
    assert problem.hint
    assert problem.line > 0


def test_hosts_that_are_not_named_are_reported(
    problems_of: Callable[..., tuple[Problem, ...]],
) -> None:
    [problem] = problems_of(toml='[lab]\nname = "small"\nprovider = "hosts"\n', compose=COMPOSE)
    assert "needs the hosts that are there" in problem.message


COMPOSE = "services: { one: { image: busybox } }\n"
