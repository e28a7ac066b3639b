# shellcheck shell=bash
# Tools the laptop needs: found by their commands, installed by apt where there is apt.

# Lists for need_tools, read by lib.sh. Words are COMMAND:PACKAGE or COMMAND:PACKAGE|PACKAGE, of
# which the first is taken that exists.
# shellcheck disable=SC2034
{
    LAB_TOOLS="docker:docker.io vagrant:vagrant rsync:rsync ssh:openssh-client ssh-keygen:openssh-client"
    DOCKER_TOOLS="dockerd:docker.io iptables:iptables ip:iproute2"
    BASE_TOOLS="mmdebstrap:mmdebstrap debian-keyring:debian-archive-keyring"
    # The driver is only recommended by libvirt's own package.
    VM_TOOLS="virsh:libvirt-clients libvirtd:libvirt-daemon-system qemu-img:qemu-utils"
    VM_TOOLS="$VM_TOOLS libvirt-driver-qemu:libvirt-daemon-driver-qemu dnsmasq:dnsmasq-base"
    VM_TOOLS="$VM_TOOLS qemu-system-x86_64:qemu-system-x86 vagrant-libvirt:vagrant-libvirt"
    JAVA_TOOLS="javac:openjdk-17-jdk-headless|default-jdk-headless mvn:maven"
    TEST_TOOLS="git:git shellcheck:shellcheck chromium:chromium|chromium-browser"
    TEST_TOOLS="$TEST_TOOLS docker-registry:docker-registry busybox:busybox-static"
    TEST_TOOLS="$TEST_TOOLS chromedriver:chromium-driver|chromium-chromedriver"
}
LEAST_JAVA=17

on_linux() { [ "$(uname -s)" = Linux ]; }
have_apt() { on_linux && command -v apt-get > /dev/null && command -v dpkg > /dev/null; }

# as_root COMMAND...: by sudo where needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        fail "this script needs root for what this laptop lacks" "run it as root, or install sudo"
    fi
}

# have COMMAND: whether it is there and good enough.
have() {
    case "$1" in
        javac) javac_is_new_enough ;;
        mvn) command -v mvn > /dev/null ;;
        debian-keyring) [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ;;
        vagrant-libvirt) vagrant_knows_libvirt ;;
        libvirt-driver-qemu) libvirt_knows_qemu ;;
        dockerd | iptables | ip | docker-registry) ! on_linux || command -v "$1" > /dev/null ;;
        chromium)
            command -v chromium > /dev/null || command -v chromium-browser > /dev/null ||
                command -v google-chrome > /dev/null || [ -d "/Applications/Google Chrome.app" ]
            ;;
        *) command -v "$1" > /dev/null ;;
    esac
}

libvirt_knows_qemu() {
    local file
    for file in /usr/lib*/libvirt /usr/lib*/*/libvirt; do
        [ ! -e "$file/connection-driver/libvirt_driver_qemu.so" ] || return 0
    done
    return 1
}

# Debian's package says so in one place, `vagrant plugin install` in another.
vagrant_knows_libvirt() {
    [ -e /usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json ] ||
        grep -q vagrant-libvirt "${VAGRANT_HOME:-$HOME/.vagrant.d}/plugins.json" 2> /dev/null
}

# macOS has a javac that only says where to get one, so it must be run to be believed.
javac_is_new_enough() {
    local version
    version="$(javac -version 2>&1)" || return 1
    version="${version#javac }"
    version="${version%%[!0-9]*}"
    [ "${version:-0}" -ge "$LEAST_JAVA" ]
}

# need_tools "WORDS": install what is missing, or say how to get it and end with exit code 3.
need_tools() {
    local word missing="" words="$1"
    # The laptop's own Debian tools are only used where images cannot be pulled; elsewhere Docker pulls.
    have_apt && words="$words $BASE_TOOLS"
    have_apt && [ "$(id -u)" != 0 ] && words="$words newuidmap:uidmap"
    for word in $words; do
        have "${word%%:*}" || missing="$missing $word"
    done
    if [ -z "$missing" ]; then
        say "tools: all there"
    elif have_apt; then
        install_packages "$missing"
        still_missing "$missing"
        # Debian's package starts a registry that everybody may reach. Tests start their own.
        case "$missing" in
            *docker-registry*)
                [ ! -d /run/systemd/system ] || as_root systemctl -q disable --now docker-registry
                ;;
        esac
    else
        explain_missing "$missing"
    fi
}

install_packages() {
    local word chosen packages=()
    # Now, while messages and the question for a password are seen.
    as_root true
    for word in $1; do
        chosen="$(available "${word#*:}")" || {
            apt_update
            chosen="$(available "${word#*:}")" || no_package "$word"
        }
        case " ${packages[*]-} " in *" $chosen "*) ;; *) packages+=("$chosen") ;; esac
    done
    say "tools: installing ${packages[*]}"
    apt_install "${packages[@]}" || { apt_update && apt_install "${packages[@]}"; } || {
        tail -n 30 "$APT_LOG" >&2
        fail "apt-get could not install: ${packages[*]}" "the whole log: $APT_LOG"
    }
}

# available "PACKAGE|PACKAGE": the first that apt can install.
available() {
    local package policy
    for package in ${1//|/ }; do
        # Read whole: a pipe into grep -q may end apt-cache early, which counts as a failure.
        policy="$(apt-cache policy "$package" 2> /dev/null)"
        case "$policy" in
            *"Candidate: (none)"*) ;;
            *"Candidate: "*)
                printf '%s\n' "$package"
                return
                ;;
        esac
    done
    return 1
}

no_package() {
    say "apt knows no package for ${1%%:*} (looked for ${1#*:})"
    explain_missing "$1"
}

APT_UPDATED=no
apt_update() {
    [ "$APT_UPDATED" = no ] || return 0
    APT_UPDATED=yes
    say "tools: apt-get update"
    as_root apt-get -qq -o DPkg::Lock::Timeout=120 update >&2 ||
        fail "apt-get update failed" "see its messages above; is the network there?"
}

apt_install() {
    mkdir -p "$OWN_STATE"
    # Slim images lack this folder, without which the JDK's installation fails.
    [ -d /usr/share/man/man1 ] || as_root mkdir -p /usr/share/man/man1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install "$@" > "$APT_LOG" 2>&1
}

still_missing() {
    local word missing=""
    hash -r
    for word in $1; do
        # Newer Debian ships the client in a package of its own.
        if [ "$word" = docker:docker.io ] && ! have docker && available docker-cli > /dev/null; then
            apt_install docker-cli
        fi
        have "${word%%:*}" || missing="$missing $word"
    done
    [ -z "$missing" ] || explain_missing "$missing"
}

# explain_missing "WORDS": what to install by hand. Ends with exit code 3.
explain_missing() {
    local word lines=("this laptop lacks:")
    for word in $1; do
        lines+=("  ${word%%:*}: $(how_to_get "${word%%:*}")")
    done
    fail "${lines[@]}" "then run this script again"
}

how_to_get() {
    local system
    system="$(uname -s)"
    case "$system:$1" in
        Darwin:docker) echo "install and start Docker Desktop" ;;
        Darwin:vagrant) echo "brew install --cask vagrant" ;;
        Darwin:javac) echo "brew install --cask temurin@$LEAST_JAVA" ;;
        Darwin:mvn) echo "brew install maven" ;;
        Darwin:chromium) echo "brew install --cask google-chrome" ;;
        Darwin:chromedriver) echo "brew install --cask chromedriver" ;;
        Darwin:*) echo "brew install $1" ;;
        *:docker | *:dockerd) echo "install Docker Engine with its command-line client" ;;
        *:vagrant) echo "install Vagrant 2.3 or newer, from its makers where your system has no package" ;;
        *:javac) echo "install a JDK, version $LEAST_JAVA or newer" ;;
        *:mvn) echo "install Apache Maven" ;;
        *) echo "install it with your system's package manager" ;;
    esac
}
