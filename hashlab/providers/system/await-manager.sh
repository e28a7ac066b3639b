#!/bin/sh
# Runs before the Docker Engine starts. An engine looks for the manager of its Swarm once at its start, and then once a
# minute: if all machines start together, and this one is first, no machine would find the names of the others until then.
# So wait until the manager's engine takes part, for 20 s at most: it may be gone.
state=/var/lib/docker/swarm/docker-state.json
[ -s "$state" ] || exit 0
# The manager itself has no remote address.
manager=$(sed -n 's/.*"RemoteAddr":"\([0-9.]*\):[0-9]*".*/\1/p' "$state")
[ -n "$manager" ] || exit 0
tries=0
until timeout 1 bash -c "exec 3<> /dev/tcp/$manager/7946" 2> /dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 40 ] || exit 0
    sleep 0.5
done
