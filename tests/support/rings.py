"""Control planes, verifiers and edges, as far as keys and tokens go: what is told takes its time, or is lost.

A plane does what the runtime has to: it acts on what is stored, tells verifiers before edges, and gathers its evidence.
Trap: the time that passes is `Clocks.elapsed_s`, by which verifiers judge; what a plane takes for now may be wrong.
"""

from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edgerun.credentials.keyring import Evidence, Policy, Watch, advance, handing, revoke, rotate, trusted
from edgerun.credentials.keys import KeySet, NewKey, Phase
from edgerun.credentials.keystore import Change, changed
from edgerun.credentials.tokens import Terms, Token, Wallet
from edgerun.errors import ApiError
from edgerun.translate.identities import Claim, subject

from .authorities import Clocks, Safe


@dataclass(eq=False)
class Verifier:
    """It is asked nothing before it is `ready`, which is when it has first been told whom to trust."""

    plane: "Plane"
    trusts: frozenset[str] = frozenset()
    ready: bool = False
    told: deque[frozenset[str]] = field(default_factory=deque)

    def deliver(self) -> None:
        if self.told:
            self.trusts = self.told.popleft()
            self.ready = True
            self.plane.acknowledged[self] = self.trusts


@dataclass(eq=False)
class Edge:
    plane: "Plane"
    claim: Claim
    token: Token | None = None
    told: deque[Token] = field(default_factory=deque)

    def deliver(self) -> None:
        if self.told:
            self.token = self.told.popleft()


@dataclass(eq=False)
class Plane:
    """One that leads, or thinks so. `minted` is everything that any of them has ever signed."""

    safe: Safe
    clocks: Clocks
    policy: Policy
    chance: NewKey
    minted: list[Token]
    keys: KeySet = field(default_factory=KeySet)
    watch: Watch = field(default_factory=Watch)
    wallet: Wallet = field(default_factory=Wallet)
    acknowledged: dict[Verifier, frozenset[str]] = field(default_factory=dict)
    expected: list[Verifier] = field(default_factory=list)
    verifiers: list[Verifier] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    told: dict[Verifier, frozenset[str]] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        return Terms(issuer="https://edge.example", life=self.policy.life)

    def evidence(self) -> Evidence:
        heard = all(one in self.acknowledged for one in self.expected)
        acknowledged = tuple(self.acknowledged[one] for one in self.expected) if heard else None
        return Evidence(verifiers=acknowledged, lasted=self.watch.lasted(self.clocks.elapsed_s))

    def tick(self, *, leads: bool = True) -> bool:
        """Whether it could read and write."""
        done = self.change(self._advanced) if leads else True
        self.tell()
        self.hand()
        return done

    def change(self, change: Change) -> bool:
        try:
            self.keys = now(changed(self.safe, change))
        except ApiError:
            return False
        self.watch = self.watch.seen(self.keys, self.clocks.elapsed_s)
        return True

    def rotate(self) -> bool:
        return self.change(rotate)

    def revoke(self, kid: str) -> bool:
        return self.change(lambda keys: revoke(keys, kid, self.clocks.now(), self.policy, new_key=self.chance))

    def tell(self) -> None:
        kids = frozenset(key.kid for key in trusted(self.keys, self.evidence(), self.policy))
        for one in self.verifiers:
            if self.told.get(one) != kids:
                self.told[one] = kids
                one.told.append(kids)

    def hand(self) -> None:
        key = handing(self.keys, self.evidence(), self.policy)
        if key is None:
            return
        before = self.wallet.tokens
        self.wallet = self.wallet.renewed({one.claim for one in self.edges}, self.clocks.now(), key, self.terms)
        for one in self.edges:
            token = self.wallet.tokens[one.claim]
            if before.get(one.claim) != token:
                self.minted.append(token)
                one.told.append(token)

    def _advanced(self, keys: KeySet) -> KeySet:
        found = advance(keys, self.clocks.now(), self.evidence(), self.policy, new_key=self.chance)
        again = advance(found, self.clocks.now(), self.evidence(), self.policy, new_key=self.chance)
        assert again == found, "what was due is done"
        return found


def claims(number: int) -> list[Claim]:
    return [Claim(subject("shop", f"edge-{one}"), "https://cart.shop.svc") for one in range(number)]


def attach(plane: Plane, one: Verifier | Edge) -> None:
    """To that plane, which has told it nothing yet; what another one had sent it is lost."""
    for members in (one.plane.verifiers, one.plane.edges):
        if one in members:
            members.remove(one)
    one.plane = plane
    one.told.clear()
    if isinstance(one, Verifier):
        plane.verifiers.append(one)
        plane.told.pop(one, None)
        return
    plane.edges.append(one)
    token = plane.wallet.tokens.get(one.claim)
    if token:
        one.told.append(token)


def restart(one: Verifier) -> None:
    """It has forgotten everything, and is asked nothing until it has been told."""
    one.trusts, one.ready = frozenset(), False
    one.plane.acknowledged[one] = frozenset()
    attach(one.plane, one)


def successor(plane: Plane) -> Plane:
    """A plane that begins to lead. It knows what is stored, and of whom it ought to hear."""
    parts = plane.safe, plane.clocks, plane.policy, plane.chance, plane.minted
    return Plane(*parts, expected=list(plane.expected))


def stored(safe: Safe) -> KeySet:
    return now(changed(safe, lambda keys: keys))


def valid(token: Token, clocks: Clocks) -> bool:
    """By a clock that is right, to a verifier that does not mind when it begins."""
    return moment(clocks) < token.expires


def moment(clocks: Clocks) -> datetime:
    return replace(clocks, offset=timedelta()).now()


def phase(keys: KeySet, kid: str) -> Phase | None:
    return next((key.phase for key in keys.keys if key.kid == kid), None)


def now(coroutine: Coroutine[object, None, KeySet]) -> KeySet:
    """What it returns, for it waits for nothing: the Secret is a value."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        found = stop.value
        assert isinstance(found, KeySet)
        return found
    raise AssertionError("it waits")
