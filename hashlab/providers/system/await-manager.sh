#!/bin/sh
# Runs before the Docker Engine starts. A worker's engine looks for the manager of its Swarm once at
# its start, and then once a minute. If the manager's engine starts later, neither machine knows the
# names of the other's services until then. So this waits until the manager's engine listens for the
# others, for 20 s at most, because the manager may be gone.
state=/var/lib/docker/swarm/docker-state.json
[ -s "$state" ] || exit 0
# The manager itself has no remote address.
manager=$(sed -n 's/.*"RemoteAddr":"\([0-9.]*\):[0-9]*".*/\1/p' "$state")
[ -n "$manager" ] || exit 0
end=$(($(date +%s) + 20))
until timeout 1 bash -c "exec 3<> /dev/tcp/$manager/7946" 2> /dev/null; do
    [ "$(date +%s)" -lt "$end" ] || exit 0
    sleep 0.2
done
