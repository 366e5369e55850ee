"""Requests per second and latency: straight to the origin, and through the edge, in turns within one run.

The origin is an Envoy that answers by itself, so that it is not what is measured, and has no guard: what one adds is
`guarding`'s. Trap: client, edge and origin share the cores of one machine; compare the columns of one run, never the
same column of two runs.
"""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass, fields
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
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    requests: float
    requests_per_s: float
    p50_ms: float
    p95_ms: float
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
    route = {"hostnames": [HOST], "rules": [{"name": "all", "origins": [{"service": {"name": "fast"}}]}]}
    origin = {**fast_origin(), "guard": "Disabled"}
    return yaml.safe_dump_all([document("OriginService", "fast", origin), document("EdgeRoute", "bench", route)])


def fast_origin(*, requests_per_connection: int = 0) -> dict[str, Any]:
    """The spec of an origin that costs next to nothing, one process whatever its load is; 0 for any number of requests
    on a connection."""
    bootstrap = yaml.safe_load((HERE / "origin.yaml").read_text())
    if requests_per_connection:
        (chain,) = bootstrap["static_resources"]["listeners"][0]["filter_chains"]
        limit = {"max_requests_per_connection": requests_per_connection}
        chain["filters"][0]["typed_config"]["common_http_protocol_options"] = limit
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    command = [str(binary()), *flags, "--config-yaml", json.dumps(bootstrap)]
    return {"scaling": {"maxScale": 1}, "template": {"spec": {"containers": [{"command": command}]}}}


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
    through, spent = costing(edge, pid, connections)
    return direct, through, {name: spent[name] for name in ("control plane", "edge")}


def costing(url: str, pid: int, connections: int, *, host: str = HOST) -> tuple[Sample, dict[str, float]]:
    """One run of wrk, and the microseconds of CPU time that each process of the instance spent on a request."""
    before = cpu.used_s(pid)
    sample = load(url, connections, host=host)
    after = cpu.used_s(pid)
    return sample, {name: (after[name] - before[name]) / sample.requests * 1e6 for name in before}


def middle(samples: list[Sample]) -> Sample:
    return Sample(*(median(getattr(sample, one.name) for sample in samples) for one in fields(Sample)))


def load(url: str, connections: int, *, host: str = HOST) -> Sample:
    """One run of wrk. An answer that is not 2xx or an error of the connection spoils it."""
    flags = ["--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s"]
    command = ["wrk", *flags, "--script", str(HERE / "percentiles.lua"), "--header", f"Host: {host}", f"{url}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"requests failed:\n{said}")
    rate = found["requests"] / found["duration_us"] * 1e6
    return Sample(found["requests"], rate, *(found[f"{rank}_us"] / 1000 for rank in ("p50", "p95", "p99")))
