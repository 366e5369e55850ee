"""The load reporting service over a real socket, with real gRPC clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
from envoy.service.load_stats.v3 import lrs_pb2

from edgerun.identity import Account, Reason, Unproven
from edgerun.xds import load_reports
from edgerun.xds.authentication import Authenticator
from edgerun.xds.loads import ClusterReport, Counts, Report
from edgerun.xds.server import Server
from support.poll import eventually
from support.xds import FLEET, Witness, cluster, fleet, resources

METHOD = f"/{load_reports.SERVICE}/{load_reports.METHOD}"


class Ear:
    """Remembers all, and for each reporter that is there what it said last."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.now: dict[object, Report] = {}

    def heard(self, reporter: object, report: Report, now: float) -> None:
        self.reports.append(report)
        self.now[reporter] = report

    def left(self, reporter: object) -> None:
        self.now.pop(reporter, None)


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield f"unix:{Path(directory) / 'x' / 'xds.sock'}"


@pytest.fixture
def ear() -> Ear:
    return Ear()


@asynccontextmanager
async def serving(address: str, ear: Ear | None, authenticate: Authenticator | None = None) -> AsyncIterator[Server]:
    server = Server(observer=Witness(), loads=ear, authenticate=authenticate)
    await server.start(address)
    server.publish(fleet(cluster("a"), cluster("b")) | {"guard/shop/cart": resources(cluster("a"))})
    try:
        yield server
    finally:
        await server.stop(grace_s=0.2)


@pytest.fixture
async def server(address: str, ear: Ear) -> AsyncIterator[Server]:
    async with serving(address, ear) as one:
        yield one


@asynccontextmanager
async def reporting(address: str, *, of: str = FLEET, node: str = "one", token: str = "") -> AsyncIterator[Any]:
    """A stream on which a proxy has said who it is."""
    async with grpc.aio.insecure_channel(address) as channel:
        begin = channel.stream_stream(
            METHOD,
            request_serializer=lrs_pb2.LoadStatsRequest.SerializeToString,
            response_deserializer=lrs_pb2.LoadStatsResponse.FromString,
        )
        call = begin(metadata=(("authorization", f"Bearer {token}"),) if token else ())
        with suppress(grpc.aio.AioRpcError):  # who is refused may hear of it before
            await call.write(lrs_pb2.LoadStatsRequest(node={"id": node, "cluster": of}))
        try:
            yield call
        finally:
            call.cancel()


async def ending(call: Any) -> grpc.StatusCode:
    """How the server ends it, which is heard after all else that it said."""
    with suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code()


def said_first() -> bytes:
    request: bytes = lrs_pb2.LoadStatsRequest(node={"id": "one", "cluster": FLEET}).SerializeToString()
    return request


def said(*clusters: dict[str, Any]) -> Any:
    return lrs_pb2.LoadStatsRequest(cluster_stats=clusters)


def about(name: str, *localities: dict[str, Any], seconds: int = 1, nanos: int = 0) -> dict[str, Any]:
    return {
        "cluster_name": name,
        "load_report_interval": {"seconds": seconds, "nanos": nanos},
        "upstream_locality_stats": localities,
    }


def locality(port: int, in_progress: int, issued: int, succeeded: int, errors: int) -> dict[str, Any]:
    counts = {
        "total_requests_in_progress": in_progress,
        "total_issued_requests": issued,
        "total_successful_requests": succeeded,
        "total_error_requests": errors,
    }
    address = {"socket_address": {"address": "192.0.2.1", "port_value": port}}
    return {**counts, "upstream_endpoint_stats": [{"address": address, **counts}]}


async def test_a_proxy_is_told_to_report_each_second_on_all_clusters_by_endpoint(server: Server, address: str) -> None:
    async with reporting(address) as call:
        orders = await call.read()
    assert orders.send_all_clusters
    assert orders.report_endpoint_granularity
    assert (orders.load_reporting_interval.seconds, orders.load_reporting_interval.nanos) == (1, 0)


async def test_a_report_becomes_a_value(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address, node="edge-1") as call:
        told = about("a", locality(1, 2, 30, 27, 1), locality(2, 1, 5, 5, 0), seconds=1, nanos=500_000_000)
        await call.write(said(told))
        await eventually(lambda: ear.reports)
    first, second = Counts(2, 30, 27, 1), Counts(1, 5, 5, 0)
    endpoints = {"192.0.2.1:1": first, "192.0.2.1:2": second}
    assert ear.reports == [Report("edge-1", FLEET, (ClusterReport("a", 1.5, endpoints, first + second),))]


async def test_an_empty_report_is_one_too(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address) as call:
        await call.write(said())
        await eventually(lambda: ear.reports == [Report("one", FLEET, ())])


async def test_what_an_edge_says_of_clusters_that_it_does_not_have_counts_for_nothing(
    server: Server, address: str, ear: Ear
) -> None:
    async with reporting(address) as call:
        await call.write(said(about("xds", locality(1, 1, 1, 1, 1)), about("b", locality(1, 1, 1, 1, 1))))
        await eventually(lambda: ear.reports)
    assert [one.cluster for one in ear.reports[0].clusters] == ["b"]


async def test_an_edge_of_an_unknown_fleet_has_no_clusters(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address, of="other") as call:
        await call.write(said(about("a", locality(1, 1, 1, 1, 1))))
        await eventually(lambda: ear.reports == [Report("one", "other", ())])


async def test_a_guard_may_not_report(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address, of="guard/shop/cart") as call:
        assert await ending(call) == grpc.StatusCode.PERMISSION_DENIED
    assert ear.reports == []


async def test_who_leaves_is_forgotten_at_once(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address) as one, reporting(address, node="two") as two:
        for call in (one, two):
            await call.write(said())
        await eventually(lambda: len(ear.now) == 2)
        one.cancel()
        await eventually(lambda: [report.proxy for report in ear.now.values()] == ["two"])


async def test_a_proxy_has_so_many_streams_at_most(server: Server, address: str, ear: Ear) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        calls = [channel.stream_stream(METHOD)() for _ in range(load_reports.MAX_STREAMS + 1)]
        for call in calls[:-1]:
            await call.write(said_first())
            assert await call.read()
        await calls[-1].write(said_first())
        assert await ending(calls[-1]) == grpc.StatusCode.PERMISSION_DENIED
    async with reporting(address) as call:
        assert await call.read(), "those that ended are not counted"


async def test_nonsense_ends_the_stream(server: Server, address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(METHOD)()
        await call.write(b"\xff")
        assert await ending(call) == grpc.StatusCode.PERMISSION_DENIED
        call = channel.stream_stream(METHOD)()
        await call.write(said_first())
        await call.write(b"\xff")
        assert await ending(call) == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_report_that_is_too_long_ends_the_stream(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address) as call:
        await call.write(said(about("a" * load_reports.MAX_BYTES)))
        assert await ending(call) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ear.reports == []


async def test_absurd_numbers_are_cut(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address) as call:
        await call.write(said(about("a", locality(1, 2**64 - 1, 2**64 - 1, 0, 0), seconds=-5)))
        await eventually(lambda: ear.reports)
    (one,) = ear.reports[0].clusters
    most = load_reports.MAX_COUNT
    assert (one.seconds, one.total) == (load_reports.SHORTEST_S, Counts(most, most))


async def test_who_reports_without_pause_is_read_at_our_pace(server: Server, address: str, ear: Ear) -> None:
    async with reporting(address) as call:
        began = asyncio.get_running_loop().time()
        for _ in range(6):
            await call.write(said())
        await eventually(lambda: len(ear.reports) == 6)
        assert asyncio.get_running_loop().time() - began >= 5 * load_reports.PACE_S


async def test_a_server_that_stops_sends_who_reports_away(address: str, ear: Ear) -> None:
    async with serving(address, ear) as server, reporting(address) as call:
        assert await call.read()
        await server.stop(grace_s=600)
        assert await ending(call) == grpc.StatusCode.UNAVAILABLE
    assert ear.now == {}


async def test_where_nobody_listens_there_is_no_such_service(address: str) -> None:
    async with serving(address, None), reporting(address) as call:
        assert await ending(call) == grpc.StatusCode.UNIMPLEMENTED


async def test_who_reports_has_proven_who_it_is(address: str, ear: Ear) -> None:
    async def review(token: str) -> Account | Unproven:
        if token == "good":
            return Account("system:serviceaccount:edgerun:edge-edge", pod="edge-pod")
        if token == "guard":
            return Account("system:serviceaccount:shop:default", pod="cart-1")
        return Unproven(Reason.REJECTED, "who is that?")

    guards = Authenticator(
        review, namespace="edgerun", guards=lambda account: "guard/shop/cart" * (account.pod == "cart-1")
    )
    async with serving(address, ear, guards):
        async with reporting(address) as call:
            assert await ending(call) == grpc.StatusCode.UNAUTHENTICATED
        async with reporting(address, token="bad") as call:
            assert await ending(call) == grpc.StatusCode.UNAUTHENTICATED
        async with reporting(address, token="guard") as call:
            assert await ending(call) == grpc.StatusCode.PERMISSION_DENIED
        async with reporting(address, token="good", of="guard/shop/cart", node="somebody else") as call:
            await call.write(said(about("a", locality(1, 1, 1, 1, 1))))
            await eventually(lambda: ear.reports)
    assert [(one.proxy, one.fleet, len(one.clusters)) for one in ear.reports] == [("edge-pod", "edge", 1)]
