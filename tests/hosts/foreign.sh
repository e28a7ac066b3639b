#!/bin/sh
# Work of somebody else on a test host: a container with a volume and a network, and firewall rules.
set -eu

folder=$(mktemp -d)
cd "$folder"
mkdir usr etc proc sys dev
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$link"; done
tar --create . | docker import - foreign:1 > /dev/null
docker network create foreign-net > /dev/null
docker volume create foreign-data > /dev/null
docker run --detach --name foreign --network foreign-net --publish 9000:9000 --volume foreign-data:/data \
    --volume /usr:/usr:ro foreign:1 /usr/bin/sleep infinity > /dev/null
iptables --insert INPUT --protocol tcp --dport 9999 --jump DROP
iptables --table mangle --insert PREROUTING --protocol tcp --dport 9998 --jump ACCEPT
nft add table inet foreign
