"""A server that stops and begins anew, as that of a replica which leads, stands by, and leads again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
from envoy.service.load_stats.v3 import lrs_pb2

from edgerun.translate.names import revision_of
from edgerun.xds.load_reports import METHOD, SERVICE
from edgerun.xds.loads import Loads
from edgerun.xds.server import Server
from support.poll import eventually
from support.xds import Witness


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield f"unix:{Path(directory) / 'x' / 'xds.sock'}"


async def test_a_server_that_begins_anew_hears_as_before(address: str) -> None:
    loads = Loads(revision_of)
    server = Server(observer=Witness(), loads=loads)
    clock = asyncio.get_running_loop().time
    for _ in range(2):
        await server.start(address)
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            request = lrs_pb2.LoadStatsRequest(node={"id": "edge-1", "cluster": "default"}).SerializeToString()
            for _ in range(2):
                await call.write(request)
            assert await call.read()
            await eventually(lambda: loads.reporting(clock()) == {"edge-1"})
            await server.stop(grace_s=0)
            await eventually(lambda: loads.reporting(clock()) == set())
