#!/usr/bin/env bash
# Run what each commit must pass: ruff, mypy, import-linter, shellcheck, unit tests, contract tests,
# and labs on container machines. Exits with 1 if anything fails, and removes all that it started.
#
#     scripts/run-tests.sh [--all]
#
# --all adds what is too slow for each commit:
#     slow               the tests with this mark, each with the reason beside it.
#     virtual-machines   one walk through the life of a lab with the provider libvirt. Where machines
#                        are emulated, it takes longer than all other tests together.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FAILED=""

# What exists of any lab, one "KIND ID LAB" a line.
lab_things() {
    docker ps --all --filter label=hashlab.lab --format 'container {{.ID}} {{.Label "hashlab.lab"}}'
    docker network ls --filter label=hashlab.lab --format 'network {{.ID}} {{.Label "hashlab.lab"}}'
    local label
    for label in hashlab.lab hashlab.snapshot-of; do
        docker volume ls --filter "label=$label" --format "volume {{.Name}} {{.Label \"$label\"}}"
    done
    docker images --quiet --filter label=hashlab.snapshot-of | sort -u | xargs --no-run-if-empty \
        docker inspect --format 'image {{.Id}} {{index .Config.Labels "hashlab.snapshot-of"}}'
    virsh_quiet list > /dev/null 2>&1 || return 0
    # In libvirt a name begins with that of the lab.
    virsh_quiet list --all --name | awk 'NF { print "domain", $1, $1 }'
    virsh_quiet net-list --all --name | awk 'NF { print "net", $1, $1 }'
    case " $(virsh_quiet pool-list --name | tr -s '\n ' ' ') " in
        *" hashlab "*) virsh_quiet vol-list hashlab | awk 'NF { print "vol", $1, $1 }' ;;
    esac
}

virsh_quiet() { virsh --connect qemu:///system --quiet "$@" | sed '/^ *$/d'; }

# remove_thing KIND ID
remove_thing() {
    case "$1" in
        container) docker rm --force --volumes "$2" ;;
        volume | network) docker "$1" rm "$2" ;;
        image) docker rmi --force "$2" ;;
        domain) virsh_quiet destroy "$2" || true; virsh_quiet undefine "$2" --snapshots-metadata ;;
        net) virsh_quiet net-destroy "$2" || true; virsh_quiet net-undefine "$2" ;;
        vol) virsh_quiet vol-delete "$2" --pool hashlab ;;
    esac
}

# Tests remove their labs, but not after a kill. Such a lab holds subnets, ports and, where machines are
# emulated, the processor. Labs outside of pytest's folders are somebody's, and stay.
remove_labs_of_ended_runs() {
    local kind id
    python tests/lab/ended_runs.py > "$LOGS/labs"
    lab_things | awk -v labs="$LOGS/labs" '
        BEGIN { while ((getline lab < labs) > 0) known[lab] }
        { for (lab in known) if ($3 == lab || index($3, lab "-") == 1) { print $1, $2; next } }
    ' | while read -r kind id; do
        say "removing what a test left: $kind $id"
        remove_thing "$kind" "$id" > /dev/null || true
    done
}

clean_up() {
    local code=$?
    trap '' INT TERM
    [ ! -e "$LOGS/watching" ] || remove_labs_of_ended_runs
    [ "$STARTED_LIBVIRTD" = no ] || stop_own_libvirt
    [ "$STARTED_DOCKERD" = no ] || stop_own_dockerd
    closing_lines "$code"
    rm -rf "$LOGS"
    exit "$code"
}

# How each part ended, and as the very last line the one with which pytest closed.
closing_lines() {
    [ -e "$LOGS/tests" ] || return 0
    local name
    if [ "$1" = 0 ]; then say "all passed"; else say "failed:${FAILED:- interrupted}"; fi
    for name in tests virtual-machines; do
        [ ! -e "$LOGS/$name" ] ||
            grep -E '(passed|failed|errors?|no tests ran).* in [0-9.]+s' "$LOGS/$name" | tail -n 1 || true
    done
}

# part NAME COMMAND...: run it, keep what it prints, go on when it fails. tee outlives Ctrl-C, so
# that the last words of the command are not lost.
part() {
    local name="$1"
    shift
    say "$name: $*"
    "$@" 2>&1 | tee -i "$LOGS/$name" || FAILED="$FAILED $name"
}

# The metrics store of Debian's package, unpacked only: once installed, it would run as a service and listen to
# everybody. Go builds one where apt has none, which takes a minute.
unpack_metrics_store() {
    command -v victoria-metrics > /dev/null && return 0
    have_apt || return 0
    (cd "$LOGS" && apt-get -qq download victoria-metrics && dpkg -x victoria-metrics_*.deb metrics-store) \
        > "$LOGS/unpacking" 2>&1 || return 0
    PATH="$PATH:$LOGS/metrics-store/usr/bin"
}

usage "$@"
extras=vm all=no
case "$*" in
    "") ;;
    --all) all=yes ;;
    *)
        say "unknown: $*" "(see $0 --help)"
        exit 2
        ;;
esac
LOGS="$(mktemp -d)"
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$PROJECT"
set_up "$extras"
unpack_metrics_store
touch "$LOGS/watching"
remove_labs_of_ended_runs
part check inv check
if [ "$all" = yes ]; then
    part tests pytest --durations=30 tests/contract tests/lab
else
    part tests pytest --durations=30 -m "not slow" tests/contract tests/lab
fi
[ "$all" = no ] || part virtual-machines pytest tests/lab --provider libvirt -m full_pass
[ -z "$FAILED" ]
