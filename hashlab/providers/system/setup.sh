#!/bin/sh
# Turns a bare Debian into a hashlab machine: Docker Engine, sshd, rsync, user core, no Python. Runs
# once inside the new system, in the same way for every provider. Arguments: extra packages.
set -eu

export DEBIAN_FRONTEND=noninteractive
cat > /etc/dpkg/dpkg.cfg.d/hashlab <<'EOF'
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/bash-completion/*
EOF
apt-get update -q
# socat relays the Docker API over SSH; the overlay network needs iproute2 and iptables. crun does
# runc's work in a third of the time, and every start of a container and every health check waits
# for that.
apt-get install -q -y --no-install-recommends \
    systemd systemd-sysv dbus openssh-server rsync sudo socat \
    docker.io crun iptables iproute2 ca-certificates "$@"
# Since Debian 13 the engine's client is a separate package.
command -v docker > /dev/null || apt-get install -q -y --no-install-recommends docker-cli

useradd --create-home --shell /bin/sh --groups docker core
passwd --lock core > /dev/null
: > /home/core/.profile
rm -f /home/core/.bashrc /home/core/.bash_logout
# The user core may become root by its key alone, so PAM's account and session steps and a terminal
# of its own decide nothing; they take 4 of sudo's 9 ms. hashlab runs scripts as core at each
# refresh, which would flood the journal.
cat > /etc/sudoers.d/core <<'EOF'
Defaults:core !use_pty, !syslog, !pam_session, !pam_setcred, !pam_acct_mgmt
core ALL=(ALL) NOPASSWD:ALL
EOF
chmod 0440 /etc/sudoers.d/core
# A locked password must not lock the key out as well.
usermod --password '*' core
install -d -o core -g core -m 0700 /home/core/.ssh
install -d -o core -g core -m 0755 /var/lib/hashlab

cat > /etc/ssh/sshd_config.d/hashlab.conf <<'EOF'
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers core
UseDNS no
PrintMotd no
# sudo and the Docker group control access; PAM's session set-up only costs time at each command.
UsePAM no
MaxSessions 64
MaxStartups 64:30:128
EOF
# Since OpenSSH 9.8, a client that connects without logging in, as hashlab does to check whether
# sshd is up, is blocked for a while.
install -d /run/sshd
if /usr/sbin/sshd -t -o PerSourcePenalties=no 2> /dev/null; then
    echo 'PerSourcePenalties no' >> /etc/ssh/sshd_config.d/hashlab.conf
fi

install -d /etc/docker
cat > /etc/docker/daemon.json <<'EOF'
{
  "storage-driver": "overlay2",
  "log-driver": "journald",
  "log-opts": {"tag": "{{.Name}}", "labels": "hashlab.lab,hashlab.service,hashlab.build"},
  "shutdown-timeout": 3,
  "live-restore": false,
  "runtimes": {"crun": {"path": "/usr/bin/crun"}},
  "default-runtime": "crun"
}
EOF
# All logs of a machine, its containers' too, are in the journal: they outlive the container that a
# refresh replaces. A rate limit would count all containers as one unit, and drop their lines. The
# journal keeps the newest 512 MB; a laptop's disk that is nearly full must not shrink that to
# nothing, as the default reserve of 15 % would.
install -d /etc/systemd/journald.conf.d
cat > /etc/systemd/journald.conf.d/hashlab.conf <<'EOF'
[Journal]
Storage=persistent
RateLimitIntervalSec=0
SystemMaxUse=512M
SystemKeepFree=64M
SyncIntervalSec=10s
EOF
# The engine starts its own program again for each step of a network, at least seven times per
# network. Half of the cost of such a call is garbage collection, which so short a process does not
# need.
for service in docker containerd; do
    install -d "/etc/systemd/system/$service.service.d"
    printf '[Service]\nEnvironment=GOGC=400\n' > "/etc/systemd/system/$service.service.d/hashlab.conf"
done
# A machine finds the services of the others a minute sooner if its engine starts after the manager's.
chmod 0755 /usr/local/sbin/hashlab-await-manager
printf 'ExecStartPre=-/usr/local/sbin/hashlab-await-manager\n' \
    >> /etc/systemd/system/docker.service.d/hashlab.conf

# Host keys are made at first boot, never shipped in a box.
rm -f /etc/ssh/ssh_host_*
cat > /etc/systemd/system/hashlab-host-key.service <<'EOF'
[Unit]
Description=Make the SSH host key of this machine
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
EOF
echo 'HostKey /etc/ssh/ssh_host_ed25519_key' > /etc/ssh/sshd_config.d/host-key.conf
# The engine does not start unless the machine's network is closed.
chmod 0755 /usr/local/sbin/hashlab-firewall
cat > /etc/systemd/system/hashlab-firewall.service <<'EOF'
[Unit]
Description=Close this machine's network to all but the lab and the laptop
Before=ssh.service docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/hashlab-firewall

[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
EOF
# See that script. It ends with the engine.
chmod 0755 /usr/local/sbin/hashlab-sandboxes
cat > /etc/systemd/system/hashlab-sandboxes.service <<'EOF'
[Unit]
Description=Keep services in the networks of their sandboxes
After=docker.service
Requires=docker.service
PartOf=docker.service

[Service]
ExecStart=/usr/bin/socat UNIX-CONNECT:/run/docker.sock EXEC:/usr/local/sbin/hashlab-sandboxes
Restart=always
RestartSec=1
SuccessExitStatus=143

[Install]
WantedBy=docker.service
EOF
systemctl enable hashlab-firewall.service hashlab-host-key.service hashlab-sandboxes.service \
    ssh.service docker.service > /dev/null 2>&1
# Nothing on a disposable machine needs these.
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-networkd-wait-online.service fstrim.timer dpkg-db-backup.timer \
    systemd-timesyncd.service getty.target systemd-logind.service > /dev/null 2>&1

apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/* /tmp/* /usr/share/doc/* /usr/share/man/* \
    /usr/share/locale/*
# The folders stay, because dpkg's tools need theirs when something is installed later.
find /var/cache -type f -delete
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
