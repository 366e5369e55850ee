"""What the Envoy of a guard is started with: it proves to the control plane who it is, and gets what is its own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest

from edgerun.credentials.authority import Authority
from edgerun.credentials.serving import server_credentials
from edgerun.identity import Account, Reason, Unproven
from edgerun.translate.bootstrap import guard_bootstrap
from edgerun.translate.channel import CA_CERTIFICATES, Channel, sds_files
from edgerun.translate.guard import static_resources
from edgerun.xds.authentication import Authenticator
from edgerun.xds.server import Server
from guard.guarded import Settings, bearer, guard, in_plain_words, token
from support.authorities import NAMES, authority, certificate
from support.origins import origin
from support.ports import free_port
from support.proxies import Envoy, listening
from support.standalone import fetch
from support.tokens import Key
from support.volumes import Volume
from support.xds import Witness, resources

pytestmark = pytest.mark.envoy
ENVOY = Path(sys.executable).with_name("envoy")
FLEET = "cart"
KEY = Key("k1")


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory)


async def known(token: str) -> Account | Unproven:
    """The API server's part: an edge's account, because no other is let in so far."""
    if token != "a-token":
        return Unproven(Reason.REJECTED, "it is not the one")
    return Account(f"system:serviceaccount:edgerun:edge-{FLEET}", pod="cart-1")


@asynccontextmanager
async def started(folder: Path, port: int, trusted: Authority, where: Settings) -> AsyncIterator[Envoy]:
    config, secret = Volume(folder / "config"), Volume(folder / "secret")
    files = sds_files(config_folder=PurePosixPath(config.folder), token_file=PurePosixPath(secret.folder / "token"))
    config.write({**files, CA_CERTIFICATES: trusted.certificate})
    secret.write({"token": "a-token"})
    bootstrap = guard_bootstrap(
        guard=FLEET,
        channel=Channel("localhost", port, server_name=NAMES[0]),
        admin_socket=PurePosixPath(folder / "admin.sock"),
        config_folder=PurePosixPath(config.folder),
        static=in_plain_words(static_resources(where.guard)),
    )
    flags = ("--service-node", "cart-1", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(ENVOY, "--config-yaml", json.dumps(bootstrap), *flags)
    try:
        yield Envoy(process, folder / "admin.sock")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_guard_that_is_started_so_asks_for_keys_and_policy_and_serves(folder: Path) -> None:
    port, ours = free_port(), authority()
    shown = certificate(ours)
    server = Server(observer=Witness(), authenticate=Authenticator(known, namespace="edgerun"))
    await server.start(f"127.0.0.1:{port}", server_credentials(lambda: shown))
    try:
        async with origin("app") as app:
            where = guard(KEY, app_port=app.port, listen_port=free_port(), probes_port=free_port(), concurrency=2)
            async with started(folder, port, ours, where) as envoy:
                server.publish({FLEET: resources(*where.policies)})
                await listening(where.listen_port)
                assert (await fetch(where.listen_port, "/", headers=bearer(token(KEY)))).status == 200
                assert (await fetch(where.listen_port, "/")).status == 401
                assert (await fetch(where.probes_port, "/ready")).status == 200
                assert "envoy_server_live" in (await fetch(where.probes_port, "/metrics")).body
                assert await envoy.stat("server.concurrency") == 1
    finally:
        await server.stop(grace_s=0.2)
