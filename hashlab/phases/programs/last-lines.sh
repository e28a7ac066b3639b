#!/bin/sh
# Prints the last line that containers logged up to a time, as journalctl's JSON, a line for each
# container that has one.
# Arguments: pairs of a container's name and a Unix time. Runs as root.
set -eu
while [ $# -gt 0 ]; do
    journalctl --quiet --all --output=json --output-fields=MESSAGE,CONTAINER_NAME --lines=1 \
        "--until=@$2" "CONTAINER_NAME=$1" < /dev/null
    shift 2
done
