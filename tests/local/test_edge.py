"""Envoy as a local process: the bootstrap, readiness, death and rebirth, the drain."""

import asyncio
import copy
import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgerun.errors import AddressInUseError, EnvoyMissingError
from edgerun.infra import envoy
from edgerun.infra.local import ports
from edgerun.infra.local.edge import LocalEdge
from edgerun.infra.local.instance import create
from edgerun.infra.local.leash import Leash
from edgerun.translate.bootstrap import bootstrap
from local.harness import ask, marked
from local.tiny_xds import control_plane
from support.poll import eventually

pytestmark = pytest.mark.envoy

EDGE = bootstrap(node_id="test", cluster="edge", xds_socket=Path("/tmp/x.sock"), admin_socket=Path("/tmp/a.sock"))


@dataclass
class Lit:
    """An edge that runs."""

    edge: LocalEdge
    leash: Leash
    port: int
    said: list[str] = field(default_factory=list)
    accessed: list[Mapping[str, Any]] = field(default_factory=list)


@asynccontextmanager
async def lit(*, listens: bool = True, drain_s: float = 2.0, concurrency: int = 1) -> AsyncIterator[Lit]:
    async with AsyncExitStack() as stack:
        runtime = stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="er-"))
        instance = create(Path(runtime), environ={"XDG_RUNTIME_DIR": runtime})
        leash = Leash(instance.id, instance.directory)
        await leash.start()
        port = ports.origin_port(frozenset())
        said: list[str] = []
        accessed: list[Mapping[str, Any]] = []
        edge = LocalEdge(
            instance,
            bootstrap(
                node_id=instance.id,
                cluster="edge",
                xds_socket=instance.xds_socket,
                admin_socket=instance.admin_socket,
            ),
            leash=leash,
            say=lambda name, line: said.append(f"{name}: {line}"),
            access=accessed.append,
            concurrency=concurrency,
            drain_s=drain_s,
        )
        await stack.enter_async_context(control_plane(instance.xds_socket, port if listens else None))
        running = asyncio.create_task(edge.run(), name="edge")
        try:
            yield Lit(edge, leash, port, said, accessed)
        finally:
            await edge.stop()
            done, _ = await asyncio.wait({running}, timeout=60)
            await leash.stop()
            assert done
            running.result()
            assert not marked(instance.id)
            assert not instance.directory.exists()


async def test_envoy_accepts_the_bootstrap() -> None:
    assert await envoy.refusal(EDGE) is None


async def test_a_refusal_is_one_sentence_in_envoys_words() -> None:
    unknown = copy.deepcopy(EDGE)
    unknown["admin"]["addres"] = 3
    assert await envoy.refusal(unknown) == "admin: no such field: 'addres'"
    missing = copy.deepcopy(EDGE)
    missing["static_resources"]["clusters"][0]["name"] = "another"
    assert await envoy.refusal(missing) == "Unknown gRPC client cluster 'xds'"


async def test_ordinary_expressions_are_within_the_limit_of_the_bootstrap() -> None:
    matcher = {"prefix": "/", "headers": [{"name": "x", "string_match": {"safe_regex": {"regex": "/[^/]{1,64}/.*"}}}]}
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": matcher, "direct_response": {"status": 200}}]}]
    kind = "type.googleapis.com/envoy.extensions.filters."
    hcm = {
        "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "router", "typed_config": {"@type": kind + "http.router.v3.Router"}}],
    }
    listener = {
        "name": "l",
        "address": {"pipe": {"path": "/tmp/l.sock"}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }
    ours = copy.deepcopy(EDGE)
    ours["static_resources"]["listeners"] = [listener]
    assert await envoy.refusal(ours) is None
    del ours["layered_runtime"]
    assert "max program size of 100" in (await envoy.refusal(ours) or "")


def test_the_installation_is_whole() -> None:
    assert envoy.self_check() == envoy.binary()


def test_a_missing_binary_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(EnvoyMissingError, match="fresh virtual environment"):
        envoy.binary()


async def test_the_edge_is_ready_once_a_listener_came_over_xds() -> None:
    async with lit() as it:
        await it.edge.ready(60)
        assert await ask(it.port, "/some/path") == "ok"
        await eventually(lambda: bool(it.accessed))
        assert it.accessed == [{"path": "/some/path", "status": 200}]
        assert (await it.edge.admin("ready")).strip() == "LIVE"


async def test_an_edge_without_listeners_is_not_ready_and_says_so() -> None:
    async with lit(listens=False) as it:
        await eventually(lambda: it.edge.pid is not None)
        with pytest.raises(TimeoutError, match="not ready after 1 s: no listener came over xDS"):
            await it.edge.ready(1)


async def test_envoy_is_started_again_when_it_is_killed() -> None:
    async with lit() as it:
        await it.edge.ready(60)
        killed = it.edge.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: it.edge.pid not in (None, killed))
        await it.edge.ready(60)
        assert await ask(it.port) == "ok"
        assert it.edge.restarts == 1
        assert any("killed by SIGKILL; it is started again" in line for line in it.said)


async def test_the_files_and_sockets_of_the_edge_are_for_its_user_alone() -> None:
    async with lit() as it:
        await it.edge.ready(60)
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in (it.edge._config, it.edge._socket)} == {
            "envoy.json": "0o600",
            "admin.sock": "0o600",
        }


async def test_stop_tells_open_connections_to_close_and_does_not_wait_for_idle_ones() -> None:
    async with lit(drain_s=600) as it:
        await it.edge.ready(60)
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"connection: close" not in await reader.readuntil(b"ok")
        stopping = asyncio.create_task(it.edge.stop())
        await eventually(lambda: "DRAINING" in _state(it.edge._socket))
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"connection: close" in await reader.readuntil(b"ok")
        await stopping
        writer.close()


async def test_stop_waits_for_a_request_in_flight_but_not_for_ever() -> None:
    async with lit(drain_s=1.5) as it:
        await it.edge.ready(60)
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-le")  # never whole
        _, other = await asyncio.open_connection("127.0.0.1", it.port)
        other.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
        await it.edge.stop()
        writer.close()
        other.close()


async def test_the_number_of_series_does_not_grow_with_what_nobody_reads() -> None:
    async with lit() as it:
        await it.edge.ready(60)
        names = {line.partition(":")[0] for line in (await it.edge.admin("stats")).splitlines()}
    assert "listener_manager.listener_modified" in names
    assert "server.total_connections" in names
    assert len([name for name in names if name.startswith("cluster.xds.")]) <= 20
    assert not [name for name in names if name.startswith(("vhost.", "filesystem.", "tls_inspector."))]


def test_a_port_in_use_names_the_port_and_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AddressInUseError, match=rf"port {port} on 127.0.0.1 is in use by .*\(pid {os.getpid()}\)"):
            ports.free_port(port, "127.0.0.1")
    ports.free_port(port, "127.0.0.1")


def test_a_port_shared_by_another_envoy_is_in_use_as_well() -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(AddressInUseError):
            ports.free_port(holder.getsockname()[1], "127.0.0.1")


def _state(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /server_info HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        told = b"".join(iter(lambda: client.recv(65536), b""))
    return json.dumps(told.decode(errors="replace"))
