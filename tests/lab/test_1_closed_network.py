"""Who reaches a machine's ports: the lab, the laptop, and nobody else."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network

import pytest
from labkit import LabFolder, docker
from neighbours import answers, neighbour

SWARM_TCP = (2377, 7946)
SWARM_UDP = (4789, 7946)
RULE = "sudo iptables --wait --table mangle"
# The broker's management and the web page, which people open on the laptop.
PUBLISHED = {"broker": 15672, "web": 80}


def addresses(lab: LabFolder) -> dict[str, str]:
    """Each machine's address in the lab's network."""
    return {machine["name"]: machine["address"] for machine in lab.status()["machines"]}


def refused(lab: LabFolder, machine: str) -> int:
    """How many packets to Swarm's ports a machine has refused."""
    listed = lab.on(machine, f"{RULE} --list HASHLAB-SWARM --numeric --verbose --exact")
    return sum(int(line.split()[0]) for line in listed.splitlines() if " DROP " in line)


@pytest.mark.only("docker", reason="libvirt itself keeps neighbours out")
def test_a_neighbour_of_the_laptop_reaches_no_port_of_a_machine(forum_lab: LabFolder) -> None:
    where = addresses(forum_lab)
    subnet = str(IPv4Network(f"{where['web']}/24", strict=False))
    with neighbour(subnet) as words:
        for machine, port in [*PUBLISHED.items(), *((name, 22) for name in where)]:
            assert not answers(where[machine], port, prefix=words), (machine, port)
        for port in SWARM_TCP:
            assert not answers(where["broker"], port, prefix=words), port
        # The same question is answered where a machine is open, so the way there is not the reason.
        forum_lab.on("web", f"{RULE} --delete PREROUTING --jump HASHLAB")
        try:
            reached = answers(where["web"], 22, prefix=words)
        finally:
            forum_lab.on("web", "sudo /usr/local/sbin/hashlab-firewall")
        if docker("version", "--format", "{{.Server.Version}}").split(".")[0] < "28":
            assert reached
        assert not answers(where["web"], 22, prefix=words)


def test_the_laptop_reaches_what_machines_publish_and_none_of_swarms_ports(
    forum_lab: LabFolder,
) -> None:
    where = addresses(forum_lab)
    for machine, port in [*PUBLISHED.items(), *((name, 22) for name in where)]:
        assert answers(where[machine], port), (machine, port)
    for port in SWARM_TCP:
        assert not answers(where["broker"], port), port
    before = refused(forum_lab, "broker")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in SWARM_UDP:
            # The head of a VXLAN frame.
            sender.sendto(bytes.fromhex("0800000000100100") + bytes(42), (where["broker"], port))
    assert refused(forum_lab, "broker") == before + len(SWARM_UDP)


def test_machines_reach_each_others_swarm_and_their_containers_do_not(
    forum_lab: LabFolder,
) -> None:
    where = addresses(forum_lab)
    ask = "timeout 3 socat -u OPEN:/dev/null TCP:{}:{}"
    for port in SWARM_TCP:
        forum_lab.on("web", ask.format(where["broker"], port))
    # A container's packets leave its machine under the machine's own address.
    container = "$(docker ps --quiet --filter label=hashlab.service=qa)"
    pid = f"$(docker inspect --format '{{{{.State.Pid}}}}' {container})"
    before = refused(forum_lab, "services")
    for name in ("broker", "services"):
        inside = f"sudo nsenter --net --target {pid} {ask.format(where[name], 7946)}"
        assert forum_lab.run("ssh", "services", "--command", inside).code != 0, name
    assert refused(forum_lab, "services") > before
