#!/bin/sh
# Write the record $2 of the lab's folder ($1) from the input. A reader sees the old record or the new one.
umask 077
mkdir -p -- "$1" && rm -f -- "$1/$2.new" && cat > "$1/$2.new" && mv -f -T -- "$1/$2.new" "$1/$2"
