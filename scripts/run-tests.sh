#!/usr/bin/env bash
# Run what each commit must pass: ruff, mypy, import-linter, shellcheck, unit tests, contract tests,
# and labs on container machines. Exits with 1 if anything fails, and removes all that it started.
#
#     scripts/run-tests.sh [--all]
#
# --all adds what is too slow for each commit:
#     virtual-machines   one walk through the life of a lab with the provider libvirt. Where machines
#                        are emulated, it takes longer than all other tests together.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FAILED=""
BEFORE=""

# Whatever exists of any lab on this laptop, one "KIND ID" a line.
lab_things() {
    docker_things
    libvirt_things
}

# docker_things [=LAB]: of one lab only, when its id is given.
docker_things() {
    local label="label=hashlab.lab${1:-}"
    docker ps --all --quiet --filter "$label" | sed 's/^/container /'
    docker volume ls --quiet --filter "$label" | sed 's/^/volume /'
    docker network ls --quiet --filter "$label" | sed 's/^/network /'
    label="label=hashlab.snapshot-of${1:-}"
    docker volume ls --quiet --filter "$label" | sed 's/^/volume /'
    docker images --quiet --filter "$label" | sort -u | sed 's/^/image /'
}

# Names of labs end in six hexadecimal digits of their folders, then comes the machine.
libvirt_things() {
    virsh_quiet list --all --name | sed -n '/-[0-9a-f]\{6\}-/s/^/domain /p'
    virsh_quiet net-list --all --name | sed -n '/-[0-9a-f]\{6\}$/s/^/net /p'
    case " $(virsh_quiet pool-list --name | tr -s '\n ' ' ') " in
        *" hashlab "*) virsh_quiet vol-list hashlab | awk 'NF { print "vol", $1 }' ;;
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

# What tests left although they clean up themselves, as after a kill. A lab that ran before stays.
remove_leftovers() {
    local kind id
    lab_things | while read -r kind id; do
        case "$BEFORE" in *"$kind $id"*) ;; *) echo "$kind $id" ;; esac
    done | remove_each "a test"
}

# Labs of a run that was killed hold subnets, ports and, where machines are emulated, the processor.
remove_labs_of_killed_runs() {
    local lab
    python tests/lab/killed_runs.py | while read -r lab; do
        docker_things "=$lab"
        libvirt_things | grep -E "^[a-z]+ $lab(-|\$)" || true
    done | remove_each "a killed run"
}

# remove_each WHO: what stdin lists, one "KIND ID" a line, which WHO left.
remove_each() {
    local kind id
    while read -r kind id; do
        say "removing what $1 left: $kind $id"
        remove_thing "$kind" "$id" > /dev/null || true
    done
}

clean_up() {
    local code=$?
    trap '' INT TERM
    [ ! -e "$LOGS/watching" ] || remove_leftovers
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
remove_labs_of_killed_runs
BEFORE="$(lab_things)"
touch "$LOGS/watching"
part check inv check
part tests pytest tests/contract tests/lab
[ "$all" = no ] || part virtual-machines pytest tests/lab --provider libvirt -m full_pass
[ -z "$FAILED" ]
