#!/bin/sh
# Carries one connection, its own input and output, to a port of a container. It enters the network
# of the container, so a network without a way out works too, and connects to the container's
# address there, as another container would; or to its loopback, if PORT is written lo/5005 (socat
# would take a colon for its own). Prints "#failed N WHY" to descriptor 3 if it cannot.
# Arguments: N, CONTAINER, PORT. Runs as root.
set -eu
failed() {
    echo "#failed $1" >&3
    exit 1
}
# The container is looked up for each connection, because a refresh replaces it.
pid=$(docker inspect --format '{{.State.Pid}}' "$2" 2> /dev/null) || pid=0
[ "$pid" -gt 0 ] || failed "$1 the container does not run"
case $3 in
    lo/*) target=TCP:127.0.0.1:${3#lo/} ;;
    *)
        addresses=$(nsenter --target "$pid" --net hostname -I) || failed "$1 the container has just ended"
        # A container without a network has loopback only.
        address=${addresses%% *}
        target="TCP:${address:-127.0.0.1}:$3"
        ;;
esac
{ why=$(nsenter --target "$pid" --net socat -t 60 STDIO "$target" 2>&1 >&4) || true; } 4>&1
case $why in
    *"Connection refused"*) failed "$1 nothing listens on this port" ;;
    *"timed out"* | *"No route"*) failed "$1 the port does not answer" ;;
esac
