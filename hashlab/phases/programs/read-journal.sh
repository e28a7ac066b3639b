#!/bin/sh
# Prints a machine's journal: one line "#begin DRIVER NOW LAST", then each entry as a line of JSON.
# DRIVER is the log driver of its Docker Engine, NOW its clock in Unix seconds, LAST the cursor of
# the last entry that exists now ("-": none).
# Arguments: "past", which ends with the last entry, or "follow", which ends when its input does;
# then options and matches of journalctl. Runs as root.
set -eu
mode=$1
shift
driver=json-file
grep -q '"log-driver": *"journald"' /etc/docker/daemon.json && driver=journald
last=$(journalctl --quiet --output=json --output-fields=_ "$@" --lines=1 |
    sed -n 's/.*"__CURSOR" *: *"\([^"]*\)".*/\1/p')
echo "#begin $driver $(date +%s) ${last:--}"
if [ "$mode" = past ]; then
    exec journalctl --quiet --all --output=json "$@" < /dev/null
fi
# A lost connection closes the input; without it journalctl would wait for the next line.
exec 3<&0
{
    cat <&3
    kill $$
} > /dev/null 2>&1 &
exec journalctl --quiet --all --output=json "$@" --follow < /dev/null 3<&-
