#!/bin/sh
# Print "PID out ADDRESS PORT" for each TCP connection that a process's network has opened to another address, and "PID in
# ADDRESS PORT" for each that it has accepted; the port is the server's. Arguments: process ids. Runs as root.
for pid; do
    # The kernel lists addresses and ports in hexadecimal, and the states 01 (connected), 06 (closed within the last minute)
    # and 0A (listening). Both files are read before the end, for a port that listens on IPv6 may serve IPv4, too.
    cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2> /dev/null | awk -v "pid=$pid" '
        { split($2, near, ":"); split($3, far, ":") }
        $4 == "0A" { listens[near[2]] = 1 }
        ($4 == "01" || $4 == "06") && near[1] != far[1] { ends[near[2] " " far[1] " " far[2]] = 1 }
        END {
            for (end in ends) {
                split(end, part, " ")
                print pid, part[1] in listens ? "in " part[2] " " part[1] : "out " part[2] " " part[3]
            }
        }' | sort -u
done
