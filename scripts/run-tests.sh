#!/usr/bin/env bash
# Run every check and test: ruff, mypy, import-linter, shellcheck, unit tests, contract tests, and
# labs on real machines. Fails when anything fails, and takes away all that it started.
#
#     scripts/run-tests.sh [--quick]
#
# --quick leaves out the labs on real machines.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FAILED=""
BEFORE=""

# Containers, volumes and networks of any lab on this laptop, one "KIND ID" a line.
lab_things() {
    local label="label=hashlab.lab"
    docker ps --all --quiet --filter "$label" | sed 's/^/container /'
    docker volume ls --quiet --filter "$label" | sed 's/^/volume /'
    docker network ls --quiet --filter "$label" | sed 's/^/network /'
}

# What tests left although they clean up themselves, as after a kill. A lab that ran before stays.
remove_leftovers() {
    local kind id
    lab_things | while read -r kind id; do
        case "$BEFORE" in *"$kind $id"*) continue ;; esac
        say "removing what a test left: $kind $id"
        case "$kind" in
            container) docker rm --force --volumes "$id" ;;
            *) docker "$kind" rm "$id" ;;
        esac > /dev/null || true
    done
}

clean_up() {
    local code=$?
    trap '' INT TERM
    [ ! -e "$LOGS/watching" ] || remove_leftovers
    [ "$STARTED_DOCKERD" = no ] || stop_own_dockerd
    closing_lines "$code"
    rm -rf "$LOGS"
    exit "$code"
}

# How each part ended, and as the very last line the one with which pytest closed.
closing_lines() {
    [ -e "$LOGS/tests" ] || return 0
    if [ "$1" = 0 ]; then say "all passed"; else say "failed:${FAILED:- interrupted}"; fi
    grep -E '(passed|failed|errors?|no tests ran).* in [0-9.]+s' "$LOGS/tests" | tail -n 1 || true
}

# part NAME COMMAND...: run it, keep what it prints, go on when it fails. tee outlives Ctrl-C, so
# that the last words of the command are not lost.
part() {
    local name="$1"
    shift
    say "$name: $*"
    "$@" 2>&1 | tee -i "$LOGS/$name" || FAILED="$FAILED $name"
}

usage "$@"
folders=(tests/contract tests/lab)
case "$*" in
    "") ;;
    --quick) folders=(tests/contract) ;;
    *)
        say "unknown: $*" "(see $0 --help)"
        exit 2
        ;;
esac
LOGS="$(mktemp -d)"
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$PROJECT"
set_up dev
BEFORE="$(lab_things)"
touch "$LOGS/watching"
part check inv check
part tests pytest "${folders[@]}"
[ -z "$FAILED" ]
