# shellcheck shell=bash
# libvirt that answers: the one that runs, the system's service, or a libvirtd of our own.

LIBVIRTD_PID="$OWN_STATE/libvirtd.pid"
VIRTLOGD_PID="$OWN_STATE/virtlogd.pid"
LIBVIRTD_LOG="$OWN_STATE/libvirtd.log"
LIBVIRTD_SECONDS=30
STARTED_LIBVIRTD=no

libvirt_answers() { virsh --connect qemu:///system --quiet list > /dev/null 2>&1; }

need_libvirt() {
    if libvirt_answers; then
        say "libvirt: running, used as it is"
    elif [ -d /run/systemd/system ]; then
        say "libvirt: starting the system's service"
        as_root systemctl start libvirtd || libvirt_failed "sudo journalctl -u libvirtd --lines 50"
        wait_for_libvirt "" || libvirt_failed "is $(id -un) in the group libvirt? sudo usermod -aG libvirt $(id -un)"
    else
        start_libvirtd
    fi
}

# start_libvirtd: where nothing manages services. The daemons outlive the script; stop-libvirt.sh
# ends them.
start_libvirtd() {
    mkdir -p "$OWN_STATE"
    say "libvirt: nothing manages services here, starting libvirtd (log: $LIBVIRTD_LOG)"
    # What udev does elsewhere. libvirt asks QEMU anew at each call, for seconds, while a device
    # that QEMU can open is shut to the user whom libvirt runs it as.
    if [ -e /dev/kvm ] && getent group kvm > /dev/null; then
        as_root chgrp kvm /dev/kvm && as_root chmod 0660 /dev/kvm
    fi
    start_daemon virtlogd "$VIRTLOGD_PID"
    start_daemon libvirtd "$LIBVIRTD_PID"
    # Read by run-tests.sh.
    # shellcheck disable=SC2034
    STARTED_LIBVIRTD=yes
    if ! wait_for_libvirt "$(cat "$LIBVIRTD_PID")"; then
        tail -n 20 "$LIBVIRTD_LOG" >&2
        stop_own_libvirt
        libvirt_failed "$LIBVIRTD_LOG"
    fi
    say "libvirt: ready (to stop it: scripts/stop-libvirt.sh)"
}

# start_daemon NAME PIDFILE: in the background, its process id known from the first moment.
start_daemon() {
    # shellcheck disable=SC2016
    as_root sh -c 'setsid "$1" < /dev/null >> "$2" 2>&1 & echo "$!" > "$3"' \
        sh "$1" "$LIBVIRTD_LOG" "$2"
}

libvirt_failed() { fail "libvirt ended, or did not get ready in $LIBVIRTD_SECONDS s" "look: $1"; }

# wait_for_libvirt PROCESS: until it answers; gives up early when PROCESS (may be empty) has ended.
wait_for_libvirt() {
    local tries=$((LIBVIRTD_SECONDS * 2))
    while [ "$tries" -gt 0 ]; do
        ! libvirt_answers || return 0
        [ -z "$1" ] || is_alive "$1" || return 1
        sleep 0.5
        tries=$((tries - 1))
    done
    return 1
}

# stop_own_libvirt: end the daemons that one of these scripts started, and no others.
stop_own_libvirt() {
    stop_daemon "$LIBVIRTD_PID" libvirtd
    stop_daemon "$VIRTLOGD_PID" virtlogd
}
