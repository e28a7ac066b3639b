#!/bin/sh
# The work of snapshots inside volumes. Arguments: a function below, then "FROM:TO" for each
# machine; all machines are done in parallel. A machine's folder is its engine's /var/lib/docker. A
# snapshot's folder contains `layers`, the names of all image layers, and `data`, everything.
# Layers of images never change, so their files are shared by hard links. Layers of containers and
# all the rest change, and are copied. The engine's Swarm state is left out: a new Swarm is formed,
# because an engine that starts before its manager waits up to a minute for the old one. Its network
# state is left out as well, unless a user has created a network: the engine would set up each
# container's network only to remove it. Links in a machine's folder, or names that look like
# options or paths, cannot lead elsewhere: folders are entered, not named, and the result is
# checked.
set -eu

# into FOLDER: change to this folder, and refuse if a link leads elsewhere.
into() {
    if ! cd -P -- "$1" || [ "$PWD" != "$1" ]; then
        echo "$1 is not a folder of its own" >&2
        exit 1
    fi
}

# entries [TEST…]: print the entries of the current folder that pass find's tests, as ./NAME, each
# ended by NUL.
entries() {
    find . -mindepth 1 -maxdepth 1 "$@" -print0
}

# layers: filter a list of layer names; only Docker's form of names passes, because others could be
# paths or options.
layers() {
    sed -n '/^[0-9a-z][0-9a-z-]*$/p'
}

# link FROM TO: runs before the machines are paused. Links the layers of a machine into a snapshot.
# A layer that is unfinished at this moment does not belong to an image yet; it is copied with the
# rest.
link() {
    mkdir -p "$2/data/overlay2"
    : > "$2/layers"
    [ ! -d "$1/image/overlay2/layerdb/sha256" ] || (
        into "$1/image/overlay2/layerdb/sha256"
        find . -name cache-id -type f -exec awk 1 {} + | sort | layers > "$2/layers"
    )
    (into "$1/overlay2" && xargs -r cp -al -t "$2/data/overlay2" -- < "$2/layers")
}

# copy FROM TO: runs while the machines are paused. Copies everything that was not linked.
copy() {
    copy_rest "$1" "$2/layers" "$2/data"
}

# own_networks ENGINE: succeed if the engine only knows the networks that it creates itself and
# those of its Swarm. Their names are text in its database, some of them even after their removal.
own_networks() {
    [ ! -f "$1/network/files/local-kv.db" ] || ! grep -aoE '"name":"[^"]*","networkType":"[^"]*"' \
        "$1/network/files/local-kv.db" 2> /dev/null |
        grep -vqE '"name":"(bridge|docker_gwbridge|host|none)"|"networkType":"overlay"'
}

# copy_rest FROM LAYERS TO: the target is an open folder, so that renaming it meanwhile does no
# harm.
copy_rest() {
    (
        into "$3/overlay2"
        exec 8< .
        into "$1/overlay2"
        sed 's,^,./,' "$2" > "$2.$$"
        entries | grep -zvxFf "$2.$$" | xargs -0r cp -a --sparse=always -t /proc/self/fd/8 --
        rm "$2.$$"
    )
    (
        into "$3"
        exec 8< .
        into "$1"
        set -- ! -name overlay2 ! -name swarm ! -name '.hashlab-*'
        ! own_networks . || set -- "$@" ! -name network
        entries "$@" | xargs -0r cp -a --sparse=always -t /proc/self/fd/8 --
    )
}

# Describe the snapshot in TO: its folder, number of entries, bytes of its files, one hash of all
# names, kinds, sizes, times and link targets, and bytes of disk that nothing else uses. When an
# engine creates a container, it rewrites the empty file `committed` of the image's last layer,
# which is shared; so the time of that file is left out.
describe() {
    cd "$2"
    counted=$(find data -printf '%y %s\n' |
        awk '{ entries++ } $1 == "f" { bytes += $2 } END { printf "%d %.0f", entries, bytes }')
    hash=$(find data \( -type d -printf 'd %p\n' \) -o \
        \( -empty -path 'data/overlay2/*/committed' -printf 'f 0 %p\n' \) -o -printf '%y %s %T@ %p %l\n' |
        LC_ALL=C sort | cat layers - | sha256sum)
    own=$(find data -type f -links 1 -printf '%b\n' | awk '{ own += $1 } END { printf "%.0f", own * 512 }')
    echo "$2 $counted ${hash%% *} $own"
}

# differ FROM TO: print why restoring only the data of the snapshot FROM would not be enough for the
# machine of the folder TO: its folder and a reason, or nothing.
differ() {
    why=$(difference "$1/data" "$2")
    [ -z "$why" ] || echo "$2 $why"
}

# difference THEN NOW
difference() {
    if [ -e "$1/network" ]; then
        echo "somebody had made a network then"
        return
    fi
    if [ "$(containers "$1")" != "$(containers "$2")" ]; then
        echo "its containers differ"
        return
    fi
    if [ "$(ls -A "$1/volumes")" != "$(ls -A "$2/volumes")" ]; then
        echo "its volumes differ"
        return
    fi
    names=image/overlay2/repositories.json
    images=image/overlay2/imagedb/content/sha256
    if ! plain "$1/$names" "$2/$names"; then
        echo "its list of images is not a file"
        return
    fi
    if ! cmp -s "$1/$names" "$2/$names" || [ "$(ls "$1/$images")" != "$(ls "$2/$images")" ]; then
        echo "its images differ"
        return
    fi
    for id in $(containers "$1"); do
        then=$1/containers/$id now=$2/containers/$id
        if ! plain "$then/hostconfig.json" "$now/hostconfig.json" \
            "$then/config.v2.json" "$now/config.v2.json"; then
            echo "its container $id is not described by files"
            return
        fi
        # A container that has stopped by itself since then would not run again.
        if [ "$(settings "$then")" != "$(settings "$now")" ] ||
            [ "$(runs "$then")" != "$(runs "$now")" ]; then
            echo "its container $(name_of "$now") differs"
            return
        fi
    done
}

# plain FILE…: whether all are files, or links to files.
plain() {
    for file do
        [ -f "$file" ] || return 1
    done
}

# containers ENGINE: print their ids, without the sandboxes. A container's settings name its sandbox.
containers() {
    (into "$1/containers" && grep -L -D skip '"hashlab.sandbox":"' -- */config.v2.json | sed 's,/.*,,') || true
}

# settings CONTAINER: print the settings it was created with. On a restart, an engine writes some
# unset ones in another form.
settings() {
    sed 's/:null/:[]/g' "$1/hostconfig.json"
}

runs() {
    grep -o '"Running":[a-z]*' "$1/config.v2.json"
}

name_of() {
    sed 's,.*"Name":"/\([^"]*\)".*,\1,' "$1/config.v2.json"
}

# stage FROM TO: prepare, next to the data in use by the machine of the folder TO, everything that
# it will need from the snapshot FROM. Layers that it already has are not linked again.
stage() {
    exec 9< "$2"
    flock 9
    into "$2"
    rm -rf .hashlab-new .hashlab-old
    mkdir -p overlay2
    mkdir .hashlab-new .hashlab-new/overlay2
    (
        into "$2/.hashlab-new/overlay2"
        exec 8< .
        into "$2/overlay2"
        layers < "$1/layers" | while read -r layer; do
            [ -e "$layer" ] || printf '%s\0' "$layer"
        done |
            (into "$1/data/overlay2" && xargs -0r cp -al -t /proc/self/fd/8 --)
    )
    copy_rest "$1/data" "$1/layers" "$2/.hashlab-new"
}

# swap FROM TO: the folder TO is not in use. Move the staged data into place, and everything that is
# not in the snapshot FROM aside; the machine deletes that when it starts.
swap() {
    into "$2"
    rm -rf .hashlab-old
    mkdir .hashlab-old .hashlab-old/overlay2
    entries ! -name overlay2 ! -name '.hashlab-*' | xargs -0r mv -t .hashlab-old --
    sed 's,^,./,' "$1/layers" > "$1/layers.$$"
    (
        into "$2/overlay2"
        entries | grep -zvxFf "$1/layers.$$" | xargs -0r mv -t "$2/.hashlab-old/overlay2" --
    )
    rm "$1/layers.$$"
    (into "$2/.hashlab-new/overlay2" && entries | xargs -0r mv -t "$2/overlay2" --)
    rmdir .hashlab-new/overlay2
    (into "$2/.hashlab-new" && entries | xargs -0r mv -t "$2" --)
    rmdir .hashlab-new
}

# unstage FROM TO: the restore failed; remove the staged data.
unstage() {
    exec 9< "$2"
    flock 9
    rm -rf "$2/.hashlab-new"
}

# A long silence would look like a lost connection to the caller.
(while sleep 20 > /dev/null 2>&1; do echo; done) &
beat=$!
trap 'kill "$beat"' EXIT

what=$1
shift
# Every change to the machines' own files up to this time belongs to the snapshot.
[ "$what" != copy ] || date +%s.%N
jobs=""
for pair in "$@"; do
    "$what" "${pair%%:*}" "${pair#*:}" &
    jobs="$jobs $!"
done
for job in $jobs; do
    wait "$job"
done
