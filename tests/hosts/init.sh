#!/bin/sh
# First process of a test host: makes /sys writable where the engine left it read-only, makes host
# keys, installs the tester's key, then becomes systemd.
set -eu

writable() {
    mount -o remount,bind,rw "$1" 2> /dev/null || true
}
writable /sys/fs/cgroup
for controller in /sys/fs/cgroup/*; do
    if mountpoint -q "$controller"; then writable "$controller"; fi
done
writable /sys

[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A > /dev/null
if [ -n "${TESTER_KEY:-}" ]; then
    printf '%s\n' "$TESTER_KEY" > /home/deploy/.ssh/authorized_keys
    chown deploy:deploy /home/deploy/.ssh/authorized_keys
    chmod 0600 /home/deploy/.ssh/authorized_keys
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=docker /sbin/init
