#!/bin/sh
# Runs inside the new root file system (chroot), once, while the public image is built.
# Arguments: the UUID that the root file system will have.
set -eu
uuid=$1

# --- what a machine of minutes does not need --------------------------------------------------
systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer e2scrub_reap.service systemd-pstore.service remote-fs.target
systemctl mask --quiet getty@tty1.service systemd-tmpfiles-clean.timer systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-network-generator.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount \
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service modprobe@dm_mod.service modprobe@loop.service
systemctl enable --quiet localgce-network.service localgce-disk-expand.service localgce-names.socket
# sshd starts when somebody connects: no boot waits for it
systemctl disable --quiet ssh.service
systemctl enable --quiet ssh.socket

# --- certificates this host trusts beyond Debian's own ------------------------------------------
python3 /tmp/localgce/extra_certificates.py /tmp/localgce/host-certificates.crt \
    /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates
update-ca-certificates > /dev/null

# --- sources ------------------------------------------------------------------------------------
# As on Google's image they are mirror lists (the overlay has them). The package lists keep their
# contents under the names that apt gives them then.
echo '# See /etc/apt/sources.list.d/debian.sources' > /etc/apt/sources.list
for list in debian debian-security; do
    for file in "/var/lib/apt/lists/deb.debian.org_${list}_dists_"*; do
        mv "$file" "/var/lib/apt/lists/_etc_apt_mirrors_$list.list_dists_${file##*_dists_}"
    done
done

# --- identity ----------------------------------------------------------------------------------
: > /etc/machine-id
rm -f /etc/hostname /var/lib/dbus/machine-id /etc/ssh/ssh_host_*
echo "UUID=$uuid / ext4 rw,discard,errors=remount-ro 0 0" > /etc/fstab

# --- boot loader ---------------------------------------------------------------------------------
# The kernel's own hook has made none (INITRD=No), and no link to it: with the settings of this image
# it is smaller.
for modules in /lib/modules/*; do
    version=${modules##*/}
    update-initramfs -c -k "$version" > /dev/null
    ln -sf "boot/initrd.img-$version" /initrd.img
done
mkdir -p /boot/grub/i386-pc
cp /usr/lib/grub/i386-pc/*.mod /usr/lib/grub/i386-pc/*.lst /usr/lib/grub/i386-pc/boot.img \
    /boot/grub/i386-pc/
grub-mkimage -O i386-pc -o /boot/grub/i386-pc/core.img -p '(hd0,gpt1)/boot/grub' \
    biosdisk part_gpt ext2 linux linux16 normal configfile serial terminal
# The first boots read this; `update-grub` (a new kernel runs it) replaces it by its own. `linux` would
# move all the 50 MB in which the kernel unpacks itself, byte by byte: 2 s without KVM.
. /etc/default/grub
cat > /boot/grub/grub.cfg <<GRUB
linux16 /vmlinuz root=UUID=$uuid rw $GRUB_CMDLINE_LINUX
initrd16 /initrd.img
boot
GRUB
rm -rf /tmp/localgce

# What systemd makes up for after an update of /usr has been done: not again at the first boot.
touch -r /usr /etc/.updated /var/.updated
