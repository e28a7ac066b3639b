#!/usr/bin/env bash
# Stop the libvirtd that scripts of this folder started where nothing manages services. Virtual
# machines that run go on running.
#
#     scripts/stop-libvirt.sh
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage "$@"
if [ -e "$LIBVIRTD_PID" ]; then
    stop_own_libvirt
    say "libvirt: stopped"
else
    say "libvirt: none was started by these scripts"
fi
