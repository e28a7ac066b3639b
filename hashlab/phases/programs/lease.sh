#!/bin/sh
# Gives a service back to its containers once intercept.sh has ended, or nobody renews the lease: the file "lease" of the
# record has the time of the last renewal, in seconds since the machine's start. Arguments: the folder of the record, the
# containers (a list of words). Runs as root, as a unit of systemd, so it stays when the laptop's connection ends.
record=$1 containers=$2
pid=$(cat "$record/pid")
while kill -0 "$pid" 2> /dev/null; do
    read -r renewed < "$record/lease"
    now=$(cut -d ' ' -f 1 /proc/uptime)
    [ $((${now%.*} - ${renewed%.*})) -le 10 ] || break
    sleep 0.5
done
# The listeners of the laptop's process have the service's ports until they have ended.
kill "$pid" 2> /dev/null
while kill -0 "$pid" 2> /dev/null; do
    sleep 0.05
done
while read -r path; do
    rm -rf "$path"
done < "$record/leftovers"
tries=0
# shellcheck disable=SC2086 # a list of names
until docker start $containers > /dev/null || [ "$tries" -ge 20 ]; do
    tries=$((tries + 1))
    sleep 0.5
done
rm -rf "$record"
