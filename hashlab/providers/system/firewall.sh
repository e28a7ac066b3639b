#!/bin/sh
# Closes the machine's network. Runs at each boot, before sshd and the Docker Engine answer. A
# second run changes nothing.
# - Swarm's ports (2377, 7946, 4789) accept packets from the lab's other machines only. The laptop's
# address is refused, because any user of the laptop can send from it. So are containers, which
# could write into networks of other services.
# - All other ports accept new connections from the lab's subnet only: from its machines and from
# the laptop. Engines before 28 would forward the laptop's neighbours to a machine whose ports are
# published on 127.0.0.1 (moby#45610).
# Docker neither flushes nor uses these chains. An application cannot publish one of Swarm's ports.
set -eu

# A provider that knows the network better than the machine does at boot writes "INTERFACE SUBNET
# GATEWAY" into this file.
settings=/etc/hashlab-network
interface=eth0
subnet=""
gateway=""
if [ -s "$settings" ]; then
    read -r interface subnet gateway < "$settings"
elif systemd-detect-virt --quiet --container; then
    # The laptop's engine sets the interface up before this machine's first process starts.
    gateway="$(ip -4 route show default dev eth0 | awk '{ print $3; exit }')"
    if [ -z "$gateway" ]; then
        echo "this machine has no network to close"
        exit 0
    fi
    subnet="$(ip -4 route show dev eth0 scope link | awk '{ print $1; exit }')"
else
    # The hypervisor assigns the address later, so subnet and gateway are on the command line.
    # shellcheck disable=SC2013 # words
    for word in $(cat /proc/cmdline); do
        case "$word" in
            hashlab.subnet=*) subnet="${word#*=}" ;;
            hashlab.gateway=*) gateway="${word#*=}" ;;
        esac
    done
fi
if [ -z "$subnet" ] || [ -z "$gateway" ]; then
    echo "the lab's subnet or its gateway is unknown" >&2
    exit 1
fi

swarm_ports() {
    for port in "tcp --dport 2377" "tcp --dport 7946" "udp --dport 7946" "udp --dport 4789"; do
        # Matches packets to the machine's address in the lab or, from its own containers, to any
        # other of its addresses.
        echo "-A HASHLAB -d $subnet -p $port -j HASHLAB-SWARM"
        echo "-A HASHLAB -p $port -m addrtype --dst-type LOCAL -j HASHLAB-SWARM"
    done
}

closed() {
    program=$1
    "$program" -w -t mangle -C PREROUTING -j HASHLAB 2> /dev/null ||
        "$program" -w -t mangle -I PREROUTING -j HASHLAB
}

# All rules of a chain take effect in one step, and naming a chain empties it.
iptables-restore -w --noflush << RULES
*mangle
:HASHLAB - [0:0]
:HASHLAB-SWARM - [0:0]
-A HASHLAB -i lo -j RETURN
$(swarm_ports)
-A HASHLAB -i $interface ! -s $subnet -m conntrack --ctstate NEW -j DROP
-A HASHLAB-SWARM ! -i $interface -j DROP
-A HASHLAB-SWARM -s $gateway -j DROP
-A HASHLAB-SWARM ! -s $subnet -j DROP
COMMIT
RULES
closed iptables

# The lab uses IPv4 only. A kernel without IPv6 needs no rules.
if ip6tables -w -t mangle -S > /dev/null 2>&1; then
    ip6tables-restore -w --noflush << RULES
*mangle
:HASHLAB - [0:0]
-A HASHLAB -i $interface -m conntrack --ctstate NEW -j DROP
COMMIT
RULES
    closed ip6tables
fi
