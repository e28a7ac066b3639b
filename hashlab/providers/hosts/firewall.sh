#!/bin/sh
# Lets only the lab's other hosts reach this host's Swarm: ports 2377, 7946 and 4789. A container whose
# port is published on 127.0.0.1 is reached that way alone, too; engines before 28 forward neighbours
# to it (moby#45610). Filters nothing else. Its chains are its own; a second run changes nothing. With
# the argument "open", removes them.
set -eu

# A line with the addresses of the lab's hosts, separated by spaces.
peers=$(cat /etc/hashlab/network 2> /dev/null || true)

remove() {
    while iptables -w -t mangle -D "$1" -j "$2" 2> /dev/null; do :; done
    iptables -w -t mangle -F "$2" 2> /dev/null || true
    iptables -w -t mangle -X "$2" 2> /dev/null || true
}

if [ "${1:-}" = open ]; then
    remove PREROUTING HASHLAB-HOST
    remove FORWARD HASHLAB-BRIDGE
    iptables -w -t mangle -F HASHLAB-PEERS 2> /dev/null || true
    iptables -w -t mangle -X HASHLAB-PEERS 2> /dev/null || true
    exit 0
fi

swarm_ports() {
    for port in "tcp --dport 2377" "tcp --dport 7946" "udp --dport 7946" "udp --dport 4789"; do
        echo "-A HASHLAB-HOST -p $port -m addrtype --dst-type LOCAL -j HASHLAB-PEERS"
    done
}

from_peers() {
    for peer in $peers; do
        echo "-A HASHLAB-PEERS -s $peer -j RETURN"
    done
}

entered() {
    iptables -w -t mangle -C "$1" -j "$2" 2> /dev/null || iptables -w -t mangle -I "$1" -j "$2"
}

# All rules of a chain take effect in one step, and naming a chain empties it.
iptables-restore -w --noflush << RULES
*mangle
:HASHLAB-HOST - [0:0]
:HASHLAB-PEERS - [0:0]
:HASHLAB-BRIDGE - [0:0]
-A HASHLAB-HOST -i lo -j RETURN
$(swarm_ports)
$(from_peers)
-A HASHLAB-PEERS -j DROP
-A HASHLAB-BRIDGE -o docker_gwbridge ! -i docker_gwbridge -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP
COMMIT
RULES
entered PREROUTING HASHLAB-HOST
entered FORWARD HASHLAB-BRIDGE
