#!/usr/bin/env bash
# Stop the dockerd that these scripts started where no service manager does. Leaves any other alone.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage "$@"
if [ ! -e "$DOCKERD_PID" ]; then
    say "nothing to stop: these scripts started no dockerd"
    exit 0
fi
stop_own_dockerd
say "the dockerd these scripts started is stopped"
