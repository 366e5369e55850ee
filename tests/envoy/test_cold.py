"""Real edges hold requests for an origin that sleeps, and let them go on when it wakes: what Envoy makes of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from socket import SOCK_DGRAM, socket
from tempfile import TemporaryDirectory

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2

from edgerun.translate.messages import packed
from edgerun.translate.plan import Resource, resource
from support.cold import House, Keeper, ask, house, routes, there
from support.load import Result, load
from support.origins import Origin, origin
from support.poll import eventually

pytestmark = pytest.mark.envoy

CART, PAY = "origin/shop/cart@shop/default", "origin/shop/pay@shop/default"
NOW_S = 10.0  # far above the milliseconds it takes, well below any timeout of Envoy's; no gate of ours lapses here


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory() as path:  # tmp_path is too long a name for a socket
        yield Path(path)


@pytest.fixture
async def here(directory: Path) -> AsyncIterator[House]:
    async with house(directory) as made:
        yield made


@pytest.fixture
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as running:
        yield running


async def sleeping(here: House, cluster: str) -> None:
    """One cold cluster, and all proxies know the way to it."""
    here.publish(routes(cluster), cold={cluster})
    await here.booted()


@pytest.mark.usefixtures("no_gate_lapses")
async def test_a_request_is_held_until_its_origin_is_there(here: House, app: Origin) -> None:
    await sleeping(here, f"{CART}~1")
    assert here.server.demand() == {}, "nobody asks before there is a request"
    held = asyncio.create_task(ask(here.port))
    assert await here.server.demand_other_than({}) == {f"{CART}~1": 1}
    assert not app.requests
    began = asyncio.get_running_loop().time()
    here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
    assert (await held)[0] == 200
    assert asyncio.get_running_loop().time() - began < NOW_S
    assert here.server.demand() == {}


@pytest.mark.parametrize("size", [5_000_000, 100_000_000])
async def test_a_body_is_held_too_and_arrives_whole(here: House, app: Origin, size: int) -> None:
    await sleeping(here, f"{CART}~1")
    held = asyncio.create_task(ask(here.port, method="POST", body=b"x" * size))
    await here.server.demand_other_than({})
    here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
    status, answer = await held
    assert (status, f'"bodyLength": {size}'.encode() in answer) == (200, True)


async def test_a_websocket_is_held_too(here: House, app: Origin) -> None:
    await sleeping(here, f"{CART}~1")
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\nsec-websocket-version: 13"
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + upgrade + b"\r\n\r\n")
    await here.server.demand_other_than({})
    here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
    assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    writer.close()


@pytest.mark.load
async def test_a_request_is_held_for_longer_than_envoy_waits_for_a_resource(here: House, app: Origin) -> None:
    await sleeping(here, f"{CART}~1")
    held = asyncio.create_task(ask(here.port))
    assert not (await asyncio.wait({held}, timeout=16))[0]
    here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
    assert (await held)[0] == 200


async def test_a_client_that_leaves_takes_its_question_not_along(here: House, app: Origin) -> None:
    """Envoy does not unsubscribe, and a request that comes later waits without a question of its own."""
    await sleeping(here, f"{CART}~1")
    _, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await here.server.demand_other_than({})
    writer.close()
    await eventually(lambda: _active(here, 0))
    assert here.server.demand() == {f"{CART}~1": 1}
    held = asyncio.create_task(ask(here.port))
    await eventually(lambda: _active(here, 1))
    here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
    assert (await held)[0] == 200
    assert len(app.requests) == 1, "and nothing of the first"


@pytest.mark.usefixtures("no_gate_lapses")
async def test_what_will_not_come_ends_the_wait(here: House) -> None:
    await sleeping(here, f"{CART}~1")
    held = asyncio.create_task(ask(here.port))
    await here.server.demand_other_than({})
    began = asyncio.get_running_loop().time()
    here.publish(routes(f"{CART}~2"), cold={f"{CART}~2"})
    assert (await held)[0] == 503
    assert asyncio.get_running_loop().time() - began < NOW_S
    assert here.server.demand() == {}


async def test_whoever_waits_does_not_follow_a_route_but_the_name(here: House, app: Origin) -> None:
    """So held requests can be led elsewhere only by giving the name they wait for another origin's endpoints."""
    await sleeping(here, f"{CART}~1")
    held = asyncio.create_task(ask(here.port))
    await here.server.demand_other_than({})
    await here.everywhere(here.publish(routes(f"{PAY}~1"), *there(f"{PAY}~1", app.port), cold={f"{CART}~1"}))
    assert (await ask(here.port))[0] == 200
    assert not held.done()
    here.publish(routes(f"{PAY}~1"), *there(f"{PAY}~1", app.port), *there(f"{CART}~1", app.port))
    assert (await held)[0] == 200


async def test_two_edges_ask_and_one_answer_serves_both(directory: Path, app: Origin) -> None:
    async with house(directory, "one", "two") as here:
        await sleeping(here, f"{CART}~1")
        held = [asyncio.create_task(ask(one.port)) for one in here.proxies for _ in range(3)]
        await eventually(lambda: here.server.demand() == {f"{CART}~1": 2})
        here.publish(routes(f"{CART}~1"), *there(f"{CART}~1", app.port))
        assert [status for status, _ in await asyncio.gather(*held)] == [200] * 6


async def test_requests_are_held_over_the_end_of_a_control_plane(here: House, app: Origin) -> None:
    async with Keeper(here, CART, PAY) as keeper:
        for sleeper in keeper.sleepers:
            for _ in range(2):
                assert (await ask(here.port, "/1/" if sleeper.name == PAY else "/"))[0] == 200
                await keeper.rest(sleeper)
    held = asyncio.create_task(ask(here.port))
    await here.server.demand_other_than({})
    asked_before = {f"{name}~{epoch}" for name in (CART, PAY) for epoch in (1, 2)}
    here.witness.demands.clear()
    await here.restart()
    late = asyncio.create_task(ask(here.port))  # while nobody listens to questions
    await eventually(here.server.proxies)
    assert here.server.demand() == {}, "not before anything is published"
    here.publish(routes(f"{CART}~3", f"{PAY}~3"), cold={f"{CART}~3", f"{PAY}~3"})
    assert await here.server.demand_other_than({}) == {f"{CART}~3": 1}
    here.publish(routes(f"{CART}~3", f"{PAY}~3"), *there(f"{CART}~3", app.port), cold={f"{PAY}~3"})
    assert ((await held)[0], (await late)[0]) == (200, 200)
    assert not asked_before & {name for _, _, names in here.witness.demands for name in names}


@pytest.mark.load
async def test_a_hundred_times_asleep_and_awake_no_first_request_is_lost(here: House) -> None:
    async with Keeper(here, CART, takes_s=0.01) as keeper:
        (sleeper,) = keeper.sleepers
        for epoch in range(1, 101):
            answers = await asyncio.gather(*(ask(here.port) for _ in range(3)))
            assert [status for status, _ in answers] == [200] * 3, f"in epoch {epoch}"
            await keeper.rest(sleeper)
        assert keeper.wakes == 100
    assert here.witness.refusals == []


@pytest.mark.load
async def test_a_burst_at_every_change_of_epochs_loses_nothing(directory: Path) -> None:
    async with house(directory, "one", "two") as here, Keeper(here, CART) as keeper:
        (sleeper,) = keeper.sleepers
        async with _slow_load(here.proxies[0].port) as one, _slow_load(here.proxies[1].port) as two:
            for _ in range(20):
                await eventually(lambda: sleeper.awake)
                await eventually(lambda at=one.answered: one.answered > at + 20)
                await keeper.rest(sleeper)
        assert (one.failed, two.failed) == (0, 0), (one, two)
        assert keeper.wakes >= 20


@pytest.mark.usefixtures("no_gate_lapses")
async def test_one_origin_does_not_wait_until_another_is_warm(here: House, app: Origin) -> None:
    """Envoy resolves `slow` in vain all the while, and acknowledges no cluster."""
    with socket(type=SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        slow = never_warm("slow", silent.getsockname()[1])
        await sleeping(here, f"{CART}~1")
        here.publish(routes(f"{CART}~1"), slow, cold={f"{CART}~1"})
        await eventually(lambda: _warming(here, 1))
        held = asyncio.create_task(ask(here.port))
        await here.server.demand_other_than({})
        began = asyncio.get_running_loop().time()
        here.publish(routes(f"{CART}~1"), slow, *there(f"{CART}~1", app.port))
        assert (await held)[0] == 200
        assert asyncio.get_running_loop().time() - began < NOW_S
        assert await _warming(here, 1)


def _slow_load(port: int) -> AbstractAsyncContextManager[Result]:
    """Some request is always on its way."""
    return load(port, path="/?delay=20ms", connections=8)


def never_warm(name: str, resolver: int) -> Resource:
    """A cluster whose host is asked of a resolver that says nothing, for minutes."""
    silent = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        resolvers=[{"socket_address": {"address": "127.0.0.1", "port_value": resolver}}],
        query_timeout_seconds={"value": 60},
        query_tries={"value": 4},
    )
    address = {"socket_address": {"address": "slow.invalid", "port_value": 80}}
    message = cluster_pb2.Cluster(
        name=name,
        type="STRICT_DNS",
        connect_timeout={"seconds": 1},
        typed_dns_resolver_config={"name": "envoy.network.dns_resolver.cares", "typed_config": packed(silent)},
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    )
    return resource(name, message)


async def _active(here: House, count: int) -> bool:
    return await here.proxies[0].counter("http.edge.downstream_rq_active") == count


async def _warming(here: House, count: int) -> bool:
    return await here.proxies[0].counter("cluster_manager.warming_clusters") == count
