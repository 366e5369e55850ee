"""A fleet of one Envoy that serves two routes, under load, with an operator behind it that something happens to.

`web` is answered by Envoy itself, `cart` by an origin; both are served before the scene begins, and stay as they are.
Trap: nothing behind the API server makes pods. The two there are were made by the scene.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import yaml

from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client

from .apiserver import ApiServer, edge_route
from .faults import Write
from .installation import Installation, edge_pod, edge_proxy, install, origin_service, ready_pod
from .load import Result, load
from .operators import Operator, leader_found, operator
from .origins import origin
from .poll import PATIENCE_S, eventually
from .ports import free_port
from .proxies import Envoy

WITHIN_S = PATIENCE_S
PAUSE_S = 0.005
EDGE_POD = "edge-default-1"

Object = Mapping[str, Any]


@dataclass(slots=True)
class Scene:
    client: Client
    place: Installation
    folder: Path
    operator: Operator
    others: list[Operator] = field(default_factory=list)
    loads: list[Result] = field(default_factory=list)
    envoy: Envoy | None = None

    @property
    def port(self) -> int:
        return self.operator.ports[0]

    @property
    def written(self) -> list[Write]:
        """By all operators, in the order of the answers."""
        every = (write for one in (self.operator, *self.others) for write in one.api.written)
        return sorted(every, key=lambda write: write.ended)

    def key(self, kind: str, name: str) -> ObjectKey:
        return ObjectKey(kind, "" if kind == "EdgeProxy" else self.place.shop, name)

    async def ready(self, kind: str, name: str, *, within_s: float = WITHIN_S) -> Object:
        return await self.says(kind, name, "Ready", "True", within_s=within_s)

    async def says(self, kind: str, name: str, type_: str, words: str, *, within_s: float = WITHIN_S) -> Object:
        """Once a condition about the newest version has that status or that reason."""

        async def check() -> Object:
            raw = await self.client.get(self.key(kind, name))
            found = condition(raw, type_)
            assert found.get("observedGeneration") == raw["metadata"]["generation"], yaml.safe_dump(raw.get("status"))
            assert words in (found["status"], found["reason"]), yaml.safe_dump(raw["status"])
            return raw

        return await eventually(check, within_s=within_s, step_s=0.1, what=f"{kind} {name}: {type_} says {words}")

    async def gone(self, key: ObjectKey, *, within_s: float = WITHIN_S) -> None:
        async def check() -> bool:
            try:
                await self.client.get(key)
            except NotFoundError:
                return True
            return False

        await eventually(check, within_s=within_s, step_s=0.1, what=f"{key} is gone")

    async def delete(self, kind: str, name: str) -> None:
        key = self.key(kind, name)
        await self.client.delete(key, (await self.client.get(key))["metadata"]["uid"])

    async def answers(self, host: str) -> int:
        """The status of one request."""
        async with load(self.port, host=host, connections=1, max_requests=1) as result:
            await eventually(lambda: result.finished_s is not None)
        return next(iter(result.statuses), 0)

    async def quiet(self, for_s: float = 2.0) -> None:
        """Returns when nothing was written for so long."""
        while True:
            seen = len(self.written)
            await asyncio.sleep(for_s)
            if len(self.written) == seen:
                return

    def said(self, kind: str, name: str, *, since: float = 0.0) -> list[list[Object]]:
        """The conditions of every status that was written."""
        plural = {"EdgeRoute": "edgeroutes", "OriginService": "originservices", "EdgeProxy": "edgeproxies"}[kind]
        end = f"/{plural}/{name}/status"
        found = [write for write in self.written if write.path.endswith(end) and write.landed and write.began >= since]
        return [msgspec.json.decode(write.body)["status"]["conditions"] for write in found]


def condition(raw: Object, type_: str) -> Object:
    parts = raw.get("status", {}).get("conditions", ())
    return next((part for part in parts if part["type"] == type_), {})


@asynccontextmanager
async def premises(server: ApiServer, client: Client, namespace: str) -> AsyncIterator[Scene]:
    """The chart installed, an operator that does not run yet, and nothing else."""
    shop = f"{namespace}-shop"
    for name in (namespace, shop):
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await client.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": shop}}
    )
    with TemporaryDirectory() as directory:  # a socket is in it: tmp_path is too long a name
        folder = Path(directory)
        place = await asyncio.to_thread(install, server, namespace, shop, folder)
        try:
            async with operator(place, folder, (free_port(), free_port())) as one:
                yield Scene(client, place, folder, one)
        finally:
            for proxy in await client.list_("EdgeProxy"):
                await client.delete(ObjectKey("EdgeProxy", "", proxy["metadata"]["name"]), proxy["metadata"]["uid"])


@asynccontextmanager
async def under_load(server: ApiServer, client: Client, namespace: str) -> AsyncIterator[Scene]:
    """Everything ready and asked without pause; no request may have failed when the block is left."""
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(premises(server, client, namespace))
        await scene.operator.start()
        await client.create(edge_proxy("default"))
        here = await stack.enter_async_context(origin("cart"))
        await client.create(edge_route(scene.place.shop, "web", host="web.example"))
        await client.create(at_port(origin_service(scene.place.shop, "cart"), here.port))
        await client.create(to_origin(scene.place.shop, "cart"))
        await origin_pod(scene, "cart")
        await eventually(lambda: fleet_made(scene), within_s=WITHIN_S, step_s=0.1)
        await ready_pod(client, scene.place, "default", EDGE_POD)
        xds = await stack.enter_async_context(leader_found(client, scene.place))
        pod = edge_pod(client, scene.place, "default", EDGE_POD, xds, scene.folder)
        scene.envoy = await stack.enter_async_context(pod)
        for kind, name in (("EdgeRoute", "web"), ("EdgeRoute", "cart"), ("EdgeProxy", "default")):
            await scene.ready(kind, name)
        await scene.quiet()
        for host in ("web.example", "cart.example"):
            running = load(scene.port, host=host, connections=1, max_seconds=600, pause_s=PAUSE_S)
            scene.loads.append(await stack.enter_async_context(running))
        yield scene
        for result in scene.loads:
            assert result.answered > 100, result
            assert not result.failed, result


def at_port(service: Object, port: int) -> dict[str, Any]:
    """Without a guard, for there is nobody who would run it."""
    template = service["spec"]["template"]["spec"]
    (container,) = template["containers"]
    template["containers"] = [{**container, "ports": [{"containerPort": port}]}]
    return {**service, "spec": {**service["spec"], "guard": "Disabled"}}


def to_origin(namespace: str, name: str, service: str = "") -> dict[str, Any]:
    """An EdgeRoute to an OriginService."""
    spec = {"hostnames": [f"{name}.example"], "rules": [{"origins": [{"service": {"name": service or name}}]}]}
    return {
        "apiVersion": API_VERSION,
        "kind": "EdgeRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


async def origin_pod(scene: Scene, name: str, number: int = 1, *, ready: bool = True) -> ObjectKey:
    """What a Deployment's controller, a scheduler and a kubelet would come to for the first revision, here."""

    async def deployed() -> Object:
        try:
            return await scene.client.get(ObjectKey("Deployment", scene.place.shop, f"{name}-00001"))
        except NotFoundError:
            return {}

    template = (await eventually(deployed, within_s=WITHIN_S, step_s=0.1, what=f"Deployment {name}"))["spec"][
        "template"
    ]
    metadata = {"name": f"{name}-{number}", "namespace": scene.place.shop, "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await scene.client.create({**pod, "spec": template["spec"]})
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    await scene.client.apply_status({**pod, "status": {"podIP": "127.0.0.1", "conditions": conditions}})
    return scene.key("Pod", metadata["name"])


async def fleet_made(scene: Scene) -> bool:
    """Whether what the pods of the edge are made from is there."""
    try:
        for kind in ("Deployment", "ConfigMap"):
            await scene.client.get(scene.place.key(kind, "edge-default"))
    except NotFoundError:
        return False
    return True
