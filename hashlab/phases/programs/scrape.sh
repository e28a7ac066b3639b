#!/bin/sh
# Prints the metrics of containers, again and again until its input ends. Asks each container by HTTP in its own network,
# because the machine has no route into overlays. Prints "#scrape CONTAINER", the answer with its headers, each line after
# a blank, and "#end"; what went wrong stands in place of the answer.
# Arguments: seconds between two rounds; then CONTAINER, PORT and PATH for each. Runs as root.
set -eu
seconds=$1
shift

# Ask container $1 at port $2 for path $3. It is looked up each time, because a refresh replaces it.
ask() {
    pid=$(docker inspect --type container --format '{{.State.Pid}}' "$1" 2> /dev/null) || pid=0
    [ "$pid" -gt 0 ] || { echo "it does not run" && return; }
    addresses=$(nsenter --target "$pid" --net hostname -I) || addresses=
    # A container without a network has loopback only.
    address=${addresses%% *}
    # Without shut-none, the end of the request would close half of the connection, which some servers take for its end.
    printf 'GET %s HTTP/1.0\r\nHost: %s:%s\r\nAccept: text/plain;version=0.0.4\r\n\r\n' "$3" "$1" "$2" |
        timeout 3 nsenter --target "$pid" --net socat -t 3 STDIO "TCP:${address:-127.0.0.1}:$2,shut-none" 2>&1
}

round() {
    while [ $# -gt 0 ]; do
        echo "#scrape $1"
        { ask "$1" "$2" "$3" || :; } | head -c 4194304 | sed 's/^/ /'
        # The answer may not end with the end of a line.
        echo
        echo "#end"
        shift 3
    done
}

if [ "$seconds" = 0 ]; then
    round "$@"
    exit
fi
exec 3<&0
{
    cat <&3
    kill $$
} > /dev/null 2>&1 &
while :; do
    round "$@" < /dev/null
    sleep "$seconds"
done 3<&-
