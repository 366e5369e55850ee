"""One stream: who may be told what, and when. Pure and clock-free; what a single type still lacks is the watch's.

Make before break. Types work in ranks, each towards the newest snapshot that all ranks before it have finished, so a
route is sent when its clusters are warm, not before. What is gone is removed last, when no snapshot knows it that any
type is still at: newer snapshots wait at most for the ACK of a removal, and removals do not starve behind them.
Clusters, endpoints and secrets share the first rank, because an ACK of clusters waits for the other two.
A cluster that was cold goes past everything else, because clients hold requests until it comes.
Trap: where a route is refused, an older one stays in use, so removals wait until the client takes another.
"""

from collections.abc import Set
from dataclasses import dataclass

from envoy.service.discovery.v3 import discovery_pb2

from ..translate.plan import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET
from .nacks import Nack
from .snapshot import Framed, Response, Snapshot
from .watch import GATE_S, Watch

# In the order in which updates go out; types that are not here wait for nothing and hold nothing back.
_RANKS = {CLUSTER: 0, ENDPOINTS: 0, SECRET: 0, EXTENSION: 1, LISTENER: 2, ROUTES: 3}
_ORDER = tuple(_RANKS)
_REMOVAL_ORDER = (LISTENER, ROUTES, CLUSTER, ENDPOINTS, SECRET, EXTENSION)

Live = Set[Snapshot]


@dataclass(frozen=True, slots=True)
class Node:
    """Who the client says it is."""

    id: str
    cluster: str


class Session:
    """`node` is None until the first request. `acked_serial` counts what the client took whole and never decreases."""

    def __init__(self) -> None:
        self.node: Node | None = None
        self.acked_serial = 0
        self._newest: Snapshot | None = None
        self._watches: dict[str, Watch] = {}
        self._woken: set[str] = set()  # clusters that were cold
        self._nonces = 0
        self._introduced_by: float | None = None  # by then a client has said all that it subscribes to, or never will

    def publish(self, snapshot: Snapshot) -> None:
        """Make `snapshot` what the client should have; whatever was to come before it and is not sent never will be."""
        before, self._newest = self._newest, snapshot
        self._woken |= before.cold if before else set()
        self._woken &= snapshot.of(CLUSTER).keys()

    def on_request(self, request: discovery_pb2.DeltaDiscoveryRequest, now: float) -> Nack | None:
        """Take in what the client says. Its subscriptions count whatever the nonce; a NACK is also returned."""
        if self.node is None:  # Envoy introduces itself on the first message only
            self.node = Node(request.node.id, request.node.cluster)
        watch = self._watches.get(request.type_url)
        if watch is None:
            self._begin(request, now)
            return None
        nack = _judgement(watch, request, now)
        for name in request.resource_names_unsubscribe:
            watch.leave(name)
        for name in request.resource_names_subscribe:
            watch.join(name)
        return nack

    def responses(self, now: float) -> list[Response]:
        """All that may go out now, in this order."""
        newest = self._newest
        if newest is None:
            return []
        watches = self._watches.values()
        if self._introduced_by is not None and (self._booted(newest) or now >= self._introduced_by):
            self._introduced_by = None
        for watch in watches:
            watch.lapse(now)
            watch.conclude()
        # All aim before any sends: what is sent of one type may make another one busy again.
        for watch in watches:
            self._aim(watch, newest)
        # A removal that may go, goes first: behind updates that never end it would never go.
        live = self._live(newest)
        first = [self._removal(live, newest, now), self._aside(live, newest)]
        answers = [*first, *(self._answer(watch, live, newest, now) for watch in watches)]
        self._count(newest)
        return [answer for answer in answers if answer]

    def deadline(self) -> float | None:
        """When `responses` may have something new although nothing happened."""
        if self._newest is None:
            return None
        times = (self._introduced_by, *(watch.deadline() for watch in self._watches.values()))
        return min((at for at in times if at is not None), default=None)

    def _begin(self, request: discovery_pb2.DeltaDiscoveryRequest, now: float) -> None:
        if not self._watches:
            self._introduced_by = now + GATE_S
        watch = Watch(request.type_url)
        watch.begin(request.resource_names_subscribe, request.initial_resource_versions)
        everything = self._watches | {request.type_url: watch}
        self._watches = {one: everything[one] for one in (*_ORDER, *everything) if one in everything}
        if request.type_url == ENDPOINTS and CLUSTER in self._watches:
            # Clusters went out before we heard which endpoints the client holds from an earlier stream.
            self._repeat_endpoints(self._watches[CLUSTER].unconfirmed())

    def _aim(self, watch: Watch, newest: Snapshot) -> None:
        goal = self._allowed(watch, newest)
        if goal and watch.idle:
            watch.aim(goal)
        watch.conclude()

    def _allowed(self, watch: Watch, newest: Snapshot) -> Snapshot | None:
        """The newest snapshot that every earlier rank has finished."""
        rank = _RANKS.get(watch.type_url, 0)
        earlier = [one.finished for one in self._watches.values() if _RANKS.get(one.type_url, rank) < rank]
        finished = [one for one in earlier if one]
        return min(finished, key=Snapshot.age, default=newest) if len(finished) == len(earlier) else None

    def _answer(self, watch: Watch, live: Live, newest: Snapshot, now: float) -> Response | None:
        if watch.busy:
            return None
        if missing := watch.missing(live):
            return watch.removals(missing, self._nonce(), max(one.serial for one in live), now)
        if watch.type_url == CLUSTER and self._endpoints_engaged(live):
            return None
        allowed = self._allowed(watch, newest)
        lent = watch.lent([one for one in live if allowed and one.serial <= allowed.serial])
        if watch.goal is None or not (lent or watch.talkative):
            return None
        response, resources = watch.updates(watch.goal, lent, self._nonce(), now)
        self._repeat_endpoints(resources)
        return response

    def _aside(self, live: Live, newest: Snapshot) -> Response | None:
        """What was cold does not wait until its turn comes: before it there may be one that never becomes warm."""
        clusters = self._watches.get(CLUSTER)
        if clusters is None:
            return None
        self._woken = {name for name in self._woken if clusters.lacks(name)}
        in_turn = clusters.goal is newest and not clusters.busy and not self._endpoints_engaged(live)
        if in_turn or not self._woken:
            return None
        here = newest.of(CLUSTER)
        return clusters.aside({name: here[name] for name in self._woken}, self._nonce(), newest.serial)

    def _endpoints_engaged(self, live: Live) -> bool:
        """Whether endpoints could not go out right behind clusters."""
        endpoints = self._watches.get(ENDPOINTS)
        return endpoints is not None and (endpoints.busy or bool(endpoints.missing(live)))

    def _repeat_endpoints(self, clusters: tuple[Framed, ...]) -> None:
        """Envoy warms an updated cluster until its endpoints come once more, and does not ask for them."""
        endpoints = self._watches.get(ENDPOINTS)
        if endpoints is None:
            return
        for cluster in clusters:
            if cluster.endpoints and endpoints.covers(cluster.endpoints):
                endpoints.renew(cluster.endpoints)

    def _removal(self, live: Live, newest: Snapshot, now: float) -> Response | None:
        """The removals of one type; the next type's follow when these are answered."""
        if self._introduced_by is not None or not self._settled():
            return None
        others = (type_url for type_url in self._watches if type_url not in _RANKS)
        for type_url in (*_REMOVAL_ORDER, *others):
            watch = self._watches.get(type_url)
            if watch is None:
                continue
            names = watch.departures(live)
            if watch.removing or (names and watch.busy):
                return None
            if names:
                return watch.removals(names, self._nonce(), newest.serial, now)
        return None

    def _live(self, newest: Snapshot) -> Live:
        """The snapshots that the client may be at, in one type or another."""
        ranked = [watch for one, watch in self._watches.items() if one in _RANKS]
        return {newest, *(at for watch in ranked for at in (watch.goal, watch.finished) if at)}

    def _settled(self) -> bool:
        """Whether it is known which snapshots the client may be at."""
        ranked = [watch for one, watch in self._watches.items() if one in _RANKS]
        return all(watch.finished and not (watch.outdated and _RANKS[watch.type_url]) for watch in ranked)

    def _count(self, newest: Snapshot) -> None:
        if self._booted(newest):
            serial = min(watch.acked_serial for watch in self._watches.values())
            self.acked_serial = max(self.acked_serial, serial)

    def _booted(self, newest: Snapshot) -> bool:
        return LISTENER in self._watches and (ROUTES in self._watches or not newest.of(ROUTES))

    def _nonce(self) -> str:
        self._nonces += 1
        return str(self._nonces)


def _judgement(watch: Watch, request: discovery_pb2.DeltaDiscoveryRequest, now: float) -> Nack | None:
    if not request.response_nonce:
        return None
    if request.HasField("error_detail"):
        return watch.nack(request.response_nonce, request.error_detail.message, now)
    watch.ack(request.response_nonce)
    return None
