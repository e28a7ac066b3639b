#!/bin/sh
# Keeps what a container mounts, so that it can be made again after new files have replaced these. Files are replaced by a
# rename, so a second name keeps the old content and takes no space. Arguments: a folder for this container, a name below
# it, and the mounted paths; the copies are called 0, 1, … there. Without paths, those of that name stay. Others are removed.
set -eu
umask 077
base=$1 name=$2
shift 2
mkdir -p -- "$base"
for old in "$base"/* "$base"/.new; do
    if [ "$old" != "$base/$name" ] || [ $# -gt 0 ]; then
        rm -rf -- "$old"
    fi
done
[ $# -gt 0 ] || exit 0
mkdir -- "$base/.new"
number=0
for path in "$@"; do
    cp -al -- "$path" "$base/.new/$number"
    number=$((number + 1))
done
mv -T -- "$base/.new" "$base/$name"
