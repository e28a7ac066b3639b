#!/bin/sh
# First process of a machine that is a container: makes /sys writable if the engine left it
# read-only, installs the lab's public key, then becomes systemd. Meanwhile, data that a restore of
# a snapshot has moved aside is deleted.
set -eu

writable() {
    mount -o remount,bind,rw "$1" 2> /dev/null || true
}
writable /sys/fs/cgroup
for controller in /sys/fs/cgroup/*; do
    if mountpoint -q "$controller"; then writable "$controller"; fi
done
writable /sys

if [ -n "${HASHLAB_AUTHORIZED_KEY:-}" ]; then
    printf '%s\n' "$HASHLAB_AUTHORIZED_KEY" > /home/core/.ssh/authorized_keys
    chown core:core /home/core/.ssh/authorized_keys
    chmod 0600 /home/core/.ssh/authorized_keys
fi
rm -rf /var/lib/docker/.hashlab-old &
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=docker /sbin/init
