"""The server over a real socket, with real gRPC clients that do what a script says."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest

from edgerun.errors import SettingsError
from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds.server import Server
from support.poll import eventually
from support.xds import (
    FLEET,
    METHOD,
    Client,
    Witness,
    ack,
    cluster,
    connected,
    fleet,
    listener,
    nack,
    names,
    resources,
    route_table,
    served,
    versions,
)

BIG = 2_000_000  # bytes: more than HTTP/2 flow control lets through to a client that does not read


@pytest.fixture
def socket() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory) / "x" / "xds.sock"


@pytest.fixture
def address(socket: Path) -> str:
    return f"unix:{socket}"


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def server(address: str, witness: Witness) -> AsyncIterator[Server]:
    async with serving(address, witness) as one:
        yield one


@asynccontextmanager
async def serving(address: str, witness: Witness, **options: Any) -> AsyncIterator[Server]:
    server = Server(observer=witness, **options)
    await server.start(address)
    try:
        yield server
    finally:
        await server.stop(grace_s=0.2)


async def boot(
    client: Client, *clusters: str, node: str = "one", held: dict[str, dict[str, str]] | None = None
) -> None:
    """Ask for everything and ACK it, as a client that holds nothing."""
    await client.ask(CLUSTER, node=node)
    await client.ask(ENDPOINTS, *clusters)
    await client.ask(LISTENER)
    await client.ask(ROUTES, "edge")


class TestConversation:
    async def test_a_client_boots(self, server: Server, address: str, witness: Witness) -> None:
        serial = server.publish(fleet(*served("a")))
        async with connected(address) as client:
            assert names(await client.ask(CLUSTER, node="one")) == ["a"]
            assert names(await client.ask(ENDPOINTS, "a")) == ["a"]
            assert names(await client.ask(LISTENER)) == ["edge"]
            assert server.proxies()[0].acked_serial == 0
            assert names(await client.ask(ROUTES, "edge")) == ["edge"]
            assert await server.acknowledged(serial, timeout_s=60)
        assert witness.acks == [("one", serial)]

    async def test_a_client_that_comes_before_the_first_snapshot_waits_for_it(
        self, server: Server, address: str
    ) -> None:
        async with connected(address) as client:
            await client.subscribe(CLUSTER, node="one")
            await eventually(server.proxies)
            server.publish(fleet(cluster("a")))
            assert names(await client.hear()) == ["a"]

    async def test_what_is_published_before_the_start_is_served(self, address: str, witness: Witness) -> None:
        server = Server(observer=witness)
        assert server.publish(fleet(cluster("a"))) == 1
        await server.start(address)
        try:
            async with connected(address) as client:
                assert names(await client.ask(CLUSTER)) == ["a"]
        finally:
            await server.stop(grace_s=0.2)

    async def test_a_change_is_pushed(self, server: Server, address: str) -> None:
        server.publish(fleet(*served("a")))
        async with connected(address) as client:
            await boot(client, "a")
            serial = server.publish(fleet(*served("b")))
            assert names(await client.take()) == ["b"]
            assert names(await client.take()) == ["edge"]
            assert list((await client.take()).removed_resources) == ["a"]
            assert list((await client.take()).removed_resources) == ["a"]
            assert await server.acknowledged(serial, timeout_s=60)

    async def test_names_come_and_go_and_come_again(self, server: Server, address: str) -> None:
        server.publish(fleet(*served("a", "b")))
        async with connected(address) as client:
            assert names(await client.ask(ENDPOINTS, "a")) == ["a"]
            assert names(await client.ask(ENDPOINTS, "b")) == ["b"]
            await client.subscribe(ENDPOINTS, drop=["a"])
            assert names(await client.ask(ENDPOINTS, "a")) == ["a"], "sent again, although nothing changed"
            assert list((await client.ask(ENDPOINTS, "x")).removed_resources) == ["x"]

    async def test_a_client_that_comes_back_is_sent_nothing_that_it_holds(self, server: Server, address: str) -> None:
        server.publish(fleet(cluster("a"), cluster("b")))
        async with connected(address) as client:
            held = versions(await client.ask(CLUSTER))
        server.publish(fleet(cluster("a"), cluster("b", 2), cluster("c")))
        async with connected(address) as client:
            assert names(await client.ask(CLUSTER, held=held)) == ["b", "c"]

    async def test_a_stale_nonce_is_no_answer_but_its_subscription_counts(self, server: Server, address: str) -> None:
        serial = server.publish(fleet(*served("a", "b")))
        async with connected(address) as client:
            await client.ask(CLUSTER, node="one")
            await client.ask(ENDPOINTS, "a")
            await client.ask(LISTENER)
            await client.subscribe(ROUTES, "edge")
            routes = await client.hear()
            await client.subscribe(ROUTES, nonce="of another time")
            assert names(await client.ask(ENDPOINTS, "b", nonce="0")) == ["b"]
            assert not await server.acknowledged(serial, timeout_s=0.05)
            await client.say(ack(routes))
            assert await server.acknowledged(serial, timeout_s=60)

    async def test_a_refusal_is_told_and_not_repeated(self, server: Server, address: str, witness: Witness) -> None:
        server.publish(fleet(*served("a")))
        async with connected(address) as client:
            await boot(client, "a")
            bad = server.publish(fleet(*served("a")[:-1], route_table("edge", "a", "x")))
            await client.say(nack(await client.hear(), "missing ):  " + "x" * 5000))
            (refused,) = await eventually(lambda: witness.refusals)
            assert (refused.proxy.id, refused.type_url, refused.names) == ("one", ROUTES, ("edge",))
            assert refused.serial == bad
            assert refused.message.startswith("missing ): x")
            assert len(refused.message) < 1000
            good = server.publish(fleet(*served("a")[:-1], route_table("edge", "a", "y")))
            assert versions(await client.take()) == {"edge": route_table("edge", "a", "y").version}
            assert await server.acknowledged(good, timeout_s=60)

    async def test_an_unheard_of_type_is_answered_and_the_stream_goes_on(self, server: Server, address: str) -> None:
        server.publish(fleet(cluster("a")))
        async with connected(address) as client:
            assert names(await client.ask("type.googleapis.com/example.Unheard")) == []
            assert list((await client.ask("nonsense", "x")).removed_resources) == ["x"]
            assert names(await client.ask(CLUSTER)) == ["a"]


class TestWhoIsThere:
    async def test_a_proxy_is_known_by_its_node(self, server: Server, address: str, witness: Witness) -> None:
        server.publish(fleet(cluster("a")))
        async with connected(address) as client:
            await client.ask(CLUSTER, node="one")
            (proxy,) = server.proxies()
            assert (proxy.id, proxy.fleet, proxy.acked_serial) == ("one", "edge", 0)
            await client.ask(LISTENER, node="somebody else")
            assert [one.id for one in server.proxies()] == ["one"]
        await eventually(lambda: not server.proxies())
        assert witness.events == [("connected", "one"), ("disconnected", "one")]

    async def test_a_stream_that_says_nothing_is_no_proxy(self, server: Server, address: str) -> None:
        async with connected(address) as client:
            await client.call.wait_for_connection()
            assert server.proxies() == ()
            assert await server.acknowledged(1, timeout_s=60)

    async def test_nobody_connected_is_nobody_to_wait_for(self, server: Server) -> None:
        assert await server.acknowledged(server.publish(fleet(*served("a"))), timeout_s=60)

    async def test_waiting_ends_when_the_proxy_that_was_waited_for_leaves(self, server: Server, address: str) -> None:
        serial = server.publish(fleet(*served("a")))
        async with connected(address) as client:
            await client.ask(CLUSTER, node="one")
            waiting = asyncio.create_task(server.acknowledged(serial, timeout_s=10), name="wait")
        assert await waiting

    async def test_a_client_that_ends_its_half_is_let_go(self, server: Server, address: str) -> None:
        server.publish(fleet(cluster("a")))
        async with connected(address) as client:
            await client.ask(CLUSTER, node="one")
            await client.call.done_writing()
            assert await client.call.read() is grpc.aio.EOF
            assert server.proxies() == ()


class TestFleets:
    async def test_a_proxy_gets_what_is_its_fleets(self, server: Server, address: str) -> None:
        serial = server.publish({"a": resources(*served("one")), "b": resources(*served("two"))})
        async with connected(address, fleet="a") as left, connected(address, fleet="b") as right:
            await boot(left, "one")
            await boot(right, "two")
            assert await server.acknowledged(serial, timeout_s=60)
            assert {one.fleet for one in server.proxies()} == {"a", "b"}
            assert list((await right.ask(ENDPOINTS, "one")).removed_resources) == ["one"]

    async def test_a_change_of_another_fleet_is_acknowledged_and_not_sent(self, server: Server, address: str) -> None:
        server.publish({"a": resources(*served("one")), "b": resources(*served("two"))})
        async with connected(address, fleet="a") as client:
            await boot(client, "one")
            serial = server.publish({"a": resources(*served("one")), "b": resources(*served("three"))})
            assert await server.acknowledged(serial, timeout_s=60)
            assert await client.quiet()

    async def test_a_fleet_that_vanishes_leaves_its_proxies_what_they_have(self, server: Server, address: str) -> None:
        server.publish({"a": resources(*served("one"))})
        async with connected(address, fleet="a") as client:
            await boot(client, "one")
            serial = server.publish({"b": resources(*served("two"))})
            assert await server.acknowledged(serial, timeout_s=60), "nobody waits for them"
            server.publish({"a": resources(*served("three"))})
            assert names(await client.take()) == ["three"]

    async def test_a_proxy_of_an_unknown_fleet_is_told_nothing_until_there_is_one(
        self, server: Server, address: str
    ) -> None:
        server.publish({"b": resources(*served("two"))})
        async with connected(address, fleet="a") as client:
            await client.subscribe(CLUSTER)
            await eventually(server.proxies)
            server.publish({"b": resources(*served("two")), "a": resources(*served("one"))})
            assert names(await client.hear()) == ["one"]


class TestHardship:
    async def test_a_client_that_does_not_read_delays_nobody(self, server: Server, address: str) -> None:
        server.publish(fleet(*_heavy(1)))
        async with AsyncExitStack() as stack:
            stuck = await stack.enter_async_context(connected(address))
            await stuck.subscribe(ROUTES, "*", node="stuck")
            well = await stack.enter_async_context(connected(address, options=[("grpc.use_local_subchannel_pool", 1)]))
            await _heavy_talk(well)
            for version in range(2, 6):
                server.publish(fleet(*_heavy(version)))
                async with asyncio.timeout(60):
                    await _heavy_talk(well)
            assert {one.id for one in server.proxies()} == {"stuck", ""}

    async def test_a_client_that_does_not_read_finds_the_newest_when_it_does(
        self, server: Server, address: str
    ) -> None:
        server.publish(fleet(*_heavy(1)))
        async with connected(address) as client:
            await client.subscribe(ROUTES, "*")
            await eventually(server.proxies)
            for version in range(2, 50):
                server.publish(fleet(*_heavy(version)))
            heard: dict[str, str] = {}
            newest = {one.name: one.version for one in _heavy(49)}
            count = 0
            while heard != newest:
                heard |= versions(await client.take())
                count += 1
            assert count <= 2 * len(newest)

    async def test_a_stopped_process_delays_nobody(self, server: Server, address: str) -> None:
        server.publish(fleet(*served("a")))
        script = (
            "import asyncio, support.xds as x\n"
            "async def main():\n"
            f"    async with x.connected({address!r}) as client:\n"
            "        await client.subscribe('anything', node='stopped')\n"
            "        await asyncio.sleep(60)\n"
            "asyncio.run(main())"
        )
        path = os.pathsep.join(sys.path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, env=os.environ | {"PYTHONPATH": path}
        )
        try:
            await eventually(server.proxies)
            process.send_signal(signal.SIGSTOP)
            async with connected(address) as client:
                await boot(client, "a")
                for version in range(2, 20):
                    server.publish(fleet(*served("a")[:-1], route_table("edge", *["a"] * version)))
                    await client.take()
        finally:
            process.kill()
            await process.wait()
        await eventually(lambda: not server.proxies())

    async def test_fifty_clients_at_once(self, server: Server, address: str, witness: Witness) -> None:
        server.publish(fleet(*served("a")))
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(address)) for _ in range(50)]
            await asyncio.gather(*(boot(one, "a", node=f"n{at}") for at, one in enumerate(clients)))
            serial = server.publish(fleet(*served("a")[:-1], route_table("edge", "a", "a")))
            heard = await asyncio.gather(*(one.take() for one in clients))
            assert {one.resources[0].version for one in heard} == {route_table("edge", "a", "a").version}
            assert await server.acknowledged(serial, timeout_s=60)
            assert {one.id for one in server.proxies()} == {f"n{at}" for at in range(50)}
        await eventually(lambda: not server.proxies())
        assert len(witness.events) == 100

    @pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\xff"])
    async def test_garbage_ends_its_own_stream_only(self, server: Server, address: str, garbage: bytes) -> None:
        server.publish(fleet(cluster("a")))
        async with connected(address) as client, grpc.aio.insecure_channel(address) as channel:
            await client.ask(CLUSTER)
            call = channel.stream_stream(METHOD)()
            await call.write(garbage)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            server.publish(fleet(cluster("b")))
            assert names(await client.take()) == ["b"]

    async def test_other_methods_are_not_implemented(self, server: Server, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            for method in (METHOD.replace("Delta", "Stream"), "/grpc.health.v1.Health/Check"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(method)(b"")
                assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    async def test_a_response_of_many_megabytes_arrives(self, server: Server, address: str) -> None:
        huge = route_table("edge", "x" * 20_000_000)
        server.publish(fleet(huge))
        async with connected(address, options=[("grpc.max_receive_message_length", 64 << 20)]) as client:
            assert versions(await client.ask(ROUTES, "edge")) == {"edge": huge.version}


class TestStartAndStop:
    async def test_a_proxy_that_is_sent_away_comes_back_and_is_sent_nothing_twice(
        self, address: str, witness: Witness
    ) -> None:
        everything = fleet(*served("a"))
        async with connected(address, options=[("grpc.initial_reconnect_backoff_ms", 100)]) as client:
            async with serving(address, witness) as first:
                first.publish(everything)
                await boot(client, "a")
                assert await first.acknowledged(1, timeout_s=60)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.call.read()
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        held = {kind: {one.name: one.version for one in some.values()} for kind, some in everything[FLEET].items()}
        async with serving(address, witness) as second, connected(address) as client:
            serial = second.publish(everything)
            assert names(await client.ask(CLUSTER, node="one", held=held[CLUSTER])) == []
            await client.subscribe(ENDPOINTS, "a", held=held[ENDPOINTS])
            assert names(await client.ask(LISTENER, held=held[LISTENER])) == []
            await client.subscribe(ROUTES, "edge", held=held[ROUTES])
            assert await second.acknowledged(serial, timeout_s=60)

    async def test_stopping_takes_no_longer_than_it_must(self, address: str, witness: Witness) -> None:
        async with connected(address) as client:
            server = Server(observer=witness)
            await server.start(address)
            server.publish(fleet(cluster("a")))
            await client.ask(CLUSTER, node="one")
            await server.stop(grace_s=600)
        assert witness.events == [("connected", "one"), ("disconnected", "one")]

    async def test_a_client_that_does_not_read_stops_no_stop(self, address: str, witness: Witness) -> None:
        async with connected(address) as client:
            server = Server(observer=witness)
            await server.start(address)
            server.publish(fleet(*_heavy(1)))
            await client.subscribe(ROUTES, "*", node="stuck")
            await eventually(server.proxies)
            async with asyncio.timeout(60):
                await server.stop(grace_s=0.2)
            assert server.proxies() == ()

    async def test_a_server_that_never_started_can_be_stopped(self, witness: Witness) -> None:
        await Server(observer=witness).stop()

    async def test_a_server_can_start_again(self, address: str, witness: Witness) -> None:
        server = Server(observer=witness)
        for number in (1, 2):
            await server.start(address)
            assert server.publish(fleet(cluster("a"))) == number
            async with connected(address) as client:
                assert names(await client.ask(CLUSTER)) == ["a"]
            await server.stop(grace_s=0.2)

    async def test_only_this_user_can_open_the_socket(self, server: Server, socket: Path) -> None:
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600

    async def test_the_socket_goes_with_the_server(self, address: str, socket: Path, witness: Witness) -> None:
        async with serving(address, witness):
            assert socket.exists()
        assert not socket.exists()

    async def test_a_socket_left_over_is_replaced(self, address: str, socket: Path, witness: Witness) -> None:
        socket.parent.mkdir(mode=0o700)
        socket.touch()
        async with serving(address, witness) as server, connected(address) as client:
            server.publish(fleet(cluster("a")))
            assert names(await client.ask(CLUSTER)) == ["a"]

    async def test_a_directory_that_others_can_open_is_refused(
        self, address: str, socket: Path, witness: Witness
    ) -> None:
        socket.parent.mkdir()
        socket.parent.chmod(0o755)
        with pytest.raises(SettingsError, match="chmod 700"):
            await Server(observer=witness).start(address)

    async def test_a_path_too_long_for_a_socket_is_refused(self, socket: Path, witness: Witness) -> None:
        with pytest.raises(SettingsError, match="too long"):
            await Server(observer=witness).start(f"unix:{socket.parent / ('x' * 100)}")

    async def test_a_port_in_use_is_refused(self, witness: Witness) -> None:
        busy = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with busy:
            port = busy.sockets[0].getsockname()[1]
            with pytest.raises(RuntimeError):
                await Server(observer=witness).start(f"127.0.0.1:{port}")

    async def test_it_serves_on_a_port_too(self, witness: Witness) -> None:
        probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        await probe.wait_closed()
        async with serving(f"127.0.0.1:{port}", witness) as server, connected(f"127.0.0.1:{port}") as client:
            server.publish(fleet(listener("edge")))
            assert names(await client.ask(LISTENER)) == ["edge"]


def _heavy(version: int) -> list[Resource]:
    return [route_table(f"r{number}", "a", f"{version}-" + "x" * BIG) for number in range(4)]


async def _heavy_talk(client: Client) -> None:
    """Take all of it, subscribing first when that has not been done."""
    if not getattr(client, "begun", False):
        await client.subscribe(ROUTES, "*")
        client.begun = True  # type: ignore[attr-defined]
    seen: set[str] = set()
    while len(seen) < 4:
        seen |= set(names(await client.take()))
