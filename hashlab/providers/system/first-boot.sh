#!/bin/sh
# Installs the lab's public key from the kernel's command line before sshd starts: at the first
# boot, and when a machine comes back from a snapshot with another key. A key that hashlab installed
# later stays as long as the command line is unchanged.
set -eu

keys=/home/core/.ssh/authorized_keys
installed=/home/core/.ssh/key-of-the-command-line
# shellcheck disable=SC2013 # words
for word in $(cat /proc/cmdline); do
    case "$word" in
        hashlab.key=*) key="ssh-ed25519 ${word#hashlab.key=} hashlab" ;;
    esac
done
[ -n "${key:-}" ] || exit 0
[ "$(cat "$installed" 2> /dev/null)" != "$key" ] || exit 0
printf '%s\n' "$key" > "$keys"
printf '%s\n' "$key" > "$installed"
chown core:core "$keys" "$installed"
chmod 0600 "$keys" "$installed"
