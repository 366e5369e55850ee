"""Tells guards whom to trust, and hands credentials and certificates to those who need them.

What order all this has to have, `keyring` says; the keys are a `Keyholder`'s, and who trusts which of them `Verifiers`
know. What leaves this module goes into the store, as a trust, and to the controller, as secrets.

Traps: guards must never go back to a key. So no secrets go out before the keys were read by who leads now, nor beside
an older trust than the newest. And a token is minted only by who may write: its life is what an outage of the control
plane may last.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..complaint import Complaint
from ..credentials.certificates import Pair
from ..credentials.issuer import Document, documents
from ..credentials.keyring import POLICY, Policy
from ..credentials.keys import Key, NewKey, Phase, new_private
from ..credentials.rotation import Vault
from ..credentials.tokens import Terms, Wallet
from ..elapsed import elapsed_s
from ..translate.identities import Claim
from ..translate.plan import Plan
from ..translate.world import Trust
from ..xds.server import Proxy
from .controller import Controller, Published
from .handout import Handout, Secrets
from .keyholder import PERIOD_S, Event, Keyholder
from .verifiers import Verifier, Verifiers

GATHER_S = 0.01  # in which many acknowledgements come together
RENEWALS = 100  # at most so many rounds of them in the life of a token
BLOCKED = timedelta(minutes=1)  # a guard that is told of a key and does not take it for so long is stuck, or cut off
NAMED = 5  # of those, in the log
COMPLAINT = "guards do not take the signing keys, and rotation waits for them"
logger = logging.getLogger(__name__)


class Certificates(Protocol):
    """Who makes the certificates of proxies; `Workloads` does."""

    @property
    def bundle(self) -> str: ...

    def pairs(self, wanted: Collection[str], now: datetime) -> Mapping[str, Pair]: ...


@dataclass(slots=True)
class Issuing:
    """It joins `controller`, and has its secrets from then on. Where who leads can change, it is to be told what was
    `gained` and `lost`.

    `expected` are the guards that take requests; `reunited` tells whether those that there are had the time to come.
    `changes` tells when to look at the keys. `elapsed` is a clock that never jumps.
    """

    controller: Controller
    vault: Vault
    certificates: Certificates
    _: KW_ONLY
    terms: Terms
    trust_domain: str
    policy: Policy = POLICY
    may_write: Callable[[], bool] = lambda: True
    reunited: Callable[[], bool] = lambda: True
    expected: Callable[[], Collection[Verifier]] = tuple
    changes: Callable[[], AsyncIterator[None]] | None = None
    minted: Callable[[int], None] = lambda count: None
    told: Callable[[Event], None] = lambda event: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    elapsed: Callable[[], float] = elapsed_s
    new_key: NewKey = new_private
    period_s: float = PERIOD_S
    holder: Keyholder = field(init=False)
    _verifiers: Verifiers = field(init=False)
    _wallet: Wallet = field(default_factory=Wallet)
    _handout: Handout = field(default_factory=Handout)
    _out: Secrets = field(default_factory=dict)
    _handed: Key | None = None
    _held: bool = False  # edges wait for guards
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _complaint: Complaint = field(default_factory=lambda: Complaint(logger, COMPLAINT))

    def __post_init__(self) -> None:
        self._verifiers = Verifiers(self.controller.server.proxies, self.expected)
        self.holder = Keyholder(
            vault=self.vault,
            may_write=self.may_write,
            verifiers=self._known,
            policy=replace(self.policy, life=self.terms.life),
            told=self.told,
            clock=self.clock,
            elapsed=self.elapsed,
            new_key=self.new_key,
            period_s=self.period_s,
        )
        self.controller.secrets, self.controller.sent = self._secrets, self._sent
        self.controller.heard = self._acknowledged

    async def ready(self) -> None:
        """Return when it is known whom guards should trust. Nothing may be published before."""
        await self._ready.wait()

    async def run(self) -> None:
        """Until cancelled. It may run in every replica: one that may not write follows those that do."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tend_forever(), name="keys")
            if self.changes:
                tasks.create_task(self._listen(self.changes()), name="changes of the keys")

    def gained(self) -> None:
        self.holder.gained()
        self._verifiers.forget()
        self._begin()

    def lost(self) -> None:
        self._begin()

    def nudge(self) -> None:
        """What certificates are made of has changed."""
        self._wake.set()

    def document(self, path: str) -> Document | None:
        """What the issuer says there; None before it is known."""
        keys = self.holder.keys
        return documents(keys, self.terms.issuer).get(path) if keys.keys else None

    def blocked(self) -> tuple[Verifier, ...]:
        """The guards that have long been told of a key and are not known to trust it. Only who leads can know."""
        if not (self._leads and self.reunited()):
            return ()
        candidates = self.holder.keys.at(Phase.PUBLISHED, Phase.SIGNING)
        told = {key.kid for key in candidates if self.holder.seen_for(key) >= BLOCKED}
        return tuple(one for one, kids in self._verifiers.trusting().items() if told - kids)

    @property
    def _leads(self) -> bool:
        """Whether this is who hands out, and knows what."""
        return self.holder.fresh and self.may_write()

    async def _listen(self, changes: AsyncIterator[None]) -> None:
        async for _ in changes:
            self.holder.look()
            self._wake.set()

    async def _tend_forever(self) -> None:
        while True:
            self._wake.clear()
            await self.holder.tend()
            if self.holder.keys.keys:
                self._act()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            await asyncio.sleep(GATHER_S)

    def _act(self) -> None:
        """Guards first: the rebuild in which they are told brings the secrets, too."""
        self.controller.store.trusting(self._trust_now())
        self._ready.set()
        key = self.holder.handing() if self._leads else None
        self._held, self._handed = self._leads and key is None, key or self._handed
        self._refresh()
        self._complain()

    def _refresh(self) -> None:
        published, before = self.controller.published, self._out
        if published and self._secrets(published.plan) != before:
            self.controller.republish()

    def _begin(self) -> None:
        """What was handed out is another's affair now, or will be ours anew."""
        self._wallet, self._handed, self._held = Wallet(), None, False
        self._refresh()
        self._wake.set()

    def _known(self) -> Iterable[frozenset[str]] | None:
        return self._verifiers.trusting().values() if self.reunited() else None

    def _trust_now(self) -> Trust:
        keys = sorted(self.holder.trusted(), key=lambda key: key.kid)
        jwks = json.dumps({"keys": [dict(key.jwk) for key in keys]}, separators=(",", ":"))
        lives = (int(key.life.total_seconds()) for key in keys)
        max_life_s = max(Trust().max_life_s, *lives)
        return Trust(issuer=self.terms.issuer, trust_domain=self.trust_domain, jwks=jwks, max_life_s=max_life_s)

    def _pause_s(self) -> float:
        pause_s, due = self.holder.pause_s(), self._wallet.next_due(self.terms)
        if due is None:
            return pause_s
        at_least_s = self.terms.life.total_seconds() / RENEWALS
        return min(pause_s, max((due - self.clock()).total_seconds(), at_least_s))

    # What the controller asks and tells. These must not wait.

    def _secrets(self, plan: Plan) -> Secrets:
        """New claims get their tokens here, by the key that was handed out last."""
        if not self._leads:
            self._out = {}
            return self._out
        now = self.clock()
        self._renew(plan, now)
        pairs = self.certificates.pairs(frozenset(plan.identities.values()), now)
        self._out = self._handout.of(plan, self._wallet.tokens, pairs, self.certificates.bundle)
        return self._out

    def _renew(self, plan: Plan, now: datetime) -> None:
        key = self._handed
        if key is None or all(one.kid != key.kid or not one.phase.trusted for one in self.holder.keys.keys):
            return
        before = self._wallet.tokens
        self._wallet = self._wallet.renewed(frozenset[Claim]().union(*plan.claims.values()), now, key, self.terms)
        self.minted(sum(token is not before.get(claim) for claim, token in self._wallet.tokens.items()))

    def _sent(self, published: Published) -> None:
        self._verifiers.sent(published.serial, published.world.trust.jwks)

    def _acknowledged(self, proxy: Proxy) -> None:
        self._verifiers.heard(proxy)
        if self._held:
            self._wake.set()

    def _complain(self) -> None:
        stuck = [f"{pod} of {fleet}" for fleet, pod in self.blocked()]
        if not stuck:
            self._complaint.end()
            return
        more = f" and {len(stuck) - NAMED} more" if len(stuck) > NAMED else ""
        self._complaint.say(f"{', '.join(stuck[:NAMED])}{more}")
