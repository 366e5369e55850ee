"""What nobody watches is looked at while this replica leads, seldom at rest and often while something is awaited."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey, object_key
from edgerun.errors import ApiError, ForbiddenError, NotFoundError
from edgerun.infra.kubernetes.applier import Applier, Result
from edgerun.infra.kubernetes.applying import Object
from edgerun.runtime.children import LISTED, LOOK_S, ROUNDS, Children
from edgerun.runtime.observing import Observing
from edgerun.sources.store import Seen, Store
from edgerun.translate.labels import OURS, edge_labels
from edgerun.translate.world import Edge
from support.working import at_work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

ENDPOINT = ObjectKey("EndpointSlice", "edgerun", "edgerun-xds-leader")
WHOLE_S = LOOK_S * ROUNDS


def made(kind: str, name: str = "edge-blue", **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "edgerun", "labels": dict(edge_labels("blue")), "uid": "u"}
    return {"kind": kind, "metadata": metadata, **content}


class House:
    """An API server with objects, and the parts that hear of them."""

    def __init__(self) -> None:
        self.objects = {
            object_key(raw): raw for raw in (made("ServiceAccount"), made("Service", spec={"clusterIP": "10.0.0.1"}))
        }
        self.asked: list[str] = []
        self.error: ApiError | None = None
        self.leads = asyncio.Event()
        self.store = Store(Edge(), lambda: datetime(2026, 1, 1, tzinfo=UTC), lambda *, urgent: None)
        self.observing = Observing(self.store)
        self.applier = Applier(self, lambda: True, self, ours=lambda raw: True)
        self.children = Children(self, self.applier, self.observing, ENDPOINT)
        fleet = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "EdgeProxy", "metadata": {"name": "blue"}, "spec": {}}
        self.store.apply(Seen(fleet))
        self.observing.see(made("Deployment", spec={"replicas": 1}))

    def ready(self) -> None:
        pod = made("Pod", "edge-blue-1", status={"conditions": [{"type": "Ready", "status": "True"}]})
        self.observing.see(pod)

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.store.fleets["blue"].addresses

    async def get(self, key: ObjectKey) -> Object:
        self.asked.append(f"{key.kind} {key.name}")
        if key not in self.objects:
            raise NotFoundError("none")
        return self.objects[key]

    async def list_(self, kind: str, *, namespace: str, label_selector: str) -> list[Object]:
        assert (namespace, label_selector) == ("edgerun", OURS)
        self.asked.append(kind)
        if self.error:
            raise self.error
        return [raw for key, raw in self.objects.items() if key.kind == kind]

    async def apply(self, manifest: Object) -> Object:
        raise AssertionError("nothing is written here")

    async def hand_over(self, manifest: Object) -> Object:
        raise AssertionError("nothing is written here")

    async def delete(self, key: ObjectKey, uid: str) -> None:
        raise AssertionError("nothing is written here")

    def applied(self, kind: str, result: Result) -> None: ...

    def refused(self, manifest: Object, error: ApiError | None) -> None: ...

    def stored(self, raw: Object) -> None: ...


@asynccontextmanager
async def looking(house: House) -> AsyncIterator[None]:
    async def leads() -> None:
        await house.leads.wait()

    async with at_work(house.children.run(leads), "children"):
        yield


async def test_a_follower_asks_for_nothing_and_a_leader_at_once() -> None:
    house = House()
    async with looking(house):
        await asyncio.sleep(600)
        assert house.asked == []
        house.leads.set()
        await asyncio.sleep(0.1)
        assert house.asked == [*LISTED, f"EndpointSlice {ENDPOINT.name}"], "the slice by its name: others are not ours"
        assert house.addresses == ("10.0.0.1",)


async def test_at_rest_everything_is_looked_at_once_a_minute() -> None:
    house = House()
    house.leads.set()
    house.ready()
    async with looking(house):
        await asyncio.sleep(WHOLE_S * 10 - 1)
    assert set(Counter(house.asked).values()) == {10}


async def test_an_address_that_is_awaited_is_found_within_seconds() -> None:
    house = House()
    house.leads.set()
    service = house.objects.pop(object_key(made("Service")))
    async with looking(house):
        await asyncio.sleep(1)
        assert not house.addresses
        house.objects[object_key(service)] = service
        await asyncio.sleep(LOOK_S)
        assert house.addresses == ("10.0.0.1",)
        assert house.asked.count("ServiceAccount") == 1, "only Services have addresses"


async def test_what_is_gone_is_told_to_all_who_knew_it() -> None:
    house = House()
    house.leads.set()
    async with looking(house):
        await asyncio.sleep(1)
        house.objects.clear()
        await asyncio.sleep(WHOLE_S)
    assert house.addresses == ()
    assert house.applier._there == {}


async def test_an_outage_is_logged_once_and_looked_past(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.leads.set()
    house.error = ForbiddenError("no")
    async with looking(house):
        await asyncio.sleep(WHOLE_S * 3)
        house.error = None
        await asyncio.sleep(LOOK_S)
    assert house.addresses == ("10.0.0.1",)
    assert [record.message for record in caplog.records] == ["what belongs to the edges cannot be looked at: no"]
