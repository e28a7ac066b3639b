#!/bin/sh
# Functions for image stores: the folders `image` and `overlay2` of an engine.
set -eu

# pack: write the store in /store to /out/store.tar.
pack() {
    tar --create --file /out/store.tar --numeric-owner --xattrs --xattrs-include='*' \
        --directory /store image overlay2
    chmod 0644 /out/store.tar
}

# unpack: extract /in/store.tar into /store.
unpack() {
    tar --extract --file /in/store.tar --numeric-owner --xattrs --xattrs-include='*' \
        --directory /store image overlay2
}

# clone FROM TO…: give each folder TO the store in FROM, in parallel. Layers never change, so they
# can be shared by hard links; the index of images does change.
clone() {
    from=$1
    shift
    jobs=""
    for to in "$@"; do
        (cp -al "$from/overlay2" "$to/" && cp -a "$from/image" "$to/") &
        jobs="$jobs $!"
    done
    for job in $jobs; do
        wait "$job"
    done
}

"$@"
