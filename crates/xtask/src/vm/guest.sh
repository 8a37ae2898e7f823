#!/bin/sh
# What runs in the machine, as its first process or as a service of systemd: every line of /dhow-tests ("folder program"), then the verdict.
modprobe -a overlay veth bridge nf_tables nft_chain_nat nft_ct nft_masq nft_fib_inet tun dummy loop
ip link set lo up
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
