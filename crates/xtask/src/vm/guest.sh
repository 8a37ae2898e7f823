#!/bin/sh
# What runs in the machine, as its first process or as a service of systemd: every line of /dhow-tests ("limit folder program"), then the verdict.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
if [ $$ = 1 ] && grep -q dhow=systemd /proc/cmdline; then
    echo "== systemd"
    # it mounts the cgroups that it wants
    umount /sys/fs/cgroup
    printf '[Service]\nType=oneshot\nExecStart=/dhow-guest\nStandardOutput=file:/dev/console\nStandardError=inherit\n' \
        >/etc/systemd/system/dhow-tests.service
    # it would empty /tmp, where the tests may be
    ln -sf /dev/null /etc/systemd/system/systemd-tmpfiles-setup.service
    exec /lib/systemd/systemd --unit=dhow-tests.service --show-status=no
fi
# as systemd has it; the kernel's own limit is 4096
ulimit -Hn 524288
modprobe -a overlay veth bridge nf_tables nft_chain_nat nft_ct nft_masq nft_fib_inet tun dummy loop
ip link set lo up
# a way out that leads nowhere: there is no network
ip link add out type dummy && ip address add 192.0.2.1/24 dev out && ip link set out up && ip route add default via 192.0.2.2
hostname dhow-vm
. /dhow-environment
failed=
while read -r limit folder program; do
    echo "== $program ($(cut -d. -f1 /proc/uptime) s up)"
    cd "$folder" && timeout --kill-after=10 "$limit" "$program" $ARGUMENTS </dev/null ||
        failed="$failed $(basename "$program")($?)"
done </dhow-tests
echo "up $(cut -d. -f1 /proc/uptime) s$(dmesg --level=emerg,alert,crit | sed 's/^/; kernel: /')"
[ -z "$failed" ] && echo "dhow-vm: passed" || echo "dhow-vm: failed:$failed"
sync
poweroff -f
