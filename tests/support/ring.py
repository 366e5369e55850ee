"""A control plane that issues, an edge and the guards of one origin: real Envoys, and nothing of Kubernetes.

The control plane lives in the test's process; `die` leaves nothing of it but what is in its vaults.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from edgerun.api.meta import ObjectKey
from edgerun.credentials import workloads
from edgerun.credentials.certificates import new_workload_authority
from edgerun.credentials.keyring import Policy, revoke
from edgerun.credentials.keys import KeySet, new_private
from edgerun.credentials.keystore import Change, changed
from edgerun.credentials.rotation import Rotation
from edgerun.credentials.tokens import Terms
from edgerun.credentials.vaults import MemoryVault
from edgerun.credentials.workloads import Workloads
from edgerun.runtime.controller import Controller
from edgerun.runtime.issuing import Issuing
from edgerun.translate.bootstrap import bootstrap
from edgerun.translate.guard import Guard, static_resources
from edgerun.translate.identities import edge_id, guard_fleet
from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import Edge, Endpoint, OriginObservation

from .fleet import ENVOY, Proxy, fleet
from .issuers import origin as origin_service
from .issuers import route
from .objects import first
from .origins import Origin, origin
from .poll import eventually
from .ports import free_port
from .proxies import listening

ORIGIN = ObjectKey("OriginService", "shop", "cart")
TRUST_DOMAIN = "ring.test"
HOST = "web.test"
SECOND = timedelta(seconds=1)
QUICK = Policy(
    interval=0.3 * SECOND,
    overlap=0.3 * SECOND,
    clock=SECOND,
    handover=SECOND,
    propagation=0.05 * SECOND,
)
LIFE = 12 * SECOND  # each half of it is far longer than what a busy machine makes anybody wait


@dataclass
class Plane:
    """All that a control plane is, at one socket."""

    socket: Path
    guards: dict[str, int]
    policy: Policy
    keys: MemoryVault = field(default_factory=MemoryVault)
    authorities: MemoryVault = field(default_factory=MemoryVault)
    changes: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)
    events: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        self.controller = Controller(Edge(port=free_port()), lambda plan: None, lambda keys: None, _nobody)
        self.wire = Rotation(
            self.authorities,
            title="wire",
            names=(TRUST_DOMAIN,),
            new_authority=new_workload_authority,
            may_write=lambda: True,
            policy=workloads.POLICY,
        )
        self.issuing = Issuing(
            self.controller,
            self.keys,
            Workloads(lambda: self.wire.authorities),
            terms=Terms(issuer="https://ring.test", life=LIFE),
            trust_domain=TRUST_DOMAIN,
            policy=self.policy,
            expected=lambda: [(guard_fleet(ORIGIN), name) for name in self.guards],
            changes=self._changes,
            told=self.events.append,
            period_s=0.05,
        )
        store = self.controller.store
        store.apply(origin_service("cart"))
        store.apply(route("web", "cart"))
        endpoints = tuple(Endpoint("127.0.0.1", port, guarded=True) for port in self.guards.values())
        store.observe(first(ORIGIN), OriginObservation(OriginPhase.READY, endpoints))
        await self.wire.tend()
        await self.controller.server.start(f"unix:{self.socket}")
        self.tasks = [asyncio.create_task(self._control()), asyncio.create_task(self.issuing.run())]

    async def die(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.controller.server.stop(grace_s=0.0)

    async def change(self, how: Change) -> KeySet:
        """As the command line does it."""
        stored = await changed(self.keys, how)
        self.changes.put_nowait(None)
        return stored

    async def revoke(self) -> str:
        """The key that signs."""
        key = self.issuing.holder.keys.signing
        assert key
        now = datetime.now(UTC)
        await self.change(lambda keys: revoke(keys, key.kid, now, self.policy, new_key=new_private))
        return key.kid

    @property
    def token(self) -> str:
        """What the edge shows now."""
        return next(iter(self.issuing._wallet.tokens.values())).value

    def as_edge(self, folder: Path) -> ssl.SSLContext:
        """To connect to a guard as the edge does."""
        mine = edge_id(TRUST_DOMAIN, "default")
        pair = Workloads(lambda: self.wire.authorities).pairs([mine], datetime.now(UTC))[mine]
        file = folder / "edge.pem"
        file.write_text(pair.certificate + pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        return context

    async def _control(self) -> None:
        await self.issuing.ready()
        await self.controller.run()

    async def _changes(self) -> AsyncIterator[None]:
        while True:
            yield await self.changes.get()


@dataclass
class Ring:
    plane: Plane
    edge: Proxy
    app: Origin
    folder: Path

    async def settled(self) -> None:
        """Every proxy serves what was published last."""

        async def check() -> bool:
            published, server = self.plane.controller.published, self.plane.controller.server
            assert published
            here = {proxy.id: proxy.acked_serial for proxy in server.proxies()}
            return here.keys() >= {self.edge.name, *self.plane.guards} and min(here.values()) > 0

        await eventually(check, what="all proxies are connected and served")


@asynccontextmanager
async def ring(*, guards: int = 2, policy: Policy = QUICK) -> AsyncIterator[Ring]:
    """Everything at work, and the edge answering."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgerun-test-")))  # short enough for sockets
        app = await stack.enter_async_context(origin("cart"))
        ports = {f"cart-{number}": free_port() for number in range(guards)}
        plane = Plane(folder / "xds.sock", ports, policy)
        await plane.begin()
        stack.push_async_callback(plane.die)
        for name, port in ports.items():
            await stack.enter_async_context(_guard(folder, name, port, app.port))
        (edge,) = await stack.enter_async_context(fleet(folder, plane.socket, ("edge",)))
        found = Ring(plane, edge, app, folder)
        for port in (*ports.values(), edge.port):
            await listening(port)
        await found.settled()
        yield found


@asynccontextmanager
async def _guard(folder: Path, name: str, port: int, app_port: int) -> AsyncIterator[None]:
    guard = Guard(origin=ORIGIN, trust_domain=TRUST_DOMAIN, app_port=app_port, listen_port=port, address="127.0.0.1")
    config = bootstrap(
        node_id=name,
        cluster=guard_fleet(ORIGIN),
        xds_socket=folder / "xds.sock",
        admin_socket=folder / f"{name}.sock",
        static=static_resources(guard),
    )
    flags = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(ENVOY, "--config-yaml", json.dumps(config), *flags), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _nobody(world: object, edge: str) -> str | None:
    return None
