#!/usr/bin/env bash
# Set the laptop up and build the box all machines are made from; skipped when it is current.
#
#     scripts/quickstart-init-box.sh [options of `inv init-box`: --lab, --provider, --json, --verbose]
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage "$@"
enter_lab "$@"
set_up ""
exec inv --search-root="$PROJECT" init-box "$@"
