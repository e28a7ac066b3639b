#!/bin/sh
# Prints what a host is, one fact a line: a word, a space, the value. Changes nothing. Arguments: the
# packages to look for.
set -u

as_root() { sudo -n "$@" 2> /dev/null; }

# shellcheck source=/dev/null
. /etc/os-release
echo "os ${ID:-linux} ${VERSION_ID:-}"
echo "arch $(uname -m)"
echo "user $(id -un)"
echo "groups $(id -Gn)"
as_root true && echo "sudo yes"
command -v apt-get > /dev/null && echo "apt yes"
command -v systemctl > /dev/null && [ -d /run/systemd/system ] && echo "systemd yes"
for package in "$@"; do
    dpkg-query --show --showformat '${db:Status-Abbrev}' "$package" 2> /dev/null | grep -q '^.i' &&
        echo "package $package"
done
PATH="$PATH:/usr/sbin:/sbin"
for program in dockerd docker socat rsync iptables; do
    command -v "$program" > /dev/null && echo "program $program"
done
if as_root docker info --format 'engine {{.ServerVersion}}
swarm {{.Swarm.LocalNodeState}} {{.Swarm.NodeID}}' > /tmp/hashlab-facts.$$ 2> /dev/null; then
    cat /tmp/hashlab-facts.$$
fi
rm -f /tmp/hashlab-facts.$$
# Words: the client's address and port, this host's address and port.
# shellcheck disable=SC2086
set -- ${SSH_CONNECTION:-}
echo "sshd ${3:-} ${4:-}"
ip -4 -o address show scope global | while read -r _ name _ address _; do
    case "$name" in
        docker* | br-* | veth*) ;;
        *) echo "address ${address%/*} $(cat "/sys/class/net/${name%@*}/mtu")" ;;
    esac
done
for key in /etc/ssh/ssh_host_*_key.pub; do
    [ -r "$key" ] && echo "key $(cut -d ' ' -f 1,2 "$key")"
done
# As the engine does for an encrypted network. A namespace of its own, so nothing of the host changes.
as_root unshare --net ip xfrm state add src 127.0.0.1 dst 127.0.0.1 proto esp spi 0x1 mode transport \
    aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 64 && echo "esp yes"
echo "time $(date +%s.%N)"
[ -r /etc/hashlab/host.json ] && echo "record $(cat /etc/hashlab/host.json)"
[ -r /etc/hashlab/swarm ] && echo "swarm-made $(cat /etc/hashlab/swarm)"
for file in /usr/local/sbin/hashlab-* /etc/systemd/system/hashlab-* \
    /etc/systemd/system/docker.service.d/hashlab.conf /etc/hashlab/network; do
    [ -r "$file" ] && echo "file $(sha256sum "$file" | tr -s ' ')"
done
exit 0
