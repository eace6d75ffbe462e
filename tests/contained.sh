#!/bin/sh
# A container by hand, for tests: COMMAND runs as user 10001 without any capability, on a root that is read-only but for
# /data and /tmp, in which of this machine only its programs and the given folders are seen. The cgroup's bounds are files.
#
#   unshare --mount sh contained.sh ROOT DATA CPU_MAX MEMORY_MAX FOLDER... -- NAME=VALUE... COMMAND...
set -eu
root=$1 data=$2 cpu=$3 memory=$4
shift 4

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir "$root/tmp" "$root/data"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$root/tmp" # first: the given folders may lie in it
mount --bind "$data" "$root/data"
seen() {
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
}
for folder in /usr /bin /lib /lib64 /etc /dev /proc; do
    [ ! -e "$folder" ] || seen "$folder"
done
while [ "$1" != -- ]; do
    seen "$1"
    shift
done
shift

mkdir -p "$root/sys/fs/cgroup"
echo "$cpu" >"$root/sys/fs/cgroup/cpu.max"
echo "$memory" >"$root/sys/fs/cgroup/memory.max"
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all /usr/bin/env -i "$@"
