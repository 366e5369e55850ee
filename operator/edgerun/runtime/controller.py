"""The loop in the middle: a settled store becomes a World, a Plan, and what everybody else acts upon.

It knows neither files nor clusters: whoever runs it gives it a store, an xDS server and what acts on the plan.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..api.admission import Served
from ..api.meta import ObjectKey
from ..sources.holdoff import HoldOff
from ..sources.store import Store
from ..translate.identities import guarded_origin, is_guard
from ..translate.names import revision_of
from ..translate.plan import Plan
from ..translate.translator import translate
from ..translate.world import Edge, World
from ..xds.authentication import Authenticator
from ..xds.loads import Loads
from ..xds.server import Proxy, Refused, Server, Traffic
from .board import Board, Status
from .crew import PATIENCE_S, Crew
from .handout import Secrets, complete
from .quarantine import Refuses, culprits, suspects

REMEMBERED = 32  # worlds that a proxy may still refuse; older ones were superseded on their way
ACKNOWLEDGED_WITHIN_S = 5.0  # a proxy that takes longer is stuck, and must not keep an origin from stopping
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What proxies should serve from `serial` on."""

    serial: int
    world: World
    plan: Plan


@dataclass(slots=True)
class Controller:
    """`act` carries a plan out, `tell` hears whose status changed, `refuses` asks Envoy about a world nobody serves.

    `before` knows what is said of an object where people look, `authenticate` who may ask; `rebuilding` is around each
    build, `traffic` counts what proxies are sent. `revise` decides of the revisions of a world. `secrets` has what a
    plan must not hold, `sent` hears of all that is published, `heard` of each acknowledgement, and `progressed` when it
    was an edge's. A fleet of which a secret is missing is not published, and its proxies keep what they have.
    """

    edge: Edge
    act: Callable[[Plan], None]
    tell: Callable[[tuple[ObjectKey, ...]], None]
    refuses: Refuses
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    before: Callable[[ObjectKey], Status | None] = lambda key: None
    authenticate: Authenticator | None = None
    trusts_status: bool = False
    rebuilding: Callable[[], AbstractContextManager[None]] = nullcontext
    traffic: Traffic | None = None
    revise: Callable[[World], World] = lambda world: world
    secrets: Callable[[Plan], Secrets] = lambda plan: {}
    sent: Callable[[Published], None] = lambda published: None
    heard: Callable[[Proxy], None] = lambda proxy: None
    progressed: Callable[[], None] = lambda: None
    holdoff: HoldOff = field(default_factory=HoldOff)
    store: Store = field(init=False)
    loads: Loads[ObjectKey] = field(init=False)
    server: Server = field(init=False)
    crew: Crew = field(init=False)
    board: Board = field(init=False)
    published: Published | None = None
    _refused: asyncio.Queue[Refused] = field(default_factory=asyncio.Queue)
    _unproven: dict[ObjectKey, tuple[int, Served]] = field(default_factory=dict)
    _recent: dict[int, World] = field(default_factory=dict)
    _mended: int = 0  # the newest serial whose refusal has been dealt with
    _next: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.store = Store(self.edge, self.clock, self.holdoff.mark, self.trusts_status)
        self.loads = Loads(revision_of)
        self.server = Server(observer=self, authenticate=self.authenticate, traffic=self.traffic, loads=self.loads)
        self.crew = Crew(self.server.proxies, self._pods, time.monotonic)
        self.board = Board(self.crew, self.clock, self.before)

    async def run(self) -> None:
        """Rebuild whenever the store has settled, and mend what proxies refuse, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rebuild_forever(), name="rebuild")
            tasks.create_task(self._mend_forever(), name="mend")

    def rebuild(self) -> None:
        """World, Plan, and everybody told. The plan is on its way to every proxy when this returns."""
        with self.rebuilding():
            world = self.revise(self.store.snapshot())
            plan = translate(world)
            published = self._publish(world, plan)
        self._expect_proof(published)
        self.board.publish(plan, published.serial)
        self.act(plan)
        self._refresh()
        done, self._next = self._next, asyncio.Event()
        done.set()

    def republish(self) -> None:
        """The same plan with the secrets of now. Not before guards are told by the same plan whom to trust now: the
        rebuild that is due for it brings the secrets, too."""
        published = self.published
        if published and published.world.trust == self.store.trust:
            self._publish(published.world, published.plan)

    def world(self) -> World:
        """As proxies were told of it last, with all that was decided; before that, as it is."""
        return self.published.world if self.published else self.store.snapshot()

    def crew_complete(self) -> bool:
        """Whether every edge proxy that takes requests is connected and has been heard of."""
        return all(self.crew.complete(edge) for edge in self.store.fleets)

    async def caught_up(self) -> None:
        """Return when every edge proxy serves what the store holds now, or the slowest had its time."""
        if self.holdoff.pending:
            await self._next.wait()
        published = self.published
        if published:
            edges = {fleet for fleet in published.plan.fleets if _is_edge(fleet)}  # those that wait for secrets, too
            await self.server.acknowledged(published.serial, timeout_s=ACKNOWLEDGED_WITHIN_S, among=edges.__contains__)

    # What the xDS server observes. These run in its loop and must not wait. No status depends on a guard.

    def connected(self, proxy: Proxy) -> None:
        if _is_edge(proxy.fleet):
            self._refresh()

    def disconnected(self, proxy: Proxy) -> None:
        if _is_edge(proxy.fleet):
            self.crew.parted(proxy)
            self._refresh()
            asyncio.get_running_loop().call_later(PATIENCE_S, self._refresh)

    def acknowledged(self, proxy: Proxy, serial: int) -> None:
        """`proxy` serves everything up to `serial`."""
        self.heard(proxy)
        self._prove()
        if _is_edge(proxy.fleet):
            self.progressed()
            self._refresh()

    def refused(self, refused: Refused) -> None:
        self._refused.put_nowait(refused)

    async def _rebuild_forever(self) -> None:
        while True:
            await self.holdoff.settled()
            try:
                self.rebuild()
            except Exception:  # a mistake of ours about one object must not end what all others get
                logger.exception("no plan could be made: the last one stays, until something changes")

    async def _mend_forever(self) -> None:
        while True:
            await self._mend(await self._refused.get())

    async def _mend(self, refused: Refused) -> None:
        """Put whoever is at fault into quarantine; when nobody can be singled out, everything new is.

        The question is put to the world that was refused, for a later one may have mended it or brought innocents. Many
        proxies refuse the same one: it is asked about once.
        """
        world = self._recent.get(refused.serial)
        if world is None or refused.serial <= self._mended:
            return
        self._mended = refused.serial
        edge = refused.proxy.fleet
        names = [(edge, refused.type_url, name) for name in refused.names]
        proven = {key: entry.proven for key, entry in self.store.entries.items() if entry.proven}
        among = suspects(translate(world), world, names, proven)
        found = await culprits(world, edge, among, self.refuses) if len(among) > 1 else {}
        words = found or {served.key: refused.message for served in among}
        if not words:
            logger.error("a proxy refused %s, and no object explains it: %s", refused.names, refused.message)
        for served in among:
            if served.key in words:
                self.store.quarantine(served, words[served.key])

    def _publish(self, world: World, plan: Plan) -> Published:
        serial = self.server.publish(complete(plan, self.secrets(plan)), plan.cold)
        self.published = Published(serial, world, plan)
        self._recent[serial] = world
        self._recent.pop(serial - REMEMBERED, None)
        self.sent(self.published)
        return self.published

    def _prove(self) -> None:
        """A version is proven by all edges, and that of an origin by its guards, too; other origins' do not matter."""
        if not self._unproven:
            return
        proxies = self.server.proxies()
        edges = min((one.acked_serial for one in proxies if _is_edge(one.fleet)), default=0)
        guards = dict[ObjectKey, int]()
        for one in proxies:
            if origin := guarded_origin(one.fleet):
                guards[origin] = min(one.acked_serial, guards.get(origin, edges))
        for key, (first, served) in [*self._unproven.items()]:
            if first <= min(edges, guards.get(key, edges)):
                del self._unproven[key]
                self.store.prove(served)

    def _expect_proof(self, published: Published) -> None:
        served: tuple[Served, ...] = (*published.world.proxies, *published.world.routes, *published.world.origins)
        before = self._unproven
        self._unproven = {}
        for one in served:
            if self.store.entries[one.key].proven is not one:
                first, known = before.get(one.key, (published.serial, one))
                self._unproven[one.key] = (first, one) if known is one else (published.serial, one)

    def _pods(self, edge: str) -> Sequence[str] | None:
        fleet = self.store.fleets.get(edge)
        return fleet.ready if fleet else None

    def _refresh(self) -> None:
        changed = self.board.refresh()
        if changed:
            self.tell(changed)


def _is_edge(fleet: str) -> bool:
    return not is_guard(fleet)
