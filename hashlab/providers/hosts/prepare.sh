#!/bin/sh
# Prepares a host, as root. Standard input: an archive of files below /. Arguments: the user whose
# containers they are, and packages to install. A second run changes nothing that is as it should be.
set -eu

user=$1
shift
export DEBIAN_FRONTEND=noninteractive
tar --extract --no-same-owner --directory /
if [ "$#" -gt 0 ]; then
    before=$(mktemp)
    dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' | grep '^.i' | cut -d ' ' -f 3 | sort > "$before"
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
    # In some releases the engine's client is a package of its own.
    command -v docker > /dev/null || apt-get install -q -y --no-install-recommends docker-cli
    dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' | grep '^.i' | cut -d ' ' -f 3 | sort |
        comm -13 "$before" - | sed 's/^/installed /'
    rm -f "$before"
fi
[ "$user" = root ] || id -Gn "$user" | tr ' ' '\n' | grep -qx docker || usermod --append --groups docker "$user"
install -d -o "$user" -g docker -m 0750 /var/lib/hashlab
systemctl daemon-reload
systemctl start docker.service
systemctl enable --quiet hashlab-firewall.service hashlab-sandboxes.service
# The files may be new ones.
systemctl restart hashlab-firewall.service hashlab-sandboxes.service
