#!/bin/sh
# Undoes prepare.sh, as root. Arguments: the user who leaves the group docker ("" if that user was in
# it before), and the packages to remove. An engine that has containers or volumes of others stays.
set -eu

user=$1
shift
export DEBIAN_FRONTEND=noninteractive
for unit in hashlab-sandboxes hashlab-firewall; do
    systemctl disable --quiet --now "$unit.service" 2> /dev/null || true
done
[ ! -x /usr/local/sbin/hashlab-firewall ] || /usr/local/sbin/hashlab-firewall open
rm -f /usr/local/sbin/hashlab-firewall /usr/local/sbin/hashlab-sandboxes /usr/local/sbin/hashlab-await-manager \
    /etc/systemd/system/hashlab-firewall.service /etc/systemd/system/hashlab-sandboxes.service \
    /etc/systemd/system/docker.service.d/hashlab.conf
rmdir /etc/systemd/system/docker.service.d 2> /dev/null || true
systemctl daemon-reload
# The engine made it for the Swarm, and refuses while a container of others is on it.
docker network rm docker_gwbridge > /dev/null 2>&1 || true
[ -z "$user" ] || gpasswd --delete "$user" docker > /dev/null 2>&1 || true
for package in "$@"; do
    if [ "$package" = docker.io ] && [ -n "$(docker ps --all --quiet; docker volume ls --quiet)" ]; then
        echo "Docker stays: it has containers or volumes"
        set --
    fi
done
if [ "$#" -gt 0 ]; then
    # Only these: what others need by now makes dpkg refuse, and stays.
    dpkg --purge "$@" > /dev/null 2>&1 || true
    for package in "$@"; do
        dpkg-query --show --showformat '${db:Status-Abbrev}' "$package" 2> /dev/null | grep -q '^.i' &&
            echo "$package stays: another package needs it"
    done
    command -v dockerd > /dev/null || rm -rf /var/lib/docker/* /var/lib/containerd/*
fi
rm -rf /var/lib/hashlab /etc/hashlab
