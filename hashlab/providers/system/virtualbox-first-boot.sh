#!/bin/sh
# Turns a machine of a foreign box into one of the lab: only the lab's key, a Docker Engine, a
# folder for hashlab. Runs as root at each `vagrant up`; a second run changes nothing. Arguments:
# kind of the box, user, public key, the lab's subnet, the laptop's address in it, Debian packages.
set -eu

kind=$1
user=$2
key=$3
subnet=$4
gateway=$5
shift 5

if [ "$kind" = debian ]; then
    export DEBIAN_FRONTEND=noninteractive
    missing=""
    command -v dockerd > /dev/null || missing="docker.io"
    for package in ca-certificates iproute2 iptables rsync socat sudo "$@"; do
        # A package may be given with its version: NAME=VERSION.
        dpkg-query --show --showformat '${Status}' "${package%%=*}" 2> /dev/null |
            grep -q 'ok installed' || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        apt-get update -q
        # shellcheck disable=SC2086 # words
        apt-get install -q -y --no-install-recommends $missing
    fi
    # Since Debian 13 the engine's client is a separate package.
    command -v docker > /dev/null || apt-get install -q -y --no-install-recommends docker-cli
    # Machines made from one box would otherwise share its host keys.
    if [ ! -e /etc/ssh/hashlab-host-keys ]; then
        rm -f /etc/ssh/ssh_host_*
        ssh-keygen -A
        : > /etc/ssh/hashlab-host-keys
    fi
fi
usermod --append --groups docker "$user"
install -d -o "$user" -g "$(id -gn "$user")" -m 0755 /var/lib/hashlab

# The network is closed at each boot before the engine starts. The script is in /etc, because /usr
# may be read-only.
cat > /etc/hashlab-firewall <<'END_OF_FIREWALL'
# firewall.sh is put here.
END_OF_FIREWALL
chmod 0755 /etc/hashlab-firewall
interface="$(ip -4 -o address show to "$subnet" | awk '{ print $2; exit }')"
[ -n "$interface" ] || { echo "no interface has an address in $subnet" >&2; exit 1; }
echo "$interface $subnet $gateway" > /etc/hashlab-network
cat > /etc/systemd/system/hashlab-firewall.service <<'EOF'
[Unit]
Description=Close this machine's network to all but the lab and the laptop
Before=ssh.service sshd.service docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/etc/hashlab-firewall

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
EOF
# A machine finds the services of the others a minute sooner if its engine starts after the manager's.
cat > /etc/hashlab-await-manager <<'END_OF_AWAIT_MANAGER'
# await-manager.sh is put here.
END_OF_AWAIT_MANAGER
chmod 0755 /etc/hashlab-await-manager
install -d /etc/systemd/system/docker.service.d
printf '[Service]\nExecStartPre=-/etc/hashlab-await-manager\n' \
    > /etc/systemd/system/docker.service.d/hashlab-await-manager.conf
systemctl daemon-reload
systemctl enable hashlab-firewall.service > /dev/null 2>&1
# Restarting the unit would restart a running engine.
/etc/hashlab-firewall
systemctl start hashlab-firewall.service

# hashlab opens many sessions on one connection.
setting="MaxSessions 64"
mkdir -p /etc/ssh/sshd_config.d
printf '%s\nMaxStartups 64:30:128\nUseDNS no\n' "$setting" > /etc/ssh/sshd_config.d/hashlab.conf
accepted() {
    sshd -T 2> /dev/null | grep -qix "$setting"
}
if ! accepted; then
    # This sshd_config does not include that folder. It may be a link into a read-only /usr.
    { printf '%s\n' "$setting"; cat /etc/ssh/sshd_config; } > /etc/ssh/sshd_config.hashlab
    mv /etc/ssh/sshd_config.hashlab /etc/ssh/sshd_config
    accepted || { echo "sshd does not take '$setting'" >&2; exit 1; }
fi
# If a socket starts sshd for each connection, nothing has to be restarted.
for unit in ssh.service sshd.service; do
    if systemctl is-active --quiet "$unit"; then systemctl restart "$unit"; fi
done

# Done last, because it revokes Vagrant's own well-known key.
ssh="$(getent passwd "$user" | cut -d: -f6)/.ssh"
install -d -o "$user" -g "$(id -gn "$user")" -m 0700 "$ssh"
printf '%s\n' "$key" > "$ssh/authorized_keys.hashlab"
chown "$user:$(id -gn "$user")" "$ssh/authorized_keys.hashlab"
chmod 0600 "$ssh/authorized_keys.hashlab"
mv "$ssh/authorized_keys.hashlab" "$ssh/authorized_keys"
# Flatcar composes authorized_keys from this folder; Ignition's part is the lab's key.
if [ -d "$ssh/authorized_keys.d" ]; then
    find "$ssh/authorized_keys.d" -mindepth 1 ! -name ignition -delete
fi
systemctl start docker.service
