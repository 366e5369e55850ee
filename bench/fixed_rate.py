"""What edge and guard add to the latency of an origin that is up, when so many requests a second come, no more.

Straight to the origin, through the edge, and through the edge to a guard, in turns within one run. Time counts from the
moment at which a request was due, so one that has to wait for its connection is not told as fast.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import yaml
from documents import document
from instance import Instance, serving
from throughput import fast_origin

RATE = 200
SECONDS = 5
ROUNDS = 5
CONNECTIONS = 8
NAMES = {"edge": "plain", "edge and guard": "guarded"}
RANKS = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
_ENDS_WITHIN_S = 60.0


def measured() -> list[dict[str, Any]]:
    """Medians over the rounds, by way; `added` are those of what a round adds to its own direct way."""
    with serving(objects()) as instance:
        ways = {"direct": (instance.url("OriginService", "plain"), "plain.localhost")}
        ways |= {kind: (edge(instance, name), f"{name}.localhost") for kind, name in NAMES.items()}
        rounds = [{way: asyncio.run(load(*where)) for way, where in ways.items()} for _ in range(ROUNDS)]
    return [{"way": way, **middle(rounds, way)} for way in ways]


def edge(instance: Instance, name: str) -> str:
    instance.url("EdgeRoute", name)
    return f"http://127.0.0.1:{instance.port}"


def middle(rounds: Sequence[Mapping[str, Mapping[str, float]]], way: str) -> dict[str, Any]:
    return {
        **{rank: median(one[way][rank] for one in rounds) for rank in RANKS},
        "added": {rank: median(one[way][rank] - one["direct"][rank] for one in rounds) for rank in RANKS},
    }


def objects() -> str:
    found = []
    for name, guard in (("plain", "Disabled"), ("guarded", "Enabled")):
        rules = [{"name": "all", "origins": [{"service": {"name": name}}]}]
        found += [document("OriginService", name, {**fast_origin(), "guard": guard})]
        found += [document("EdgeRoute", name, {"hostnames": [f"{name}.localhost"], "rules": rules})]
    return yaml.safe_dump_all(found)


async def load(url: str, host: str) -> dict[str, float]:
    """RATE requests a second, spread over connections that stay."""
    async with asyncio.timeout(_ENDS_WITHIN_S):
        began = time.perf_counter() + 0.1
        each = (caller(url, host, began, index) for index in range(CONNECTIONS))
        ranked = sorted(one for found in await asyncio.gather(*each) for one in found)
    return {rank: 1000 * ranked[round(share * (len(ranked) - 1))] for rank, share in RANKS.items()}


async def caller(url: str, host: str, began: float, index: int) -> list[float]:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    request, took = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), list[float]()
    for number in range(index, RATE * SECONDS, CONNECTIONS):
        due = began + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(request)
        await answered(reader)
        took.append(time.perf_counter() - due)
    writer.close()
    return took


async def answered(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    if head[0].split()[1] != "200":
        raise RuntimeError(f"a request failed: {head[0]}")
    sizes = (line.partition(":")[2] for line in head if line.startswith("content-length:"))
    await reader.readexactly(int(next(sizes)))
