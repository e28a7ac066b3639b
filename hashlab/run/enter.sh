#!/bin/sh
# Runs a command for which the names of services are those of the file "hosts" beside this program. It ends with the process
# that started it. Needs user namespaces of Linux, and no root. Arguments: the command.
set -eu
hosts=$(dirname "$0")/hosts user=$(id -u) group=$(id -g)
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --user --map-root-user --mount sh -c 'mount --bind "$1" /etc/hosts
    user=$2 group=$3
    shift 3
    exec unshare --user --map-user="$user" --map-group="$group" -- setpriv --pdeathsig TERM "$@"' sh "$hosts" "$user" "$group" "$@"
