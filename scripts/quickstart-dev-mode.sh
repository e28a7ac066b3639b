#!/usr/bin/env bash
# Bring a fresh laptop to a running lab: tools, Python environment, Docker, box, machines,
# application. May be run again at any time: what is there already is left alone.
#
#     scripts/quickstart-dev-mode.sh [options of `inv dev`: --lab, --provider, --json, --verbose]
#
# Without a hashlab.toml in this folder or above, and without --lab, it takes the example.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main_address() {
    python -c 'import json, sys
urls = json.load(sys.stdin)["urls"]
print(urls.get("web") or next(iter(urls.values()), ""))'
}

usage "$@"
enter_lab "$@"
set_up ""
options=(${LAB_OPTIONS[@]+"${LAB_OPTIONS[@]}"})
say "box"
hashlab init-box ${options[@]+"${options[@]}"} >&2
say "lab"
hashlab dev "$@"
address="$(hashlab status --json ${options[@]+"${options[@]}"} 2> /dev/null | main_address)"
say "After an edit: $PROJECT/scripts/refresh-dev-mode.sh. To take all away: $VENV/bin/inv destroy"
closing="The application answers at ${address:-no address: no port is forwarded}"
case " $* " in
    *" --json "* | *" -j "*) say "$closing" ;;
    *) printf '%s\n' "$closing" ;;
esac
