#!/bin/sh
# Prints the contents of this system, and of the image store in /store if it exists: lines of a
# keyword and its values, separated by tabs. Sizes are disk usage; a file with several names counts
# once. Argument: the number of packages to list, largest first.
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
