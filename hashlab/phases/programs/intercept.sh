#!/bin/sh
# Lets a process on the laptop take the place of a service, until its input ends. Prints "#ready" once it does, "#held
# HOLDER SINCE" if somebody else has the service, and "#failed WHY".
# Arguments: the folder of the record, holder and time, the service's containers and those that hold their networks (each
# a list of words), the containers again if the service has others that go on, the program that gives the service back
# (lease.sh), the one that connects to any name (connect.sh), a folder to make for sockets; then three for each port:
# "in PORT SOCKET" if others reach it at the laptop, "out NAME PORT" if the laptop reaches it, by the sockets 1, 2, ... in
# the folder, "any NAME -" if it reaches all names and ports by the socket NAME. Runs as root.
set -eu
record=$1 holder=$2 since=$3 containers=$4 networks=$5 replicas=$6 lease=$7 connect=$8 folder=$9
shift 9
stty -echo 2> /dev/null || true
lab=${record%/*}
unit=hashlab-intercept-${lab##*/}-${record##*/}

is_held() {
    kill -0 "$(cat "$record/pid" 2> /dev/null)" 2> /dev/null
}

# One that has just ended is still being given back.
while ! is_held && systemctl --quiet is-active "$unit"; do
    sleep 0.1
done
if is_held; then
    echo "#held $(cat "$record/holder")"
    exit 1
fi
rm -rf "$record"
mkdir -p "$record"
echo $$ > "$record/pid"
printf '%s:' "$replicas" > "$record/replicas"
echo "$holder $since" > "$record/holder"
cut -d ' ' -f 1 /proc/uptime > "$record/lease"
printf '%s' "$lease" > "$record/give-back"
printf '%s' "$connect" > "$record/connect"
echo "$folder" > "$record/leftovers"
trap 'trap "" TERM; kill 0; wait' EXIT
trap 'exit 1' HUP INT TERM
# From here on the machine gives the service back by itself, when this program ends or its lease runs out.
systemd-run --quiet --collect --property=Type=exec --unit "$unit" \
    sh "$record/give-back" "$record" "$containers" > /dev/null 2>&1
# shellcheck disable=SC2086 # lists of names
docker stop $containers > /dev/null 2>&1 || true
mkdir -m 711 "$folder"

# Whether something listens on a port in the network of a process: the kernel lists ports in hexadecimal.
listens() {
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" | awk -v "port=$(printf ':%04X' "$2")" '
        substr($2, length($2) - 4) == port && $4 == "0A" { found = 1 }
        END { exit !found }'
}

# Wait for at most ten seconds.
await() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 500 ]; then
            echo "#failed $*"
            exit 1
        fi
        sleep 0.02
    done
}

number=0 made=
while [ $# -gt 0 ]; do
    if [ "$1" = in ]; then
        echo "$3" >> "$record/leftovers"
        for network in $networks; do
            pid=$(docker inspect --format '{{.State.Pid}}' "$network")
            nsenter --target "$pid" --net socat -t 60 \
                "TCP-LISTEN:$2,fork,backlog=256,reuseaddr,nodelay" "UNIX-CONNECT:$3" \
                < /dev/null > /dev/null 2>&1 &
            await listens "$pid" "$2"
        done
    else
        # The engine's names are those of the container's own resolv.conf, which only this process sees.
        if [ "$1" = out ]; then
            number=$((number + 1))
            sock=$folder/$number target=TCP:$2:$3,nodelay
        else
            sock=$folder/$2 target="EXEC:sh $record/connect,nofork"
        fi
        made="$made $sock"
        pid=$(docker inspect --format '{{.State.Pid}}' "${networks%% *}")
        names=$(docker inspect --format '{{.ResolvConfPath}}' "${networks%% *}")
        # shellcheck disable=SC2016 # expanded by the inner shell
        nsenter --target "$pid" --net unshare --mount sh -c 'mount --bind "$1" /etc/resolv.conf
            exec socat -t 60 "UNIX-LISTEN:$2,fork,backlog=256,user=$3,mode=600" "$4"' \
            sh "$names" "$sock" "${SUDO_UID:-0}" "$target" < /dev/null > /dev/null 2>&1 &
    fi
    shift 3
done
for sock in $made; do
    await test -S "$sock"
done
echo "#ready"
# In the background, because a shell attends to signals only while it waits.
exec 3<&0
cat <&3 > /dev/null &
wait $!
