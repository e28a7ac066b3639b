#!/bin/sh
# Print "PID PORT", the port in hexadecimal, for each TCP port on which something listens in the network of a process, but
# not on loopback only. Arguments: process ids. Runs as root.
for pid; do
    cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2> /dev/null | awk -v "pid=$pid" '
        $4 == "0A" {
            split($2, place, ":")
            address = place[1]
            four = length(address) == 8 || substr(address, 1, 24) == "0000000000000000FFFF0000"
            loopback = four && substr(address, length(address) - 1) == "7F"
            if (!loopback && address != "00000000000000000000000001000000") print pid, place[2]
        }'
done
