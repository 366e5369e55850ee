"""Who may call the server, with real gRPC clients. The reviewer is a table of tokens; others ask a real one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest

from edgerun.api.meta import ObjectKey, object_key
from edgerun.identity import Account, Reason, Unproven
from edgerun.metrics import REASONS
from edgerun.runtime.guard_pods import GuardPods, Object
from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER
from edgerun.xds import authentication
from edgerun.xds.authentication import Authenticator
from edgerun.xds.server import Server
from support.poll import eventually
from support.xds import METHOD, Client, Witness, cluster, connected, names, resources, served

OURS = "system:serviceaccount:edgerun:edge-"
TABLE = {
    "good-a": Account(OURS + "a", pod="edge-a-1"),
    "good-b": Account(OURS + "b", pod="edge-b-1"),
    "no-pod": Account(OURS + "a"),
    "other-namespace": Account("system:serviceaccount:shop:edge-a"),
    "other-account": Account("system:serviceaccount:edgerun:default"),
    "no-fleet": Account(OURS),
    "longer-prefix": Account("system:serviceaccount:edgerun:my-edge-a"),
    "person": Account("edge-a"),
    "nobody": Account(""),
    "guard": Account("system:serviceaccount:shop:default", pod="cart-1"),
    "guard-of-none": Account("system:serviceaccount:shop:default"),
    "guard-with-account": Account("system:serviceaccount:shop:payer", pod="pay-1"),
    "guard-by-other-account": Account("system:serviceaccount:shop:payer", pod="cart-1"),
    "guard-elsewhere": Account("system:serviceaccount:bank:default", pod="cart-1"),
    "guard-unheard-of": Account("system:serviceaccount:shop:default", pod="cart-2"),
    "guard-of-an-edge": Account(OURS + "a", pod="edge-a-1"),
    "guard-among-edges": Account(OURS + "a", pod="web-1"),
    "pod-of-nobody": Account("system:serviceaccount:shop:default", pod="stray"),
    "other-audience": Unproven(Reason.AUDIENCE, "invalid for the target audiences"),
    "expired": Unproven(Reason.REJECTED, "expired has expired"),
    "talkative": Unproven(Reason.REJECTED, "<html>\n" * 1000),
}


def pod(name: str, namespace: str = "shop", *, account: str = "", **labels: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": {f"edgerun.dev/{k}": v for k, v in labels.items()}}
    return {"kind": "Pod", "metadata": metadata, "spec": {"serviceAccountName": account} if account else {}}


PODS = (
    pod("cart-1", **{"origin-service": "cart"}),
    pod("pay-1", account="payer", **{"origin-service": "pay"}),
    pod("edge-a-1", "edgerun", account="edge-a", **{"edge-proxy": "a"}),
    pod("web-1", "edgerun", account="edge-a", **{"origin-service": "web"}),
    pod("stray"),
)
GUARDED = {f"guard/{name}": resources(cluster(name)) for name in ("shop/cart", "shop/pay", "edgerun/web")}


@dataclass
class Reviewer:
    """`gate` holds every review back while it is not set."""

    asked: list[str] = field(default_factory=list)
    down: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most: int = 0

    async def __call__(self, token: str) -> Account | Unproven:
        self.asked.append(token)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.down:
            return Unproven(Reason.UNAVAILABLE, "no answer within 5 s")
        return TABLE.get(token) or Unproven(Reason.REJECTED, f"who is {token}?")


@dataclass
class House:
    server: Server
    address: str
    reviewer: Reviewer
    witness: Witness
    refused: list[Reason] = field(default_factory=list)
    pods: dict[ObjectKey, Object] = field(default_factory=dict)

    async def code(self, *authorization: str, method: str = METHOD) -> grpc.StatusCode:
        """What a call with these headers comes to, when it comes to an end."""
        async with self.calling(*authorization, method=method) as call:
            return await call.code()

    @asynccontextmanager
    async def calling(self, *authorization: str, method: str = METHOD) -> AsyncIterator[Any]:
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield channel.stream_stream(method)(metadata=headers(*authorization))

    @asynccontextmanager
    async def client(self, token: str, *, fleet: str = "") -> AsyncIterator[Client]:
        async with connected(self.address, fleet=fleet, metadata=headers(f"Bearer {token}")) as client:
            yield client


def headers(*authorization: str) -> tuple[tuple[str, str], ...]:
    return tuple(("authorization", one) for one in authorization)


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory)


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    reviewer, witness, refused = Reviewer(), Witness(), list[Reason]()
    reviewer.gate.set()
    pods = {object_key(one): one for one in PODS}
    guards = GuardPods(pods.get)
    authenticator = Authenticator(reviewer, namespace="edgerun", guards=guards.fleet, refused=refused.append)
    server = Server(observer=witness, authenticate=authenticator)
    address = f"unix:{folder}/xds.sock"
    await server.start(address)
    server.publish({"a": resources(*served("one")), "b": resources(*served("two")), **GUARDED})
    try:
        yield House(server, address, reviewer, witness, refused, pods)
    finally:
        reviewer.gate.set()
        await server.stop(grace_s=0.2)


class TestWhoGetsIn:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
    async def test_a_proxy_with_its_token_does(self, house: House, scheme: str) -> None:
        async with connected(house.address, metadata=headers(f"{scheme} good-a")) as client:
            assert names(await client.ask(CLUSTER)) == ["one"]
        assert house.refused == []

    async def test_it_is_known_by_its_pod_and_its_fleet_whatever_its_node_says(self, house: House) -> None:
        async with house.client("good-a", fleet="b") as client:
            assert names(await client.ask(CLUSTER, node="somebody else")) == ["one"]
            assert [(one.id, one.fleet) for one in house.server.proxies()] == [("edge-a-1", "a")]

    async def test_a_token_of_no_pod_leaves_the_id_to_the_node(self, house: House) -> None:
        async with house.client("no-pod") as client:
            await client.ask(CLUSTER, node="me")
            assert [(one.id, one.fleet) for one in house.server.proxies()] == [("me", "a")]

    async def test_two_proxies_at_once_are_not_mixed_up(self, house: House) -> None:
        async with house.client("good-a") as left, house.client("good-b") as right:
            await asyncio.gather(left.subscribe(CLUSTER), right.subscribe(CLUSTER))
            assert names(await left.hear()) == ["one"]
            assert names(await right.hear()) == ["two"]

    async def test_a_proxy_never_sees_what_is_another_fleets(self, house: House) -> None:
        async with house.client("good-a", fleet="b") as client:
            assert list((await client.ask(CLUSTER, "*", "two")).removed_resources) == ["two"]
            assert names(await client.take()) == ["one"]
            assert names(await client.ask(LISTENER)) == ["edge"]
            assert list((await client.ask(ENDPOINTS, "two")).removed_resources) == ["two"]
            house.server.publish({"a": resources(*served("one")), "b": resources(*served("two", "three"))})
            assert await client.quiet()


class TestWhoDoesNot:
    @pytest.mark.parametrize(
        ("authorization", "reason"),
        [
            ((), Reason.MISSING),
            (("",), Reason.MALFORMED),
            (("Bearer",), Reason.MALFORMED),
            (("Bearer ",), Reason.MALFORMED),
            (("good-a",), Reason.MALFORMED),
            (("Basic good-a",), Reason.MALFORMED),
            (("Bearer good-a good-a",), Reason.MALFORMED),
            (("Bearer good-a, Bearer good-b",), Reason.MALFORMED),
            (("Basic x, Bearer good-a",), Reason.MALFORMED),
            (("Bearer good-a", "Bearer good-a"), Reason.MALFORMED),
            (("Bearer good-a", "Bearer good-b"), Reason.MALFORMED),
            (("Bearer unheard-of",), Reason.REJECTED),
            (("Bearer expired",), Reason.REJECTED),
            (("Bearer other-audience",), Reason.AUDIENCE),
        ],
    )
    async def test_without_one_good_token_nobody(
        self, house: House, authorization: tuple[str, ...], reason: Reason
    ) -> None:
        assert await house.code(*authorization) == grpc.StatusCode.UNAUTHENTICATED
        assert house.refused == [reason]
        assert house.witness.events == []

    async def test_a_token_that_is_too_long(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "MAX_TOKEN_CHARS", 100)  # gRPC lets only some pass that have over 8 KiB
        assert await house.code("Bearer " + "x" * 101) == grpc.StatusCode.UNAUTHENTICATED
        assert house.refused == [Reason.MALFORMED]

    @pytest.mark.parametrize(
        "token", ["other-namespace", "other-account", "no-fleet", "longer-prefix", "person", "nobody"]
    )
    async def test_an_account_that_is_no_edge_proxys(self, house: House, token: str) -> None:
        assert await house.code(f"Bearer {token}") == grpc.StatusCode.PERMISSION_DENIED
        assert house.refused == [Reason.IDENTITY]

    async def test_what_is_no_token_is_asked_nobody(self, house: House) -> None:
        for authorization in ("", "Basic x", "Bearer " + "x" * 8193):
            await house.code(authorization)
        assert house.reviewer.asked == []

    async def test_a_longer_header_than_grpc_takes_ends_only_its_call(self, house: House) -> None:
        assert await house.code("Bearer " + "x" * 100_000) != grpc.StatusCode.OK
        async with house.client("good-a") as client:
            assert names(await client.ask(CLUSTER)) == ["one"]

    @pytest.mark.parametrize(
        "method",
        [
            METHOD.replace("Delta", "Stream"),
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/any/thing",
        ],
    )
    async def test_every_method_is_guarded_whether_it_exists_or_not(self, house: House, method: str) -> None:
        assert await house.code(method=method) == grpc.StatusCode.UNAUTHENTICATED
        assert await house.code("Bearer good-a", method=method) == grpc.StatusCode.UNIMPLEMENTED

    async def test_every_kind_of_call_is_refused(self, house: House) -> None:
        async with grpc.aio.insecure_channel(house.address) as channel:
            for kind in (channel.unary_unary, channel.unary_stream):
                assert await kind("/any/thing")(b"").code() == grpc.StatusCode.UNAUTHENTICATED
            assert await channel.stream_unary("/any/thing")().code() == grpc.StatusCode.UNAUTHENTICATED

    async def test_a_fleet_that_there_is_not_gets_nothing(self, house: House) -> None:
        TABLE["good-c"] = Account(OURS + "c")
        async with house.client("good-c", fleet="a") as client:
            await client.subscribe(CLUSTER, node="x")
            await eventually(house.server.proxies)
            assert await client.quiet()


class TestGuards:
    @pytest.mark.parametrize(
        ("token", "fleet"),
        [
            ("guard", "shop/cart"),
            ("guard-with-account", "shop/pay"),
            ("guard-among-edges", "edgerun/web"),  # although its account is an edge's
        ],
    )
    async def test_a_guard_gets_what_is_of_its_origin_whatever_its_node_says(
        self, house: House, token: str, fleet: str
    ) -> None:
        async with house.client(token, fleet="a") as client:
            assert names(await client.ask(CLUSTER, node="somebody else")) == [fleet]
            assert [(one.id, one.fleet) for one in house.server.proxies()] == [(TABLE[token].pod, f"guard/{fleet}")]  # type: ignore[union-attr]

    async def test_it_gets_nothing_of_an_edges_nor_of_another_origins(self, house: House) -> None:
        async with house.client("guard", fleet="guard/shop/pay") as client:
            assert list((await client.ask(CLUSTER, "*", "one", "shop/pay")).removed_resources) == ["one", "shop/pay"]
            assert names(await client.take()) == ["shop/cart"]

    async def test_an_edge_gets_nothing_of_a_guards(self, house: House) -> None:
        async with house.client("guard-of-an-edge", fleet="guard/shop/cart") as client:
            assert names(await client.ask(CLUSTER)) == ["one"]

    @pytest.mark.parametrize("token", ["guard-of-none", "guard-by-other-account", "pod-of-nobody"])
    async def test_who_is_none_is_turned_away(self, house: House, token: str) -> None:
        assert await house.code(f"Bearer {token}") == grpc.StatusCode.PERMISSION_DENIED
        assert house.refused == [Reason.IDENTITY]

    @pytest.mark.parametrize("token", ["guard-unheard-of", "guard-elsewhere"])
    async def test_one_whose_pod_nobody_has_heard_of_is_to_come_back_for_a_while(
        self, house: House, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert await house.code(f"Bearer {token}") == grpc.StatusCode.UNAVAILABLE
        monkeypatch.setattr(authentication, "UNHEARD_S", 0.0)
        assert await house.code(f"Bearer {token}") == grpc.StatusCode.UNAVAILABLE, "as long as was said the first time"
        assert house.refused == [Reason.UNAVAILABLE] * 2

    async def test_then_it_is_turned_away(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "UNHEARD_S", 0.0)
        assert await house.code("Bearer guard-unheard-of") == grpc.StatusCode.PERMISSION_DENIED

    async def test_as_soon_as_the_watch_tells_of_the_pod_it_gets_in(self, house: House) -> None:
        assert await house.code("Bearer guard-unheard-of") == grpc.StatusCode.UNAVAILABLE
        house.pods[ObjectKey("Pod", "shop", "cart-2")] = pod("cart-2", **{"origin-service": "cart"})
        async with house.client("guard-unheard-of") as client:
            assert names(await client.ask(CLUSTER)) == ["shop/cart"]

    async def test_when_its_pod_is_gone_nothing_that_is_remembered_lets_it_in(self, house: House) -> None:
        async with house.client("guard") as client:
            await client.ask(CLUSTER)
        del house.pods[ObjectKey("Pod", "shop", "cart-1")]
        assert await house.code("Bearer guard") == grpc.StatusCode.UNAVAILABLE

    async def test_a_pod_that_becomes_another_origins_is_its_guard_the_next_time(self, house: House) -> None:
        house.pods[ObjectKey("Pod", "shop", "cart-1")] = pod("cart-1", **{"origin-service": "pay"})
        async with house.client("guard") as client:
            assert names(await client.ask(CLUSTER)) == ["shop/pay"]


class TestTheReviewer:
    async def test_when_it_is_gone_the_proxy_is_told_to_come_again(self, house: House) -> None:
        house.reviewer.down = True
        assert await house.code("Bearer good-a") == grpc.StatusCode.UNAVAILABLE
        assert house.refused == [Reason.UNAVAILABLE]
        house.reviewer.down = False
        async with house.client("good-a") as client:
            assert names(await client.ask(CLUSTER)) == ["one"]

    async def test_streams_live_on_while_it_is_gone(self, house: House) -> None:
        async with house.client("good-a") as client:
            await client.ask(CLUSTER)
            house.reviewer.down = True
            house.server.publish({"a": resources(cluster("one"), cluster("more"))})
            assert names(await client.take()) == ["more"]

    async def test_a_proxy_that_comes_back_at_once_is_not_asked_about_again(self, house: House) -> None:
        for _ in range(3):
            async with house.client("good-a") as client:
                await client.ask(CLUSTER)
        assert house.reviewer.asked == ["good-a"]

    async def test_it_is_asked_again_after_a_while(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "CACHED_S", 0.0)
        for _ in range(2):
            async with house.client("good-a") as client:
                await client.ask(CLUSTER)
        assert house.reviewer.asked == ["good-a"] * 2

    async def test_a_refusal_is_never_remembered(self, house: House) -> None:
        for _ in range(2):
            await house.code("Bearer expired")
        assert house.reviewer.asked == ["expired"] * 2

    async def test_what_is_remembered_is_bounded(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "MAX_CACHED", 1)
        for token in ("good-a", "good-b", "good-a"):
            async with house.client(token) as client:
                await client.ask(CLUSTER)
        assert house.reviewer.asked == ["good-a", "good-b", "good-a"]

    async def test_so_many_at_once_and_no_more(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "MAX_WAITING", 30)
        house.reviewer.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(house.code("Bearer expired")) for _ in range(40)]
            await eventually(lambda: house.refused == [Reason.UNAVAILABLE] * 10)
            house.reviewer.gate.set()
        assert house.reviewer.most == authentication.MAX_REVIEWS
        assert sorted(one.result().name for one in calls) == ["UNAUTHENTICATED"] * 30 + ["UNAVAILABLE"] * 10

    async def test_a_caller_that_gives_up_gives_its_place_back(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "MAX_WAITING", 1)
        house.reviewer.gate.clear()
        async with house.calling("Bearer good-a") as call:
            await eventually(lambda: house.reviewer.at_once)
            call.cancel()
        house.reviewer.gate.set()
        await eventually(lambda: house.reviewer.at_once == 0)
        async with house.client("good-b") as client:
            assert names(await client.ask(CLUSTER)) == ["two"]


def test_every_reason_has_a_series_of_its_own() -> None:
    assert set(Reason) <= set(REASONS)


class TestTheLog:
    @pytest.fixture(autouse=True)
    def _listen(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)

    async def test_a_refusal_is_logged_once_without_the_token(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            await house.code("Bearer expired")
        await house.code("Bearer unheard-of")
        await house.code("Bearer Basic.secret", "Bearer Basic.secret")
        lines = [one.getMessage() for one in caplog.records if "refused" in one.getMessage()]
        assert [line.partition("(")[2].partition(")")[0] for line in lines] == ["rejected", "malformed"]
        assert lines[0].endswith("… has …"), lines
        assert not [line for line in caplog.messages if "unheard-of" in line or "secret" in line]

    async def test_the_reviewers_words_are_one_short_line(self, house: House, caplog: pytest.LogCaptureFixture) -> None:
        await house.code("Bearer talkative")
        (line,) = [one for one in caplog.messages if "was refused" in one]
        assert "\n" not in line
        assert len(line) < 500

    async def test_it_does_not_grow_with_those_who_are_refused(
        self, house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "LOG_LINES", 2)
        for authorization in ("", "Bearer expired", "Bearer other-audience", "Bearer person"):
            await house.code(authorization)
        assert len(house.refused) == 4
        assert len([one for one in caplog.messages if "was refused" in one]) == 2

    async def test_after_a_while_it_says_so_again(
        self, house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "LOG_WINDOW_S", 0.0)
        for _ in range(2):
            await house.code()
        assert len([one for one in caplog.messages if "was refused" in one]) == 2

    @pytest.mark.parametrize(
        ("peer", "host"), [("ipv4:10.0.0.1:44", "ipv4:10.0.0.1"), ("ipv6:[::1]:44", "ipv6:[::1]"), ("unix:", "unix:")]
    )
    def test_a_peer_is_its_host(self, peer: str, host: str) -> None:
        assert authentication._host(peer) == host
