#!/bin/sh
# Runs inside a machine whose containers belong to a snapshot: the containers stay and get the data
# of its instant. ENGINE is the engine's folder. Its folder .hashlab-new holds the staged part of
# the snapshot: everything but the layers of images.
set -eu

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

# put ENGINE: kill all containers but the sandboxes, which write nothing and keep the machine on the
# lab's networks, and replace their written data. If hashlab is killed this continues, and the next
# staging waits for it.
put() {
    exec 9< "$1"
    flock 9
    cd "$1"
    new=.hashlab-new old=.hashlab-old
    mkdir -p "$old"
    ids=$(cd containers && grep -L -D skip '"hashlab.sandbox":"' -- */config.v2.json | sed 's,/.*,,') || true
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
