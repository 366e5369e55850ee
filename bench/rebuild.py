"""The control plane by number of EdgeRoutes: reading the files, the first rebuild, a rebuild after an edit, and memory.

A rebuild is what `edgerun local` does between a change and the proxies (World, Plan, publishing, all statuses), here
with no proxy connected. Trap: each number of routes has a process of its own (`python rebuild.py N`), so that its
memory and its garbage are its own.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from documents import document

from edgerun.runtime.controller import Controller
from edgerun.settings import GC_THRESHOLDS
from edgerun.sources.files import Folder
from edgerun.sources.store import Seen
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.naming import numbered
from edgerun.translate.world import Edge, Endpoint, OriginObservation, World

ROUTES = (10, 100, 1000, 5000)
PER_FILE = 50
ROUTES_PER_ORIGIN = 10
ROUNDS = 9
_LIMIT_S = 60


def measured() -> list[dict[str, Any]]:
    return [in_own_process(number) for number in ROUTES]


def in_own_process(number: int) -> dict[str, Any]:
    command = [sys.executable, __file__, str(number)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=_LIMIT_S).stdout
    )
    return found


async def sizes(number: int) -> dict[str, Any]:
    gc.set_threshold(*GC_THRESHOLDS)  # as `edgerun local` does
    with TemporaryDirectory(prefix="edgerun-bench-") as folder:
        write(Path(folder), number)
        controller = Controller(Edge(), lambda plan: None, lambda keys: None, nobody_refuses)
        gc.collect()
        before = rss_mib()
        load_ms = milliseconds(Folder(Path(folder), controller.store.apply).scan)
    for key in [key for key in controller.store.entries if key.kind == "OriginService"]:
        controller.store.observe(
            revision_key(key, numbered(key.name, 1)),
            OriginObservation(OriginPhase.READY, (Endpoint("127.0.0.1", 9000),)),
        )
    first_ms = milliseconds(controller.rebuild)
    edited_ms = [after_edit_ms(controller, step) for step in range(ROUNDS)]
    assert controller.published is not None
    assert sum(key.kind == "EdgeRoute" for key in controller.published.plan.verdicts) == number
    return {
        "routes": number,
        "load_ms": load_ms,
        "first_ms": first_ms,
        "rebuild_ms": median(edited_ms),
        "slowest_ms": max(edited_ms),
        "rss_mib": rss_mib(),
        "rss_before_mib": before,
    }


def after_edit_ms(controller: Controller, step: int) -> float:
    controller.store.apply(Seen(route(0, 1, f"/v{step}")))
    return milliseconds(controller.rebuild)


async def nobody_refuses(world: World, edge: str) -> str | None:
    return None


def write(folder: Path, number: int) -> None:
    origins = [origin(each) for each in range(max(1, number // ROUTES_PER_ORIGIN))]
    objects = [*origins, *(route(each, len(origins)) for each in range(number))]
    for at in range(0, len(objects), PER_FILE):
        (folder / f"{at:05}.yaml").write_text(yaml.dump_all(objects[at : at + PER_FILE], Dumper=yaml.CSafeDumper))


def origin(number: int) -> dict[str, Any]:
    containers = [{"command": ["python3", "app.py"], "env": [{"name": "NUMBER", "value": str(number)}]}]
    return document("OriginService", f"origin-{number}", {"template": {"spec": {"containers": containers}}})


def route(number: int, origins: int, path: str = "/v1") -> dict[str, Any]:
    """Three rules, as an ordinary route has them."""
    first, second = (f"origin-{(number + step) % origins}" for step in (0, 1))
    split = [{"service": {"name": first}, "weight": 90}, {"service": {"name": second}, "weight": 10}]
    rules = [
        {"name": "pages", "origins": split, "responseHeaders": {"set": {"x-frame-options": "DENY"}}},
        {
            "name": "api",
            "matches": [{"path": {"value": "/api"}, "method": "POST"}, {"path": {"value": path}}],
            "origins": [{"service": {"name": second}}],
            "rewrite": {"path": {"replacePrefix": "/"}},
            "timeouts": {"request": "15s"},
        },
        {"name": "healthz", "matches": [{"path": {"type": "Exact", "value": "/healthz"}}], "respond": {"body": "ok"}},
    ]
    return document("EdgeRoute", f"route-{number}", {"hostnames": [f"host-{number}.example.com"], "rules": rules})


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def rss_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(sizes(int(sys.argv[1])))))
