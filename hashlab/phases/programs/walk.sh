#!/bin/sh
# Act on entries below the current folder, the lab's, without following a link on the way, whoever plants one at what
# moment: a folder is entered step by step, and each step must end where its name says. Arguments: an action, and paths
# whose order keeps those of one folder together.
#   remove  entries that are not folders        empty  folders with nothing in them
#   place   entries of scratch/new, in place of whatever has their name
#   mode    folders get a mode: paths look like 755:files/static
#   hash    print the SHA-256 of files: "/FOLDER", then "DIGEST  ./NAME" for each, all ended by NUL
action=$1
shift
cd -P -- . || exit 1
top=$PWD

enter() {
    cd -P -- "$top" || return 1
    here=$top
    rest=$1/
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        rest=${rest#*/}
        if [ "$action" = place ] && [ ! -e "./$part" ] && [ ! -L "./$part" ]; then
            mkdir -- "./$part" || return 1
        fi
        here=$here/$part
        cd -P -- "./$part" 2> /dev/null && [ "$PWD" = "$here" ] || return 1
    done
}

# Act on entries of one folder, $1; the others are their names.
act() {
    folder=$1
    shift
    if ! enter "$folder"; then
        # What is not there needs no removing, and a proof finds out what cannot be hashed.
        [ "$action" = place ] || return 0
        printf 'a link or a file is in the way to %s\n' "$folder" >&2
        return 1
    fi
    case $action in
        remove) remove "$@" ;;
        empty) rmdir -- "$@" 2> /dev/null || return 0 ;;
        place) place "$@" ;;
        hash) digest "$@" ;;
    esac
}

remove() {
    for name do
        shift
        if [ -L "$name" ] || [ ! -d "$name" ]; then set -- "$@" "$name"; fi
    done
    rm -f -- "$@"
}

place() {
    for name do
        shift
        if [ -d "$name" ] && [ ! -L "$name" ]; then rm -rf -- "$name" || return 1; fi
        set -- "$@" "$top/scratch/new/$folder/$name"
    done
    mv -f -t . -- "$@"
}

# Files that vanish meanwhile stay unknown.
digest() {
    for name do
        shift
        if [ -f "$name" ] && [ ! -L "$name" ]; then set -- "$@" "$name"; fi
    done
    [ $# -gt 0 ] || return 0
    printf '/%s\0' "$folder"
    sha256sum -z -- "$@" || return 0
}

if [ "$action" = mode ]; then
    for entry do
        enter "${entry#*:}" || continue
        chmod -- "${entry%%:*}" . || exit 1
    done
    exit 0
fi
first=yes
for path do
    if [ -n "$first" ] || [ "${path%/*}" != "$parent" ]; then
        if [ -z "$first" ]; then act "$parent" "$@" || exit 1; fi
        first=
        parent=${path%/*}
        set --
    fi
    set -- "$@" "./${path##*/}"
done
if [ -z "$first" ]; then act "$parent" "$@" || exit 1; fi
