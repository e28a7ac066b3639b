# shellcheck shell=bash
# A Docker Engine that answers: the one that runs, the system's service, or a dockerd of our own.

docker_answers() { docker version --format '{{.Server.Version}}' > /dev/null 2>&1; }

need_docker() {
    local said
    if said="$(docker version --format '{{.Server.Version}}' 2>&1)"; then
        say "Docker: ${said##*$'\n'} is running, used as it is"
        return
    fi
    refuse_forbidden "$said"
    if [ -n "${DOCKER_HOST:-}" ]; then
        fail "no Docker answers at DOCKER_HOST=$DOCKER_HOST" "start it there, or unset DOCKER_HOST"
    elif ! on_linux; then
        fail "Docker is not running" "start Docker Desktop and run this script again"
    elif [ -d /run/systemd/system ]; then
        start_docker_service
    else
        start_dockerd
    fi
}

# refuse_forbidden MESSAGE: where the message says that this user may not, say what to do.
refuse_forbidden() {
    case "$1" in
        *"permission denied"*)
            fail "Docker runs, but $(id -un) may not use it" \
                "sudo usermod -aG docker $(id -un), then log out and in, and run this script again"
            ;;
    esac
}

start_docker_service() {
    say "Docker: starting the system's service"
    as_root systemctl start docker ||
        fail "systemd could not start Docker" "look: sudo journalctl -u docker --lines 50"
    wait_for_docker "" || docker_failed "sudo journalctl -u docker --lines 50"
}

# start_dockerd: where nothing manages services. The daemon outlives the script; stop-docker.sh
# ends it.
start_dockerd() {
    mkdir -p "$OWN_STATE"
    say "Docker: nothing manages services here, starting dockerd (log: $DOCKERD_LOG)"
    # The process id is known from the first moment, so that Ctrl-C while waiting leaves nothing.
    # shellcheck disable=SC2016
    as_root sh -c 'setsid dockerd < /dev/null > "$1" 2>&1 & echo "$!" > "$2"' \
        sh "$DOCKERD_LOG" "$DOCKERD_PID"
    # Read by run-tests.sh.
    # shellcheck disable=SC2034
    STARTED_DOCKERD=yes
    if ! wait_for_docker "$(cat "$DOCKERD_PID")"; then
        tail -n 20 "$DOCKERD_LOG" >&2
        stop_own_dockerd
        docker_failed "$DOCKERD_LOG"
    fi
    say "Docker: ready (to stop it: scripts/stop-docker.sh)"
}

docker_failed() { fail "Docker ended, or did not get ready in $DOCKERD_SECONDS s" "look: $1"; }

# is_alive PROCESS: a dead one that nobody has asked for (in a container without an init) is not.
is_alive() {
    case "$(cat "/proc/$1/stat" 2> /dev/null)" in
        "" | *") Z "*) return 1 ;;
    esac
}

# wait_for_docker PROCESS: until it answers; gives up early when PROCESS (may be empty) has ended.
wait_for_docker() {
    local tries=$((DOCKERD_SECONDS * 2)) said
    while [ "$tries" -gt 0 ]; do
        said="$(docker version 2>&1)" && return 0
        refuse_forbidden "$said"
        [ -z "$1" ] || is_alive "$1" || return 1
        sleep 0.5
        tries=$((tries - 1))
    done
    return 1
}

# stop_own_dockerd: end the dockerd that one of these scripts started, and no other.
stop_own_dockerd() { stop_daemon "$DOCKERD_PID" dockerd; }

# stop_daemon PIDFILE NAME: end the daemon whose process id a script wrote down.
stop_daemon() {
    local file="$1" name="$2" daemon tries=120
    [ -e "$file" ] || return 0
    daemon="$(cat "$file")"
    # Process ids are used again: believe the number only while it is that of such a daemon.
    case "$(cat "/proc/${daemon:-none}/comm" 2> /dev/null)" in
        "$name" | setsid) ;;
        *) rm -f "$file" && return 0 ;;
    esac
    # The shell's own kill: not every system has a program of that name for sudo.
    # shellcheck disable=SC2016
    as_root sh -c 'kill "$1"' sh "$daemon" || true
    while is_alive "$daemon" && [ "$tries" -gt 0 ]; do
        sleep 0.5
        tries=$((tries - 1))
    done
    ! is_alive "$daemon" || fail "$name (process $daemon) does not end" "look in: $OWN_STATE"
    rm -f "$file"
}
