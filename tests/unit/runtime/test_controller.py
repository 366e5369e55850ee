"""The loop in the middle, without a proxy: what is published, proven, blamed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.runtime.controller import Controller
from edgerun.sources.store import Seen
from edgerun.translate.plan import ROUTES, Plan
from edgerun.translate.world import Edge, World
from edgerun.xds.server import Proxy, Refused
from support.poll import eventually

ONE = Proxy("one", "default", datetime(2026, 1, 1, tzinfo=UTC))
TWO = Proxy("two", "default", datetime(2026, 1, 1, tzinfo=UTC))


def seen(name: str, body: str = "") -> Seen:
    return Seen(
        {
            "apiVersion": "edgerun.dev/v1alpha1",
            "kind": "EdgeRoute",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"hostnames": [f"{name}.test"], "rules": [{"respond": {"body": body}}]},
        }
    )


def key(name: str) -> ObjectKey:
    return ObjectKey("EdgeRoute", "shop", name)


class House:
    """Remembers what the controller asks of it; `bad` are the routes that Envoy would refuse."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)
        self.plans: list[Plan] = []
        self.told: list[ObjectKey] = []

    def act(self, plan: Plan) -> None:
        self.plans.append(plan)

    def tell(self, keys: tuple[ObjectKey, ...]) -> None:
        self.told += keys

    async def refuses(self, world: World, edge: str) -> str | None:
        guilty = self.bad & {route.metadata.name for route in world.routes}
        return f"bad {sorted(guilty)}" if guilty else None


@asynccontextmanager
async def running(house: House, *names: str) -> AsyncIterator[Controller]:
    controller = Controller(Edge(), house.act, house.tell, house.refuses)
    for name in names:
        controller.store.apply(seen(name))
    controller.rebuild()
    task = asyncio.create_task(controller.run())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def refused(controller: Controller, proxy: Proxy = ONE) -> Refused:
    assert controller.published
    return Refused(proxy, ROUTES, ("edge",), "said the proxy", controller.published.serial)


def serving(controller: Controller) -> set[str]:
    return {route.metadata.name for route in controller.store.snapshot().routes}


def reason(controller: Controller, name: str) -> Any:
    refusal = controller.store.snapshot().refusals.get(key(name))
    return refusal and (refusal.reason, refusal.message)


async def test_a_change_is_translated_carried_out_and_told() -> None:
    house = House()
    async with running(house, "a") as controller:
        controller.store.apply(seen("b"))
        await eventually(lambda: key("b") in house.told)
        assert house.plans[-1].verdicts.keys() == {key("a"), key("b")}


async def test_a_mistake_of_ours_does_not_end_the_control_plane(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    async with running(house, "a") as controller:
        controller.act = lambda plan: house.plans[len(house.plans)]  # type: ignore[assignment]
        controller.store.apply(seen("b"))
        await eventually(lambda: "no plan could be made" in caplog.text)
        controller.act = house.act
        controller.store.apply(seen("c"))
        await eventually(lambda: key("c") in house.told)


async def test_only_the_guilty_is_put_aside() -> None:
    async with running(House("b"), "a", "b", "c") as controller:
        controller.refused(refused(controller))
        await eventually(lambda: serving(controller) == {"a", "c"})
        assert reason(controller, "b") == ("RejectedByProxy", "bad ['b']")


async def test_a_second_proxy_that_refuses_the_same_plan_gets_nobody_else_blamed() -> None:
    async with running(House("b"), "b") as controller:
        stale = refused(controller, TWO)
        controller.refused(refused(controller))
        await eventually(lambda: serving(controller) == set())
        controller.store.apply(seen("innocent"))
        await eventually(lambda: controller.published and controller.published.world.routes)
        controller.refused(stale)
        controller.store.apply(seen("later"))
        await eventually(lambda: controller.published and len(controller.published.world.routes) == 2)
        assert serving(controller) == {"innocent", "later"}


async def test_a_refusal_that_comes_after_the_object_was_mended_blames_nobody() -> None:
    async with running(House(), "a") as controller:
        late = refused(controller)
        controller.store.apply(seen("a", "mended"))
        controller.store.apply(seen("innocent"))
        await eventually(lambda: len(house_routes(controller)) == 2)
        controller.refused(late)
        controller.store.apply(seen("later"))
        await eventually(lambda: len(house_routes(controller)) == 3)
        assert serving(controller) == {"a", "innocent", "later"}


async def test_when_envoy_takes_each_alone_all_that_is_new_is_put_aside_with_the_proxys_words() -> None:
    async with running(House(), "a", "b") as controller:
        controller.refused(refused(controller))
        await eventually(lambda: serving(controller) == set())
        assert reason(controller, "a") == ("RejectedByProxy", "said the proxy")


async def test_what_every_proxy_has_acknowledged_is_proven_and_never_a_suspect() -> None:
    async with running(House(), "a") as controller:
        assert controller.published
        controller.server.proxies = lambda: (Proxy("one", "", ONE.connected_at, controller.published.serial),)  # type: ignore[method-assign, union-attr]
        controller.acknowledged(ONE, controller.published.serial)
        controller.store.apply(seen("b"))
        await eventually(lambda: len(house_routes(controller)) == 2)
        controller.refused(refused(controller))
        await eventually(lambda: serving(controller) == {"a"})


def house_routes(controller: Controller) -> tuple[Any, ...]:
    assert controller.published
    return controller.published.world.routes


async def test_caught_up_waits_for_the_rebuild_that_is_due() -> None:
    house = House()
    async with running(house, "a") as controller:
        controller.store.apply(seen("b"))
        await controller.caught_up()
        assert house.plans[-1].verdicts.keys() == {key("a"), key("b")}
