"""The server of proxies: delta ADS, one stream per proxy, and beside it what they ask for and what they report.

It assigns serials and knows who is connected, and to which fleet a proxy belongs. What a stream may be told when is the
session's affair.
Trap: all of it lives in one event loop. `publish` must be called there, and does nothing that takes time per proxy.
"""

import asyncio
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Set
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from ..errors import SettingsError
from ..translate.plan import CLUSTER, Resources
from . import demand, load_reports
from .authentication import Authenticator, Identity, caller
from .demand import Questions
from .load_reports import Ear, LoadReports
from .observer import Demand, Observer, Proxy, Refused, Traffic
from .side import introduced
from .snapshot import Snapshot, snapshot
from .stream import Stream

__all__ = ["Demand", "Observer", "Proxy", "Refused", "Server", "Traffic"]

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
_MAX_MESSAGE_BYTES = 64 << 20
_UNIX = "unix:"
_MAX_PATH_BYTES = 107  # sun_path of Linux, less its NUL
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a second server on the port is a mistake to hear of, not to share it with
    ("grpc.keepalive_time_ms", 30_000),  # a proxy whose machine is gone says no goodbye
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # edge pods ping every 10 s, to notice when we are gone
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_connection_age_grace_ms", 30_000),
    # Strangers cost little: who proves nothing is soon gone.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.max_concurrent_streams", 100),
)
_HOUR_MS = 3_600_000


class Server:
    """With `authenticate` only callers that it lets through are answered, each with what is its fleet's. Without it
    everybody may call, and belongs where the node says: for a socket that nobody else can open."""

    def __init__(
        self,
        *,
        observer: Observer,
        authenticate: Authenticator | None = None,
        traffic: Traffic | None = None,
        demands: Demand | None = None,
        loads: Ear | None = None,
    ) -> None:
        self._observer = observer
        self._traffic = traffic
        self._hears_demand = demands
        self._questions: set[Questions] = set()
        self._closing = asyncio.Event()
        self._reports = LoadReports(loads, self._clusters_of, self._closing) if loads else None
        self._authenticate = authenticate
        self._streams: set[Stream] = set()
        self._serial = 0
        self._newest: dict[str, Snapshot] = {}
        self._changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._socket: Path | None = None

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen on `unix:PATH`, which only this user can open, or `HOST:PORT`. Nobody is answered before `publish`.

        With `credentials` it speaks TLS, and connections live as long as a proxy's token does: who comes back has to
        prove again who they are, and is shown the newest certificate.
        """
        if address.startswith(_UNIX):
            self._socket = Path(address.removeprefix(_UNIX))
            _prepare(self._socket)
        interceptors = [self._authenticate] if self._authenticate else []
        options = _options(_HOUR_MS if credentials else 11 * _HOUR_MS)
        self._server = grpc.aio.server(options=options, interceptors=interceptors)
        self._server.add_generic_rpc_handlers(self._handlers())
        if credentials:
            self._server.add_secure_port(address, credentials)
        else:
            self._server.add_insecure_port(address)
        if self._socket:
            self._socket.chmod(stat.S_IRUSR | stat.S_IWUSR)
        self._closing.clear()
        await self._server.start()

    async def stop(self, grace_s: float = 1.0) -> None:
        """Send every proxy away, within `grace_s`. They go on serving what they have and come back by themselves."""
        if self._server is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.stop(grace_s), name="xds stop")  # GOAWAY first, then the streams' ends
            for stream in self._streams:
                stream.close()
            self._closing.set()
        self._server = None
        if self._socket:
            self._socket.unlink(missing_ok=True)

    def publish(self, fleets: Mapping[str, Resources], cold: Mapping[str, Set[str]] | None = None) -> int:
        """Make these what the proxies of each fleet should have; the serial by which `Proxy.acked_serial` speaks of it.

        Proxies of a fleet that is not among them keep what they have, and are told nothing when they have nothing.
        `cold` are the clusters of each fleet to which routes lead before they are there: they are not sent, even if
        they are among the resources. Once one was there, its name must not be cold again, for Envoy asks for a name
        only once: so it holds an epoch. One that was cold and is left out is denied: the requests held for it end.
        """
        self._serial += 1
        before, newest = self._newest, dict[str, Snapshot]()
        for fleet, resources in fleets.items():
            newest[fleet] = snapshot(self._serial, resources, before.get(fleet), (cold or {}).get(fleet, ()))
        self._newest = newest
        for stream in self._streams:
            stream.refresh()
        for questions in self._questions:
            questions.refresh()
        return self._serial

    def proxies(self) -> tuple[Proxy, ...]:
        """Who is connected, in the order of arrival."""
        return tuple(sorted((stream.proxy for stream in self._streams if stream.proxy), key=_arrival))

    def demand(self) -> Mapping[str, int]:
        """The cold clusters that proxies ask for now, and how many of them do."""
        return Counter(name for stream in self._questions for name in stream.demand)

    async def demand_other_than(self, seen: Mapping[str, int]) -> Mapping[str, int]:
        """The demand as soon as it is not what was `seen`."""
        while (now := self.demand()) == seen:
            await self._changed.wait()
        return now

    async def acknowledged(self, serial: int, timeout_s: float, *, among: Callable[[str], bool] | None = None) -> bool:
        """Whether all connected proxies of the published fleets, or `among` these, serve `serial` within `timeout_s`.
        True when nobody is connected."""
        counts = among or (lambda fleet: fleet in self._newest)
        try:
            async with asyncio.timeout(timeout_s):
                while any(one.acked_serial < serial and counts(one.fleet) for one in self.proxies()):
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        """Without (de)serialisers: bytes in, bytes out."""
        methods = [(SERVICE, METHOD, self._serve), (demand.SERVICE, demand.METHOD, self._answer)]
        if self._reports:
            methods.append((load_reports.SERVICE, load_reports.METHOD, self._hear))
        return [
            grpc.method_handlers_generic_handler(service, {method: grpc.stream_stream_rpc_method_handler(handler)})
            for service, method, handler in methods
        ]

    async def _hear(self, requests: AsyncIterator[bytes], context: Any) -> None:
        assert self._reports
        await self._reports.serve(requests, context, self._proven())

    async def _answer(self, requests: AsyncIterator[bytes], context: Any) -> None:
        who, first = await introduced(requests, discovery_pb2.DeltaDiscoveryRequest, self._proven())
        if first is None:
            return
        stream = Questions(who, self._closing, self._announce, self._newest_of, self._hears_demand)
        self._questions.add(stream)
        try:
            await stream.serve(first, requests, context)
        finally:
            self._questions.discard(stream)
        if stream.ending:
            await context.abort(*stream.ending)

    def _proven(self) -> Identity | None:
        return caller.get() if self._authenticate else None

    async def _serve(self, requests: AsyncIterator[bytes], context: Any) -> None:
        stream = Stream(self._observer, self._announce, self._newest_of, self._proven(), self._traffic)
        self._streams.add(stream)
        try:
            await stream.run(requests, context)
        finally:
            self._streams.discard(stream)
        if stream.ending:
            await context.abort(*stream.ending)

    def _newest_of(self, fleet: str) -> Snapshot | None:
        return self._newest.get(fleet)

    def _clusters_of(self, fleet: str) -> Set[str]:
        newest = self._newest.get(fleet)
        return newest.of(CLUSTER).keys() if newest else frozenset()

    def _announce(self) -> None:
        """Wake everybody who waits for a change, once."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _arrival(proxy: Proxy) -> tuple[float, str]:
    return proxy.connected_at.timestamp(), proxy.id


def _options(life_ms: int) -> tuple[tuple[str, int], ...]:
    """gRPC adds a jitter of a tenth, so that not all proxies come back at once."""
    return (*_OPTIONS, ("grpc.max_connection_age_ms", life_ms))


def _prepare(socket: Path) -> None:
    """See to it that nobody else can reach `socket`, and that nothing is left of an earlier one."""
    if len(os.fsencode(socket)) > _MAX_PATH_BYTES:
        raise SettingsError(f"{socket} is too long for a Unix socket: {_MAX_PATH_BYTES} bytes at most")
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = socket.parent.stat()
    if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise SettingsError(f"{socket.parent} must belong to this user and be closed to all others: chmod 700 it")
    socket.unlink(missing_ok=True)
