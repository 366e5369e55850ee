"""The tokens that an edge shows to origins: ES256 JWTs, one for each pair of a subject and an audience.

A subject is a Kubernetes ServiceAccount, the audience is one origin. Deterministic: the same key, instant and chance
make the same bytes. Tokens are handed to edges over xDS and are never stored.
Trap: Envoy compares audiences without `http://`, `https://` and a `/` at the end. Two origins whose audiences differ in
no more than that could be shown each other's tokens.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import msgspec
from jwt.algorithms import ECAlgorithm
from jwt.api_jws import PyJWS

from ..translate.identities import Claim
from .keys import ALGORITHM, Key, Private, opened, signed

AUDIENCE_LIMIT = 255
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBJECT = re.compile(rf"system:serviceaccount:{_LABEL}:(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")
_AUDIENCE = re.compile(r"[!#-\[\]-~]+\Z")  # ASCII without spaces, quotes and backslashes
_SCHEME = re.compile(r"https?://", re.IGNORECASE)


class _Deterministic(ECAlgorithm):
    def sign(self, msg: bytes, key: Private) -> bytes:
        return signed(key, msg)


_JWS = PyJWS()
_JWS.unregister_algorithm(ALGORITHM)
_JWS.register_algorithm(ALGORITHM, _Deterministic(ECAlgorithm.SHA256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for every token. `backdated` is what a verifier's clock may be behind."""

    issuer: str
    life: timedelta = timedelta(hours=1)
    renewed_at: float = 1 / 2
    """The part of its life after which a token is replaced, at the latest; the rest is what an outage of the control
    plane may last."""

    spread: float = 1 / 10
    """The part of its life before that over which replacements are spread, or half of that time if it is less."""

    backdated: timedelta = timedelta(seconds=10)
    ahead: timedelta = timedelta(minutes=1)
    """A token that was issued later than this after now was issued by a wrong clock."""


@dataclass(frozen=True, slots=True)
class Token:
    claim: Claim
    kid: str
    issued: datetime
    expires: datetime
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wallet:
    """The tokens that there are. Edges get these, and the wallet that comes after."""

    tokens: Mapping[Claim, Token] = field(default_factory=dict)

    @property
    def kids(self) -> frozenset[str]:
        return frozenset(token.kid for token in self.tokens.values())

    def due(self, wanted: Collection[Claim], now: datetime, kid: str, terms: Terms) -> tuple[Claim, ...]:
        """Those that need a token, or another one: of this key, of this life, of a clock that agrees with `now`."""
        return tuple(claim for claim in sorted(wanted) if not self._good(claim, now, kid, terms))

    def next_due(self, terms: Terms) -> datetime | None:
        """When the first of these tokens should be replaced; None when there are none."""
        return min((renewal(token, terms) for token in self.tokens.values()), default=None)

    def renewed(
        self,
        wanted: Collection[Claim],
        now: datetime,
        key: Key,
        terms: Terms,
        *,
        jti: Callable[[], str] = lambda: str(uuid4()),
    ) -> "Wallet":
        """With a token of this key for each that is due, and without those that are wanted no more."""
        due = self.due(wanted, now, key.kid, terms)
        private = opened(key) if due else None
        minted = {claim: mint(claim, now, key, terms, jti=jti(), private=private) for claim in due}
        kept = {claim: token for claim, token in self.tokens.items() if claim in wanted}
        return Wallet(kept | minted)

    def _good(self, claim: Claim, now: datetime, kid: str, terms: Terms) -> bool:
        token = self.tokens.get(claim)
        if token is None or token.kid != kid or token.expires - token.issued > terms.life:
            return False
        return token.issued - terms.ahead <= now < renewal(token, terms)


def mint(claim: Claim, now: datetime, key: Key, terms: Terms, *, jti: str, private: Private | None = None) -> Token:
    """A token of that key; `private` is its private half when that is open already. Times are whole seconds."""
    life = min(terms.life, key.life)  # verifiers forget the key when the longest one has ended
    issued = now.replace(microsecond=0)
    expires = issued + life
    claims = {
        "iss": terms.issuer,
        "sub": claim.subject,
        "aud": claim.audience,
        "iat": int(issued.timestamp()),
        "nbf": int((issued - terms.backdated).timestamp()),
        "exp": int(expires.timestamp()),
        "jti": jti,
    }
    headers = {"kid": key.kid}
    value = _JWS.encode(msgspec.json.encode(claims), private or opened(key), algorithm=ALGORITHM, headers=headers)
    return Token(claim, key.kid, issued, expires, value)


def renewal(token: Token, terms: Terms) -> datetime:
    """When to replace it: not all at once, and each always at the same part of its life."""
    name = f"{token.claim.subject}\n{token.claim.audience}"
    part = int.from_bytes(sha256(name.encode()).digest()[:8], "big") / 2**64
    spread = min(terms.spread, terms.renewed_at / 2)  # or some would be replaced as soon as they are made
    return token.issued + (token.expires - token.issued) * (terms.renewed_at - part * spread)


def subject_problem(text: str) -> str:
    """What is wrong with it as a subject, "" when nothing is."""
    if _SUBJECT.match(text):
        return ""
    return f"{text!r} is no ServiceAccount; one is called system:serviceaccount:NAMESPACE:NAME"


def audience_problem(text: str) -> str:
    """What is wrong with it as an audience, "" when nothing is."""
    if len(text) > AUDIENCE_LIMIT:
        return f"an audience has at most {AUDIENCE_LIMIT} characters, not {len(text)}"
    if not _AUDIENCE.match(text):
        return f"{text!r} is no audience; give a URL or a name in ASCII, without spaces, quotes and backslashes"
    if not compared(text):
        return (
            f"nothing of the audience {text!r} is compared by Envoy: it leaves out http://, https:// and a / at the end"
        )
    return ""


def compared(audience: str) -> str:
    """What Envoy tells audiences apart by, and less: neither case nor the number of slashes at the end."""
    return _SCHEME.sub("", audience, count=1).rstrip("/").lower()


def confusable(audiences: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The audiences that differ, and that some verifier takes for one another."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for audience in audiences:
        groups[compared(audience)].add(audience)
    return tuple(tuple(sorted(group)) for _, group in sorted(groups.items()) if len(group) > 1)
