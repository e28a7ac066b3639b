# shellcheck shell=bash
# What the scripts of this folder share: messages, and the laptop set up so that hashlab runs.
# Sourced, never run. Works with bash 3.2, which is what macOS has.
# What is set here is used by the scripts that source it:
# shellcheck disable=SC2034

PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${HASHLAB_VENV:-$PROJECT/.venv}"
OWN_STATE="$PROJECT/.hashlab"
DOCKERD_PID="$OWN_STATE/dockerd.pid"
DOCKERD_LOG="$OWN_STATE/dockerd.log"
APT_LOG="$OWN_STATE/apt.log"
DOCKERD_SECONDS=60
EXIT_LAPTOP=3
STARTED_DOCKERD=no
# Debian keeps dockerd and iptables where the PATH of ordinary users does not look.
export PATH="$VENV/bin:$PATH:/usr/sbin:/sbin"

# Messages go to stderr: stdout belongs to the commands, which may print JSON there.
say() { printf '==> %s\n' "$*" >&2; }

# fail MESSAGE...: one line each, then the exit code for "the laptop lacks something".
fail() {
    printf '==> %s\n' "$@" >&2
    exit "$EXIT_LAPTOP"
}

# shellcheck source=packages.sh
source "$PROJECT/scripts/packages.sh"
# shellcheck source=docker.sh
source "$PROJECT/scripts/docker.sh"
# shellcheck source=libvirt.sh
source "$PROJECT/scripts/libvirt.sh"
# shellcheck source=python.sh
source "$PROJECT/scripts/python.sh"

# usage "$@": print the comment at the top of the running script when asked for help.
usage() {
    local argument
    for argument in "$@"; do
        case "$argument" in
            -h | --help)
                sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
                exit 0
                ;;
        esac
    done
}

# enter_lab "$@": stay where a hashlab.toml is found from here upwards or --lab names one; else go
# to the top of the project, where hashlab takes its example. Sets LAB_FOLDER and LAB_OPTIONS, the
# options among "$@" that every command understands.
enter_lab() {
    local named="" folder="$PWD"
    LAB_OPTIONS=()
    while [ $# -gt 0 ]; do
        case "$1" in
            --lab | -l | --provider | -p)
                [ $# -gt 1 ] || break
                LAB_OPTIONS+=("$1" "$2")
                case "$1" in --lab | -l) named="$2" ;; esac
                shift
                ;;
            --lab=*) named="${1#--lab=}" && LAB_OPTIONS+=("$1") ;;
            --provider=*) LAB_OPTIONS+=("$1") ;;
        esac
        shift
    done
    while [ -z "$named" ] && [ "$folder" != / ]; do
        [ -e "$folder/hashlab.toml" ] && named="$folder"
        folder="$(dirname "$folder")"
    done
    if [ -z "$named" ]; then
        cd "$PROJECT" || exit
        named="$PROJECT/examples/hash-collision"
    fi
    LAB_FOLDER="$named"
}

# wants_libvirt: whether the options, or else hashlab.toml, name that provider.
wants_libvirt() {
    case " ${LAB_OPTIONS[*]-} " in
        *" --provider libvirt "* | *" -p libvirt "* | *" --provider=libvirt "*) return 0 ;;
        *" --provider"* | *" -p "*) return 1 ;;
    esac
    grep -qE '^provider *= *"libvirt"' "$LAB_FOLDER/hashlab.toml" 2> /dev/null
}

# set_up EXTRAS: tools, Python environment, Docker and libvirt, all that is needed to run the lab.
# EXTRAS "dev" adds what tests need, "vm" also what virtual machines need, "" nothing.
set_up() {
    local extras="$1" tools="$LAB_TOOLS" vm=no
    [ -e "${LAB_FOLDER:-$PROJECT/examples/hash-collision}/pom.xml" ] && tools="$tools $JAVA_TOOLS"
    [ -n "$extras" ] && tools="$tools $TEST_TOOLS"
    if [ "$extras" = vm ] || { [ -n "${LAB_FOLDER:-}" ] && wants_libvirt; }; then vm=yes; fi
    [ "$vm" = no ] || tools="$tools $VM_TOOLS"
    docker_answers || [ -n "${DOCKER_HOST:-}" ] || tools="$tools $DOCKER_TOOLS"
    need_tools "$tools"
    need_python_environment "${extras:+dev}"
    need_docker
    [ "$vm" = no ] || need_libvirt
}
