#!/bin/sh
# Print what single paths in containers are. Arguments: pairs of a process id and an absolute path in its container.
# Output for each path that leads anywhere: "place", process id, path, and the path that leads there from the machine; then
# for each of these "entry", kind, mode, target of a link, and the path. All ended by NUL.
# The last part of a path is not followed: a link stands for itself.
found=
count=$#
while [ "$count" -gt 0 ]; do
    pid=$1
    path=$2
    shift 2
    count=$((count - 2))
    if resolve "/proc/$pid/root" "${path%/*}"; then
        place="/proc/$pid/root$found/${path##*/}"
        printf 'place\0%s\0%s\0%s\0' "$pid" "$path" "$place"
        set -- "$@" "$place"
    fi
done
[ $# -eq 0 ] || find "$@" -maxdepth 0 -printf 'entry\0%y\0%m\0%l\0%p\0' 2> /dev/null
exit 0
