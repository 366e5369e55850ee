#!/usr/bin/env bash
# Fails when a committed file tells of the machine it was made on: an absolute path below a home, a package index, a mirror.
# Examples may speak of /home/me. The patterns are written so that they do not match themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

paths='(^|[^[:alnum:]_./-])/(root|work|home)/[[:alnum:]._-]'
indexes='((extra|-)-index-ur[l]|find-link[s][ =]|trusted-hos[t]|https?://[^ )"]*/simpl[e](/|$)|files\.p[y]thonhosted|(^|[/.@])p[y]pi\.org)'

if git grep -nIE --untracked -e "$paths" -e "$indexes" -- . ':!LICENSE' | grep -vE '/home/me\b'; then
  echo "the lines above name a path of one machine or a package index; take them out" >&2
  exit 1
fi
if grep -nE "^[^#]*://" requirements.txt tools/image/requirements*.txt; then
  echo "the lines above hold an address; make the file with: make lock" >&2
  exit 1
fi
