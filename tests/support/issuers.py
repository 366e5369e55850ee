"""A control plane that issues, in a time of the test's making, without a wire: what it publishes is written down, and
guards acknowledge when they are told to.

Trap: it runs in the time of the event loop, which `looptime` makes fly.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from edgerun.credentials.certificates import Pair
from edgerun.credentials.keyring import Policy
from edgerun.credentials.keys import NewKey, Phase
from edgerun.credentials.tokens import Terms
from edgerun.runtime.controller import Controller, Published
from edgerun.runtime.issuing import Issuing
from edgerun.runtime.verifiers import Verifier, kids
from edgerun.sources.store import Seen
from edgerun.translate.plan import SECRET, Fleets
from edgerun.translate.world import Edge, World
from edgerun.xds.server import Proxy, Server

from .authorities import START, Safe
from .keyrings import new_keys
from .working import at_work

GUARDS = "guard/shop/cart"
POLICY = Policy()
TERMS = Terms(issuer="https://edge.example")
BORN = datetime(2026, 1, 1, tzinfo=UTC)


class Paper:
    """Certificates that say whose they are."""

    bundle = "-----BEGIN CERTIFICATE-----"

    def pairs(self, wanted: Any, now: datetime) -> Mapping[str, Pair]:
        return {one: Pair(f"of {one}", "key") for one in wanted}


@dataclass(frozen=True)
class Letter:
    """One publication: which kids guards are told to trust, if they are told, and the tokens of edges, if those are."""

    at_s: float
    serial: int
    fleets: frozenset[str]
    trusted: frozenset[str]
    tokens: Mapping[str, str]

    @property
    def kids(self) -> Mapping[str, str]:
        """By which key each token is signed."""
        return {one: _kid(one) for one in self.tokens.values()}


class Post(Server):
    """A server that writes down what it is to publish, and whose proxies are of the test's making."""

    def __init__(self, **others: Any) -> None:
        super().__init__(**others)
        self.out: list[Fleets] = []
        self.here: dict[str, Proxy] = {}

    def publish(self, fleets: Fleets, cold: Mapping[str, Set[str]] | None = None) -> int:
        self.out.append(fleets)
        return super().publish(fleets, cold)

    def proxies(self) -> tuple[Proxy, ...]:
        return tuple(self.here.values())


@dataclass
class House:
    """`guards` is how many there are; they acknowledge everything at once as long as they are `eager`."""

    safe: Safe = field(default_factory=Safe)
    policy: Policy = POLICY
    terms: Terms = TERMS
    guards: int = 2
    eager: bool = True
    leads: bool = True
    reunited: bool = True
    period_s: float = 300.0
    new_key: NewKey = field(default_factory=new_keys)
    began: datetime = START
    offset: timedelta = timedelta()
    minted: int = 0
    events: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    changes: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.controller = Controller(Edge(), lambda plan: None, lambda keys: None, _nobody)
        self.post = Post(observer=self.controller)
        self.controller.server = self.post
        self.issuing = Issuing(
            self.controller,
            self.safe,
            Paper(),
            terms=self.terms,
            trust_domain="cluster.local",
            policy=self.policy,
            may_write=lambda: self.leads,
            reunited=lambda: self.reunited,
            expected=self.expected,
            changes=self._changed,
            minted=self._mint,
            told=self.events.append,
            clock=self.now,
            elapsed=elapsed,
            new_key=self.new_key,
            period_s=self.period_s,
        )
        sent, self.controller.sent = self.controller.sent, self._write_down
        self._sent = sent
        self.controller.store.apply(origin("cart"))
        self.controller.store.apply(route("web", "cart"))

    def expected(self) -> tuple[Verifier, ...]:
        return tuple((GUARDS, f"cart-{number}") for number in range(self.guards))

    def now(self) -> datetime:
        return self.began + timedelta(seconds=elapsed()) + self.offset

    @property
    def last(self) -> Letter:
        """What edges were told last."""
        return next(one for one in reversed(self.letters) if "default" in one.fleets)

    def phase(self, kid: str) -> Phase | None:
        return next((key.phase for key in self.issuing.holder.keys.keys if key.kid == kid), None)

    @property
    def signing(self) -> str:
        key = self.issuing.holder.keys.signing
        assert key
        return key.kid

    def told(self) -> None:
        """Somebody has changed the Secret, and the watch tells."""
        self.changes.put_nowait(None)

    def acknowledge(self, count: int | None = None) -> None:
        """So many guards have taken what was published last."""
        told = [one for one in self.letters if GUARDS in one.fleets]
        for fleet, pod in self.expected()[:count] if told else ():
            proxy = replace(self.post.here.get(pod) or Proxy(pod, fleet, BORN), acked_serial=told[-1].serial)
            self.post.here[pod] = proxy
            self.controller.acknowledged(proxy, proxy.acked_serial)

    def gain(self) -> None:
        self.leads = True
        self.issuing.gained()

    def lose(self) -> None:
        self.leads = False
        self.issuing.lost()

    async def _changed(self) -> AsyncIterator[None]:
        while True:
            yield await self.changes.get()

    def _mint(self, count: int) -> None:
        self.minted += count

    def _write_down(self, published: Published) -> None:
        self._sent(published)
        fleets = self.post.out[-1]
        told = kids(published.world.trust.jwks) if GUARDS in fleets else frozenset[str]()
        tokens = _tokens(fleets) if "default" in fleets else {}
        self.letters.append(Letter(elapsed(), published.serial, frozenset(fleets), told, tokens))
        if self.eager:
            asyncio.get_running_loop().call_soon(self.acknowledge)


@asynccontextmanager
async def issuing(house: House) -> AsyncIterator[House]:
    """At work while the block is."""
    async with at_work(house.issuing.run(), "issuing"), at_work(_control(house), "controller"):
        yield house


async def _control(house: House) -> None:
    await house.issuing.ready()
    await house.controller.run()


async def after(seconds: float = 0.5) -> None:
    await asyncio.sleep(seconds)


def elapsed() -> float:
    return asyncio.get_running_loop().time()


def origin(name: str) -> Seen:
    container = {"image": "app", "command": ["serve"]}
    return _object("OriginService", name, {"template": {"spec": {"containers": [container]}}})


def route(name: str, *services: str) -> Seen:
    origins = [{"service": {"name": one}} for one in services]
    return _object("EdgeRoute", name, {"hostnames": [f"{name}.test"], "rules": [{"origins": origins}]})


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> Seen:
    metadata = {"name": name, "namespace": "shop"}
    return Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


def _tokens(fleets: Fleets) -> Mapping[str, str]:
    secrets = fleets["default"].get(SECRET, {})
    read = (secret_pb2.Secret.FromString(one.body) for one in secrets.values())
    return {
        one.name: one.generic_secret.secret.inline_string.removeprefix("Bearer ")
        for one in read
        if one.HasField("generic_secret")
    }


def _kid(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


async def _nobody(world: World, edge: str) -> str | None:
    return None
