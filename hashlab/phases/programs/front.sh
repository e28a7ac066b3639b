#!/bin/sh
# Sends commands to the runtime API of a front, and prints its answers. What one of them changes for a while is undone by
# a unit of systemd after SECONDS, unless a later call with the same UNIT comes before that.
# Arguments: the front's process, COMMANDS (separated by ";"), and perhaps: UNIT, SECONDS, commands that undo it.
set -eu
socket=/proc/$1/root/tmp/front.sock
if [ -n "${3-}" ]; then
    systemctl --quiet stop "$3.timer" 2> /dev/null || true
fi
if [ -n "${4-}" ]; then
    # shellcheck disable=SC2016 # the inner shell expands it
    systemd-run --quiet --collect --unit "$3" --on-active "$4" \
        /bin/sh -c 'printf "%s\n" "$1" | socat -t 5 STDIO "UNIX-CONNECT:$2"' sh "$5" "$socket"
fi
printf '%s\n' "$2" | socat -t 5 STDIO "UNIX-CONNECT:$socket"
