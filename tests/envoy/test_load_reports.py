"""What real edges report of a load that is known."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from edgerun.credentials.serving import server_credentials
from edgerun.identity import Account
from edgerun.translate.bootstrap import bootstrap, pod_bootstrap
from edgerun.translate.channel import CA_CERTIFICATES, Channel, sds_files
from edgerun.translate.plan import LISTENER
from edgerun.translate.translator import translate
from edgerun.translate.world import Edge, World
from edgerun.xds.authentication import Authenticator
from edgerun.xds.loads import Counts, Load, Loads
from edgerun.xds.server import Server
from support.authorities import NAMES, authority, certificate
from support.cold import House, ask, house, routes, there
from support.fleet import ENVOY
from support.load import load
from support.origins import Origin, origin
from support.poll import eventually
from support.ports import free_port
from support.proxies import listening
from support.volumes import Volume
from support.xds import Witness, resources

pytestmark = pytest.mark.envoy

CART, PAY = "origin/shop/cart@shop/default", "origin/shop/pay@shop/default"


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory() as path:  # tmp_path is too long a name for a socket
        yield Path(path)


@pytest.fixture
async def app() -> AsyncIterator[Origin]:
    async with origin("app") as running:
        yield running


@asynccontextmanager
async def serving(directory: Path, app: Origin, *edges: str) -> AsyncIterator[House]:
    """Edges that have two clusters, one of which nobody calls."""
    async with house(directory, *edges, load_reports=True) as here:
        here.publish(routes(f"{CART}~1", f"{PAY}~1"), *there(f"{CART}~1", app.port), *there(f"{PAY}~1", app.port))
        await here.booted()
        await eventually(lambda: here.loads.reporting(_now()) == {*edges})
        yield here


async def readings(here: House, count: int) -> list[dict[str, Load]]:
    """One each second."""
    found = []
    for _ in range(count):
        await asyncio.sleep(1)
        found.append(dict(here.loads.read(_now())))
    return found


@pytest.mark.load
async def test_twenty_slow_requests_at_once_are_a_concurrency_of_twenty(directory: Path, app: Origin) -> None:
    async with serving(directory, app, "one", "two") as here:
        assert await readings(here, 1) == [{}], "an edge that has nothing to do reports nothing"
        async with AsyncExitStack() as stack:
            for edge in here.proxies:
                await stack.enter_async_context(load(edge.port, path="/?delay=700ms", connections=10))
            await readings(here, 2)
            found = await readings(here, 8)
        assert set().union(*found) == {CART}, "nothing else is busy, not even the control plane's cluster"
        told = [one[CART] for one in found if one]
        # Neither twice as many nor half of them, however late anybody is.
        assert sorted(one.concurrency for one in told)[len(told) // 2] == pytest.approx(20, rel=0.4)
        assert sorted(one.requests for one in told)[len(told) // 2] == pytest.approx(20 / 0.7, rel=0.4)
        await eventually(lambda: not here.loads.read(_now()))


@pytest.mark.load
async def test_every_request_is_told_of_once_and_errors_apart(directory: Path, app: Origin) -> None:
    async with serving(directory, app, "one") as here:
        for path in ("/", "/", "/", "/?status=404", "/?status=503", "/?status=500"):
            await ask(here.port, path)
        await eventually(lambda: _total(here) == Counts(0, 6, 4, 2))
        assert here.loads.read(_now())[CART].concurrency > 0
        reports = len(here.loads.reports)
        await eventually(lambda: len(here.loads.reports) > reports + 2)
        assert _total(here) == Counts(0, 6, 4, 2)


@pytest.mark.load
async def test_a_stream_counts_for_as_long_as_it_lives_and_then_the_edge_is_quiet(directory: Path, app: Origin) -> None:
    async with serving(directory, app, "one") as here:
        streaming = asyncio.create_task(ask(here.port, "/?stream=600"))
        await eventually(lambda: here.loads.read(_now()).get(CART) == Load(concurrency=1), step_s=1)
        assert here.loads.quiet(f"{CART}~1", since=0) == set()
        assert here.loads.quiet(f"{PAY}~1", since=0) == {"one"}
        streaming.cancel()
        await asyncio.wait({streaming})
        ended, reports = _now(), len(here.loads.reports)
        await eventually(lambda: here.loads.quiet(f"{CART}~1", since=ended) == {"one"})
        assert len(here.loads.reports) >= reports + 2, "not before a whole interval was quiet"


@pytest.mark.load
async def test_a_proxy_that_dies_takes_its_part_along_and_a_new_control_plane_hears_again(
    directory: Path, app: Origin
) -> None:
    async with serving(directory, app, "one", "two") as here:
        await here.proxies[1].kill()
        at = _now()  # that it has told nothing for long is not what tells
        await eventually(lambda: here.loads.reporting(at) == {"one"})
        await here.restart()
        assert here.loads.reporting(_now()) == set(), "nobody knows, which is not the same as nothing"
        await eventually(lambda: here.loads.reporting(_now()) == {"one"})


async def test_an_edge_pod_reports_and_asks_as_who_it_has_proven_to_be(directory: Path) -> None:
    """In a cluster both go over the connection to the control plane that a token opens."""
    loads, port, admin = Loads[str](str), free_port(), PurePosixPath(directory / "admin.sock")
    ca, config, token = authority(), Volume(directory / "config"), Volume(directory / "secret")
    shown = certificate(ca)
    server = Server(observer=Witness(), loads=loads, authenticate=Authenticator(_review, namespace="edgerun"))
    await server.start(f"127.0.0.1:{port}", server_credentials(lambda: shown))
    config.write(
        {**sds_files(config_folder=config.folder, token_file=token.folder / "token"), CA_CERTIFICATES: ca.certificate}
    )
    token.write({"token": "good"})
    settings = pod_bootstrap(
        fleet="somebody's",
        channel=Channel("localhost", port, server_name=NAMES[0]),
        admin_socket=admin,
        config_folder=config.folder,
        load_reports=True,
    )
    edge = free_port()
    listeners = translate(World(edge=Edge(port=edge))).fleets["default"][LISTENER].values()
    server.publish({"shop": resources(*listeners, routes(f"{CART}~1"))}, {"shop": {f"{CART}~1"}})
    try:
        async with envoy_with(settings, directory):
            await listening(edge)
            held = asyncio.create_task(ask(edge))
            assert await server.demand_other_than({}) == {f"{CART}~1": 1}
            server.publish({"shop": resources(*listeners, routes("gone"))})
            assert (await held)[0] == 503
            await eventually(lambda: loads.reporting(_now()) == {"edge-shop-1"})
    finally:
        await server.stop(grace_s=0.2)


async def _review(token: str) -> Account:
    assert token == "good"
    return Account("system:serviceaccount:edgerun:edge-shop", pod="edge-shop-1")


@asynccontextmanager
async def envoy_with(bootstrap: dict[str, Any], directory: Path) -> AsyncIterator[None]:
    config = directory / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    flags = ("--service-node", "whoever", "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(ENVOY, "-c", config, *flags)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def test_edges_report_only_when_they_are_told_to(directory: Path) -> None:
    channel, admin = Channel("localhost", 1, server_name=NAMES[0]), PurePosixPath("/a.sock")
    for load_reports in (True, False):
        pod = pod_bootstrap(fleet="shop", channel=channel, admin_socket=admin, load_reports=load_reports)
        local = bootstrap(
            node_id="one", cluster="shop", xds_socket=directory, admin_socket=directory, load_reports=load_reports
        )
        assert ["cluster_manager" in one for one in (pod, local)] == [load_reports] * 2


def _total(here: House) -> Counts:
    return sum((one.total for report in here.loads.reports for one in report.clusters), Counts())


def _now() -> float:
    return asyncio.get_running_loop().time()
