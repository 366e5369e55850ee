"""Runs suites of tests and ends with one closing line: what `make test`, `make e2e` and .ci/run call.

`unit` needs nothing but .venv. What `e2e` needs is built first; when both are asked for, beside the first tests of
`unit`. Tests marked `load` measure what clients see while something changes, so nothing may run beside them: they
come when the builds are over, one at a time.
Trap: a phase in which pytest finds no test (exit code 5) is no failure, but a run in which no phase finds any is.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tools import builds
from tools.builds import Build

_CLOSING = re.compile(
    r"^=+ (?P<counts>.*\b(?:passed|failed|skipped|error|errors|deselected|warnings?)\b.*?) in [\d.]+s.*=+$"
)
_SKIPPED = re.compile(r"^SKIPPED \[(?P<times>\d+)\] (?P<where>\S+): (?P<reason>.*)$")
_NO_TESTS = 5
_TIDIED_WITHIN_S = 120
_ORDER = ("failed", "errors", "passed", "skipped", "xfailed", "xpassed", "warnings")
_E2E = "all tests marked apiserver or cluster"


@dataclass
class Session:
    """One call of this program, and what came of it so far."""

    pytest_arguments: Sequence[str]
    ok: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    not_run: list[str] = field(default_factory=list)

    def run(self, suites: Sequence[str]) -> None:
        if "unit" in suites:
            subprocess.run(["tools/prometheus.sh"], check=False)  # noqa: S607 - this is run from the checkout
        with ExitStack() as stack:
            begun: Sequence[Build] = []
            if "e2e" not in suites:
                self.not_run.append(f"{_E2E}, which start a control plane: make e2e")
            elif why_not := builds.why_no_api_server():
                self.not_run.append(f"{_E2E}: {why_not}")
            else:
                begun = stack.enter_context(builds.started())
            later = "load or helm" if begun else "load"
            if "unit" in suites:
                self.phase("in parallel", "-n", "2", "--dist", "worksteal", "-m", f"not ({later})")
            failed = [build.name for build in begun if not build.succeeds()]
            if "unit" in suites:
                self.phase("one at a time, under load", "-m", "load")
            if failed:
                self.ok = False
                self.not_run.append(f"{_E2E}: {' and '.join(failed)} failed, see above")
            elif begun:
                self.run_e2e()

    def run_e2e(self) -> None:
        self.phase("of the chart, in parallel", "-n", "2", "--dist", "worksteal", "-m", "helm")
        self.phase("on API servers, in parallel", "-n", "2", "--dist", "loadfile", "-m", "apiserver")
        if why_not := builds.why_no_cluster():
            self.not_run.append(f"all tests marked cluster: {why_not}")
            return
        # Each of them may take minutes, and says itself how many.
        try:
            self.phase("on a cluster, one at a time", "-m", "cluster", "-o", "faulthandler_timeout=0")
        finally:
            if "CI" in os.environ:
                subprocess.run([sys.executable, "-m", "tools.cluster", "down"])

    def phase(self, name: str, *options: str) -> None:
        """Runs pytest, showing its output as it comes."""
        print(f"\n--- tests, {name}", flush=True)
        command = [sys.executable, "-m", "pytest", *options, *self.pytest_arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
            assert running.stdout is not None
            try:
                lines = [shown(line) for line in running.stdout]
            except KeyboardInterrupt:
                running.send_signal(signal.SIGINT)  # it takes away what its tests have started
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.communicate(timeout=_TIDIED_WITHIN_S)
                raise
        closing = next((match for line in reversed(lines) if (match := _CLOSING.match(line))), None)
        self.counts += counted(closing["counts"] if closing else "")
        self.not_run += [match["reason"] for line in lines if (match := _SKIPPED.match(line))]
        self.ok &= running.returncode in (0, _NO_TESTS)


def main() -> int:
    # Being terminated is being interrupted: what was begun is stopped. Where a shell has us ignore the second, so would
    # pytest.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="tools/test.py")
    parser.add_argument("suites", nargs="+", choices=("unit", "e2e"))
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="all that follows goes to pytest")
    parsed = parser.parse_args()
    started = time.monotonic()
    session = Session(parsed.pytest)
    try:
        session.run(parsed.suites)
    except KeyboardInterrupt:
        return 130
    for line in session.not_run:
        print(f"NOT RUN  {line}")
    print(f" {described(session.counts)} in {time.monotonic() - started:.2f}s ".center(100, "="))
    return 0 if session.ok and session.counts["passed"] else 1


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
