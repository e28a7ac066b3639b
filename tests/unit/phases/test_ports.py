"""Phase ports: the laptop reaches what machines forward, whoever forwards it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from fakes import Outside, connected, go, running, track_of
from fakes.outside import Ran, Silent

from hashlab.config.model import ForwardedPort
from hashlab.errors import LabError
from hashlab.phases.ports import close_ports, close_ports_of, forward_ports
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.run import workflows


@pytest.fixture
def forwarded(outside: Outside) -> Outside:
    """A running lab whose provider publishes no ports; the fake ssh keeps its control sockets."""
    outside.provider.publishes_ports = False
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    return running(outside)


def ssh(outside: Outside, words: Sequence[str]) -> None:
    """What OpenSSH does about a master connection's socket."""
    socket = outside.state.ssh / words[words.index("-S") + 1]
    if "-M" in words:
        assert not socket.exists(), "ssh would say that the socket is in use"
        socket.touch()
    elif words[words.index("-O") + 1] == "exit":
        socket.unlink()


def calls(outside: Outside) -> list[Ran]:
    return [ran for ran in outside.runner.ran if ran.command[0] == "ssh"]


def forward(outside: Outside) -> Row:
    """Run the phase alone."""
    outside.runner.ran.clear()
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("ports") as track:
        forward_ports(connected(outside), track, "")
    return recorder.rows()[0]


def test_where_the_provider_publishes_ports_nothing_is_forwarded(outside: Outside) -> None:
    row = forward(running(outside))
    assert (row.status, row.detail) == ("skipped", "published by the provider")


def test_dev_opens_one_connection_for_each_machine_that_forwards_ports(
    forwarded: Outside,
) -> None:
    [ran] = calls(forwarded)
    words = ran.command
    assert words[-1] == "web"
    assert words[words.index("-F") + 1] == str(forwarded.state.ssh_config)
    assert words[words.index("-L") + 1] == "127.0.0.1:8080:127.0.0.1:80"
    assert "ExitOnForwardFailure=yes" in words, "a port that is taken must not be silently left out"
    assert "-f" in words, "it outlives the run"
    assert any(word.startswith("ServerAliveInterval=") for word in words)


def test_the_socket_is_named_from_its_folder_because_long_paths_do_not_fit(
    forwarded: Outside,
) -> None:
    [ran] = calls(forwarded)
    assert ran.cwd == forwarded.state.ssh
    assert ran.command[ran.command.index("-S") + 1] == "web.tunnel"


def test_several_ports_of_a_machine_share_a_connection(outside: Outside) -> None:
    ports = (ForwardedPort("site", 80, 8080), ForwardedPort("debug", 5005, 5005))
    machines = [
        replace(machine, forwarded_ports=ports) if machine.name == "web" else machine
        for machine in outside.lab.machines
    ]
    outside.lab = replace(outside.lab, machines=tuple(machines))
    outside.provider.publishes_ports = False
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    running(outside)
    (outside.state.ssh / "web.tunnel").unlink()
    row = forward(outside)
    assert row.detail == "2 opened"
    [ran] = calls(outside)
    assert ran.command.count("-L") == 2


def test_what_is_open_is_only_looked_at(forwarded: Outside) -> None:
    row = forward(forwarded)
    assert (row.status, row.detail) == ("skipped", "open already")
    [ran] = calls(forwarded)
    assert ran.command[ran.command.index("-O") + 1] == "check"


def test_a_connection_that_ended_by_itself_is_opened_again(forwarded: Outside) -> None:
    # OpenSSH removes a stale socket when it opens a new master there.
    forwarded.runner.prepare("ssh")
    for option in ("check", "exit"):
        words = ("ssh", "-F", str(forwarded.state.ssh_config), "-S", "web.tunnel", "-O", option)
        forwarded.runner.prepare(*words, code=255, stderr="Connection refused\n")
    row = forward(forwarded)
    assert row.detail == "1 opened"
    assert [("-M" in ran.command) for ran in calls(forwarded)] == [False, True]


def test_a_port_that_cannot_be_forwarded_is_a_failure_with_the_words_of_ssh(
    forwarded: Outside,
) -> None:
    (forwarded.state.ssh / "web.tunnel").unlink()
    said = "bind [127.0.0.1]:8080: Address already in use\n"
    forwarded.runner.prepare("ssh", code=255, stderr=said)
    with pytest.raises(LabError, match="cannot forward ports 8080") as failure:
        forward(forwarded)
    assert failure.value.where == "web"
    assert "Address already in use" in failure.value.output
    assert "run it again" in failure.value.next_step


def test_a_failure_without_words_tells_the_exit_code(forwarded: Outside) -> None:
    (forwarded.state.ssh / "web.tunnel").unlink()
    forwarded.runner.prepare("ssh", code=255)
    with pytest.raises(LabError) as failure:
        forward(forwarded)
    assert failure.value.output == "exit code 255"


def test_connections_are_ended_once(forwarded: Outside) -> None:
    world = forwarded.world()
    forwarded.runner.ran.clear()
    with track_of() as track:
        for _ in range(2):
            close_ports(world, track)
            close_ports_of(world, track, "spare")
    [ran] = calls(forwarded)
    assert ran.command[-3:] == ("-O", "exit", "web")


def test_destroy_ends_the_connections_while_it_still_can(forwarded: Outside) -> None:
    forwarded.runner.ran.clear()
    go(forwarded, workflows.DESTROY)
    assert [ran.command[-3:] for ran in calls(forwarded)] == [("-O", "exit", "web")]


def test_the_connection_to_a_machine_that_is_booted_again_is_not_taken_for_an_open_one(
    forwarded: Outside,
) -> None:
    forwarded.machines["web"].state = "stopped"
    forwarded.runner.ran.clear()
    go(forwarded, workflows.DEV)
    done = ["-M" if "-M" in ran.command else ran.command[-2] for ran in calls(forwarded)]
    assert done == ["exit", "-M"]


def test_a_slow_machine_may_take_its_time_to_open_the_connection(forwarded: Outside) -> None:
    [usual] = calls(forwarded)
    forwarded.provider.time_factor = 10.0
    (forwarded.state.ssh / "web.tunnel").unlink()
    forward(forwarded)
    [slow] = calls(forwarded)
    assert slow.timeout == 10 * usual.timeout


def test_a_restore_opens_connections_anew_for_those_there_lead_to_the_machines_before(
    forwarded: Outside,
) -> None:
    go(forwarded, workflows.snapshot("first"))
    forwarded.runner.ran.clear()
    result = go(forwarded, workflows.restore("first"))
    did = [("exit" if "exit" in ran.command else "-M" in ran.command) for ran in calls(forwarded)]
    assert did == ["exit", True]
    [row] = [row for row in result.rows if row.name == "ports"]
    assert row.detail == "1 opened"


def published_elsewhere(outside: Outside) -> Outside:
    """A running lab whose machine was made while another program had its port."""
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    outside.ports_in_use = {8080}
    running(outside)
    assert outside.machines["web"].forwarded == {80: 40001}
    assert calls(outside) == []
    return outside


def test_a_port_that_is_free_again_leads_to_the_machine_that_was_made_without_it(
    outside: Outside,
) -> None:
    published_elsewhere(outside).ports_in_use = set()
    before = outside.machines["web"]
    assert forward(outside).detail == "1 opened"
    [ran] = calls(outside)
    assert ran.command[ran.command.index("-L") + 1] == "127.0.0.1:8080:127.0.0.1:80"
    world = connected(outside)
    assert world.urls() == {"site": "http://127.0.0.1:8080"}
    assert world.facts.notes == []
    assert outside.machines["web"] is before, "a healthy machine stays"
    # From now on hashlab itself has the port.
    outside.ports_in_use = {8080}
    assert forward(outside).status == "skipped"
    with track_of() as track:
        close_ports(world, track)
    assert world.urls() == {"site": "http://127.0.0.1:40001"}


def test_a_port_that_stays_taken_is_told_at_each_run(outside: Outside) -> None:
    published_elsewhere(outside)
    for workflow in (workflows.DEV, workflows.REFRESH):
        result = go(outside, workflow)
        assert next(row for row in result.rows if row.name == "ports").status == "skipped"
    world = connected(outside)
    with track_of() as track:
        forward_ports(world, track, "")
    assert world.facts.notes == ["port 8080 (site) is in use; using 40001"]
    assert calls(outside) == []


def test_another_port_in_hashlab_toml_needs_no_other_machine(forwarded: Outside) -> None:
    machines = [
        replace(machine, forwarded_ports=(ForwardedPort("site", 80, 9090),))
        if machine.name == "web"
        else machine
        for machine in forwarded.lab.machines
    ]
    forwarded.lab = replace(forwarded.lab, machines=tuple(machines))
    assert forward(forwarded).detail == "1 opened"
    words = [ran.command for ran in calls(forwarded)]
    assert ["check" in words[0], "exit" in words[1], "-M" in words[2]] == [True] * 3
    assert "127.0.0.1:9090:127.0.0.1:80" in words[2]


def with_tunnels(outside: Outside, **ports: tuple[ForwardedPort, ...]) -> None:
    """Give machines ports that the Compose file publishes, and no others."""
    machines = [
        replace(machine, forwarded_ports=ports.get(machine.name, ()))
        for machine in outside.lab.machines
    ]
    outside.lab = replace(outside.lab, machines=tuple(machines))


def test_a_published_port_needs_no_other_machine_whatever_the_provider(outside: Outside) -> None:
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    before = running(outside).machines["web"]
    published = ForwardedPort("api", 9000, 9000, tunnel=True)
    with_tunnels(outside, web=(ForwardedPort("site", 80, 8080), published))
    assert forward(outside).detail == "1 opened"
    assert connected(outside).urls()["api"] == "http://127.0.0.1:9000"
    assert outside.machines["web"] is before
    go(outside, workflows.DESTROY)
    go(outside, workflows.DEV)
    assert outside.machines["web"].forwarded == {80: 8080}, "a new machine is made without it"


def test_a_port_that_moves_to_another_machine_keeps_its_number(outside: Outside) -> None:
    published = ForwardedPort("api", 9000, 9000, tunnel=True)
    with_tunnels(outside, broker=(published,))
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    running(outside)
    with_tunnels(outside, web=(published,))
    assert forward(outside).detail == "1 opened"
    ends = [("exit" in ran.command, ran.command[-1]) for ran in calls(outside)]
    assert ends == [(False, "broker"), (True, "broker"), (False, "web")]
    assert connected(outside).urls() == {"api": "http://127.0.0.1:9000"}


@pytest.mark.parametrize(("others", "taken"), [((), 8080), ((8080,), 40001)])
def test_a_port_that_only_root_may_open_is_replaced_by_the_usual_one_if_that_is_free(
    outside: Outside, others: tuple[int, ...], taken: int
) -> None:
    ports = [ForwardedPort(f"a{each}", each, each, tunnel=True) for each in (80, *others)]
    with_tunnels(outside, web=tuple(ports))
    outside.ports_in_use = {80}
    outside.runner.prepare("ssh", effect=lambda words: ssh(outside, words))
    running(outside)
    world = connected(outside)
    with track_of() as track:
        forward_ports(world, track, "")
    assert world.urls()["a80"] == f"http://127.0.0.1:{taken}"
    assert world.facts.notes == [
        f"port 80 (a80) is in use, or only root may open it; using {taken}"
    ]


def test_a_connection_of_an_earlier_version_is_left_alone(forwarded: Outside) -> None:
    forwarded.world().tunnel_file("web").unlink()
    forwarded.ports_in_use = {8080}
    assert forward(forwarded).status == "skipped"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"80": "x"}', "7"])
def test_a_damaged_list_of_ports_counts_as_none(forwarded: Outside, text: str) -> None:
    forwarded.world().tunnel_file("web").write_text(text)
    assert forward(forwarded).status == "skipped"
