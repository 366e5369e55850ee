#!/usr/bin/env bash
# The first process in the namespaces of a cluster. Covers what would change or show on the host, tells its number, and
# becomes the init, whose end is the end of all. Called by sandbox.py: sandbox.sh INIT FILE
set -euo pipefail
read -ra status </proc/self/stat # still the host's /proc: the number is the one that the host knows us by

mount --make-rshared / # within these namespaces: volumes that pods share with the node need it
mount -t proc proc /proc
mkdir -p /var/lib/kubelet /var/lib/cni
for folder in /run /var/log /var/lib/kubelet /var/lib/cni; do
  mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
# The kubelet would set how the whole machine handles memory and panics: it gets copies to write to.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_max{keys,bytes}; do
  mkdir -p "/run/settings/${setting%/*}"
  cat "/proc/sys/$setting" >"/run/settings/$setting"
  mount --bind "/run/settings/$setting" "/proc/sys/$setting"
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward

echo "${status[0]} ${status[21]}" >"$2.new"
mv "$2.new" "$2"
exec "$1"
