#!/bin/sh
# Part of the programs that read containers: set $found to where the path $2 leads below the root folder $1.
# The images' own links on the way are followed as the container would, from its root: the machine's kernel would take an
# absolute one from the machine's.
resolve() {
    found=
    rest=$2/
    links=0
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        rest=${rest#*/}
        case $part in
            '' | .) continue ;;
            ..)
                found=${found%/*}
                continue
                ;;
        esac
        if [ -L "$1$found/$part" ]; then
            links=$((links + 1))
            [ "$links" -le 40 ] || return 1
            target=$(readlink -n -- "$1$found/$part" && echo .) || return 1
            target=${target%.}
            case $target in /*) found= ;; esac
            rest=$target/$rest
        else
            found=$found/$part
        fi
    done
}
