#!/bin/bash
# Holds a lab's lock until its input ends, or brings nothing for some seconds: the laptop is gone then.
# Prints "taken", "held" and who holds it, or "unprepared". Arguments: the file, who asks, and the
# seconds. Needs bash for read -t.
if [ ! -d "${1%/*}" ]; then
    echo unprepared
    exit 0
fi
exec 9>> "$1" || exit 1
if ! flock --nonblock 9; then
    printf 'held %s\n' "$(cat "$1.holder" 2> /dev/null)"
    exit 0
fi
printf '%s\n' "$2" > "$1.holder"
echo taken
while read -r -t "$3" _; do :; done
rm -f "$1.holder"
