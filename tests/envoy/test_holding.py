"""What `translate` makes of origins that may sleep, on a real edge: who is held, for how long, and what they get."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import msgspec
import pytest

from edgerun.api.originservice import OriginService
from edgerun.infra import admin
from edgerun.translate.holding import IN_VAIN_BODY, MISSING_ORIGIN_BODY
from edgerun.translate.plan import LISTENER, ROUTES
from edgerun.translate.translator import translate
from edgerun.translate.world import Epoch, Sleep, World
from support.cold import FLEET, House, house
from support.handouts import with_secrets
from support.objects import edge_route, ready, world
from support.origins import Origin, origin
from support.poll import eventually
from support.standalone import Answer, fetch

pytestmark = pytest.mark.envoy

ASLEEP = Epoch(1, Sleep.ASLEEP)
HEAP_BYTES = 32 * 1024 * 1024  # about 20 more than an edge takes that has nothing to do
FILL_BYTES = 4000
MOST_HELD = 10_000
FEW = 20
NOW_S = 10.0  # far above the milliseconds it takes, well below the 15 s that Envoy would wait by itself


@pytest.fixture
async def here() -> AsyncIterator[House]:
    with TemporaryDirectory() as path:  # tmp_path is too long a name for a socket
        async with house(Path(path)) as made:
            yield made


@pytest.fixture
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as running:
        yield running


def sleeper(name: str, **scaling: Any) -> OriginService:
    spec = {"scaling": {"minScale": 0} | scaling, "template": {"spec": {"containers": [{"command": ["serve"]}]}}}
    return msgspec.convert({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}, OriginService)


CART, PAY, TOYS = (sleeper(name) for name in ("cart", "pay", "toys"))


def shares(*names: str, weight: int = 1, prefix: str = "/", **rule: Any) -> dict[str, Any]:
    """A rule that leads to these origins; `toys` has the `weight`."""
    origins = [{"service": {"name": name}, "weight": weight if name == "toys" else 1} for name in names]
    return {"matches": [{"path": {"value": prefix}}], "origins": origins} | rule


def shop(*rules: dict[str, Any], awake: dict[str, int] | None = None, asleep: tuple[OriginService, ...] = ()) -> World:
    there = [one for one in (CART, PAY, TOYS) if one.metadata.name in (awake or {})]
    return world(
        edge_route(rules=rules),
        *there,
        *asleep,
        observations={one.key: ready((awake or {})[one.metadata.name]) for one in there},
        epochs={one.key: ASLEEP for one in asleep} | {one.key: Epoch(1) for one in there},
    )


def publish(here: House, made: World) -> int:
    """As the controller does; only the listener is the edge's own."""
    plan = translate(made)
    fleets = {name: {t: of for t, of in found.items() if t != LISTENER} for name, found in with_secrets(plan).items()}
    return here.server.publish(fleets, plan.cold)


Asked = asyncio.Task[tuple[Answer, float]]
_UNDER_WAY = r"^(http\.edge\.downstream_rq_(total|active)|cluster\.origin.*\.upstream_rq_(active|pending_active))$"


async def asked(here: House, path: str = "/", **request: Any) -> tuple[Answer, float]:
    began = asyncio.get_running_loop().time()
    answer = await fetch(here.port, path, **request)
    return answer, asyncio.get_running_loop().time() - began


async def decided(here: House, held: list[Asked]) -> tuple[list[Asked], list[Asked]]:
    """Those that are answered and those that wait, as soon as each of all that were sent does one or the other."""

    async def check() -> tuple[list[Asked], list[Asked]]:
        counts = await admin.numbers(here.proxies[0].socket, _UNDER_WAY)
        done, waiting = [task for task in held if task.done()], [task for task in held if not task.done()]
        sent, active = counts.pop("http.edge.downstream_rq_total"), counts.pop("http.edge.downstream_rq_active")
        assert (sent, active, sum(counts.values())) == (len(held), len(waiting), 0)
        return done, waiting

    first = await eventually(check)
    assert await eventually(check) == first, "nobody waited who was about to be answered"
    return first


async def test_the_first_request_is_held_and_answered_by_the_replica_that_it_woke(here: House, app: Origin) -> None:
    publish(here, shop(shares("cart"), asleep=(CART,)))
    await here.booted()
    held = asyncio.create_task(asked(here))
    assert await here.server.demand_other_than({}) == {"origin/shop/cart/cart-00001~1@shop/default": 1}
    publish(here, shop(shares("cart"), awake={"cart": app.port}))
    answer, took_s = await held
    assert (answer.status, took_s < NOW_S) == (200, True)
    assert here.server.demand() == {}


async def test_who_waits_no_longer_than_its_route_allows_is_told_to_come_again(here: House) -> None:
    publish(here, shop(shares("cart", timeouts={"request": "300ms"}), asleep=(CART,)))
    await here.booted()
    answer, took_s = await asked(here)
    assert (answer.status, answer.header("retry-after"), answer.body) == (503, "5", IN_VAIN_BODY)
    assert 0.2 < took_s < NOW_S  # not at once


async def test_who_waits_for_what_will_not_come_is_told_at_once(here: House) -> None:
    publish(here, shop(shares("cart"), asleep=(CART,)))
    await here.booted()
    held = asyncio.create_task(asked(here))
    await here.server.demand_other_than({})
    publish(here, shop(shares("pay"), asleep=(PAY,)))
    answer, took_s = await held
    assert (answer.status, answer.header("retry-after"), took_s < NOW_S) == (503, "5", True)


async def test_a_share_without_an_origin_does_not_wait_for_the_others(here: House, app: Origin) -> None:
    publish(here, shop(shares("cart", "nobody"), asleep=(CART,)))
    await here.booted()
    held = [asyncio.create_task(asked(here)) for _ in range(40)]
    done, waiting = await decided(here, held)
    assert {(task.result()[0].status, task.result()[0].body) for task in done} == {(500, MISSING_ORIGIN_BODY)}
    publish(here, shop(shares("cart", "nobody"), awake={"cart": app.port}))
    assert {(await task)[0].status for task in waiting} == {200}


async def test_a_share_that_is_awake_does_not_wait_and_who_waited_keeps_his_share(here: House, app: Origin) -> None:
    rule = shares("cart", "toys", weight=9)
    async with origin("toys") as toys:
        publish(here, shop(rule, awake={"toys": toys.port}, asleep=(CART,)))
        await here.booted()
        held = [asyncio.create_task(asked(here)) for _ in range(100)]
        done, waiting = await decided(here, held)
        assert {task.result()[0].header("x-origin") for task in done} == {"toys"}
        publish(here, shop(rule, awake={"toys": toys.port, "cart": app.port}))
        assert {(await task)[0].header("x-origin") for task in waiting} == {"app"}


async def test_two_shares_that_both_sleep_wake_one_by_one(here: House, app: Origin) -> None:
    rule = shares("cart", "pay")
    async with origin("pay") as pay:
        publish(here, shop(rule, asleep=(CART, PAY)))
        await here.booted()
        held = [asyncio.create_task(asked(here)) for _ in range(40)]
        await eventually(lambda: len(here.server.demand()) == 2)
        publish(here, shop(rule, awake={"cart": app.port}, asleep=(PAY,)))
        done, waiting = await asyncio.wait(held, timeout=NOW_S)
        publish(here, shop(rule, awake={"cart": app.port, "pay": pay.port}))
        late = [(await task)[0].header("x-origin") for task in waiting]
        assert Counter(task.result()[0].header("x-origin") for task in done) == {"app": len(done)}
        assert Counter(late) == {"pay": len(late)}


async def test_an_edge_that_is_full_turns_others_away_and_those_who_wait_wait_on(app: Origin) -> None:
    """Calls over HTTP/2, a hundred on a connection."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        here = await stack.enter_async_context(house(directory, max_heap_bytes=HEAP_BYTES))
        publish(here, shop(shares("cart"), asleep=(CART,)))
        await here.booted()
        before, calls = here.proxies[0].resident_bytes(), list[asyncio.Task[grpc.aio.AioRpcError]]()
        while not any(call.done() for call in calls):
            assert len(calls) < MOST_HELD
            calls.extend(await hundred(stack, here.port))
            await eventually(lambda: is_settled(here, calls))
        refused = [call.result() for call in calls if call.done()]
        assert {(one.details(), retry_after(one)) for one in refused} == {("envoy overloaded", "5")}
        assert here.proxies[0].resident_bytes() < before + 4 * HEAP_BYTES
        for call in calls[FEW:]:  # or all of them would want a connection to one small origin at the same moment
            call.cancel()
        await eventually(lambda: is_settled(here, calls))
        publish(here, shop(shares("cart"), awake={"cart": app.port}))
        await asyncio.gather(*calls[:FEW])
        assert len(app.requests) == FEW


async def hundred(stack: AsyncExitStack, port: int) -> list[asyncio.Task[grpc.aio.AioRpcError]]:
    """So many, on a connection of their own."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}", options))
    return [asyncio.create_task(answered(channel.unary_unary("/shop/Hold"))) for _ in range(100)]


async def answered(method: Any) -> grpc.aio.AioRpcError:
    """An origin of ours speaks no gRPC, so what it says is an error, too."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"", metadata=(("x-fill", "y" * FILL_BYTES),))
    return caught.value


async def is_settled(here: House, calls: list[asyncio.Task[grpc.aio.AioRpcError]]) -> bool:
    """Whether each of them either waits in the edge or is answered."""
    waiting = await here.proxies[0].counter("http.edge.downstream_rq_active")
    return waiting + sum(call.done() for call in calls) == len(calls)


def retry_after(error: grpc.aio.AioRpcError) -> object:
    return dict(error.trailing_metadata()).get("retry-after")


def test_a_route_is_the_same_whether_its_origin_sleeps_or_not() -> None:
    asleep, awake = translate(shop(shares("cart"), asleep=(CART,))), translate(shop(shares("cart"), awake={"cart": 1}))
    assert asleep.fleets[FLEET][ROUTES] == awake.fleets[FLEET][ROUTES]
