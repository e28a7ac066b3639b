#!/bin/sh
# Prints the state of a test host that a lab must leave as it was: firewall rules without their
# counters, Docker's objects, packages, groups, and files of hashlab.
set -u

iptables-save | sed -e '/^#/d' -e 's/\[[0-9:]*\]//' | grep -v '^:DOCKER\|DOCKER' || true
nft list tables | grep -v 'table ip' || true
docker inspect --format '{{.Name}} {{.State.StartedAt}} {{.RestartCount}}' foreign 2> /dev/null
docker network ls --format '{{.Name}} {{.Driver}}' 2> /dev/null | sort
docker volume ls --quiet 2> /dev/null | sort
docker ps --all --format '{{.Names}}' 2> /dev/null | sort
dpkg-query --show --showformat '${Package} ${db:Status-Abbrev}\n' | grep ' ii' | sort
id -Gn deploy
find /etc/hashlab /var/lib/hashlab /usr/local/sbin /etc/systemd/system -name '*hashlab*' 2> /dev/null | sort
exit 0
