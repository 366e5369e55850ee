"""What credential, mutual TLS and guard cost: an origin with a guard and the same without, in turns in one run.

Both are called through the same edge. Keep-alive: the edge keeps its connections, which `wrk` has warmed. New: it has
to open one for each request, because whoever answers closes the last; of a guard that is a handshake.
Trap: a guard closes connections for good once it was told to drain, so those of the kind `new` come last.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cpu
import memory
import yaml
from documents import document
from instance import Instance, serving
from throughput import CONNECTIONS, ROUNDS, Sample, costing, fast_origin, middle

from edgerun.infra import admin

ORIGINS = {
    "plain": {**fast_origin(), "guard": "Disabled"},
    "brief": {**fast_origin(requests_per_connection=1), "guard": "Disabled"},
    "guarded": fast_origin(),
}
GUARDED = "guarded"
CONTROLS = {"keep-alive": "plain", "new": "brief"}  # kind of connection -> the origin to compare with
_RANKS = ("p50_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Round:
    control: Sample
    guarded: Sample
    control_us: Mapping[str, float]
    guarded_us: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds. `ratios` are the rounds' own, guarded to control, smallest first: their spread is the
    noise. `added_ms` is of the rounds, too, by rank. CPU is that of one request, by process."""

    kind: str
    connections: int
    control: Sample
    guarded: Sample
    ratios: list[float]
    added_ms: dict[str, float]
    control_us: dict[str, float]
    guarded_us: dict[str, float]


def measured() -> dict[str, Any]:
    with serving(objects()) as instance:
        for name in ORIGINS:
            instance.url("EdgeRoute", name)
        (guard,) = cpu.guards(instance.process.pid)
        idle = memory.mib(guard)
        rows = [asdict(row(instance, "keep-alive", connections)) for connections in CONNECTIONS]
        busy = memory.mib(guard)
        drain(guard)
        rows += [asdict(row(instance, "new", connections)) for connections in CONNECTIONS]
    return {"rows": rows, "memory": {"at the start": idle, "after this load": busy}}


def objects() -> str:
    found = []
    for name, spec in ORIGINS.items():
        rules = [{"name": "all", "origins": [{"service": {"name": name}}]}]
        found += [document("OriginService", name, spec)]
        found += [document("EdgeRoute", name, {"hostnames": [host(name)], "rules": rules})]
    return yaml.safe_dump_all(found)


def host(name: str) -> str:
    return f"{name}.localhost"


def row(instance: Instance, kind: str, connections: int) -> Row:
    rounds = [one_round(instance, kind, connections) for _ in range(ROUNDS)]
    return Row(
        kind,
        connections,
        middle([one.control for one in rounds]),
        middle([one.guarded for one in rounds]),
        sorted(one.guarded.requests_per_s / one.control.requests_per_s for one in rounds),
        {rank: median(getattr(one.guarded, rank) - getattr(one.control, rank) for one in rounds) for rank in _RANKS},
        medians([one.control_us for one in rounds]),
        medians([one.guarded_us for one in rounds]),
    )


def one_round(instance: Instance, kind: str, connections: int) -> Round:
    control, control_us = called(instance, CONTROLS[kind], kind, connections)
    guarded, guarded_us = called(instance, GUARDED, kind, connections)
    return Round(control, guarded, control_us, guarded_us)


def called(instance: Instance, name: str, kind: str, connections: int) -> tuple[Sample, dict[str, float]]:
    """One run of wrk, after which the edge has to have as many connections as is said."""
    before = opened(instance, name)
    found = costing(f"http://127.0.0.1:{instance.port}", instance.process.pid, connections, host=host(name))
    new, requests = opened(instance, name) - before, found[0].requests
    if (new < 0.9 * requests) if kind == "new" else (new > 2 * connections):
        raise RuntimeError(f"{name}: {new} connections for {requests:.0f} requests, which are to be {kind}")
    return found


def medians(rounds: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(spent[name] for spent in rounds) for name in rounds[0]}


def opened(instance: Instance, name: str) -> int:
    """How many connections the edge has opened to that origin."""
    (edge,) = cpu.edges(instance.process.pid)
    found = asyncio.run(admin.numbers(admin_socket(edge), f"^cluster.origin/default/{name}/[^@]*@.*upstream_cx_total$"))
    return sum(found.values())


def drain(guard: int) -> None:
    """From now on the guard ends each connection with its first answer, and goes on taking others."""
    asyncio.run(admin.ask(admin_socket(guard), "drain_listeners?graceful&skip_exit", method="POST"))


def admin_socket(pid: int) -> Path:
    config = yaml.safe_load(Path(cpu.config_path(pid)).read_text())
    return Path(config["admin"]["address"]["pipe"]["path"])
