#!/usr/bin/env bash
# Bring what you edited to the running lab and prove that it runs there. Takes seconds.
#
#     scripts/refresh-dev-mode.sh [options of `inv refresh`: --lab, --provider, --json, --verbose]
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage "$@"
enter_lab "$@"
need_python_environment ""
exec inv --search-root="$PROJECT" refresh "$@"
