#!/usr/bin/env bash
# Makes sure of Prometheus and promtool, by which metrics and alerts are tested: where they are missing, Debian's package is
# unpacked into the cache. It is not installed, which would start it as a service. Never fails: the tests skip, and say so.
set -uo pipefail
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0
cache=${EDGERUN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edgerun}
[[ -x $cache/prometheus/usr/bin/promtool ]] && exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || exit 0

unpacked() {
  cd "$1" && apt-get -qq download prometheus 2>/dev/null && dpkg --extract prometheus_*.deb prometheus
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "edgerun: fetching Prometheus for the tests (19 MB)"
if ! (unpacked "$folder"); then
  [[ $EUID -eq 0 ]] && apt-get -qq update && (unpacked "$folder")
fi
if [[ -x $folder/prometheus/usr/bin/promtool ]]; then
  mkdir -p "$cache" && rm -rf "$cache/prometheus" && mv "$folder/prometheus" "$cache/prometheus"
fi
exit 0
