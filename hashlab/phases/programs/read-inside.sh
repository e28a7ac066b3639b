#!/bin/sh
# Print what processes in containers see. Arguments: pairs of a process id and the absolute path of a mount in its
# container, or "" for none. Output: the builds from the environments; "mounts", where anything is mounted in each
# container; "places", for each pair the path that leads there from the machine; "entries", kind and identity of each such
# path. All ended by NUL.
pids=
last=
for word do
    if [ -z "$last" ]; then
        last=$word
        case " $pids " in *" $word "*) ;; *) pids="$pids $word" ;; esac
    else
        last=
    fi
done
environs=
mounts=
for pid in $pids; do
    environs="$environs /proc/$pid/environ"
    mounts="$mounts /proc/$pid/mountinfo"
done
# shellcheck disable=SC2086 # words of digits
[ -z "$pids" ] || grep --with-filename --null --null-data '^HASHLAB_BUILD=' $environs 2> /dev/null
printf 'mounts\0'
# shellcheck disable=SC2086
[ -z "$pids" ] || grep --with-filename --null '' $mounts 2> /dev/null
printf '\0places\0'
found=
count=$#
while [ "$count" -gt 0 ]; do
    pid=$1
    path=$2
    shift 2
    count=$((count - 2))
    if [ -n "$path" ] && resolve "/proc/$pid/root" "$path"; then
        printf '%s\0%s\0%s\0' "$pid" "$path" "/proc/$pid/root$found"
        set -- "$@" "/proc/$pid/root$found"
    fi
done
printf 'entries\0'
[ $# -eq 0 ] || find "$@" -maxdepth 0 -printf '%y:%D:%i:%s:%T@:%C@:%m\0%p\0' 2> /dev/null
exit 0
