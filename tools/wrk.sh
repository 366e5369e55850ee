#!/usr/bin/env bash
# Makes sure of wrk, the load generator of the benchmark: as root on Debian by installing it, else by saying how. Never fails:
# the benchmark leaves out what needs wrk, and says so.
set -uo pipefail
command -v wrk >/dev/null && exit 0
if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
  echo "edgerun: installing wrk, the load generator"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk >/dev/null && exit 0
fi
echo "edgerun: wrk is missing, requests/s will not be measured. Install it: sudo apt-get install wrk" >&2
exit 0
