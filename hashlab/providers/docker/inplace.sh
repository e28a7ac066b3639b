#!/bin/sh
# Runs inside a machine whose containers belong to a snapshot: the containers stay and get the data
# of its instant. ENGINE is the engine's folder. Its folder .hashlab-new holds the staged part of
# the snapshot: everything but the layers of images.
set -eu

# The container that keeps the machine on its networks, and its image.
ANCHOR=hashlab-anchor

# changed ROOT SINCE: print one path below ROOT that has changed since then, if any. SINCE is in
# seconds since 1970, or "boot". Ignored are state files of the system's own programs, and files
# that hashlab rewrites with every upload. A folder's time shows whether an entry was removed;
# folders that are mount points, and those above them, are ignored.
changed() {
    root=${1%/} lib=${1%/}/var/lib own=${1%/}/var/lib/hashlab
    since=$2
    [ "$since" != boot ] || since=$(booted)
    if [ -z "$since" ]; then
        echo "it is still booting"
        return
    fi
    path=$(find "$root/" -xdev \
        \( -path "$lib/containerd" -o -path "$lib/docker" -o -path "$lib/systemd" \
        -o -path "$root/var/log" -o -path "$own/*/scratch" \
        -o -path "$root/home/core/.ssh/authorized_keys" -o -path "$root/tmp" -o -path "$root/run" \
        -o -path "$root/dev" -o -path "$root/proc" -o -path "$root/sys" \) -prune \
        -o -newerct "@$since" \
        ! \( -path "$root/" -o -path "$root/var" -o -path "$lib" -o -path "$own" \) \
        ! \( -path "$own/*" ! -path "$own/*/*/*" ! -path "$own/*/files" \) -print -quit)
    [ -z "$path" ] || echo "${path#"$root"} was changed"
}

# booted: print when the machine had booted, in seconds since 1970, rounded up; nothing while it
# boots.
booted() {
    systemctl show --property=FinishTimestamp --timestamp=unix |
        sed -n 's/.*@//p' | awk '{ print $1 + 1 }'
}

# hold ENGINE NETWORK…: keep the machine on the lab's networks while its containers are stopped. The
# last container that leaves a network takes the machine off it. If several machines come back at
# once, some of them learn of each other only by the next full gossip, half a minute later. So an
# idle container stays. A network that the machine is not on needs none.
hold() {
    ! held "$1" || return 0
    shift
    on=
    for network do
        ! docker network inspect "$network" > /dev/null 2>&1 || on="$on $network"
    done
    [ -n "$on" ] || return 0
    ! docker inspect "$ANCHOR" > /dev/null 2>&1 || docker rm --force "$ANCHOR" > /dev/null
    # The image is empty: the program and its libraries are the machine's own.
    docker image inspect "$ANCHOR" > /dev/null 2>&1 ||
        tar --create --files-from=/dev/null | docker import - "$ANCHOR" > /dev/null
    loader=$(ldd /usr/bin/sleep | sed -n 's,^[[:space:]]*\(/[^ ]*\) (.*,\1,p')
    # shellcheck disable=SC2086 # names of networks have no blanks
    set -- $on
    docker run --detach --name "$ANCHOR" --network "$1" --volume /usr:/usr:ro --read-only \
        --cap-drop ALL --log-driver none --stop-signal KILL --entrypoint "$(readlink -f "$loader")" \
        "$ANCHOR" /usr/bin/sleep infinity > /dev/null
    shift
    for network do
        docker network connect "$network" "$ANCHOR"
    done
}

# held ENGINE: succeed if that container runs, on all networks of the Swarm on which another running
# one is. The engine's files show this much faster than its API. The ids of such networks have 25
# characters; those of the machine's own have 64.
held() {
    running=$(cd "$1/containers" && grep -l -D skip '"Running":true' -- */config.v2.json) || return 1
    (
        cd "$1/containers"
        # shellcheck disable=SC2086 # the names are ids
        own=$(grep -l -D skip "\"Name\":\"/$ANCHOR\"" $running) || return 1
        # shellcheck disable=SC2086
        [ "$(networks $running)" = "$(networks "$own")" ]
    )
}

# networks FILE…: print the ids of the Swarm's networks that containers are on.
networks() {
    grep -oh -D skip '"NetworkID":"[a-z0-9]\{25\}"' "$@" | sort -u
}

# put ENGINE NETWORK…: kill all containers and replace their written data. If hashlab is killed this
# continues, and the next staging waits for it.
put() {
    exec 9< "$1"
    flock 9
    hold "$@"
    cd "$1"
    new=.hashlab-new old=.hashlab-old
    mkdir -p "$old"
    ids=$(cd containers && grep -L -D skip "\"Name\":\"/$ANCHOR\"" -- */config.v2.json | sed 's,/.*,,') || true
    for id in $ids; do
        ! grep -q -D skip '"Running":true' "containers/$id/config.v2.json" || echo "$id"
    done | xargs -r docker kill > /dev/null
    for id in $ids; do
        note=$new/image/overlay2/layerdb/mounts/$id/mount-id
        if [ ! -f "$note" ]; then
            echo "$note is not a file" >&2
            exit 1
        fi
        layer=overlay2/$(cat "$note")
        until_unmounted "$PWD/$layer/merged"
        exchange "$layer/diff"
        for log in "containers/$id/"*-json.log* "containers/$id/local-logs" \
            "$new/containers/$id/"*-json.log* "$new/containers/$id/local-logs"; do
            [ ! -e "$log" ] || exchange "${log#"$new/"}"
        done
    done
    for volume in "$new/volumes/"*/; do
        [ ! -e "$volume" ] || exchange "volumes/$(basename "$volume")/_data"
    done
    rm -rf "$new" "$old"
}

# exchange PATH: move the existing path aside and the staged one into place.
exchange() {
    mkdir -p "$old/${1%/*}"
    [ ! -e "$1" ] || mv "$1" "$old/$1"
    [ ! -e "$new/$1" ] || mv "$new/$1" "$1"
}

# until_unmounted FOLDER: wait, because a container's file system may stay mounted for a moment
# after its end.
until_unmounted() {
    left=200
    while grep -qF " $1 " /proc/self/mounts; do
        left=$((left - 1))
        if [ "$left" = 0 ]; then
            echo "a container's file system is still in use: $1" >&2
            exit 1
        fi
        sleep 0.05
    done
}

"$@"
