"""Requests per second and latency: straight to the origin, and through the edge, in turns within one run.

The origin is an Envoy that answers by itself, so that it is not what is measured. Trap: client, edge and origin share
the cores of one machine; compare the columns of one run, never the same column of two runs.
"""

import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cpu
import yaml
from documents import document
from instance import serving

from edgerun.infra.envoy import binary

ROUNDS = 5
SECONDS = 3
CONNECTIONS = (1, 32)
HOST = "bench.localhost"
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Sample:
    requests: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds. `ratios` are the rounds' own, edge to direct, smallest first: their spread is the noise.

    `cpu_us` is the CPU time of a request through the edge, by process.
    """

    connections: int
    direct: Sample
    edge: Sample
    ratios: list[float]
    added_p50_ms: float
    cpu_us: dict[str, float]


def measured() -> list[dict[str, Any]]:
    with serving(objects()) as instance:
        origin = instance.url("OriginService", "fast")
        instance.url("EdgeRoute", "bench")
        edge = f"http://127.0.0.1:{instance.port}"
        return [asdict(row(origin, edge, instance.process.pid, connections)) for connections in CONNECTIONS]


def available() -> bool:
    return shutil.which("wrk") is not None


def objects() -> str:
    bootstrap = (Path(__file__).parent / "origin.yaml").read_text()
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    command = [str(binary()), *flags, "--config-yaml", bootstrap]
    origin = {"template": {"spec": {"containers": [{"command": command}]}}}
    route = {"hostnames": [HOST], "rules": [{"name": "all", "origins": [{"service": {"name": "fast"}}]}]}
    return yaml.safe_dump_all([document("OriginService", "fast", origin), document("EdgeRoute", "bench", route)])


def row(origin: str, edge: str, pid: int, connections: int) -> Row:
    rounds = [one_round(origin, edge, pid, connections) for _ in range(ROUNDS)]
    return Row(
        connections,
        middle([direct for direct, _, _ in rounds]),
        middle([through for _, through, _ in rounds]),
        sorted(through.requests_per_s / direct.requests_per_s for direct, through, _ in rounds),
        median(through.p50_ms - direct.p50_ms for direct, through, _ in rounds),
        {name: median(spent[name] for _, _, spent in rounds) for name in rounds[0][2]},
    )


def one_round(origin: str, edge: str, pid: int, connections: int) -> tuple[Sample, Sample, dict[str, float]]:
    """Direct, then through the edge, and what each process of the instance spent on the latter."""
    direct = load(origin, connections)
    before = cpu.used_s(pid)
    through = load(edge, connections)
    after = cpu.used_s(pid)
    return direct, through, {name: (after[name] - before[name]) / through.requests * 1e6 for name in before}


def middle(samples: list[Sample]) -> Sample:
    return Sample(
        median(sample.requests for sample in samples),
        median(sample.requests_per_s for sample in samples),
        median(sample.p50_ms for sample in samples),
        median(sample.p99_ms for sample in samples),
    )


def load(url: str, connections: int) -> Sample:
    """One run of wrk. An answer that is not 2xx or an error of the connection spoils it."""
    flags = ["--latency", "--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s"]
    command = ["wrk", *flags, "--header", f"Host: {HOST}", f"{url}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"requests failed:\n{said}")
    return Sample(
        number(said, r"(\d+) requests in"),
        number(said, r"Requests/sec:\s+([\d.]+)"),
        milliseconds(said, "50%"),
        milliseconds(said, "99%"),
    )


def number(said: str, pattern: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}:\n{said}")
    return float(found[1])


def milliseconds(said: str, rank: str) -> float:
    found = re.search(rf"{rank}\s+([\d.]+)(us|ms|s|m)\b", said)
    if found is None:
        raise RuntimeError(f"wrk did not say its {rank}:\n{said}")
    return float(found[1]) * _UNITS_MS[found[2]]
