"""Authorities that others trust, and which of them signs: a state, and what it becomes as time goes on.

What an authority is good for, and what it signs, are arguments (`NewAuthority`, `Sign`); what becomes of it is not.

An authority is told to everybody long before it signs, and goes on being trusted until it ends. Each step is one write,
and every state between two steps is a good one to stop in. Nobody has to be there at a certain time: what is overdue is
done at once.

Traps: whether others have heard of an authority is not to be read off a clock, which may jump, nor off the state, which
may be older than what others were given. `out_for` is what the caller has measured. And no authority leaves before its
end: a clock that went ahead and comes back must find the old one still there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import msgspec

from .certificates import Entropy, Pair, parsed, parsed_key, permitted

BUNDLE = "ca.crt"
_STATE = "authorities.json"

NewAuthority = Callable[[Sequence[str], datetime, datetime, Entropy], Pair]
"""Makes an authority for some names, that is valid from one time to another."""

Sign = Callable[[datetime, datetime, Pair, Entropy], Pair]
"""Makes a certificate of this authority that is valid from one time to another."""

_Make = Callable[[datetime, datetime, Entropy], Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long things are good for. `backdated` is what clocks may differ by: nothing starts later than this ago."""

    authority_life: timedelta = timedelta(days=365)
    successor_at: float = 2 / 3
    """The part of an authority's life after which the next one is made."""

    overlap: timedelta = timedelta(hours=1)
    """How long a successor is known before it signs: Kubernetes takes minutes to bring a ConfigMap to every pod."""

    hurried_overlap: timedelta = timedelta(hours=1)
    """What is enough when the old one is about to end: nobody has led for as long as the overlap in all that time."""

    leaf_life: timedelta = timedelta(hours=24)
    leaf_renewed_at: float = 1 / 2
    """The part of its life after which a certificate is replaced, at the latest."""

    leaf_spread: float = 1 / 10
    """The part of its life before that over which the replacements of many are spread."""

    backdated: timedelta = timedelta(minutes=5)


POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Authority:
    """`signs` once everybody knows it; never taken back."""

    certificate: str
    key: str = field(repr=False)
    signs: bool = False

    @property
    def starts(self) -> datetime:
        return parsed(self.certificate).not_valid_before_utc

    @property
    def ends(self) -> datetime:
        return parsed(self.certificate).not_valid_after_utc

    def valid(self, now: datetime) -> bool:
        return self.starts <= now < self.ends


Authorities = tuple[Authority, ...]  # the oldest first


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate to show. `issuer` is the certificate of the authority that signed it."""

    pair: Pair
    issuer: str
    starts: datetime
    ends: datetime


def advance(
    authorities: Authorities,
    now: datetime,
    *,
    out_for: timedelta,
    names: Sequence[str],
    new_authority: NewAuthority,
    policy: Policy,
    entropy: Entropy,
) -> Authorities:
    """What should be from now on; equal to `authorities` when nothing is due.

    `out_for` is for how long, at least, everybody has been given the bundle of these `authorities`.
    """
    now = now.replace(microsecond=0)
    make = partial(_new, now, partial(new_authority, names), policy, entropy)
    kept = tuple(one for one in authorities if now < one.ends)
    if out_for >= _overlap(kept, now, policy):
        kept = tuple(_signing(one) if one.valid(now) else one for one in kept)
    if signer(kept, now) is None:  # the first one ever, or nothing that is left can be believed now
        return (*kept, make(signs=True))
    if now >= _point(kept[-1].starts, kept[-1].ends, policy.successor_at):
        return (*kept, make(signs=False))
    return kept


def signer(authorities: Authorities, now: datetime) -> Authority | None:
    """The newest one that may sign and is valid now."""
    return next((one for one in reversed(authorities) if one.signs and one.valid(now)), None)


def bundle(authorities: Authorities) -> str:
    """The certificates to trust, those that do not sign yet included."""
    return "".join(one.certificate for one in authorities)


def fit(authorities: Authorities, names: Sequence[str]) -> bool:
    """Whether all of them are for exactly these names."""
    return all(permitted(one.certificate) == tuple(names) for one in authorities)


def issue(authority: Authority, sign: Sign, now: datetime, policy: Policy, entropy: Entropy) -> Leaf:
    """A certificate that does not outlive the authority."""
    now = now.replace(microsecond=0)
    starts, ends = now - policy.backdated, min(now + policy.leaf_life, authority.ends)
    issuer = Pair(authority.certificate, authority.key)
    return Leaf(sign(starts, ends, issuer, entropy), issuer.certificate, starts, ends)


def renewal(leaf: Leaf, policy: Policy, *, lot: float = 0.0) -> datetime:
    """When to replace it: `lot`, from 0 to 1, is what part of the spread it comes earlier."""
    return _point(leaf.starts, leaf.ends, policy.leaf_renewed_at - lot * policy.leaf_spread)


def worn(leaf: Leaf, authorities: Authorities, now: datetime, policy: Policy, *, lot: float = 0.0) -> bool:
    """Whether there should be another: its time is over or has not come, or its authority is none any more."""
    trusted = any(one.certificate == leaf.issuer for one in authorities)
    return not trusted or not leaf.starts <= now < renewal(leaf, policy, lot=lot)


def encoded(authorities: Authorities) -> Mapping[str, bytes]:
    """As the data of a Secret: all there is to know, and the bundle for people to look at."""
    return {_STATE: msgspec.json.encode(authorities), BUNDLE: bundle(authorities).encode()}


def decoded(data: Mapping[str, bytes]) -> Authorities:
    """Raises ValueError, which quotes nothing, when `data` is not what `encoded` makes."""
    if _STATE not in data:
        raise ValueError(f"there is no {_STATE} in it")
    try:
        found = msgspec.json.decode(data[_STATE], type=Authorities)
    except msgspec.MsgspecError:  # its words could hold a part of a key
        raise ValueError(f"its {_STATE} holds no authorities") from None
    for one in found:
        if parsed(one.certificate).public_key() != parsed_key(one.key).public_key():
            raise ValueError(f"its {_STATE} holds a key that is another certificate's")
    return found


def _overlap(authorities: Authorities, now: datetime, policy: Policy) -> timedelta:
    """How long everybody must have known those that do not sign yet."""
    old = signer(authorities, now)
    if old is None:
        return timedelta()
    ends_soon = old.ends - now < 2 * policy.leaf_life
    return min(policy.overlap, policy.hurried_overlap) if ends_soon else policy.overlap


def _new(now: datetime, make: _Make, policy: Policy, entropy: Entropy, *, signs: bool) -> Authority:
    pair = make(now - policy.backdated, now + policy.authority_life, entropy)
    return Authority(pair.certificate, pair.key, signs)


def _signing(authority: Authority) -> Authority:
    return Authority(authority.certificate, authority.key, signs=True)


def _point(starts: datetime, ends: datetime, part: float) -> datetime:
    return starts + (ends - starts) * part
