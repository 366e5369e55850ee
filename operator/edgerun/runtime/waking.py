"""Puts revisions to rest that have no load, and wakes those that a request waits for: what becomes of their epochs.

Zero is reached in an order that loses no request. The next name is written where another control plane reads it, which
could not answer for a name that it does not know. Then routes lead to that name, which is not there yet (CLOSING); all
proxies have acknowledged that, and since then have had nothing under way to the cluster of before; only then it goes,
and the replicas with it (ASLEEP). A proxy that is stuck, new or silent holds that up. Who asks for the name meanwhile
gets it at once, with the replicas that are still there; and while requests are under way to the cluster of before, it
stays beside the new one, also under another control plane. Later, one question starts replicas, however many wait
(WAKING), and with the first endpoint the cluster is there (AWAKE).

Envoy asks for a name once in its life, and does not say that nobody waits any more. So each time of sleep has a name of
its own, and a client that left wakes a revision all the same, but once.
Trap: what runs when a revision falls asleep is still observed for a while. Only what comes after nothing was there is a
replica to lead requests to.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..api import originservice
from ..api.durations import seconds
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from ..autoscale.windows import SECOND_NS
from ..autoscale.zero import Activity, Rules, Situation, Verdict, to_zero
from ..sources.store import Store
from ..translate.revisions.objects import owner_name
from ..translate.revisions.replicas import Need, Role
from ..translate.workloads import PROGRESS_DEADLINE_S
from ..translate.world import AWAKE, Epoch, OriginObservation, Sleep
from .passage import Passage
from .scaling import Scaled

LOOK_S = 0.25  # how often acknowledgements, reports and the time are looked at; questions and endpoints tell themselves
logger = logging.getLogger(__name__)


async def _always() -> None:
    """There is nobody else who could lead."""


@dataclass(slots=True)
class _Life:
    """What is known of one revision beside its epoch, which began at `since`. `serial` is its first publication, and
    since `held_at` all proxies have acknowledged that. `empty`: nothing is left of its replicas of before."""

    since: float
    ready_since: float | None = None
    serial: int | None = None
    held_at: float | None = None
    empty: bool = False


@dataclass(slots=True)
class Waking:
    """`told` hears of who went to sleep or was woken, `wakes` that somebody is waited for, `woke` how long that took;
    `clock` is that of the reports, and `stamp` never gives a number again, whichever process asks."""

    store: Store
    passage: Passage
    told: Callable[[Scaled], None]
    wakes: Callable[[], None] = lambda: None
    woke: Callable[[float], None] = lambda took_s: None
    clock: Callable[[], float] = time.monotonic
    stamp: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    _lives: dict[ObjectKey, _Life] = field(default_factory=dict)

    async def run(self, leads: Callable[[], Awaitable[None]] = _always) -> None:
        """Look while `leads` returns, until cancelled."""
        while True:
            await leads()
            seen = self.passage.edges.demand()
            try:
                self.look()
            except Exception:  # a mistake of ours about one revision must not keep all others asleep
                logger.exception("not all revisions were looked at: the others stay as they are")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.passage.edges.demand_other_than(seen)

    def forget(self) -> None:
        """Somebody else decides from now on, or this process begins to: with what is observed."""
        self._lives.clear()
        for key in tuple(self.store.epochs):
            self.store.sleep(key, None)
        self.look()

    def observe(self, key: ObjectKey, observation: OriginObservation | None) -> None:
        """Take in what the infrastructure says of a revision, and what follows for those who wait."""
        self.store.observe(key, observation)
        if observation:
            self._look(key, self.passage.asked())
        else:
            self._lives.pop(key, None)
            self.store.sleep(key, None)
            self.store.scale(key, None)

    def look(self) -> None:
        """Look at all revisions."""
        asked = self.passage.asked()
        for key in tuple(self.store.observations):
            self._look(key, asked)

    def rest(self, key: ObjectKey, service: OriginService) -> None:
        """The autoscaler wants no replica of this revision: the first step to that, when it is time for it."""
        observed = self.store.observations.get(key)
        if observed is None:
            return
        life, epoch = self._life(key), self._epoch(key)
        if epoch.cold or epoch.before is not None or self._need(key, service).least:
            return
        activity = Activity.ACTIVATING if life.ready_since is None else Activity.ACTIVE
        since = max(life.since, life.ready_since or life.since)
        if _verdict(service, activity, self.clock() - since).wanted == 0:
            self._turn(key, self._renamed(epoch, observed, Sleep.CLOSING))

    def _look(self, key: ObjectKey, asked: Set[tuple[ObjectKey, int]]) -> None:
        service = self._service(key)
        if service is None:
            return
        life, observed, now = self._life(key), self.store.observations[key], self.clock()
        epoch = self._epoch(key)
        life.empty = life.empty or _is_empty(observed)
        life.ready_since = (life.ready_since or now) if observed.endpoints else None
        life.held_at = (life.held_at or now) if self._is_held(key, epoch, life) else None
        after = self._next(key, service, wanted=(key, epoch.number) in asked)
        if after != epoch:
            began = life.since
            self._turn(key, after)
            if after.sleep is not epoch.sleep:
                self._carry_out(key, service, epoch, after, now - began)

    def _next(self, key: ObjectKey, service: OriginService, *, wanted: bool) -> Epoch:
        """The epoch that follows; the same one when nothing does. It is `wanted` when a request waits for it."""
        observed, life, epoch = self.store.observations[key], self._life(key), self._epoch(key)
        need = self._need(key, service)
        if not need.reachable:
            return Epoch(epoch.number)  # nobody waits for it, and if it runs, then for other reasons
        match epoch.sleep:
            case Sleep.AWAKE if self._is_over(key, epoch, life):
                return Epoch(epoch.number)
            case Sleep.AWAKE if epoch.before is None and not need.least and observed.stopped:
                return self._renamed(epoch, observed, Sleep.ASLEEP)  # before this process began, or there was anything
            case Sleep.CLOSING if (wanted or need.least) and observed.endpoints:
                return Epoch(epoch.number, before=epoch.before)
            case Sleep.CLOSING if wanted or need.least:
                return Epoch(epoch.number, Sleep.WAKING)
            case Sleep.CLOSING if self._may_go(service, life) and self._is_over(key, epoch, life):
                return Epoch(epoch.number, Sleep.ASLEEP)
            case Sleep.ASLEEP | Sleep.WAKING if life.empty and observed.endpoints:
                return Epoch(epoch.number)
            case Sleep.ASLEEP if life.empty and (wanted or need.least):
                return Epoch(epoch.number, Sleep.WAKING)
            case Sleep.WAKING if not need.least and self._is_hopeless(service, life):
                return self._renamed(epoch, observed, Sleep.ASLEEP)
        return epoch

    def _renamed(self, epoch: Epoch, observed: OriginObservation, sleep: Sleep) -> Epoch:
        """With a name that no proxy has asked for, as soon as another control plane would read it."""
        if not epoch.next:
            return replace(epoch, next=max(self.stamp(), epoch.number + 1))
        if observed.epoch != epoch.next:
            return epoch
        return Epoch(epoch.next, sleep, before=epoch.number if sleep is Sleep.CLOSING else None)

    def _turn(self, key: ObjectKey, after: Epoch) -> None:
        life, before = self._lives[key], self._epoch(key)
        life.serial = life.held_at = None
        if after.sleep is not before.sleep:
            life.since = self.clock()
            life.empty = after.sleep is Sleep.WAKING or _is_empty(self.store.observations.get(key))
        self.store.sleep(key, after)
        if after.sleep is Sleep.WAKING:
            self.wakes()

    def _carry_out(self, key: ObjectKey, service: OriginService, before: Epoch, after: Epoch, for_s: float) -> None:
        scaling = service.spec.scaling
        match before.sleep, after.sleep:
            case Sleep.CLOSING, Sleep.ASLEEP:
                self._scale(key, service, 0, f"no request within {scaling.window}")
            case Sleep.WAKING, Sleep.ASLEEP:
                self._scale(key, service, 0, f"it did not start within {for_s:.0f} s")
            case _, Sleep.WAKING:
                least = max(scaling.activation_scale or 1, self._need(key, service).least)
                self._scale(key, service, least, "a request waits for it")
            case Sleep.WAKING, Sleep.AWAKE:
                self.woke(for_s)

    def _scale(self, key: ObjectKey, service: OriginService, replicas: int, why: str) -> None:
        before = self.store.scales.get(key, 0)
        self.store.scale(key, replicas)
        if before != replicas:
            self.told(Scaled(key, service.key, before, replicas, why))

    def _is_held(self, key: ObjectKey, epoch: Epoch, life: _Life) -> bool:
        """Whether all proxies know of this epoch, so that no request goes to the cluster of before any more."""
        if epoch.before is None:
            return False
        life.serial = life.serial or self.passage.serial(key, epoch)
        return life.serial is not None and self.passage.acknowledged(life.serial)

    def _is_over(self, key: ObjectKey, epoch: Epoch, life: _Life) -> bool:
        """Whether nothing is under way to that cluster since then."""
        known = epoch.before is not None and life.held_at is not None
        return known and self.passage.quiet(key, epoch.before or 0, life.held_at or 0.0)

    def _may_go(self, service: OriginService, life: _Life) -> bool:
        """Whether the last replica was kept for long enough."""
        return _verdict(service, Activity.INACTIVE, self.clock() - life.since).applied

    def _is_hopeless(self, service: OriginService, life: _Life) -> bool:
        """Whether no replica has come in all the time that there is for it."""
        return _verdict(service, Activity.ACTIVATING, self.clock() - life.since).applied

    def _epoch(self, key: ObjectKey) -> Epoch:
        return self.store.epochs.get(key, AWAKE)

    def _life(self, key: ObjectKey) -> _Life:
        if key not in self._lives:
            self._lives[key] = _Life(self.clock())
            self._go_on(key)
        return self._lives[key]

    def _go_on(self, key: ObjectKey) -> None:
        """From where another process stopped: proxies have routes to that epoch, and may hold requests for it."""
        observed = self.store.observations.get(key)
        if observed and observed.epoch:
            sleep = Sleep.AWAKE if observed.endpoints else Sleep.ASLEEP if _is_empty(observed) else Sleep.WAKING
            before = observed.before if sleep is Sleep.AWAKE else None  # else nobody could answer what is under way
            self._turn(key, Epoch(observed.epoch, sleep, before))

    def _service(self, key: ObjectKey) -> OriginService | None:
        revision = self.store.revisions.get(key)
        owner = ObjectKey(originservice.KIND, key.namespace, owner_name(revision)) if revision else None
        entry = self.store.entries.get(owner) if owner else None
        return entry.serving if entry and isinstance(entry.serving, OriginService) else None

    def _need(self, key: ObjectKey, service: OriginService) -> Need:
        """As it was decided; who is not among them is about to be made. Before the first decision all may be led to."""
        published = self.passage.published()
        outcome = published.world.revised.get(service.key) if published else None
        if outcome is None:
            return Need(key.name, Role.ROUTED, service.spec.scaling.min_scale, reachable=True)
        starts = Need(key.name, Role.STARTING, 1, reachable=False)
        return next((need for need in outcome.needs if need.revision_name == key.name), starts)


def _is_empty(observed: OriginObservation | None) -> bool:
    return observed is None or not (observed.endpoints or observed.replicas)


def _verdict(service: OriginService, activity: Activity, for_s: float) -> Verdict:
    """There is no need of grace: that the edges hold the requests is not assumed, but known before anybody asks."""
    scaling = service.spec.scaling
    rules = Rules(
        stable_window_ns=int(seconds(scaling.window)) * SECOND_NS,
        grace_ns=0,
        retention_ns=int(seconds(scaling.scale_to_zero_retention)) * SECOND_NS,
        progress_deadline_ns=PROGRESS_DEADLINE_S * SECOND_NS,
    )
    return to_zero(rules, Situation(activity=activity, for_ns=int(for_s * SECOND_NS), holding_ns=0))
