#!/bin/sh
# Makes a disk of the system in which it runs: /out/disk.raw, and /out/vmlinuz and /out/initrd.img.
# /store contains the image store of a stopped engine. Argument: the disk's size.
set -eu

# A bind mount shows the root without what the engine has mounted into it.
mount --bind / /mnt
printf 'localhost\n' > /mnt/etc/hostname
printf '127.0.0.1 localhost\n' > /mnt/etc/hosts
: > /mnt/etc/resolv.conf
rm -f /mnt/.dockerenv
for part in image overlay2; do
    mkdir -p "/mnt/var/lib/docker/$part"
    mount --bind "/store/$part" "/mnt/var/lib/docker/$part"
done
cp /boot/vmlinuz-* /out/vmlinuz
cp /boot/initrd.img-* /out/initrd.img
chmod 0644 /out/vmlinuz /out/initrd.img
# Kernel and RAM disk are loaded from outside the disk; inside they would only take space.
mount -t tmpfs none /mnt/boot
truncate --size "$1" /out/disk.raw
# The file system is initialised completely now; the kernel would otherwise do it later and fill
# each machine's own disk.
mke2fs -q -F -t ext4 -L hashlab -E lazy_itable_init=0,lazy_journal_init=0 -d /mnt /out/disk.raw
chmod 0644 /out/disk.raw
