#!/bin/sh
# Adds the parts that only a machine with its own hardware needs: kernel, network, the hypervisor's
# agent. Runs once inside the new system, after setup.sh.
set -eu

export DEBIAN_FRONTEND=noninteractive
# Only the drivers for the disk: the initial RAM disk is unpacked at every boot, which is slow under
# emulation.
install -d /etc/initramfs-tools/conf.d
printf 'MODULES=list\nCOMPRESS=zstd\nRESUME=none\n' > /etc/initramfs-tools/conf.d/hashlab
printf 'virtio_pci\nvirtio_blk\n' > /etc/initramfs-tools/modules
apt-get update -q
# util-linux-extra contains hwclock, with which the hypervisor's agent sets the clock after a
# restore.
apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold \
    "linux-image-cloud-$(dpkg --print-architecture)" initramfs-tools zstd udev e2fsprogs \
    qemu-guest-agent systemd-resolved util-linux-extra

# The hypervisor's DHCP server assigns each machine its address.
cat > /etc/systemd/network/hashlab.network <<'EOF'
[Match]
Name=eth*

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
EOF
install -d /etc/systemd/resolved.conf.d
printf '[Resolve]\nDNSStubListener=no\nLLMNR=no\nMulticastDNS=no\n' \
    > /etc/systemd/resolved.conf.d/hashlab.conf
# While an image is built, the engine mounts this file, so it is turned into a link when a machine
# boots.
echo 'L+ /etc/resolv.conf - - - - ../run/systemd/resolve/resolv.conf' \
    > /etc/tmpfiles.d/hashlab-resolv.conf
echo '/dev/vda / ext4 noatime,errors=remount-ro 0 1' > /etc/fstab

chmod 0755 /usr/local/sbin/hashlab-first-boot
cat > /etc/systemd/system/hashlab-first-boot.service <<'EOF'
[Unit]
Description=Install the public key of the lab
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/hashlab-first-boot

[Install]
WantedBy=multi-user.target
EOF
systemctl enable hashlab-first-boot.service systemd-networkd.service > /dev/null 2>&1

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/*
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
