"""Runs the tests in two phases and ends with one closing line: what `make test` calls.

Tests marked `load` measure what clients see while something changes, so nothing may run beside them: they come
second, one at a time; all others run in parallel before. Trap: a phase in which pytest finds no test (exit code 5) is
no failure, but a run in which neither phase finds any is.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

_CLOSING = re.compile(
    r"^=+ (?P<counts>.*\b(?:passed|failed|skipped|error|errors|deselected|warnings?)\b.*?) in [\d.]+s.*=+$"
)
_SKIPPED = re.compile(r"^SKIPPED \[(?P<times>\d+)\] (?P<where>\S+): (?P<reason>.*)$")
_NO_TESTS = 5
_ORDER = ("failed", "errors", "passed", "skipped", "xfailed", "xpassed", "warnings")


@dataclass(frozen=True, slots=True)
class Outcome:
    exit_code: int
    counts: Counter[str]
    skipped: tuple[str, ...]


def main() -> int:
    started = time.monotonic()
    parallel = phase("in parallel", "-n", "2", "--dist", "worksteal", "-m", "not load")
    alone = phase("one at a time, under load", "-m", "load")
    for line in parallel.skipped + alone.skipped:
        print(f"NOT RUN  {line}")
    counts = parallel.counts + alone.counts
    ok = all(each.exit_code in (0, _NO_TESTS) for each in (parallel, alone)) and counts["passed"] > 0
    print(f" {described(counts)} in {time.monotonic() - started:.2f}s ".center(100, "="))
    return 0 if ok else 1


def phase(name: str, *options: str) -> Outcome:
    """Runs pytest, showing its output as it comes."""
    print(f"\n--- tests, {name}", flush=True)
    command = [sys.executable, "-m", "pytest", *options, *sys.argv[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        lines = [shown(line) for line in running.stdout]
    closing = next((match for line in reversed(lines) if (match := _CLOSING.match(line))), None)
    skipped = tuple(match["reason"] for line in lines if (match := _SKIPPED.match(line)))
    return Outcome(running.returncode, counted(closing["counts"] if closing else ""), skipped)


def shown(line: str) -> str:
    print(line, end="", flush=True)
    return line.rstrip("\n")


def counted(counts: str) -> Counter[str]:
    pairs = re.findall(r"(\d+) (\w+)", counts)
    return Counter({{"error": "errors", "warning": "warnings"}.get(word, word): int(number) for number, word in pairs})


def described(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[word]} {word}" for word in _ORDER if counts[word]) or "no tests ran"


if __name__ == "__main__":
    sys.exit(main())
