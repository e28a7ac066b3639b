#!/bin/sh
# What is done inside a machine whose containers are those of a snapshot: they stay, and get the data
# of its instant. ENGINE is the engine's folder, in which .hashlab-new holds what was staged of the
# snapshot: everything but the layers of images.
set -eu

# look ENGINE ROOT SINCE: print why data alone would not do, if so. Apart from the engine's folder
# nothing below ROOT may have changed since the snapshot, or since the machine was booted from it.
look() {
    engine=$1 new=$1/.hashlab-new
    [ ! -e "$new/network" ] || because "it had a network of its own then"
    for what in containers volumes; do
        [ "$(ls -A "$engine/$what")" = "$(ls -A "$new/$what")" ] || because "its $what are others"
    done
    for layer in "$new/overlay2/"*; do
        [ -e "$engine/overlay2/${layer##*/}" ] || because "its images are others"
    done
    names=image/overlay2/repositories.json
    cmp -s "$engine/$names" "$new/$names" || because "its images are others"
    for then in "$new/containers/"*/; do
        [ -e "$then" ] || break
        id=$(basename "$then")
        now=$engine/containers/$id
        cmp -s "$then/hostconfig.json" "$now/hostconfig.json" ||
            because "container $id has other settings"
        # One that has ended by itself since then would not run again.
        [ "$(running "$then")" = "$(running "$now")" ] ||
            because "container $id has ended since then, or was started"
    done
    since=$3
    [ "$since" != boot ] || since=$(booted)
    [ -n "$since" ] || because "it is still booting"
    path=$(changed "${2%/}" "@$since")
    [ -z "$path" ] || because "${path#"${2%/}"} was changed"
}

because() {
    echo "$1"
    exit 0
}

running() {
    grep -o '"Running":[a-z]*' "$1/config.v2.json"
}

# When the machine had booted, in seconds since 1970, rounded up; nothing while it boots.
booted() {
    systemctl show --property=FinishTimestamp --timestamp=unix | sed -n 's/.*@//p' | awk '{ print $1 + 1 }'
}

# changed ROOT SINCE: one path that has changed. What does not count: what programs of the system note
# for themselves, and what hashlab writes anew with every upload. The time of a folder tells that
# something in it has gone; those that other mounts cover, and those above them, do not count.
changed() {
    lib=$1/var/lib
    own=$lib/hashlab
    find "$1/" -xdev \
        \( -path "$lib/containerd" -o -path "$lib/docker" -o -path "$lib/systemd" \
        -o -path "$1/var/log" -o -path "$own/*/scratch" -o -path "$1/home/core/.ssh/authorized_keys" \
        -o -path "$1/tmp" -o -path "$1/run" -o -path "$1/dev" -o -path "$1/proc" -o -path "$1/sys" \
        \) -prune -o -newerct "$2" \
        ! \( -path "$1/" -o -path "$1/var" -o -path "$lib" -o -path "$own" \) \
        ! \( -path "$own/*" ! -path "$own/*/*/*" ! -path "$own/*/files" \) -print -quit
}

# put ENGINE: end all containers at once, and exchange what they have written.
put() {
    cd "$1"
    new=.hashlab-new old=.hashlab-old
    docker ps --quiet --no-trunc | xargs -r docker kill > /dev/null
    until_unmounted "$1"
    mkdir -p "$old"
    for container in "$new/containers/"*/; do
        [ -e "$container" ] || break
        id=$(basename "$container")
        layer=$(cat "$new/image/overlay2/layerdb/mounts/$id/mount-id")
        exchange "overlay2/$layer/diff"
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

# exchange PATH: what is there goes aside, what was staged comes.
exchange() {
    mkdir -p "$old/${1%/*}"
    [ ! -e "$1" ] || mv "$1" "$old/$1"
    [ ! -e "$new/$1" ] || mv "$new/$1" "$1"
}

# until_unmounted ENGINE: a container's file system may be held for a moment after its end.
until_unmounted() {
    left=200
    while grep -q " $1/overlay2/[^ ]*/merged " /proc/self/mounts; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || {
            echo "a container's file system is still in use" >&2
            exit 1
        }
        sleep 0.05
    done
}

"$@"
