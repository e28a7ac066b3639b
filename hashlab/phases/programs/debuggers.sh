#!/bin/sh
# Print a line for each pair of arguments, the id of a process and a TCP port of its network: "attached" if a connection
# to this port is open there, else "listening" or "nothing".
while [ $# -gt 1 ]; do
    # The kernel lists local address and port in hexadecimal, and the states 01 (connected) and 0A (listening).
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2> /dev/null | awk -v "port=$(printf ':%04X' "$2")" '
        substr($2, length($2) - 4) == port && $4 == "01" { attached = 1 }
        substr($2, length($2) - 4) == port && $4 == "0A" { listening = 1 }
        END { print attached ? "attached" : listening ? "listening" : "nothing" }'
    shift 2
done
