"""The load reporting service (LRS): edges say once a second what their clusters are busy with, and `Loads` hears it.

It has the same authenticator as delta ADS in front of it. Guards may not report: theirs would be numbers of a pod that
runs somebody else's code. What an edge says of clusters that its fleet does not have counts for nothing, so neither the
cluster of the control plane nor one of another fleet's origins does.
Measured with Envoy 1.40: a report comes each second whether or not there is anything to tell. Upgraded connections and
streams are in progress for as long as they live. After a stream is lost Envoy waits for 5 s before it opens the next,
and the first report comes a second later, about that second: what ended before is told by nobody.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from typing import Any, Protocol

import grpc
from envoy.service.load_stats.v3 import lrs_pb2
from google.protobuf.message import DecodeError

from ..translate.identities import is_guard
from .authentication import Identity
from .loads import ClusterReport, Counts, Report
from .side import SideStream, introduced

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
METHOD = "StreamLoadStats"
INTERVAL_S = 1
MAX_BYTES = 4_000_000  # of one report: 40,000 endpoints
MAX_STREAMS = 4  # of one proxy: the old one may linger when it comes back
PACE_S = 0.05  # who reports more often than this is read no faster
MAX_COUNT = 10_000_000  # of anything, in one place
SHORTEST_S, LONGEST_S = 0.1, 60.0  # what an interval is taken for

_ORDERS: bytes = lrs_pb2.LoadStatsResponse(
    send_all_clusters=True, load_reporting_interval={"seconds": INTERVAL_S}, report_endpoint_granularity=True
).SerializeToString()


class Ear(Protocol):
    """Who is told. Called within the server's event loop."""

    def heard(self, reporter: object, report: Report, now: float) -> None: ...

    def left(self, reporter: object) -> None: ...


class LoadReports:
    """`clusters_of` tells which clusters a fleet has now."""

    def __init__(self, ear: Ear, clusters_of: Callable[[str], Container[str]], closing: asyncio.Event) -> None:
        self._ear, self._clusters_of, self._closing = ear, clusters_of, closing
        self._streams: Counter[Identity] = Counter()

    async def serve(self, requests: AsyncIterator[bytes], context: Any, proven: Identity | None) -> None:
        """Serve one proxy until it leaves. The first message only says who is there."""
        who, first = await introduced(requests, lrs_pb2.LoadStatsRequest, proven)
        if first is None or is_guard(who.fleet) or self._streams[who] >= MAX_STREAMS:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"edges report load, on {MAX_STREAMS} streams each")
        self._streams[who] += 1
        stream = _Reports(who, self._closing)
        try:
            await stream.run(self._listen(stream, requests, context))
        finally:
            self._ear.left(stream)
            self._streams -= Counter([who])
        if stream.ending:
            await context.abort(*stream.ending)

    async def _listen(self, stream: SideStream, requests: AsyncIterator[bytes], context: Any) -> None:
        await context.write(_ORDERS)
        async for data in requests:
            if len(data) > MAX_BYTES:
                stream.ending = grpc.StatusCode.RESOURCE_EXHAUSTED, f"a report has {MAX_BYTES:,} bytes at most"
                return
            try:
                request = lrs_pb2.LoadStatsRequest.FromString(data)
            except DecodeError as error:
                stream.not_understood("LoadStatsRequest", error)
                return
            self._ear.heard(stream, self._report(stream.who, request), asyncio.get_running_loop().time())
            await asyncio.sleep(PACE_S)

    def _report(self, who: Identity, request: Any) -> Report:
        known = self._clusters_of(who.fleet)
        clusters = tuple(_cluster(one) for one in request.cluster_stats if one.cluster_name in known)
        return Report(who.pod, who.fleet, clusters)


class _Reports(SideStream):
    """One stream, which is what its reports are from."""


def _cluster(stats: Any) -> ClusterReport:
    seconds = stats.load_report_interval.seconds + stats.load_report_interval.nanos / 1e9
    localities = stats.upstream_locality_stats
    endpoints = {_address(one.address): _counts(one) for here in localities for one in here.upstream_endpoint_stats}
    total = sum((_counts(here) for here in localities), Counts())
    return ClusterReport(stats.cluster_name, min(max(seconds, SHORTEST_S), LONGEST_S), endpoints, total)


def _counts(stats: Any) -> Counts:
    """Of an endpoint, or of a locality."""
    told = (
        stats.total_requests_in_progress,
        stats.total_issued_requests,
        stats.total_successful_requests,
        stats.total_error_requests,
    )
    return Counts(*(min(one, MAX_COUNT) for one in told))


def _address(address: Any) -> str:
    here = address.socket_address
    return f"{here.address}:{here.port_value}" if address.HasField("socket_address") else str(address.pipe.path)
