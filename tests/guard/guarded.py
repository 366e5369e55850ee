"""A guard in front of a tiny app: a real Envoy with exactly the guard's resources, from the real xDS server."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.translate.bootstrap import bootstrap
from edgerun.translate.guard import Guard, static_resources
from edgerun.translate.guard_policy import Admission, Invokers, policies
from edgerun.translate.plan import Resource
from edgerun.xds.server import Server
from support.poll import PATIENCE_S, eventually
from support.ports import free_port
from support.proxies import Envoy, listening
from support.standalone import Answer, fetch
from support.tokens import Key, compact, jwks
from support.xds import Witness, resources

ENVOY = Path(sys.executable).with_name("envoy")
FLEET = "guard/shop/cart"
ISSUER, AUDIENCE = "https://issuer.edgerun.test", "https://cart.shop.edgerun.test"
CALLER = "system:serviceaccount:shop:web"
LEEWAY_S = 5
Headers = Sequence[tuple[str, str]]
_NUMBERS = count(1)


def claims(**others: Any) -> dict[str, Any]:
    """What the issuer says in a credential that is good now."""
    now = int(time.time())
    said = {"iss": ISSUER, "sub": CALLER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300, "jti": "j-1"}
    return said | others


def head(key: Key, **others: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": key.kid, "typ": "JWT"} | others


def token(key: Key, **others: Any) -> str:
    return compact(head(key), claims(**others), key.sign)


def bearer(token: str) -> Headers:
    return [("x-edgerun-authorization", f"Bearer {token}")]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a guard, those that it starts with and those that it is told."""

    jwks: str
    audience: str = AUDIENCE
    issuer: str = ISSUER
    invokers: Invokers = field(default=Invokers(namespaces=("shop",)))
    leeway_s: int = LEEWAY_S
    max_life_s: int = 86_400
    app_port: int = 1
    listen_port: int = 1
    probes_port: int = 0
    concurrency: int = 0
    queue: int = 0
    http2: bool = False

    @property
    def guard(self) -> Guard:
        return Guard(
            origin=ObjectKey("OriginService", "shop", "cart"),
            trust_domain="edgerun.test",
            app_port=self.app_port,
            listen_port=self.listen_port,
            probes_port=self.probes_port,
            address="127.0.0.1",
            concurrency=self.concurrency,
            queue=self.queue,
            http2=self.http2,
        )

    @property
    def policies(self) -> tuple[Resource, ...]:
        return policies(
            Admission(
                audience=self.audience,
                issuer=self.issuer,
                jwks=self.jwks,
                invokers=self.invokers,
                leeway_s=self.leeway_s,
                max_life_s=self.max_life_s,
            )
        )


def guard(key: Key, **others: Any) -> Settings:
    return Settings(**{"jwks": jwks(key)} | others)


def in_plain_words(static: dict[str, Any]) -> dict[str, Any]:
    """A guard's resources without TLS, so that what it says to a credential can be asked by anybody."""
    for listener in static["listeners"]:
        for chain in listener["filter_chains"]:
            chain.pop("transport_socket", None)
    return static


@dataclass
class Guarded:
    """The guard that runs, and what it has logged."""

    guard: Settings
    server: Server
    envoy: Envoy
    witness: Witness
    socket: Path
    log: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    raw: list[str] = field(default_factory=list)

    def change(self, **others: Any) -> int:
        """Publish a guard that differs in this; the serial by which an ACK speaks of it."""
        self.guard = replace(self.guard, **others)
        return self.publish(*self.guard.policies)

    def publish(self, *some: Resource) -> int:
        return self.server.publish({FLEET: resources(*some)})

    async def changed(self, **others: Any) -> None:
        """Publish a guard that differs in this, and return when it is served."""
        assert await self.server.acknowledged(self.change(**others), timeout_s=PATIENCE_S)

    async def lose_control_plane(self) -> None:
        await self.server.stop(grace_s=0.2)

    async def find_control_plane(self) -> None:
        """Another one at the same address, which has published nothing so far."""
        self.server = Server(observer=self.witness)
        await self.server.start(f"unix:{self.socket}")

    async def ask(self, headers: Headers = (), path: str = "/") -> tuple[Answer, Mapping[str, Any]]:
        """One request, and the line of the log that tells of it."""
        name = f"request-{next(_NUMBERS)}"
        answer = await fetch(self.guard.listen_port, path, headers=[*headers, ("x-request-id", name)])
        return answer, await self.logged(name)

    async def logged(self, request_id: str) -> Mapping[str, Any]:
        return await eventually(lambda: self.log.get(request_id), what=f"a line about {request_id}", step_s=0.003)


@asynccontextmanager
async def guarded(guard: Settings) -> AsyncIterator[Guarded]:
    """Runs while the block does, on free ports."""
    async with told_nothing(guard) as found:
        found.change()
        await listening(found.guard.listen_port)
        yield found


@asynccontextmanager
async def told_nothing(guard: Settings) -> AsyncIterator[Guarded]:
    """One that is connected to a control plane which has published nothing so far."""
    guard = replace(guard, listen_port=free_port(), probes_port=free_port())
    witness = Witness()
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        folder = Path(directory)
        async with _process(folder, guard) as envoy:
            found = Guarded(guard, Server(observer=witness), envoy, witness, folder / "xds.sock")
            await found.server.start(f"unix:{found.socket}")
            reading = asyncio.create_task(_read(found), name="the guard's log")
            try:
                yield found
            finally:
                reading.cancel()
                await found.server.stop(grace_s=0.2)


@asynccontextmanager
async def _process(folder: Path, guard: Settings) -> AsyncIterator[Envoy]:
    config = bootstrap(
        node_id="cart-1",
        cluster=FLEET,
        xds_socket=folder / "xds.sock",
        admin_socket=folder / "admin.sock",
        static=in_plain_words(static_resources(guard.guard)),
    )
    flags = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "--drain-strategy", "immediate")
    flush = ("--file-flush-interval-msec", "5")
    process = await asyncio.create_subprocess_exec(
        *(ENVOY, "--config-yaml", json.dumps(config), *flags, *flush),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=1 << 20,
    )
    try:
        yield Envoy(process, folder / "admin.sock")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(found: Guarded) -> None:
    assert found.envoy.process.stdout
    async for line in found.envoy.process.stdout:
        found.raw.append(line.decode(errors="replace"))
        entry = json.loads(line)
        found.log[str(entry["request_id"])] = entry
