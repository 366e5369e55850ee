#!/usr/bin/env bash
# Runs every check, also after one has failed, and shows the output of those that failed. Called by `make lint`.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
failed=()

step() {
  local name=$1 output start=$SECONDS
  shift
  if output=$("$@" 2>&1); then
    printf 'ok    %-14s %ds\n' "$name" $((SECONDS - start))
  else
    failed+=("$name")
    printf 'FAIL  %-14s %s\n%s\n\n' "$name" "$*" "$output"
  fi
}

spelling() { git ls-files -z --cached --others --exclude-standard | xargs -0 codespell; }

step "ruff check" ruff check .
step "ruff format" ruff format --check --diff .
step "mypy" mypy
step "mypy tools" env MYPYPATH=operator:tests:bench mypy tools bench tests/unit/support
step "lint-imports" lint-imports
step "codespell" spelling
step "leaks" tools/leaks.sh

((${#failed[@]} == 0)) || { printf 'lint failed: %s\n' "${failed[*]}" >&2; exit 1; }
