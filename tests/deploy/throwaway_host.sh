#!/usr/bin/env bash
# throwaway_host.sh DIRECTORY COMMAND...: run a command as the first process of a throwaway host.
#
# The host has namespaces of its own: no interface but lo, no process but its own, cgroups below
# those of this process.  All of this machine's files are read-only in it, except for DIRECTORY,
# which is /run/results there; /opt, /run, /var/log and what runtimes and plugins write to are file
# systems in memory.  Needs root.
set -euo pipefail

if [ "$1" != --inside ]; then
    self=$(realpath "$0")
    # Cgroups of our own in each hierarchy, or systemd would put its slices into the machine's.
    made=()
    while IFS=: read -r _ names path; do
        names=${names#name=}
        base=/sys/fs/cgroup
        [ "$(stat -f -c %T $base)" = cgroup2fs ] || base=$base/${names:-unified}
        mountpoint -q "$base" || continue
        mkdir "$base${path%/}/cnifast-test.$$"
        made+=("$base${path%/}/cnifast-test.$$")
        case ",$names," in *,cpuset,*)
            for file in cpuset.cpus cpuset.mems; do
                cat "$base${path%/}/$file" >"${made[-1]}/$file"
            done ;;
        esac
    done </proc/self/cgroup
    status=0
    (
        for group in "${made[@]}"; do echo $BASHPID >"$group/cgroup.procs"; done
        exec unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child=KILL \
            --propagation private --mount-proc -- bash "$self" --inside "$@"
    ) || status=$?
    for group in "${made[@]}"; do
        find "$group" -depth -type d -exec rmdir {} + || true
    done
    exit $status
fi

results=$(realpath "$2")
shift 2
hierarchies=$(awk '$3 == "cgroup" || $3 == "cgroup2" {print $2, $3, $4}' /proc/self/mounts)

# A read-only machine, with its own devices, kernel's view and scratch space.
mount --bind "$results" "$results"
mount -o remount,bind,ro /
for mounted in $(awk '$3 ~ /^(ext|xfs|btrfs|overlay|9p|virtiofs|nfs|tmpfs)/ {print $2}' /proc/self/mounts); do
    [ "$mounted" = "$results" ] || mount -o remount,bind,ro "$mounted"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/results /run/dev
mount --bind "$results" /run/results
for node in null zero full random urandom tty; do
    touch "/run/dev/$node"
    mount --bind "/dev/$node" "/run/dev/$node"
done
mkdir /run/dev/pts /run/dev/shm /run/dev/net
if [ -c /dev/net/tun ]; then
    touch /run/dev/net/tun
    mount --bind /dev/net/tun /run/dev/net/tun
fi
ln -s /proc/self/fd /run/dev/fd
mount --rbind /run/dev /dev
for directory in /opt /var/log /var/lib /etc/cni; do
    [ ! -d "$directory" ] || mount -t tmpfs -o mode=755 tmpfs "$directory"
done
umount -R -l /sys
mount -t sysfs sysfs /sys
if [ "$(echo "$hierarchies" | wc -l)" = 1 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    echo "$hierarchies" | while read -r path type options; do
        mkdir -p "$path"
        options=$(echo "$options" | tr , '\n' |
            sed -E '/^(rw|ro|relatime|noatime|nosuid|nodev|noexec)$/d' | paste -sd,)
        mount -t "$type" ${options:+-o "$options"} "$type" "$path"
    done
fi
mkdir -p /run/netns /run/lock
ip link set lo up
cd /
exec "$@"
