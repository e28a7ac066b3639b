#!/bin/sh
# Closes the machine's network. Runs at each boot, before sshd and the Docker Engine answer. A second run changes nothing.
# - Swarm's ports (2377, 7946, 4789) take packets from the lab's other machines only. The laptop's address is refused,
#   because any user of the laptop sends from it, and so are containers, which could write into networks of other services.
# - All other ports take new connections from the lab's subnet only: from its machines and from the laptop. Engines before
#   28 forward the laptop's neighbours to a machine whose ports are published on 127.0.0.1 (moby#45610).
# Docker neither flushes nor uses these chains. An application cannot publish one of Swarm's ports.
set -eu

# A provider that knows more than the machine at boot writes "INTERFACE SUBNET GATEWAY" into this file.
told=/etc/hashlab-network
interface=eth0
subnet=""
gateway=""
if [ -s "$told" ]; then
    read -r interface subnet gateway < "$told"
elif systemd-detect-virt --quiet --container; then
    # The laptop's engine has set the interface up before this machine's first process started.
    gateway="$(ip -4 route show default dev eth0 | awk '{ print $3; exit }')"
    if [ -z "$gateway" ]; then
        echo "there is no network to close"
        exit 0
    fi
    subnet="$(ip -4 route show dev eth0 scope link | awk '{ print $1; exit }')"
else
    # The hypervisor gives the address later than this.
    # shellcheck disable=SC2013 # words
    for word in $(cat /proc/cmdline); do
        case "$word" in
            hashlab.subnet=*) subnet="${word#*=}" ;;
            hashlab.gateway=*) gateway="${word#*=}" ;;
        esac
    done
fi
if [ -z "$subnet" ] || [ -z "$gateway" ]; then
    echo "the lab's subnet or its gateway is not known" >&2
    exit 1
fi

swarm_ports() {
    for port in "tcp --dport 2377" "tcp --dport 7946" "udp --dport 7946" "udp --dport 4789"; do
        # By the machine's address in the lab, or, from its own containers, by any other of its addresses.
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

# The lab speaks IPv4 only. Where the kernel has no IPv6, there is nothing to close.
if ip6tables -w -t mangle -S > /dev/null 2>&1; then
    ip6tables-restore -w --noflush << RULES
*mangle
:HASHLAB - [0:0]
-A HASHLAB -i $interface -m conntrack --ctstate NEW -j DROP
COMMIT
RULES
    closed ip6tables
fi
