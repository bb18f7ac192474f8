#!/bin/sh
# The first process of the second kernel; $dir, from the kernel's command line, is its directory.
#
# It has this machine's files, read-only, but for $dir and for fresh directories in memory; no
# network device but lo.  It runs $dir/run, whose output and exit status end up in $dir, and stops.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t hostfs none "$dir" -o "$dir"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock /run/kernel/lib /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for below in /var/lib/cni /etc/cni; do
    [ ! -d $below ] || mount -t tmpfs -o mode=755 tmpfs $below
done
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd

# The kernel asks for its modules by itself; what the tests mount over /run it does not see.
ln -s /usr/lib/uml/modules /run/kernel/lib/modules
printf '#!/bin/sh\nexec modprobe -d /run/kernel "$@"\n' >/run/kernel/modprobe
chmod +x /run/kernel/modprobe
echo /run/kernel/modprobe >/proc/sys/kernel/modprobe
/run/kernel/modprobe -a ipv6 tun

# Its nf_tables has no family for IP: of iptables only the older kind works.
mkdir /dev/shm/bin
for family in ip ip6; do
    for suffix in '' -save -restore; do
        ln -s "/usr/sbin/${family}tables-legacy$suffix" "/dev/shm/bin/${family}tables$suffix"
    done
done
export PATH="/dev/shm/bin:$PATH" TMPDIR=/dev/shm PYTHONDONTWRITEBYTECODE=1
hostname second
ip link set lo up
sh "$dir/run" </dev/null >"$dir/output" 2>&1
echo $? >"$dir/status"
sync
echo o >/proc/sysrq-trigger
sleep 60
