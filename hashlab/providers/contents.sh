#!/bin/sh
# Says what is in this system, and in the image store in /store if there is one: lines of a word and
# its values, with tabs between. Sizes are what the files take on a disk; a file with several names
# counts once. Argument: how many packages are named, the largest.
set -eu
# shellcheck source=/dev/null
. /etc/os-release
printf 'os\t%s\n' "$PRETTY_NAME"
printf 'docker\t%s\n' "$(dockerd --version)"
for kernel in /boot/vmlinuz-*; do
    [ ! -e "$kernel" ] || printf 'kernel\t%s\n' "${kernel#/boot/vmlinuz-}"
done
printf 'part\t%s\n' "$(du --one-file-system --summarize --block-size=1 /)"
[ ! -d /store ] || du --summarize --block-size=1 --total /store/overlay2 /store/image |
    sed -n 's|\ttotal$|\t/store|; t found; d; :found; s/^/part\t/p'
# shellcheck disable=SC2016 # the words in ${…} are dpkg's
dpkg-query --show --showformat '${Installed-Size}\t${Package}\n' | sort -rn |
    sed -n "1,$1s/^/package\t/p"
