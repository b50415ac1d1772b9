# The first process of a demo host, in PID, mount, UTS and IPC namespaces of its own.
# $1 is the directory that holds the host's disk, $2 its name.
set -eu
disk=$1
name=$2

# Copies of what other engines and namespaces have mounted would be held busy by this host.
while read -r _ target _; do
  case $target in
    /run/* | /var/lib/docker/*) echo "$target" ;;
  esac
done </proc/self/mounts | sort -r | while read -r target; do
  umount -l "$target" 2>/dev/null || true
done

mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/demo
mount -t tmpfs tmpfs /opt # containerd makes a folder here
mount --bind "$disk/etc" /etc

# /sys shows the network of whoever mounted it; the control groups below it stay the machine's.
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
rmdir /run/cgroup

hostname "$name"
touch /run/demo/ready
# bash reaps whatever is orphaned here, which is all that a first process has to do.
while :; do
  sleep 3600 &
  wait $! || true
done
