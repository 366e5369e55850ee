"""What a real Prometheus makes of an edge pod's metrics: a real Envoy's, through the listener for probes."""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from edgerun.api.meta import ObjectKey
from edgerun.translate.bootstrap import ADMIN_CLUSTER, bootstrap, pod_bootstrap
from edgerun.translate.channel import Channel
from edgerun.translate.translator import translate
from edgerun.translate.world import Edge, World
from edgerun.xds.server import Server
from support.handouts import with_secrets
from support.objects import edge_route, origin_service, ready, world
from support.origins import origin
from support.poll import eventually
from support.ports import free_port
from support.prometheus import LINTS, STARTS_S, lint, prometheus
from support.xds import Witness

pytestmark = pytest.mark.envoy

ENVOY = Path(sys.executable).with_name("envoy")
PER_CLUSTER = 35  # 20 of them are buckets of the latency
ALL_ELSE = 1100
OF_DASHBOARDS = (
    'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="edge",envoy_response_code_class="2"}',
    'envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix="edge",le="+Inf"}',
    'envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="edge"}',
    'envoy_cluster_membership_healthy{envoy_cluster_name="origin/shop/o0/o0-00001@shop/default"}',
    'envoy_cluster_membership_total{envoy_cluster_name="origin/shop/o0/o0-00001@shop/default"}',
    'envoy_cluster_upstream_rq_xx{envoy_cluster_name="origin/shop/o0/o0-00001@shop/default",envoy_response_code_class="2"}',
    'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="origin/shop/o0/o0-00001@shop/default"}',
    'envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="origin/shop/o0/o0-00001@shop/default"}',
    "envoy_control_plane_connected_state",
    "envoy_overload_envoy_resource_monitors_fixed_heap_pressure",
    "envoy_overload_envoy_overload_actions_stop_accepting_requests_active",
    "envoy_server_live",
    "envoy_server_memory_allocated",
    "envoy_listener_manager_listener_modified",
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where clients call it, and where Prometheus does."""

    port: int
    probes: int
    session: aiohttp.ClientSession

    async def call(self, host: str) -> int:
        async with self.session.get(f"http://127.0.0.1:{self.port}/", headers={"Host": host}) as answer:
            await answer.read()
            return answer.status

    async def metrics(self) -> str:
        async with self.session.get(f"http://127.0.0.1:{self.probes}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()


@asynccontextmanager
async def serving(objects: World) -> AsyncIterator[Proxy]:
    """A proxy that has acknowledged the routes to these objects, killed when the block is left."""
    with TemporaryDirectory() as folder:
        directory = Path(folder)  # short enough for sockets
        server = Server(observer=Witness())
        await server.start(f"unix:{directory / 'xds.sock'}")
        config = directory / "envoy.json"
        config.write_text(json.dumps(configuration(directory)))
        process = await asyncio.create_subprocess_exec(
            *(ENVOY, "-c", config, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            serial = server.publish(with_secrets(translate(objects)))
            await eventually(lambda: len(server.proxies()) == 1)
            assert await server.acknowledged(serial, timeout_s=60)
            async with aiohttp.ClientSession() as session:
                yield Proxy(objects.edge.port, objects.edge.probes_port, session)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await server.stop(grace_s=0.1)


def configuration(directory: Path) -> dict[str, Any]:
    """That of an edge pod, with the control plane of this process."""
    admin = directory / "admin.sock"
    config = bootstrap(node_id="one", cluster="default", xds_socket=directory / "xds.sock", admin_socket=admin)
    pod = pod_bootstrap(fleet="default", channel=Channel("127.0.0.1", 1), admin_socket=PurePosixPath(admin))
    config["static_resources"]["clusters"] += [
        cluster for cluster in pod["static_resources"]["clusters"] if cluster["name"] == ADMIN_CLUSTER
    ]
    assert config["stats_config"] == pod["stats_config"]
    return config


def shop(port: int, *, origins: int, routes: int, **others: Any) -> World:
    """`routes` hosts, spread over `origins`, all of them at `port`; of the last one the origin is a url."""
    services = [origin_service(f"o{number}") for number in range(origins)]
    rules = [[{"origins": [{"service": {"name": f"o{number % origins}"}}]}] for number in range(routes)]
    rules[-1] = [{"origins": [{"url": f"http://127.0.0.1:{port}"}]}]
    sites = [edge_route(f"r{one}", hostnames=[f"h{one}.example"], rules=rule) for one, rule in enumerate(rules)]
    observations = {ObjectKey("OriginService", "shop", service.metadata.name): ready(port) for service in services}
    edge = Edge(port=free_port(), probes_port=free_port())
    return world(*services, *sites, edge=edge, observations=observations, **others)


async def test_dashboards_find_what_they_ask_for_and_an_edge_that_is_gone_is_seen(tmp_path: Path) -> None:
    async with AsyncExitStack() as life, origin() as up:
        proxy = await life.enter_async_context(serving(shop(up.port, origins=2, routes=3)))
        async with prometheus(tmp_path, {"edge": proxy.probes}) as asked:
            assert [await proxy.call(f"h{number}.example") for number in range(4)] == [200, 200, 200, 404]
            await eventually(lambda: asked.value(f"{OF_DASHBOARDS[0]} == 3"), within_s=STARTS_S)
            assert [query for query in OF_DASHBOARDS if await asked.value(query) is None] == []
            assert await asked.value("envoy_control_plane_connected_state") == 1
            url = f"url/http_127.0.0.1_{up.port}@shop/default"
            assert await asked.value(f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{url}"}}') == 1
            await life.aclose()
            await eventually(lambda: asked.query('up{job="edge"} == 0'))


async def test_series_grow_with_origins_and_not_with_routes() -> None:
    origins = 100
    async with origin() as up, serving(shop(up.port, origins=origins, routes=200)) as proxy:
        for number in range(200):
            assert await proxy.call(f"h{number}.example") == 200
        text = await proxy.metrics()
        series = [line for line in text.splitlines() if line and not line.startswith("#")]
        of_origins = Counter(re.findall(r'envoy_cluster_name="((?:origin|url)/[^"]+)"', text))
        assert len(of_origins) == origins + 1
        assert max(of_origins.values()) <= PER_CLUSTER
        assert len(series) - sum(of_origins.values()) <= ALL_ELSE
        assert "h0.example" not in text
        assert "shop/r0" not in text
        code, said = await lint(text.encode())
        assert code in (0, LINTS), said  # the names are Envoy's, but it can be read
