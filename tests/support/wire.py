"""An edge and a guard as far as TLS goes: two Envoys that get their certificates by SDS, and a plain client's context.

The cluster of the edge is the real one; the guard answers by itself, and says whose certificate it was shown.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from edgerun.api.meta import ObjectKey
from edgerun.credentials.authority import Authority
from edgerun.credentials.certificates import ENTROPY, Pair, new_workload, new_workload_authority, parsed
from edgerun.translate.clusters import service_resources
from edgerun.translate.identities import Claim, edge_id, edge_prefix, origin_id
from edgerun.translate.messages import packed
from edgerun.translate.mutual_tls import common_context, socket
from edgerun.translate.plan import Resource, resource
from edgerun.translate.secrets import authorities, certificate, credential
from edgerun.translate.world import Endpoint
from edgerun.xds.server import Server

from .ports import free_port
from .proxies import Envoy, envoy, listening
from .standalone import fetch
from .xds import FLEET, Witness, listener, resources, route_table

DOMAIN = "edgerun.test"
EDGE_ID = edge_id(DOMAIN, "default")
GUARD_ID = origin_id(DOMAIN, ObjectKey("OriginService", "shop", "cart"))
HOUR = timedelta(hours=1)
_CLAIM = Claim("system:serviceaccount:shop:web", GUARD_ID)


def authority(domain: str = DOMAIN) -> Authority:
    """One for workloads, that is good now."""
    now = datetime.now(UTC)
    pair = new_workload_authority([domain], now - 2 * HOUR, now + 24 * HOUR, ENTROPY)
    return Authority(pair.certificate, pair.key, signs=True)


def workload(by: Authority, name: str, *, starts: timedelta = -HOUR, ends: timedelta = HOUR) -> Pair:
    """A certificate of that authority; its times are from now."""
    now = datetime.now(UTC)
    return new_workload(name, now + starts, now + ends, Pair(by.certificate, by.key), ENTROPY)


def context(server_side: bool, shown: Pair | None, bundle: str, folder: Path) -> ssl.SSLContext:
    """For a client or a server that is no Envoy. It believes everybody whom an authority of the bundle has signed."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=bundle)
    if shown:
        file = folder / "shown.pem"
        file.write_text(shown.key + shown.certificate)
        made.load_cert_chain(file)
    return made


@dataclass
class Side:
    """One Envoy with a control plane of its own. `pair` and `bundle` are what it was given last."""

    envoy: Envoy
    server: Server
    port: int
    others: tuple[Resource, ...]
    pair: Pair
    bundle: str
    refused: Witness = field(default_factory=Witness)

    def give(self, pair: Pair | None = None, bundle: str | None = None) -> int:
        """Publish other certificates; the serial by which an ACK speaks of it."""
        self.pair = pair or self.pair
        self.bundle = self.bundle if bundle is None else bundle
        secrets = certificate(self.pair.certificate, self.pair.key), authorities(self.bundle)
        return self.server.publish({FLEET: resources(*self.others, *secrets)})

    async def given(self, pair: Pair | None = None, bundle: str | None = None) -> None:
        """Publish other certificates, and return when Envoy has taken them."""
        assert await self.server.acknowledged(self.give(pair, bundle), timeout_s=60)


@asynccontextmanager
async def edge(upstream: int, pair: Pair, bundle: str) -> AsyncIterator[Side]:
    """Leads everything to the guard at the port `upstream`, over mutual TLS."""
    endpoint = Endpoint("127.0.0.1", upstream, guarded=True)
    to_guard = service_resources("cart", _CLAIM, (endpoint,), guarded=True)

    def others(port: int) -> tuple[Resource, ...]:
        return (*to_guard, credential(_CLAIM, "t"), listener("edge", port), route_table("edge", "cart"))

    async with _side("edge", others, pair, bundle) as side:
        yield side


@asynccontextmanager
async def guard(pair: Pair, bundle: str, *, requests: int = 0) -> AsyncIterator[Side]:
    """Lets edges in; with `requests` it ends every connection after so many."""
    async with _side("guard", lambda port: (_guard_listener(port, requests),), pair, bundle) as side:
        yield side


@asynccontextmanager
async def _side(
    node: str, others: Callable[[int], tuple[Resource, ...]], pair: Pair, bundle: str
) -> AsyncIterator[Side]:
    port, server = free_port(), Server(observer=Witness())
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        folder = Path(directory)
        await server.start(f"unix:{folder / 'xds.sock'}")
        async with envoy(folder, folder / "xds.sock", node=node) as process:
            side = Side(process, server, port, others(port), pair, bundle)
            side.give()
            await listening(port)
            try:
                yield side
            finally:
                await server.stop(grace_s=0.2)


def _guard_listener(port: int, requests: int) -> Resource:
    tls = tls_pb2.DownstreamTlsContext(
        require_client_certificate={"value": True},
        common_tls_context=common_context({"prefix": edge_prefix(DOMAIN)}),
    )
    manager = {"name": "hcm", "typed_config": packed(_manager(requests))}
    message = listener_pb2.Listener(
        name="guard",
        address={"socket_address": {"address": "127.0.0.1", "port_value": port}},
        filter_chains=[{"filters": [manager], "transport_socket": socket(tls)}],
    )
    return resource("guard", message)


def _manager(requests: int) -> Any:
    said = {"header": {"key": "x-peer", "value": "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SERIAL%"}}
    everything = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "response_headers_to_add": [said]}
    hosts = [{"name": "all", "domains": ["*"], "routes": [everything]}]
    return hcm_pb2.HttpConnectionManager(
        stat_prefix="guard",
        route_config={"name": "all", "virtual_hosts": hosts},
        http_filters=[{"name": "router", "typed_config": packed(router_pb2.Router())}],
        common_http_protocol_options={"max_requests_per_connection": {"value": requests}} if requests else {},
    )


async def seen(port: int) -> tuple[str, int]:
    """Whom the guard behind the edge at this port was shown: a SPIFFE ID, and the serial number of its certificate."""
    answer = await fetch(port, "/")
    assert answer.status == HTTPStatus.OK
    name, _, serial = (answer.header("x-peer") or "").partition(" ")
    return name, int(serial, 16)


def serial(pair: Pair) -> int:
    return parsed(pair.certificate).serial_number


async def ask(port: int, tls: ssl.SSLContext) -> bytes:
    """What comes back to one request over TLS, b"" when nobody answers it."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer
    except (ssl.SSLError, ConnectionError):
        return b""
