"""What may happen to an operator at a write, and how a cluster looks in the end, whatever happened on the way."""

import asyncio
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from edgerun.translate.labels import OURS

from .faults import Passing, Write
from .operators import Operator
from .poll import eventually
from .scene import Scene

AT_REST_S = 10.0  # longer than an operator needs until its first write, once it serves
SERVES = "serving proxies"
OF_THE_FLEET = (
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
)
OF_THE_SHOP = ("Deployment", "EdgeRoute", "OriginRevision", "OriginService")
_OF_ONE_RUN = ("creationTimestamp", "lastTransitionTime", "managedFields", "resourceVersion", "uid")
_SIDE_EFFECTS = ("clusterIP", "clusterIPs", "ca.crt", "edgerun.dev/applied")

_IP = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")  # of a Service, say

Object = Mapping[str, Any]


@dataclass(slots=True)
class Mortal:
    """An operator of which each life brings one write and no more.

    It ends in turns when its first has been carried out and nobody heard of it, and when its second is asked for.
    """

    operator: Operator
    deaths: int = 0
    _asked: int = 0

    async def lives(self) -> None:
        """One life after the other, until one ends by nothing: there was nothing left to write."""
        while not await self._at_rest():
            self.deaths, self._asked = self.deaths + 1, 0

    async def _at_rest(self) -> bool:
        """Whether a life does not end by a write."""
        served = self.operator.log.count(SERVES) if self.operator.starts else 0
        if not self.operator.alive:
            await self.operator.start()
            await eventually(lambda: not self.operator.alive or self.operator.log.count(SERVES) > served)
        try:
            async with asyncio.timeout(AT_REST_S):
                await self.operator.ended()
        except TimeoutError:
            return True
        return False

    async def tamper(self, request: web.Request, passing: Passing) -> web.Response:
        self._asked += 1
        heard = self.deaths % 2 == 1
        answer = await passing() if self._asked == 1 else web.Response(status=503)
        if self._asked > 1 or not heard:
            self.operator.signal(signal.SIGKILL)
        return answer


async def outcome(scene: Scene, *, but: Iterable[str] = ()) -> str:
    """All objects that an operator makes or speaks of, without what differs from one run to the next; once each of the
    latter was spoken of."""
    place, found = scene.place, list[Object]()
    await eventually(lambda: _spoken_of(scene), step_s=0.5)
    for kind in OF_THE_FLEET:
        found += await scene.client.list_(kind, namespace=place.namespace, label_selector=OURS)
    for kind in OF_THE_SHOP:
        found += await scene.client.list_(kind, namespace=place.shop)
    found += await scene.client.list_("EdgeProxy")
    found.append(await scene.client.get(place.key("EndpointSlice", "edgerun-xds-leader")))
    kept = (raw for raw in found if raw["metadata"]["name"] not in but)
    return "---\n".join(sorted(_text(scene, raw) for raw in kept))


async def _spoken_of(scene: Scene) -> bool:
    for kind in OF_THE_SHOP[1:]:
        for raw in await scene.client.list_(kind, namespace=scene.place.shop):
            assert raw.get("status"), f"{kind} {raw['metadata']['name']} has no status"
    return True


def _text(scene: Scene, raw: Object) -> str:
    text = yaml.safe_dump(_lasting(raw), width=1000)
    names = {scene.place.namespace: "NAMESPACE", str(scene.operator.xds_port): "XDS"}
    names |= {str(port): f"PORT-{number}" for number, port in enumerate(scene.operator.ports)}
    for given, name in names.items():
        text = re.sub(rf"\b{given}\b", name, text)
    return _IP.sub("IP", text)


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lasting(part) for key, part in value.items() if key not in (*_OF_ONE_RUN, *_SIDE_EFFECTS)}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def repeated(written: Iterable[Write]) -> list[str]:
    """What was written although it was there already."""
    before, found = dict[str, bytes](), list[str]()
    for write in written:
        if not write.landed or write.path.endswith("/events"):  # an Event may be told twice rather than never
            continue
        if before.get(write.path) == write.body:
            found.append(f"{write.method} {write.path} {write.body.decode()}")
        before[write.path] = write.body
    return found
