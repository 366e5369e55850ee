"""The fleet `default` is made when a route needs it, by the leader, and never twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from edgerun.errors import ApiError, ConflictError, ForbiddenError
from edgerun.runtime.default_edge import RETRY_S, DefaultEdge, Object
from edgerun.sources.store import Gone, Seen, Store
from edgerun.translate.world import Edge
from support.working import at_work

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

API_VERSION = "edgerun.dev/v1alpha1"


class House:
    """A cluster that makes what it is asked for unless it has `errors`."""

    def __init__(self, *errors: ApiError) -> None:
        self.errors, self.made, self.leads = list(errors), list[Object](), True
        self.store = Store(Edge(), lambda: datetime(2026, 1, 1, tzinfo=UTC), self._changed)
        self.edge = DefaultEdge(self, {"replicas": 3}, lambda: self.leads)

    async def create(self, manifest: Object) -> Object:
        self.made.append(manifest)
        if self.errors:
            raise self.errors.pop(0)
        self.see(**manifest)
        return manifest

    def see(self, kind: str, **raw: Any) -> None:
        self.store.apply(Seen({"apiVersion": API_VERSION, "kind": kind, **raw}))

    def route(self, name: str = "web", **spec: Any) -> None:
        rules: list[Any] = [{"respond": {}}]
        self.see("EdgeRoute", metadata={"name": name, "namespace": "shop"}, spec={"rules": rules, **spec})

    def _changed(self, *, urgent: bool) -> None:
        self.edge.look(self.store.entries)


@asynccontextmanager
async def running(house: House) -> AsyncIterator[None]:
    async with at_work(house.edge.run(), "default edge"):
        yield


async def test_the_first_route_brings_it_once() -> None:
    house = House()
    async with running(house):
        await asyncio.sleep(60)
        assert house.made == []
        house.route()
        house.route("other")
        await asyncio.sleep(60)
    (made,) = house.made
    assert (made["metadata"]["name"], made["spec"]) == ("default", {"replicas": 3})
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "edgerun"}


async def test_a_route_of_another_edge_needs_no_default() -> None:
    house = House()
    async with running(house):
        house.route(edge="blue")
        await asyncio.sleep(60)
    assert house.made == []


async def test_one_that_somebody_made_is_theirs() -> None:
    house = House()
    async with running(house):
        house.see("EdgeProxy", metadata={"name": "default"}, spec={})
        house.route()
        await asyncio.sleep(60)
    assert house.made == []


async def test_one_that_is_deleted_while_routes_name_it_comes_back() -> None:
    house = House()
    async with running(house):
        house.route()
        await asyncio.sleep(1)
        house.store.apply(Gone(next(key for key in house.store.entries if key.kind == "EdgeProxy")))
        await asyncio.sleep(1)
    assert len(house.made) == 2


async def test_a_replica_that_begins_to_lead_makes_what_the_last_leader_did_not() -> None:
    house = House()
    house.leads = False
    async with running(house):
        house.route()
        await asyncio.sleep(60)
        assert house.made == []
        house.leads = True
        house.edge.nudge()
        await asyncio.sleep(1)
    assert len(house.made) == 1


async def test_whoever_was_faster_has_made_it() -> None:
    house = House(ConflictError("already exists"))
    async with running(house):
        house.route()
        await asyncio.sleep(60)
    assert len(house.made) == 1


async def test_a_refusal_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    house = House(*[ForbiddenError("no")] * 3)
    async with running(house):
        house.route()
        await asyncio.sleep(RETRY_S * 6)
    assert len(house.made) == 4
    assert [record.message for record in caplog.records].count("the EdgeProxy default cannot be made: no") == 1
