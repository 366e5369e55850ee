"""A client that behaves as Envoy does, against a session, at random: what must hold whatever happens, and at rest.

The client applies clusters and listeners one by one, refuses routes and endpoints by the response, ACKs clusters only
when they are warm, asks for the endpoints and routes that what it holds needs, and reconnects with what it holds.
Routes also lead to an origin that sleeps and wakes, each time under another name. The client holds requests for it
until its cluster comes; that it asks for it is told elsewhere.
Messages travel in order, one at a time, and each step of either side happens when the machine says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds.session import Session
from edgerun.xds.snapshot import Snapshot, snapshot
from edgerun.xds.watch import GATE_S
from support.xds import ack, assignment, cluster, listener, nack, names, resources, route_table, subscription

BAD_VERSION, BAD_ROUTE, BAD_PORT = 9, "bad", 13
CLUSTERS = ("a", "b", "c", "d")
TABLES = ("edge", "two")
SLEEPER = "cold#"  # and the epoch


class Draft(NamedTuple):
    """`origins`: cluster -> (version, port, or None without endpoints); `edges`: listener -> (port, its clusters)."""

    origins: dict[str, tuple[int, int | None]]
    edges: dict[str, tuple[int, list[str]]]

    def resources(self, sleeper: "Sleeper") -> tuple[Resource, ...]:
        clusters = [cluster(name, version) for name, (version, _) in self.origins.items()]
        endpoints = [assignment(name, port) for name, (_, port) in self.origins.items() if port is not None]
        listeners = [listener(name, port, routes=name) for name, (port, _) in self.edges.items()]
        routes = [route_table(name, *to, sleeper.name) for name, (_, to) in self.edges.items()]
        return (*clusters, *endpoints, *sleeper.resources(), *listeners, *routes)


@dataclass
class Sleeper:
    """An origin that is cold until it is called awake and has a port. `last` is the epoch that is not over, while the
    next is cold."""

    epoch: int = 1
    awake: bool = False
    port: int = 0
    last: int | None = None

    @property
    def name(self) -> str:
        return f"{SLEEPER}{self.epoch}"

    @property
    def cold(self) -> set[str]:
        return set() if self.port else {self.name}

    @property
    def called_cold(self) -> set[str]:
        return set() if self.awake else {self.name}

    def resources(self) -> tuple[Resource, ...]:
        last = () if self.last is None else (cluster(f"{SLEEPER}{self.last}"), assignment(f"{SLEEPER}{self.last}"))
        this = (cluster(self.name), assignment(self.name, self.port)) if self.awake else ()
        return (*last, *this)

    def rest(self) -> None:
        self.awake, self.port, self.last, self.epoch = False, 0, self.epoch, self.epoch + 1


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """Routes lead to clusters that are there. Some resources are such that Envoy would refuse them."""
    there = sorted(draw(st.sets(st.sampled_from(CLUSTERS))))
    versions, ports = st.sampled_from((1, 1, 2, 3, BAD_VERSION)), st.sampled_from((1, 1, 2, 0, None, BAD_PORT))
    edges = {}
    for name in sorted(draw(st.sets(st.sampled_from(TABLES)))):
        to = draw(st.lists(st.sampled_from(there), max_size=3)) if there else []
        broken = [BAD_ROUTE] if to and draw(st.integers(0, 5)) == 5 else []
        edges[name] = (draw(st.sampled_from((1, 1, 2))), to + broken)
    return Draft({name: (draw(versions), draw(ports)) for name in there}, edges)


def targets(body: bytes) -> list[str]:
    (host,) = route_pb2.RouteConfiguration.FromString(body).virtual_hosts
    return [one.route.cluster for one in host.routes]


def is_bad(one: Any) -> bool:
    body = one.resource.value
    if one.resource.type_url == CLUSTER:
        return bool(cluster_pb2.Cluster.FromString(body).connect_timeout.seconds == BAD_VERSION)
    if one.resource.type_url == ROUTES:
        return BAD_ROUTE in targets(body)
    return bool(one.resource.type_url == ENDPOINTS and body == assignment(one.name, BAD_PORT).body)


def table_of(body: bytes) -> str:
    (chain,) = listener_pb2.Listener.FromString(body).filter_chains
    manager = hcm_pb2.HttpConnectionManager.FromString(chain.filters[0].typed_config.value)
    return str(manager.rds.route_config_name)


@dataclass
class Envoy:
    """What a proxy holds: per type, name -> content, and the version where it would tell it on a new stream."""

    held: dict[str, dict[str, bytes]] = field(default_factory=lambda: {one: {} for one in TYPES})
    told: dict[str, dict[str, str]] = field(default_factory=lambda: {one: {} for one in TYPES})
    wants: dict[str, dict[str, None]] = field(default_factory=lambda: {ENDPOINTS: {}, ROUTES: {}})
    active: set[str] = field(default_factory=set)  # clusters that were warm once
    warming: set[str] = field(default_factory=set)
    outbox: list[Any] = field(default_factory=list)
    held_acks: list[Any] = field(default_factory=list)
    refused: set[tuple[str, str]] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    secret: set[str] = field(default_factory=set)  # held, but no server can know: it came with something refused
    waiting: set[str] = field(default_factory=set)  # clusters for which requests are held

    def connect(self) -> None:
        self.secret = {name for one in TYPES for name in self.held[one] if name not in self.told[one]}
        self.outbox, self.held_acks, self.begun = [], [], set()
        empty = {name for name in self.warming if name.startswith(SLEEPER) and name not in self.held[ENDPOINTS]}
        self.active |= self.warming - empty  # after initial_fetch_timeout, with the endpoints that it has
        self.warming = empty
        self.serve_held()
        for type_url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
            if type_url in self.wants and not self.wants[type_url]:
                continue
            self.begun.add(type_url)
            wanted = self.wants.get(type_url, {})
            self.outbox.append(subscription(type_url, *wanted, held=self.told[type_url]))

    def receive(self, response: Any) -> None:
        # What it has unsubscribed from while this was on its way, it does not even read.
        heard = [one for one in response.resources if one.name in self.wants.get(response.type_url, (one.name,))]
        bad = [one.name for one in heard if is_bad(one)]
        partial = response.type_url in (CLUSTER, LISTENER)
        for one in heard:
            self.told[response.type_url].pop(one.name, None)
            if bad and not partial:
                self.waiting.discard(one.name)  # with 503, and nothing helps it
                self.warm(one.name)  # a cluster does not wait for endpoints that were refused
                continue
            if one.name not in bad:
                self.apply(response.type_url, one)
            if not bad:
                self.told[response.type_url][one.name] = one.version
        for name in response.removed_resources:
            self.remove(response.type_url, name)
        self.refused |= {(response.type_url, name) for name in bad}
        text = f"Error adding/updating cluster(s) {', '.join(f'{name}: bad' for name in bad)}" if partial else "bad"
        self.answer(nack(response, text) if bad else ack(response))

    def answer(self, reply: Any) -> None:
        if reply.type_url == CLUSTER and self.warming:
            self.held_acks.append(reply)
        else:
            self.outbox.append(reply)

    def apply(self, type_url: str, one: Any) -> None:
        changed = self.held[type_url].get(one.name) != one.resource.value
        self.held[type_url][one.name] = one.resource.value
        self.refused.discard((type_url, one.name))
        if type_url == CLUSTER and changed:
            self.warming.add(one.name)
            self.want(ENDPOINTS, one.name)
        elif type_url == ENDPOINTS:
            self.warm(one.name)
        elif type_url == LISTENER:
            self.want(ROUTES, table_of(one.resource.value))

    def remove(self, type_url: str, name: str) -> None:
        gone = self.held[type_url].pop(name, None)
        self.told[type_url].pop(name, None)
        self.refused.discard((type_url, name))
        if type_url == CLUSTER and gone is not None:
            self.active.discard(name)
            self.warm(name)
            self.active.discard(name)
            self.unwant(ENDPOINTS, name)
        elif type_url == ENDPOINTS:
            self.warm(name)
        elif type_url == LISTENER and gone is not None:
            self.unwant(ROUTES, table_of(gone))

    def warm(self, name: str) -> None:
        if name in self.warming:
            self.warming.discard(name)
            self.active.add(name)
        self.serve_held()
        if not self.warming:
            self.outbox += self.held_acks
            self.held_acks = []

    def request(self) -> None:
        """A request for whatever sleeps, as the routes in use have it."""
        for name in sorted(self.used()):
            if name.startswith(SLEEPER) and name not in self.active:
                self.waiting.add(name)

    def serve_held(self) -> None:
        for name in self.waiting & self.active:
            assert self.held[ENDPOINTS].get(name) not in (None, assignment(name, 0).body), (
                "held requests have no endpoint"
            )
            self.waiting.discard(name)

    def want(self, type_url: str, name: str) -> None:
        if name not in self.wants[type_url]:
            self.wants[type_url][name] = None
            self.begun.add(type_url)
            self.outbox.append(subscription(type_url, name))

    def unwant(self, type_url: str, name: str) -> None:
        if self.wants[type_url].pop(name, "") is None:
            self.held[type_url].pop(name, None)
            self.told[type_url].pop(name, None)
            self.refused.discard((type_url, name))
            self.outbox.append(subscription(type_url, drop=[name]))

    def used(self) -> set[str]:
        """Clusters that some route in use leads to."""
        return {name for body in self.held[ROUTES].values() for name in targets(body)}


TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)


class Conversation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.envoy = Envoy()
        self.newest: Snapshot | None = None
        self.plan: tuple[Resource, ...] = ()
        self.draft = Draft({}, {})
        self.sleeper = Sleeper()
        self.serials = count(1)
        self.excused = False
        self.bare: set[str] = set()  # clusters that were published without endpoints at some time
        self.connect()

    def connect(self) -> None:
        self.session = Session()
        if self.newest:
            self.session.publish(self.newest)
        self.inbox: list[Any] = []
        self.unanswered: dict[str, tuple[str, float]] = {}
        self.envoy.connect()

    @initialize(draft=drafts())
    def start(self, draft: Draft) -> None:
        self.publish(draft)

    @rule(draft=drafts())
    def publish(self, draft: Draft) -> None:
        self.draft = draft
        self.bare |= {name for name, (_, port) in draft.origins.items() if port is None}
        self.publish_again()

    def publish_again(self) -> None:
        self.plan = self.draft.resources(self.sleeper)
        self.newest = snapshot(next(self.serials), resources(*self.plan), self.newest, self.sleeper.called_cold)
        self.session.publish(self.newest)

    @rule()
    def a_request_comes(self) -> None:
        self.envoy.request()

    @rule(port=st.sampled_from((0, 1)))
    def the_sleeper_wakes(self, port: int) -> None:
        self.sleeper.awake = True
        self.sleeper.port = self.sleeper.port or port
        self.publish_again()

    @rule()
    def the_sleeper_goes_to_rest(self) -> None:
        """The route has the next epoch everywhere before the last one is over."""
        if not self.sleeper.port or self.sleeper.last is not None:
            return
        self.sleeper.rest()
        self.publish_again()

    @rule()
    def the_last_epoch_is_over(self) -> None:
        if self.sleeper.last is not None and self.newest and self.session.acked_serial == self.newest.serial:
            self.sleeper.last = None
            self.publish_again()

    @rule()
    def server_reads(self) -> None:
        if not self.envoy.outbox:
            return
        request = self.envoy.outbox.pop(0)
        self.unanswered.pop(request.response_nonce, None)
        self.session.on_request(request, self.now)

    @rule()
    def server_writes(self) -> None:
        self.write()

    def write(self) -> int:
        sent = [
            discovery_pb2.DeltaDiscoveryResponse.FromString(one.payload()) for one in self.session.responses(self.now)
        ]
        for response in sent:
            assert not (response.resources and response.removed_resources)
            assert len(set(names(response))) == len(response.resources)
            self.check_cold(response)
            if response.type_url == CLUSTER and all(name.startswith(SLEEPER) for name in names(response)):
                continue  # goes out beside another one
            recent = [kind for kind, at in self.unanswered.values() if self.now < at + GATE_S]
            assert response.type_url not in recent, "two responses of a type in flight"
            self.unanswered[response.nonce] = response.type_url, self.now
        self.inbox += sent
        return len(sent)

    @rule()
    def client_reads(self) -> None:
        if self.inbox:
            self.envoy.receive(self.inbox.pop(0))
            self.excused |= any(type_url in (CLUSTER, ENDPOINTS) for type_url, _ in self.envoy.refused)

    @rule(steps=st.integers(1, 20))
    def both_talk(self, steps: int) -> None:
        for _ in range(steps):
            self.server_reads()
            self.server_writes()
            self.client_reads()

    @rule()
    def the_connection_breaks(self) -> None:
        self.connect()

    @rule()
    def a_gate_lapses(self) -> None:
        self.now += GATE_S
        self.excused = True

    @rule()
    def rest(self) -> None:
        """Let both talk until they have nothing to say: without any gate lapsing, unless something is refused."""
        told = self.talk()
        if self.envoy.refused:
            self.now += GATE_S
            told += self.talk()
        elif not self.excused:
            self.now += GATE_S  # all of it was said before
            assert self.write() == 0
        assert told < 200
        self.check_rest()
        self.excused = bool(self.envoy.refused)

    def talk(self) -> int:
        told = 0
        for _ in range(1000):
            while self.envoy.outbox:
                self.server_reads()
            told += self.write()
            if not self.inbox and not self.envoy.outbox:
                return told
            while self.inbox:
                self.client_reads()
                self.check_routes()
        raise AssertionError("they talk for ever")

    def check_rest(self) -> None:
        assert not self.envoy.warming, "a cluster waits for its endpoints"
        wanted = {type_url: self.wanted(type_url) for type_url in TYPES}
        refused = self.envoy.refused
        keeps_old = any(type_url in (LISTENER, ROUTES) for type_url, _ in refused)
        for type_url in TYPES:
            held = self.envoy.held[type_url]
            for name, body in wanted[type_url].items():
                assert held.get(name) == body or (type_url, name) in refused, f"{name} of {type_url} is not up to date"
            extra = {name for name in held if name not in wanted[type_url] and (type_url, name) not in refused}
            assert not extra - self.envoy.secret or keeps_old, f"{extra} of {type_url} are left over"
        assert self.newest
        assert self.envoy.waiting <= self.sleeper.cold, "requests are held though the cluster is there"
        booted = {LISTENER, ROUTES} <= self.envoy.begun
        if booted and not refused:
            assert self.session.acked_serial == self.newest.serial

    def check_cold(self, response: Any) -> None:
        if response.type_url == CLUSTER:
            told = {*names(response), *response.removed_resources}
            assert not told & self.sleeper.cold, "something is told of a cluster that is cold"

    def wanted(self, type_url: str) -> Mapping[str, bytes]:
        hidden = self.sleeper.cold if type_url in (CLUSTER, ENDPOINTS) else set()
        found = {one.name: one.body for one in self.plan if one.type_url == type_url and one.name not in hidden}
        subscribed = self.envoy.wants.get(type_url, found)
        return {name: body for name, body in found.items() if name in subscribed}

    @invariant()
    def check_routes(self) -> None:
        used = {name for name in self.envoy.used() if not name.startswith(SLEEPER)}
        if not self.excused:
            assert used <= self.envoy.active, "a route leads to a cluster that is not there"
            assert used <= self.envoy.held[ENDPOINTS].keys() | self.bare, "a route leads to a cluster without endpoints"

    @invariant()
    def never_acknowledges_what_is_not_published(self) -> None:
        assert self.session.acked_serial <= (self.newest.serial if self.newest else 0)

    def teardown(self) -> None:
        if self.newest:
            self.rest()


Conversation.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
TestConversation = Conversation.TestCase
