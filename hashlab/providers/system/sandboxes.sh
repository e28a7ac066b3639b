#!/bin/sh
# Keeps services in the networks of their sandboxes, at the engine's start and whenever a sandbox
# ends. An engine starts the containers of its machine in no order: one whose sandbox does not run
# yet stays down, and one whose sandbox is started again stays in the network that is gone. Neither
# needs hashlab to come back. Standard input and output are a connection to the engine.
set -u

# described: print id, state, start, sandbox and error of each container of a service, and the same
# of each sandbox with the word "sandbox".
described() {
    for label in hashlab.sandbox hashlab.service; do
        docker ps --all --quiet --no-trunc --filter "label=$label"
    done | xargs -r docker inspect --format '{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{if
        index .Config.Labels "hashlab.sandbox"}}sandbox{{else}}{{.HostConfig.NetworkMode}}{{end}} {{.State.Error}}'
}

# todo VERB: read what `described` prints, and print what is to be done: "start ID", "restart ID", or
# VERB and the id of a sandbox that is down. A container that somebody stopped has no error.
todo() {
    awk -v verb="$1" '
        { sub(/Z$/, "", $3) }
        $4 == "sandbox" { state["container:" $1] = $2; since["container:" $1] = $3
            if ($2 != "running") print verb, $1
            next }
        state[$4] != "running" { next }
        $2 == "exited" && /network of a non running container/ { print "start", $1 }
        $2 == "running" && $3 < since[$4] { print "restart", $1 }'
}

# settle VERB: bring back what is down, within a minute. An engine that starts does so with
# sandboxes when it is in its Swarm, so they are awaited (VERB await): an attempt before that, or
# with a network that is gone, would keep hashlab out for 20 s. One that somebody killed stays down
# (VERB start).
settle() {
    tries=0
    while [ "$tries" -lt 60 ]; do
        work=$(described | todo "$1")
        [ -n "$work" ] || return 0
        echo "$work" | while read -r verb id; do
            [ "$verb" = await ] || { docker "$verb" "$id" > /dev/null && echo "$verb $id"; }
        done
        tries=$((tries + 1))
        sleep 1
    done
    echo "given up: $work"
}

# The engine's answer begins before the first event, so nothing that happens after it is missed.
printf 'GET /events?filters=%s HTTP/1.0\r\n\r\n' \
    '%7B%22label%22%3A%5B%22hashlab.sandbox%22%5D%2C%22event%22%3A%5B%22die%22%5D%7D'
while read -r line; do
    case $line in
        HTTP/*) settle await >&2 ;;
        *'"die"'*) settle start >&2 ;;
    esac
done
