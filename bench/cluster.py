"""The operator with very many objects at once: a real API server, the chart's rights, and one real Envoy connected.

The same objects are given to the API server before, with no operator at work: that time is the control. What the
operator writes is counted by the API server. Nothing behind it makes pods: Programmed is what Envoy acknowledges.
`unguarded` instead of `measured` has the same origins without guards and NetworkPolicies.
Trap: a process of its own (`PYTHONPATH=tests:. python bench/cluster.py measured`), for it borrows from the tests.
"""

import asyncio
import json
import os
import re
import sys
import time
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cpu
from tools.cluster import places

from edgerun.api import API_VERSION
from edgerun.api.resources import RESOURCES
from edgerun.infra.kubernetes.client import Client, connected
from support import apiserver, chart
from support.apiserver import ApiServer, install_crds, running
from support.chart import kubectl
from support.installation import IMAGE, POD_IP, Installation, edge_pod, edge_proxy, install, origin_service, ready_pod
from support.operators import leader_found
from support.poll import eventually
from support.ports import free_port

ROUTES, ORIGINS = 500, 100
CONCURRENCY = 16
REST_S = 120
SETTLED_AFTER_S = 45  # numbers in a status may lag behind by 30 s
WITHIN_S = 180.0
_OURS = (
    "configmaps",
    "deployments",
    "edgeproxies",
    "edgeroutes",
    "endpointslices",
    "events",
    "networkpolicies",
    "originservices",
    "poddisruptionbudgets",
    "secrets",
    "serviceaccounts",
    "services",
)
_READING = ("GET", "LIST", "WATCH", "WATCHLIST", "CONNECT")
_SERIES = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_HERE = Path(__file__).parent


def missing() -> str:
    """Why this cannot be measured here; "" when it can."""
    return apiserver.missing() or chart.missing()


async def measured(*, guarded: bool = True) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgerun-bench-")))
        server = stack.enter_context(running(folder / "server"))
        await install_crds(server)
        client = await stack.enter_async_context(connected(server.kubeconfig))
        await new_namespaces(client, "edge-system", "shop", "control")
        control_s = await created(client, "control", guarded)
        place = install(server, "edge-system", "shop", folder)
        operator = await stack.enter_async_context(operating(place, folder))
        await stack.enter_async_context(proxy(client, place, folder, operator))
        return {"routes": ROUTES, "origins": ORIGINS, "control_s": control_s} | await burst(
            client, server, operator, guarded
        )


async def burst(client: Client, server: ApiServer, operator: "Operator", guarded: bool) -> dict[str, Any]:
    """All objects at once, until they are programmed; then a long time in which nothing happens."""
    before, cpu_before_s = writes(server), operator.cpu_s
    memory_before_mib = operator.memory_mib("VmRSS")
    async with programmed(server, "shop") as times:
        began = time.monotonic()
        applied_s = await created(client, "shop", guarded)
        await eventually(lambda: len(times) == ROUTES, within_s=WITHIN_S, step_s=0.05, what=f"{len(times)} programmed")
    after_s = sorted(at - began for at in times.values())
    busy_s = operator.cpu_s - cpu_before_s
    await asyncio.sleep(SETTLED_AFTER_S)
    made = writes(server) - before
    rest, cpu_rest_s = writes(server), operator.cpu_s
    await asyncio.sleep(REST_S)
    return {
        "applied_s": applied_s,
        "p50_s": median(after_s),
        "total_s": after_s[-1],
        "rss_before_mib": memory_before_mib,
        "rss_mib": operator.memory_mib("VmRSS"),
        "peak_mib": operator.memory_mib("VmHWM"),
        "cpu_s": busy_s,
        "settled_cpu_s": cpu_rest_s - cpu_before_s,
        "writes": dict(sorted(operators_own(made).items())),
        "rest_s": REST_S,
        "rest_writes": dict(writes(server) - rest),
        "rest_cpu_s": operator.cpu_s - cpu_rest_s,
    }


def operators_own(made: Counter[str]) -> Counter[str]:
    """Without what the benchmark itself has created."""
    return made - Counter({"POST edgeroutes": ROUTES, "POST originservices": ORIGINS})


async def new_namespaces(client: Client, *names: str) -> None:
    for name in names:
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def created(client: Client, namespace: str, guarded: bool) -> float:
    """How long the API server takes to have them all."""
    began, slots = time.monotonic(), asyncio.Semaphore(CONCURRENCY)

    async def create(one: dict[str, Any]) -> None:
        async with slots:
            await client.create(one)

    await asyncio.gather(*(create(one) for one in objects(namespace, guarded)))
    return time.monotonic() - began


def objects(namespace: str, guarded: bool) -> list[dict[str, Any]]:
    origins = [origin_service(namespace, f"origin-{number}") for number in range(ORIGINS)]
    for one in () if guarded else origins:
        one["spec"] |= {"guard": "Disabled", "access": {"ingress": "All"}}
    return [*origins, *(route(namespace, number) for number in range(ROUTES))]


def route(namespace: str, number: int) -> dict[str, Any]:
    """Three rules, as an ordinary route has them."""
    first, second = (f"origin-{(number + step) % ORIGINS}" for step in (0, 1))
    split = [{"service": {"name": first}, "weight": 90}, {"service": {"name": second}, "weight": 10}]
    rules = [
        {"name": "pages", "origins": split, "responseHeaders": {"set": {"x-frame-options": "DENY"}}},
        {"name": "api", "matches": [{"path": {"value": "/api"}}], "origins": [{"service": {"name": second}}]},
        {"name": "healthz", "matches": [{"path": {"type": "Exact", "value": "/healthz"}}], "respond": {"body": "ok"}},
    ]
    metadata = {"name": f"route-{number}", "namespace": namespace}
    spec = {"hostnames": [f"host-{number}.example.com"], "rules": rules}
    return {"apiVersion": API_VERSION, "kind": "EdgeRoute", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class Operator:
    process: Process
    xds_port: int
    http_port: int

    @property
    def cpu_s(self) -> float:
        return cpu.used_s(self.process.pid)["control plane"]

    def memory_mib(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

    def leads(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=2) as answer:
            return b"edgerun_xds_listening 1.0" in answer.read()


@asynccontextmanager
async def operating(place: Installation, folder: Path) -> AsyncIterator[Operator]:
    """`edgerun controller` with its own times, as the ServiceAccount of the chart."""
    xds_port, http_port = free_port(), free_port()
    flags = {
        "namespace": place.namespace,
        "pod-name": "edgerun-0",
        "pod-ip": POD_IP,
        "image": IMAGE,
        "xds-port": xds_port,
        "http-port": http_port,
        "watch-namespace": place.shop,
        "kubeconfig": place.kubeconfig,
    }
    given = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    ports = (str(free_port()), str(free_port()))
    profiled = ("-m", "cProfile", "-o", os.environ["PROFILE"]) if "PROFILE" in os.environ else ()
    command = [sys.executable, *profiled, str(_HERE / "controller.py"), *ports, "controller", *given]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = await asyncio.create_subprocess_exec(*command, env=kept, stderr=(folder / "log").open("wb"))
    try:
        operator = Operator(process, xds_port, http_port)
        await eventually(operator.leads, within_s=30, step_s=0.1)
        yield operator
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def proxy(client: Client, place: Installation, folder: Path, operator: Operator) -> AsyncIterator[None]:
    """The Envoy of the one pod of the fleet, connected and at work."""
    await client.create(edge_proxy("default"))

    async def made() -> bool:
        found = await client.list_("Deployment", namespace=place.namespace)
        return any(one["metadata"]["name"] == "edge-default" for one in found)

    await eventually(made, within_s=30, step_s=0.1)
    await ready_pod(client, place, "default", "edge-default-1")
    async with leader_found(client, place) as port, edge_pod(client, place, "default", "edge-default-1", port, folder):

        async def ready() -> bool:
            (fleet,) = await client.list_("EdgeProxy")
            conditions = fleet.get("status", {}).get("conditions", ())
            return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)

        await eventually(ready, within_s=30, step_s=0.1)
        yield


@asynccontextmanager
async def programmed(server: ApiServer, namespace: str) -> AsyncIterator[dict[str, float]]:
    """When each route was said to be programmed, as a watch tells."""
    path = f"{RESOURCES['EdgeRoute'].path(namespace, '')}?watch=true"
    command = (places.program("kubectl"), "--kubeconfig", server.kubeconfig, "get", "--raw", path)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    times: dict[str, float] = {}
    reading = asyncio.create_task(_read(process, times), name="kubectl")
    try:
        yield times
    finally:
        reading.cancel()
        process.kill()
        await process.wait()


async def _read(process: Process, times: dict[str, float]) -> None:
    assert process.stdout
    async for line in process.stdout:
        route = json.loads(line)["object"]
        conditions = route.get("status", {}).get("conditions", ())
        if any((one["type"], one["status"]) == ("Programmed", "True") for one in conditions):
            times.setdefault(route["metadata"]["name"], time.monotonic())


def writes(server: ApiServer) -> Counter[str]:
    """What the API server has written so far of the kinds that are ours, by verb and kind, whoever asked."""
    return Counter(dict(_writes(kubectl(server, "get", "--raw", "/metrics"))))


def _writes(text: str) -> Iterator[tuple[str, int]]:
    found = Counter[str]()
    for labels, value in _SERIES.findall(text):
        of = dict(_LABEL.findall(labels))
        if of["resource"] in _OURS and of["verb"] not in _READING:
            kind = of["resource"] + (f"/{of['subresource']}" if of["subresource"] else "")
            refused = f" ({of['code']})" if not of["code"].startswith("2") else ""
            found[f"{of['verb']} {kind}{refused}"] += int(float(value))
    yield from found.items()


if __name__ == "__main__":
    what = sys.argv[1]
    print(json.dumps(missing() if what == "missing" else asyncio.run(measured(guarded=what != "unguarded"))))
