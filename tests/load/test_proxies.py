"""Several proxies, and a control plane that dies: nobody waits for anybody, and what serves goes on serving."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgerun.runtime.controller import Controller
from edgerun.sources.store import Seen
from edgerun.translate.world import Edge, World
from support.fleet import Proxy, fleet
from support.handouts import secrets
from support.load import load
from support.origins import Origin, origin
from support.poll import eventually
from support.ports import free_port
from support.standalone import fetch

pytestmark = [pytest.mark.envoy, pytest.mark.load]

CONTROL_PLANE = Path(__file__).parents[1] / "support" / "control_plane.py"
STOPPED_S = 10.0


@pytest.fixture
def place() -> AsyncIterator[Path]:
    """A folder whose path is short enough for Unix sockets."""
    with TemporaryDirectory(prefix="edgerun-test-") as directory:
        yield Path(directory)


@pytest.fixture
async def origins() -> AsyncIterator[tuple[Origin, Origin]]:
    async with origin("a") as a, origin("b") as b:
        yield a, b


def seen(target: Origin) -> Seen:
    rule = {"origins": [{"url": f"http://127.0.0.1:{target.port}"}]}
    metadata = {"name": "web", "namespace": "default"}
    document = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "EdgeRoute", "metadata": metadata}
    return Seen(document | {"spec": {"rules": [rule]}})


async def answered_by(proxy: Proxy) -> str | None:
    return (await fetch(proxy.port, "/")).header("x-origin")


async def _nobody_to_ask(world: World, edge: str) -> str | None:
    return None


async def test_a_stopped_proxy_delays_no_other_and_catches_up(place: Path, origins: tuple[Origin, Origin]) -> None:
    controller = Controller(
        Edge(port=free_port()), lambda plan: None, lambda keys: None, _nobody_to_ask, secrets=secrets
    )
    await controller.server.start(f"unix:{place}/xds.sock")
    controller.store.apply(seen(origins[0]))
    controller.rebuild()
    running = asyncio.create_task(controller.run())
    loop = asyncio.get_running_loop()
    try:
        async with AsyncExitStack() as stack:
            proxies = await stack.enter_async_context(fleet(place, place / "xds.sock", ("one", "two", "three")))
            for proxy in proxies:
                await proxy.listening()
                await eventually(partial(answered_by, proxy))
            *awake, stopped = proxies
            results = [await stack.enter_async_context(load(proxy.port, connections=2)) for proxy in awake]
            stopped.signal(signal.SIGSTOP)
            began, flips, slowest = loop.time(), 0, 0.0
            while loop.time() - began < STOPPED_S:
                flips += 1
                target = origins[flips % 2]
                changed = loop.time()
                controller.store.apply(seen(target))
                for proxy in awake:
                    await eventually(partial(answers, proxy, target.name))
                slowest = max(slowest, loop.time() - changed)
                await asyncio.sleep(max(0.0, 0.1 - (loop.time() - changed)))
            stopped.signal(signal.SIGCONT)
            last = origins[flips % 2].name
            await eventually(lambda: answers(stopped, last))
            assert flips > 50
            assert slowest < 2.0, "a gate lapsed: somebody was waited for"
            assert [await proxy.counter("listener_manager.listener_modified") for proxy in proxies] == [0, 0, 0]
        for result in results:
            assert result.answered > 100
            assert result.failed == 0, result
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await controller.server.stop(grace_s=0.5)


async def answers(proxy: Proxy, name: str) -> bool:
    return await answered_by(proxy) == name


@contextlib.asynccontextmanager
async def control_plane(directory: Path, socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", CONTROL_PLANE, directory, socket),  # -P: a module beside it is called xds
        env={**os.environ, "PYTHONPATH": str(CONTROL_PLANE.parents[1])},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_envoy_serves_while_the_control_plane_is_dead_and_is_told_nothing_twice(
    place: Path, origins: tuple[Origin, Origin]
) -> None:
    directory, socket = place / "yaml", place / "xds.sock"
    directory.mkdir()
    file = directory / "web.yaml"
    text = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec: {{rules: [{{origins: [{{url: "http://127.0.0.1:{port}"}}]}}]}}
"""
    file.write_text(text.format(port=origins[0].port))
    async with fleet(place, socket, ("one",)) as (proxy,):
        async with control_plane(directory, socket):
            await proxy.listening()
            await eventually(lambda: answers(proxy, "a"))
        before = await loaded(proxy)
        async with load(proxy.port, connections=2) as result:
            await eventually(lambda: gone(proxy))
            async with control_plane(directory, socket):
                await eventually(lambda: back(proxy))
                assert await loaded(proxy) == before
                file.write_text(text.format(port=origins[1].port))
                await eventually(lambda: answers(proxy, "b"))
        assert result.answered > 100
        assert result.failed == 0, result


async def loaded(proxy: Proxy) -> list[int]:
    """How often the proxy took over clusters, and routes."""
    names = ("cluster_manager.cluster_added", "cluster_manager.cluster_modified", "http.edge.rds.edge.config_reload")
    counts = [await proxy.counter(name) for name in names]
    assert all((counts[0], counts[2])), "the counters have other names"
    return counts


async def gone(proxy: Proxy) -> bool:
    return await proxy.counter("control_plane.connected_state") == 0


async def back(proxy: Proxy) -> bool:
    return await proxy.counter("control_plane.connected_state") == 1
