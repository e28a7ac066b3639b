#!/bin/sh
# Wait until the file $1 exists, for a minute at most. Runs on the laptop, as a trigger of Vagrant's.
n=0
until [ -e "$1" ]; do
    n=$((n + 1))
    [ "$n" -lt 600 ] || exit 1
    sleep 0.1
done
