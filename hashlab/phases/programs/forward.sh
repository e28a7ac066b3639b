#!/bin/sh
# Carries connections from unix sockets of a machine to ports of containers, until its input ends;
# then nothing of it is left. Prints "#ready" once all sockets exist, and "#failed N WHY" if a
# connection to the port with this number, counted from 1, fails.
# Arguments: the program of a connection (carry.sh), a folder to make for the sockets, which are
# called 1, 2, ...; then CONTAINER and PORT for each. Runs as root.
set -eu
folder=$2
mkdir -m 711 "$folder"
trap 'trap "" TERM; rm -rf "$folder"; kill 0' EXIT
trap 'exit 1' HUP INT TERM
printf '%s' "$1" > "$folder/carry"
shift 2
# A connection's own output belongs to its client; a failure is printed here.
exec 3>&1
number=0
while [ $# -gt 0 ]; do
    number=$((number + 1))
    sock=$folder/$number
    # Only the user of this SSH connection may connect. A client that has only closed its own
    # direction gets 60 s for the rest of the answer; socat's default is half a second. With
    # socat's default backlog of 5, one of 60 connections failed that began 20 at a time.
    options=fork,backlog=256,max-children=256,user=${SUDO_UID:-0},mode=600
    socat -t 60 "UNIX-LISTEN:$sock,$options" \
        "EXEC:sh $folder/carry $number $1 $2,nofork" < /dev/null 2> /dev/null &
    shift 2
done
while [ "$number" -gt 0 ]; do
    if [ -S "$folder/$number" ]; then
        number=$((number - 1))
    else
        sleep 0.02
    fi
done
echo "#ready"
# A lost connection closes the input.
cat > /dev/null
