"""Provider ``hosts``: what hosts say of themselves, how they are prepared, and who holds them."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from fakes import FakeEngine, small_lab, track_of

from hashlab.config.model import Lab, Machine, Network
from hashlab.errors import LabError, LockedError
from hashlab.protocols import Completed, Endpoint, HostAccess, HostShell, Shell
from hashlab.providers.hosts import HostsProvider
from hashlab.providers.hosts.addresses import candidates, choose, reached
from hashlab.providers.hosts.facts import FACTS, HostFacts, Record, parse
from hashlab.providers.hosts.files import NETWORK, digest, host_files, recipe
from hashlab.providers.hosts.lab import HOLD_LOCK, PREPARE, UNPREPARE
from hashlab.providers.hosts.planning import changes, faults

OUTPUT = """\
os debian 13
arch x86_64
user deploy
groups deploy
sudo yes
apt yes
systemd yes
program rsync
sshd {address} 22
address {address} 1500
key ssh-ed25519 {key}
esp yes
time 1000.5
"""
ANY = IPv4Address(0)
GOOD = parse(OUTPUT.format(address="10.0.0.5", key="KEY"), asked=1000.0, answered=1001.0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return small_lab(
        tmp_path / "lab",
        provider="hosts",
        machines=(
            Machine("broker", ANY, endpoint="deploy@broker"),
            Machine("web", ANY, endpoint="deploy@web"),
        ),
        networks=(Network("default", "small_default", encrypted=True),),
    )


class FakeHost:
    """protocols.Shell on a host that hashlab did not make; refuses unknown commands."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.address = name, f"10.0.0.{number}"
        self.key = f"KEY-{name}"
        facts = OUTPUT.format(address=self.address, key=self.key)
        self.facts = facts.replace("time 1000.5", f"time {time.time()}")
        self.record = self.new = ""
        self.prepared: list[list[str]] = []
        self.files: dict[str, str] = {}
        self.unprepared: list[list[str]] = []
        self.others: dict[str, FakeHost] = {}
        self.holder = ""
        self.fails = False
        self.order: list[str] = []

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        words = list(command)
        if words[:3] == ["sh", "-c", FACTS]:
            record = f"record {self.record}" if self.record else ""
            held = "".join(f"file {digest(t)} {p}\n" for p, t in self.files.items())
            return Completed(0, f"{self.facts}{record}\n{held}", "")
        if words[0] == "ssh-keyscan":
            found = [host for host in self.others.values() if host.address in words]
            lines = "".join(f"{host.address} ssh-ed25519 {host.key}\n" for host in found)
            return Completed(0, f"# {self.address}:22 SSH-2.0\n{lines}", "")
        if words[:4] == ["sudo", "sh", "-c", PREPARE]:
            return self._prepare(words[5:], stdin)
        if words[:4] == ["sudo", "sh", "-c", UNPREPARE]:
            self.unprepared.append(words[5:])
            self.record, self.files = "", {}
            return Completed(0, "Docker stays: it has containers or volumes\n", "")
        if words == ["sudo", "tee", "/etc/hashlab/host.json.new"]:
            self.new = stdin.decode().strip()
        elif words == ["sudo", "mv", "/etc/hashlab/host.json.new", "/etc/hashlab/host.json"]:
            self.order.append("record")
            self.record = self.new
        else:
            assert words == ["sudo", "mkdir", "-p", "/etc/hashlab"]
        return Completed(0, "", "")

    def _prepare(self, words: list[str], stdin: bytes) -> Completed:
        self.order.append("prepare")
        if self.fails:
            return Completed(100, "", "E: no space left")
        self.prepared.append(words)
        with tarfile.open(fileobj=io.BytesIO(stdin)) as archive:
            for member in archive:
                if member.isfile():
                    stream = archive.extractfile(member)
                    assert stream is not None
                    self.files[f"/{member.name}"] = stream.read().decode()
        self.facts = self.facts.replace("groups deploy", "groups deploy docker")
        programs = "".join(f"program {name}\n" for name in ("dockerd", "socat", "iptables"))
        self.facts += programs
        return Completed(0, "Setting up\ninstalled runc\ninstalled socat\n", "")

    @contextmanager
    def hold(self, command: Sequence[str]) -> Iterator[str]:
        assert list(command)[:3] == ["bash", "-c", HOLD_LOCK]
        if self.holder:
            yield f"held {self.holder}"
            return
        self.holder = command[-2]
        yield "taken"
        self.holder = ""

    def close(self) -> None:
        pass


class Hosts:
    """Two hosts, and the provider that reaches them."""

    def __init__(self, lab: Lab) -> None:
        self.all = {m.name: FakeHost(m.name, 5 + at) for at, m in enumerate(lab.machines)}
        for host in self.all.values():
            host.others = {name: each for name, each in self.all.items() if each is not host}
        self.away: set[str] = set()
        self.why = "timed out"
        self.unknown: set[str] = set()
        self.provider = HostsProvider(
            lab, locate=self._locate, shells=lambda: self, engine=FakeEngine
        )

    def _locate(self, endpoint: str) -> HostAccess:
        name = endpoint.partition("@")[2]
        key = "" if name in self.unknown else f"ssh-ed25519 {self.all[name].key}"
        return HostAccess(Endpoint(name, 22, "deploy"), key, (), (), ())

    def open_shell(self, machine: str, endpoint: Endpoint, host_key: str) -> HostShell:
        if machine in self.away:
            raise LabError(f"no SSH connection to {endpoint.host}:22: {self.why}", where=machine)
        assert host_key == f"ssh-ed25519 {self.all[machine].key}"
        return self.all[machine]  # type: ignore[return-value]


@pytest.fixture
def hosts(lab: Lab) -> Hosts:
    return Hosts(lab)


def prepare(hosts: Hosts, lab: Lab) -> None:
    hosts.provider.hosts.plan(lab)
    with track_of() as track:
        for machine in lab.machines:
            hosts.provider.hosts.prepare(lab, machine.name, track=track)


def test_a_host_says_what_it_is() -> None:
    assert (GOOD.os, GOOD.arch, GOOD.user) == ("debian 13", "x86_64", "deploy")
    assert GOOD.addresses == {IPv4Address("10.0.0.5"): 1500}
    assert GOOD.sshd == ("10.0.0.5", 22)
    assert GOOD.missing == ("docker.io", "socat", "iptables")
    assert GOOD.record is None


@pytest.mark.parametrize(("shown", "ahead"), [("1000.4", 0.0), ("1010.0", 9.0), ("900.0", -100.0)])
def test_a_clock_is_off_only_if_it_shows_a_time_outside_of_the_question(
    shown: str, ahead: float
) -> None:
    assert parse(f"time {shown}", asked=1000.0, answered=1001.0).clock == pytest.approx(ahead)


def test_a_damaged_record_counts_as_none() -> None:
    assert parse('record {"lab": "x"', asked=0, answered=0).record is None
    assert parse('record {"lab": "x", "packages": []}', asked=0, answered=0).record is None


def test_a_good_host_has_no_faults(lab: Lab) -> None:
    assert faults(lab, lab.machines[0], GOOD) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sudo": False}, "deploy needs sudo without a password"),
        ({"apt": False}, "apt and systemd"),
        ({"arch": "riscv64"}, "unknown processor: riscv64"),
        ({"swarm": ("active", "abc")}, "in a Swarm that hashlab did not make"),
        ({"swarm": ("active", "abc"), "swarm_made": "other"}, "in a Swarm that hashlab"),
        ({"clock": 30.0}, "its clock is +30 s off"),
        ({"esp": False}, "cannot encrypt"),
        (
            {"record": Record("other-1", "anna@laptop", "10.0.0.5", "")},
            "prepared for another lab: other-1, by anna@laptop",
        ),
    ],
)
def test_a_host_that_cannot_run_the_lab_says_why(
    lab: Lab, change: dict[str, object], message: str
) -> None:
    [fault] = faults(lab, lab.machines[0], replace(GOOD, **change))  # type: ignore[arg-type]
    assert message in fault.what
    assert fault.next_step


@pytest.mark.parametrize("mark", ["abc", "making"])
def test_a_swarm_that_hashlab_made_is_no_fault(lab: Lab, mark: str) -> None:
    own = replace(GOOD, swarm=("active", "abc"), swarm_made=mark)
    assert faults(lab, lab.machines[0], own) == []


def test_a_host_of_another_processor_than_the_images_is_refused(lab: Lab) -> None:
    [fault] = faults(lab, lab.machines[0], GOOD, builds_for="aarch64")
    assert fault.what == "its processor is x86_64, and the laptop builds images for aarch64"


def test_a_kernel_without_encryption_is_fine_if_the_lab_asks_for_none(lab: Lab) -> None:
    plain = replace(lab, networks=(Network("default", "small_default"),))
    assert faults(plain, lab.machines[0], replace(GOOD, esp=False)) == []


def test_hosts_get_the_unit_for_sandboxes_that_boxes_have() -> None:
    setup = resources.files("hashlab.providers").joinpath("system", "setup.sh").read_text("utf-8")
    unit = host_files()["/etc/systemd/system/hashlab-sandboxes.service"]
    assert f"hashlab-sandboxes.service <<'EOF'\n{unit}EOF\n" in setup


def test_a_prepared_host_needs_no_change(lab: Lab) -> None:
    peers = [IPv4Address("10.0.0.6")]
    first = changes(lab, GOOD, IPv4Address("10.0.0.5"), peers, "anna@laptop")
    assert first.packages == ("docker.io", "socat", "iptables")
    assert first.joins
    files = {**host_files(), NETWORK: "10.0.0.6\n"}
    done = replace(
        GOOD,
        programs=frozenset(("dockerd", "docker", "socat", "rsync", "iptables")),
        groups=frozenset(("deploy", "docker")),
        files={path: digest(text) for path, text in files.items()},
        record=first.record,
    )
    assert changes(lab, done, IPv4Address("10.0.0.5"), peers, "ben@other").none
    moved = changes(lab, done, IPv4Address("10.0.0.5"), [IPv4Address("10.0.0.9")], "anna@laptop")
    assert list(moved.files) == [NETWORK]


def test_private_addresses_come_first_and_one_of_the_file_is_the_only_one() -> None:
    machine = Machine("web", ANY, endpoint="web")
    public, private, other = map(IPv4Address, ("8.8.8.8", "10.0.0.5", "10.0.0.9"))
    facts = replace(
        GOOD, addresses={public: 1500, private: 1500, other: 1500}, sshd=("10.0.0.9", 22)
    )
    assert candidates(machine, facts) == [other, private, public]
    named = replace(machine, address=IPv4Address("10.1.1.1"))
    assert candidates(named, facts) == [IPv4Address("10.1.1.1")]


def test_an_address_counts_only_if_all_others_find_the_hosts_key_there(lab: Lab) -> None:
    first, second = IPv4Address("10.0.0.5"), IPv4Address("192.168.0.5")
    facts = {
        "broker": replace(GOOD, addresses={first: 1500, second: 1500}),
        "web": replace(GOOD, addresses={second: 1500}, keys=frozenset({"ssh-ed25519 WEB"})),
    }
    # Both have 192.168.0.5 in networks of their own; the other host there is a stranger.
    seen = {
        "web": {first: {"ssh-ed25519 KEY"}, second: {"ssh-ed25519 WEB"}},
        "broker": {second: {"ssh-ed25519 WEB"}},
    }
    assert choose(lab.machines, facts, seen) == {"broker": first, "web": second}
    with pytest.raises(LabError, match="web cannot reach it by SSH") as caught:
        choose(lab.machines, facts, {**seen, "web": {second: {"ssh-ed25519 WEB"}}})
    assert caught.value.where == "broker"
    assert "address" in caught.value.next_step


def test_keys_on_another_port_are_read_too() -> None:
    class Scanner:
        def run(self, argv: Sequence[str], *, timeout: float) -> Completed:
            assert list(argv)[:5] == ["ssh-keyscan", "-T", "5", "-p", "2222"]
            return Completed(0, "# x\n[10.0.0.5]:2222 ssh-ed25519 KEY\n", "")

    address = IPv4Address("10.0.0.5")
    shell: Shell = Scanner()  # type: ignore[assignment]
    assert reached(shell, [(address, 2222)]) == {address: {"ssh-ed25519 KEY"}}


def test_the_plan_says_what_would_change_and_changes_nothing(lab: Lab, hosts: Hosts) -> None:
    first, second = hosts.provider.hosts.plan(lab)
    assert (first.machine, second.machine) == ("broker", "web")
    assert first.steps[0] == "install docker.io, socat, iptables, and what they need"
    assert any("group docker" in step for step in first.steps)
    assert all(host.order == [] for host in hosts.all.values())


def test_the_plan_names_all_that_is_wrong_at_once(lab: Lab, hosts: Hosts) -> None:
    for host in hosts.all.values():
        host.facts = host.facts.replace("sudo yes\n", "")
    with pytest.raises(LabError) as caught:
        hosts.provider.hosts.plan(lab)
    assert "broker: deploy needs sudo" in caught.value.what
    assert "web: deploy needs sudo" in caught.value.what


def test_hosts_are_prepared_once(lab: Lab, hosts: Hosts) -> None:
    prepare(hosts, lab)
    web = hosts.all["web"]
    assert web.prepared == [["deploy", "docker.io", "socat", "iptables"]]
    assert web.files[NETWORK] == "10.0.0.5\n"
    prepare(hosts, lab)
    assert len(web.prepared) == 1
    assert hosts.provider.hosts.plan(lab)[1].steps == ()


def test_the_record_is_there_before_anything_else_and_names_what_apt_brought(
    lab: Lab, hosts: Hosts
) -> None:
    prepare(hosts, lab)
    assert hosts.all["web"].order == ["record", "prepare", "record"]
    facts = hosts.provider.machines.facts(lab.machines[1])
    assert facts.record is not None
    assert facts.record.packages == ("docker.io", "iptables", "runc", "socat")
    assert (facts.record.lab, facts.record.joined) == (lab.id, True)


def test_after_a_failure_the_next_run_completes(lab: Lab, hosts: Hosts) -> None:
    hosts.all["web"].fails = True
    with pytest.raises(LabError, match="could not be prepared") as caught:
        prepare(hosts, lab)
    assert "no space left" in caught.value.output
    hosts.all["web"].fails = False
    prepare(hosts, lab)
    assert hosts.all["web"].prepared


def test_what_was_prepared_is_undone_exactly(lab: Lab, hosts: Hosts) -> None:
    prepare(hosts, lab)
    with track_of() as track:
        stays = hosts.provider.hosts.unprepare(lab, "web", track=track)
        assert stays == ("Docker stays: it has containers or volumes",)
        assert hosts.all["web"].unprepared == [["deploy", "docker.io", "iptables", "runc", "socat"]]
        assert hosts.provider.hosts.unprepare(lab, "web", track=track) == ()


def test_a_host_is_a_machine_of_the_lab_once_it_is_prepared(lab: Lab, hosts: Hosts) -> None:
    assert hosts.provider.machines.observe_all(lab) == []
    with pytest.raises(LabError, match="not prepared") as caught:
        hosts.provider.machines.observe(lab, "web")
    assert caught.value.next_step == "hashlab init-box"
    prepare(hosts, lab)
    found = hosts.provider.machines.observe(lab, "web")
    assert found is not None
    assert (str(found.address), found.recipe) == ("10.0.0.6", recipe())


def test_a_host_of_another_lab_is_none_of_this_one(lab: Lab, hosts: Hosts) -> None:
    prepare(hosts, lab)
    other = replace(lab, name="other")
    assert hosts.provider.machines.observe_all(other) == []
    with pytest.raises(LabError, match="prepared for another lab"):
        hosts.provider.machines.observe(other, "web")


def test_a_host_that_does_not_answer_is_still_a_machine(lab: Lab, hosts: Hosts) -> None:
    hosts.away.add("web")
    [web] = hosts.provider.machines.observe_all(lab)
    assert (web.name, web.state, web.address) == ("web", "running", None)
    with pytest.raises(LabError, match="timed out") as caught:
        hosts.provider.machines.observe(lab, "web")
    assert caught.value.next_step == "ssh deploy@web shows the problem"


def test_a_key_with_a_passphrase_belongs_into_the_agent(lab: Lab, hosts: Hosts) -> None:
    hosts.away.add("web")
    hosts.why = "Private key file is encrypted"
    with pytest.raises(LabError, match="encrypted") as caught:
        hosts.provider.machines.observe(lab, "web")
    assert caught.value.next_step.startswith("ssh-add")


def test_an_unknown_host_key_is_never_accepted(lab: Lab, hosts: Hosts) -> None:
    hosts.unknown.add("web")
    assert not hosts.provider.probe().works
    with pytest.raises(LabError, match="the host key of web is unknown") as caught:
        hosts.provider.machines.observe(lab, "web")
    assert "compare the fingerprint" in caught.value.next_step


def test_a_second_run_is_told_who_holds_the_lab(lab: Lab, hosts: Hosts) -> None:
    with hosts.provider.hosts.held(lab, "dev", print):
        assert hosts.all["broker"].holder.startswith("dev by ")
        with (
            pytest.raises(LockedError, match="another run is at work on this lab: dev by "),
            hosts.provider.hosts.held(lab, "refresh", print),
        ):
            pass
    assert hosts.all["broker"].holder == ""
    with hosts.provider.hosts.held(lab, "refresh", print):
        pass


def test_each_host_has_a_check_of_its_own(lab: Lab, hosts: Hosts) -> None:
    hosts.away.add("web")
    broker, web = hosts.provider.hosts.checks(lab)
    assert broker.ok
    assert "not prepared, lacks docker.io" in broker.detail
    assert not web.ok
    assert "timed out" in web.detail


def test_facts_of_a_host_that_says_nothing_are_empty() -> None:
    assert parse("", asked=0, answered=0) == HostFacts()
