"""Origins to run, and a house to run them in: real processes, observed."""

import asyncio
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgerun.api.meta import ObjectKey, ObjectMeta
from edgerun.api.originservice import Guarding, OriginService, OriginServiceSpec
from edgerun.api.templates import (
    Container,
    ContainerPort,
    EnvVar,
    HTTPGetAction,
    PodSpec,
    Probe,
    TCPSocketAction,
    Template,
)
from edgerun.infra.local import keeper
from edgerun.infra.local.guards import Guards
from edgerun.infra.local.instance import create
from edgerun.infra.local.leash import Leash
from edgerun.infra.local.processes import LocalOrigins
from edgerun.infra.local.site import Timing
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Running
from edgerun.translate.revisions.naming import numbered
from edgerun.translate.world import OriginObservation
from local.gatehouse import TRUST_DOMAIN, Gatehouse
from support.poll import eventually

IMPATIENT = Timing(not_listening_s=0.5, first_pause_s=0.05, longest_pause_s=0.2, healthy_s=0.5, drain_s=600, grace_s=60)

# Answers every request with $GREETING, or with what the function body given as `answer` returns.
SERVER = """
import os, socket, sys, threading
listener = socket.create_server((os.environ.get("BIND", "127.0.0.1"), int(os.environ["PORT"])))
greeting = os.environ.get("GREETING", "hello").encode()
def serve(connection):
    with connection:
        while head := connection.recv(65536):
            body = greeting if b"GET /quit" not in head else b"bye"
            connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (len(body), body))
            if b"GET /quit" in head:
                print("going down", file=sys.stderr, flush=True)
                os._exit(7)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


def origin(
    script: str = SERVER,
    *,
    name: str = "cart",
    command: tuple[str, ...] | None = None,
    args: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    working_dir: str = "",
    ports: tuple[ContainerPort, ...] = (),
    get: HTTPGetAction | None = None,
    tcp: TCPSocketAction | None = None,
    image: str = "",
    labels: dict[str, str] | None = None,
    guard: Guarding = Guarding.DISABLED,
) -> OriginService:
    container = Container(
        command=(sys.executable, "-I", "-S", "-c", script) if command is None else command,
        args=args,
        env=tuple(EnvVar(name=key, value=value) for key, value in (env or {}).items()),
        working_dir=working_dir,
        ports=ports,
        readiness_probe=Probe(http_get=get, tcp_socket=tcp),
        image=image,
    )
    return OriginService(
        metadata=ObjectMeta(name=name, namespace="shop", labels=labels or {}),
        spec=OriginServiceSpec(template=Template(spec=PodSpec(containers=(container,))), guard=guard),
    )


def revision(service: OriginService, number: int = 1, *, replicas: int = 1) -> Running:
    """That many replicas of the revision of that number."""
    return Running(revision_key(service.key, numbered(service.metadata.name, number)), service, replicas)


CART = ObjectKey("OriginService", "shop", "cart")
FIRST, SECOND, PAY = (ObjectKey("OriginRevision", "shop", name) for name in ("cart-00001", "cart-00002", "pay-00001"))


@dataclass
class House:
    """LocalOrigins with everything around it, and what it told."""

    gate: Gatehouse
    directory: Path
    origins: LocalOrigins = None  # type: ignore[assignment]
    leash: Leash = None  # type: ignore[assignment]
    history: list[tuple[ObjectKey, OriginObservation | None]] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    acks: int = 0
    may_acknowledge: asyncio.Event = field(default_factory=asyncio.Event)

    def apply(self, *revisions: Running | OriginService, replicas: int = 1) -> None:
        """What is to run: revisions, or services whose first revision has that many replicas."""
        self.origins.apply(
            tuple(one if isinstance(one, Running) else revision(one, replicas=replicas) for one in revisions)
        )

    def observed(self, key: ObjectKey = FIRST) -> OriginObservation | None:
        return next((seen for one, seen in reversed(self.history) if one == key), None)

    def observations(self, key: ObjectKey = FIRST) -> list[OriginObservation | None]:
        return [seen for one, seen in self.history if one == key]

    async def acknowledged(self) -> None:
        await self.may_acknowledge.wait()
        self.acks += 1

    async def until(self, true: Callable[[OriginObservation], bool], key: ObjectKey = FIRST) -> OriginObservation:
        def told() -> OriginObservation:
            seen = self.observed(key)
            assert seen is not None, "nothing was observed"
            assert true(seen), str(seen)
            return seen

        return await eventually(told)

    async def until_ready(self, key: ObjectKey = FIRST, *, replicas: int = 1) -> OriginObservation:
        """That so many serve, and no others."""
        return await self.until(lambda seen: (seen.phase, len(seen.endpoints)) == (OriginPhase.READY, replicas), key)

    async def until_reason(self, reason: str, key: ObjectKey = FIRST) -> OriginObservation:
        return await self.until(lambda seen: seen.reason == reason, key)

    def lines(self, name: str = "shop/cart-00001") -> list[str]:
        return [line for one, line in self.said if one == name]

    def pids(self) -> set[int]:
        return marked(self.leash.instance_id)


@asynccontextmanager
async def housed(
    root: Path, *, timing: Timing = IMPATIENT, environ: dict[str, str] | None = None
) -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as runtime:
        instance = create(root, environ={"XDG_RUNTIME_DIR": runtime})
        gate = Gatehouse()
        await gate.server.start(f"unix:{instance.xds_socket}")
        leash = Leash(instance.id, instance.directory)
        house = House(gate, instance.directory, leash=leash)
        house.may_acknowledge.set()
        house.origins = LocalOrigins(
            lambda key, seen: house.history.append((key, seen)),
            house.acknowledged,
            lambda name, line: house.said.append((name, line)),
            leash=leash,
            guards=Guards(
                instance,
                leash,
                TRUST_DOMAIN,
                lambda name, line: house.said.append((name, line)),
                lambda name, entry: gate.entries.append((name, entry)),
            ),
            root=root,
            environ=dict(os.environ) if environ is None else environ,
            timing=timing,
        )
        await house.leash.start()
        tasks = [asyncio.create_task(house.leash.run()), asyncio.create_task(house.origins.run())]
        await asyncio.sleep(0)
        try:
            yield house
        finally:
            await house.origins.stop()
            await asyncio.wait({tasks[1]}, timeout=60)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await gate.server.stop(grace_s=0)
            await house.leash.stop()
            assert not [result for result in results if isinstance(result, Exception)]
            assert not house.pids()
            assert not instance.directory.exists()


def marked(instance_id: str) -> set[int]:
    """The processes that an instance still has."""
    return keeper.belonging(frozenset({f"{keeper.MARK}={instance_id}".encode()}), frozenset())


async def steadily(true: Callable[[], bool], *, for_s: float = 0.7) -> None:
    """Asserts that something stays as it is: for what must not happen."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert true()
        await asyncio.sleep(0.02)


async def ask(port: int, path: str = "/", *, tls: ssl.SSLContext | None = None) -> str:
    """The body of a GET of `path`, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        return await _answer(reader, writer, path)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> str:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return (await reader.readexactly(length)).decode()
