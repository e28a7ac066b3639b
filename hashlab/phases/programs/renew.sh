#!/bin/sh
# Renews the lease of a service that runs on the laptop; fails if it ran out. Argument: the folder of its record. Runs as
# root.
kill -0 "$(cat "$1/pid")" && cut -d ' ' -f 1 /proc/uptime > "$1/new" && mv "$1/new" "$1/lease"
