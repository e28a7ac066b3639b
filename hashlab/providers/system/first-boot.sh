#!/bin/sh
# Installs the lab's public key, which stands in the kernel's command line, before sshd starts: at
# the first boot, and when a machine comes back from a snapshot with another key. As long as the
# command line says the same, a key that hashlab has put in since then stays.
set -eu

keys=/home/core/.ssh/authorized_keys
told=/home/core/.ssh/key-of-the-command-line
# shellcheck disable=SC2013 # words
for word in $(cat /proc/cmdline); do
    case "$word" in
        hashlab.key=*) key="ssh-ed25519 ${word#hashlab.key=} hashlab" ;;
    esac
done
[ -n "${key:-}" ] || exit 0
[ "$(cat "$told" 2> /dev/null)" != "$key" ] || exit 0
printf '%s\n' "$key" > "$keys"
printf '%s\n' "$key" > "$told"
chown core:core "$keys" "$told"
chmod 0600 "$keys" "$told"
