"""A control plane alone, in a process of its own so that its CPU time is its own: guarded origins, keys in memory.

`python plane.py FOLDER EDGE_PORT EDGES OVERLAP_S PERIOD_S GUARD_PORT...` listens on FOLDER/xds.sock. A port is that of
an origin's guard, one origin each; 1 stands for a guard that nobody calls. EDGES are the names of the edge's proxies.
Each line of its input is done, and answered by one of JSON when all proxies know what has come of it: `rotate`,
`revoke`, or `tidy`, after which keys are as they were in the beginning.

Times are those of the clock that all processes share. Trap: a rotation is in no hurry. It waits ten minutes for those
who poll the issuer (`Policy.propagation`), which is left out here, and looks every 30 s whether it may go on, for which
PERIOD_S stands here.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from documents import document

from edgerun.api.meta import ObjectKey
from edgerun.credentials import workloads
from edgerun.credentials.certificates import new_workload_authority
from edgerun.credentials.keyring import Policy, revoke, rotate
from edgerun.credentials.keys import Phase, new_private
from edgerun.credentials.keystore import Change, changed
from edgerun.credentials.rotation import Rotation
from edgerun.credentials.tokens import Terms
from edgerun.credentials.vaults import MemoryVault
from edgerun.credentials.workloads import Workloads
from edgerun.runtime.controller import Controller, Published
from edgerun.runtime.handout import Secrets
from edgerun.runtime.issuing import Issuing
from edgerun.runtime.verifiers import kids
from edgerun.sources.store import Seen
from edgerun.translate.identities import credential_secret, guard_fleet, is_guard
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Plan
from edgerun.translate.revisions.naming import numbered
from edgerun.translate.world import Edge, Endpoint, OriginObservation, World

NAMESPACE, TRUST_DOMAIN, ISSUER, EDGE = "default", "bench.test", "https://bench.test", "default"
WITHIN_S = 30.0
"""How long all proxies may take to know something."""


def origin_key(number: int) -> ObjectKey:
    return ObjectKey("OriginService", NAMESPACE, f"origin-{number}")


def host(number: int) -> str:
    return f"host-{number}.example.com"


def guard_name(number: int) -> str:
    return f"guard-{number}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One publication: whom guards are told to trust, and what edges are to show."""

    at: float
    serial: int
    trusted: frozenset[str]
    credentials: frozenset[str]


class Plane:
    """What a control plane is, but for what runs origins. It can be told to `rotate`, to `revoke` and to `tidy`."""

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, ...],
        *,
        edge_port: int,
        edges: tuple[str, ...],
        policy: Policy,
        period_s: float,
    ) -> None:
        self.folder, self.edges, self.ports = folder, edges, ports
        self.vault, self.changes, self.news = MemoryVault(), asyncio.Queue[None](), asyncio.Event()
        self.letters: list[Letter] = []
        self.credentials = frozenset[str]()
        self.controller = Controller(Edge(EDGE, port=edge_port), lambda plan: None, lambda keys: None, nobody_refuses)
        self.wire = Rotation(
            MemoryVault(),
            title="wire",
            names=(TRUST_DOMAIN,),
            new_authority=new_workload_authority,
            may_write=lambda: True,
            policy=workloads.POLICY,
        )
        self.issuing = Issuing(
            self.controller,
            self.vault,
            Workloads(lambda: self.wire.authorities),
            terms=Terms(issuer=ISSUER),
            trust_domain=TRUST_DOMAIN,
            policy=policy,
            expected=lambda: [(guard_fleet(origin_key(number)), guard_name(number)) for number in range(len(ports))],
            changes=self.told,
            period_s=period_s,
        )
        self._secrets, self._sent = self.controller.secrets, self.controller.sent
        self.controller.secrets, self.controller.sent = self.secrets, self.sent

    async def run(self) -> None:
        """Until cancelled."""
        self.fill()
        await self.wire.tend()
        await self.controller.server.start(f"unix:{self.folder / 'xds.sock'}")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.issuing.run(), name="issuing")
                await self.issuing.ready()
                tasks.create_task(self.controller.run(), name="controller")
        finally:
            await self.controller.server.stop(grace_s=0.0)

    def fill(self) -> None:
        """Each origin with its guard, and a route to it."""
        store, containers = self.controller.store, [{"command": ["app"]}]
        for number, port in enumerate(self.ports):
            key = origin_key(number)
            store.apply(Seen(document(key.kind, key.name, {"template": {"spec": {"containers": containers}}})))
            rules = [{"origins": [{"service": {"name": key.name}}]}]
            store.apply(Seen(document("EdgeRoute", f"route-{number}", {"hostnames": [host(number)], "rules": rules})))
            endpoints = (Endpoint("127.0.0.1", port, guarded=True),)
            store.observe(revision_key(key, numbered(key.name, 1)), OriginObservation(OriginPhase.READY, endpoints))

    # What is done to it

    async def rotate(self) -> dict[str, float]:
        """Guards are told of the next key; when all know it, it signs, and edges get its tokens."""
        known = self.letters[-1].trusted
        return await self.followed(rotate, lambda letter: bool(letter.trusted - known))

    async def revoke(self) -> dict[str, float]:
        """The key that signs: edges get tokens of the next one, and guards forget it."""
        key = self.issuing.holder.keys.signing
        assert key, "some key signs"
        return await self.followed(self.without(key.kid), lambda letter: key.kid not in letter.trusted)

    async def tidy(self) -> dict[str, float]:
        """Without the keys of old tokens, which in life end one by one; and wait until nothing is on its way."""
        for key in self.issuing.holder.keys.at(Phase.RETIRING):
            await self.change(self.without(key.kid))
        async with asyncio.timeout(WITHIN_S):
            while not self.settled():
                await asyncio.sleep(0.02)
        return {}

    async def followed(self, how: Change, tells_guards: Callable[[Letter], bool]) -> dict[str, float]:
        """When guards were told and knew, when edges were told and had it, in ms; and the CPU time of all that."""
        at, before = len(self.letters), self.letters[-1].credentials
        cpu_s, began_s = time.process_time(), time.monotonic()
        await self.change(how)
        async with asyncio.timeout(WITHIN_S):
            (told, guards), (handed, edges) = await asyncio.gather(
                self.known(at, tells_guards, is_guard),
                self.known(at, lambda letter: bool(letter.credentials) and not letter.credentials & before, is_edge),
            )
        times = {"told": told, "guards": guards, "handed": handed, "edges": edges}
        found = {f"{name}_ms": 1000 * (each - began_s) for name, each in times.items()}
        return found | {"cpu_ms": 1000 * (time.process_time() - cpu_s), "began_s": began_s}

    async def known(
        self, at: int, wanted: Callable[[Letter], bool], among: Callable[[str], bool]
    ) -> tuple[float, float]:
        """When the first such letter was sent, and when all of these proxies had taken it."""
        while not (found := [letter for letter in self.letters[at:] if wanted(letter)]):
            self.news.clear()
            await self.news.wait()
        await self.controller.server.acknowledged(found[0].serial, WITHIN_S, among=among)
        return found[0].at, time.monotonic()

    async def change(self, how: Change) -> None:
        """As the command line does it."""
        await changed(self.vault, how)
        self.changes.put_nowait(None)

    def without(self, kid: str) -> Change:
        policy = self.issuing.holder.policy
        return lambda keys: revoke(keys, kid, datetime.now(UTC), policy, new_key=new_private)

    def settled(self) -> bool:
        """Whether all proxies are there and have all there is, and no key is on its way."""
        here = {proxy.id: proxy.acked_serial for proxy in self.controller.server.proxies()}
        if not self.letters or len(here) < len(self.ports) + len(self.edges):
            return False
        last, keys = self.letters[-1], self.issuing.holder.keys
        trusted = {key.kid for key in keys.keys if key.phase.trusted}
        told = last.trusted == trusted and bool(last.credentials) and min(here.values()) >= last.serial
        return told and not keys.at(Phase.RETIRING)

    # What its parts ask and tell

    async def told(self) -> AsyncIterator[None]:
        while True:
            await self.changes.get()
            yield

    def secrets(self, plan: Plan) -> Secrets:
        found = self._secrets(plan)
        names = {credential_secret(claim) for claim in plan.claims.get(EDGE, ())}
        self.credentials = frozenset(one.version for name, one in found.get(EDGE, {}).items() if name in names)
        return found

    def sent(self, published: Published) -> None:
        self._sent(published)
        trusted = kids(published.world.trust.jwks)
        self.letters.append(Letter(time.monotonic(), published.serial, trusted, self.credentials))
        self.news.set()


def is_edge(fleet: str) -> bool:
    return not is_guard(fleet)


async def nobody_refuses(world: World, edge: str) -> str | None:
    return None


async def serve(plane: Plane) -> None:
    """Do what standard input says, until it ends."""
    done = {"rotate": plane.rotate, "revoke": plane.revoke, "tidy": plane.tidy}
    running = asyncio.create_task(plane.run(), name="control plane")
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await done[line.strip()]()), flush=True)
    finally:
        running.cancel()
        await asyncio.wait({running})


def main() -> None:
    logging.getLogger("edgerun").setLevel(logging.ERROR)  # each revocation is a warning
    folder, edge_port, edges, overlap_s, period_s, *ports = sys.argv[1:]
    plane = Plane(
        Path(folder),
        tuple(map(int, ports)),
        edge_port=int(edge_port),
        edges=tuple(edges.split(",")),
        policy=Policy(overlap=timedelta(seconds=float(overlap_s)), propagation=timedelta()),
        period_s=float(period_s),
    )
    asyncio.run(serve(plane))


if __name__ == "__main__":
    main()
