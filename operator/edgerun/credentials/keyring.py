"""Which key signs, which ones are trusted, and what becomes of them: a state, and its successor.

A key is stored (pending), told to verifiers (published), signs, is trusted until its last token has ended (retiring),
and is remembered (retired). Each step is one write of the whole set, and every state between two steps is a good one to
stop in. Nobody has to be there at a certain time: what is overdue is done when somebody comes.

What makes a step safe is never the time of day, which jumps, but evidence that one control plane has gathered itself
and that the next one gathers anew: who acknowledged what, and how long things have been so by a clock that does not
jump. The time of day only tells when it is time for another key, which is always harmless.

The order of a revocation, in which only requests with the revoked key's tokens may be lost:
1. One write: the key is revoked and the next one signs. Whoever reads it later never trusts the revoked one.
2. Verifiers are told the `trusted` ones. For as long as `Policy.mercy` the revoked key is still one of them, if this
   very control plane trusted it a moment ago.
3. Once all of them know the next key, which is at once when it was published before, `handing` gives it out and edges
   get its tokens. No edge ever holds a token that a verifier does not know the key of.
4. When mercy ends verifiers drop the revoked key. An edge that has got its token by then has lost nothing.

All of this holds as long as who may no longer write hands out nothing once `Policy.handover` is over, and verifiers do
not go back to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta

from .keys import Key, KeySet, NewKey, Phase, entered, new

Step = tuple[str, Phase]  # a key's, by its kid


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    interval: timedelta = timedelta(hours=24)
    """How long a key signs."""

    overlap: timedelta = timedelta(hours=24)
    """How long before it signs a key is published. A whole interval: there is always one that all verifiers know, and
    a revocation has nothing to wait for."""

    life: timedelta = timedelta(hours=1)
    """Of a token."""

    clock: timedelta = timedelta(hours=1)
    """How wrong the clock of who signed may have been: for as long more an old key is trusted."""

    handover: timedelta = timedelta(minutes=1)
    """How long a control plane may sign on without having read that another one has changed the keys."""

    propagation: timedelta = timedelta(minutes=10)
    """What verifiers that poll the issuer's documents take to see a key; no less than these may be cached for."""

    mercy: timedelta = timedelta(milliseconds=300)
    """How long a revoked key is trusted while edges get other tokens."""

    patience: timedelta = timedelta(seconds=1)
    """How long the tokens of a key that signs wait for a verifier that acknowledges nothing."""

    remembered: int = 10
    """How many of the keys that are over are kept, to be listed."""

    def __post_init__(self) -> None:
        """Raises ValueError for what would have keys change all the time, or be no more before their tokens are."""
        times = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "remembered"}
        wrong = [name for name, value in times.items() if value < timedelta()]
        wrong += [name for name in ("interval", "life") if not times[name]]
        if wrong or self.remembered < 0:
            raise ValueError(f"no keys can be kept by such times: {', '.join(wrong) or 'remembered'} must be more")


POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Watch:
    """Since when a control plane has seen each key in its phase, in seconds by a clock that never jumps.

    One that begins to lead begins with an empty one: nobody has been told anything by it before.
    """

    since: Mapping[Step, float] = field(default_factory=dict)

    def seen(self, keys: KeySet, elapsed_s: float) -> "Watch":
        """After these keys have been told to whoever listens."""
        steps = [(key.kid, key.phase) for key in keys.keys if key.phase is not Phase.REVOKED or self._trusted(key)]
        return Watch({step: self.since.get(step, elapsed_s) for step in steps})

    def lasted(self, elapsed_s: float) -> Mapping[Step, timedelta]:
        return {step: timedelta(seconds=elapsed_s - since) for step, since in self.since.items()}

    def _trusted(self, key: Key) -> bool:
        """Whether this revoked key was, when it was last seen otherwise."""
        return any(kid == key.kid and (phase.trusted or phase is Phase.REVOKED) for kid, phase in self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a control plane knows at first hand. Of nothing nothing follows: the default is that of one which begins."""

    verifiers: tuple[frozenset[str], ...] | None = None
    """The kids that each verifier has acknowledged to trust, none for one that ought to be there and has not. None as
    long as there may be verifiers that have not been heard of."""

    lasted: Mapping[Step, timedelta] = field(default_factory=dict)
    """Of a `Watch`. What has just been revoked is in it only when it was seen trusted before."""

    def known(self, key: Key) -> bool:
        """Whether every verifier trusts it."""
        return self.verifiers is not None and all(key.kid in kids for kids in self.verifiers)

    def in_phase(self, key: Key) -> timedelta:
        return self.lasted.get((key.kid, key.phase), timedelta())


UNKNOWN = Evidence()


def advance(keys: KeySet, now: datetime, evidence: Evidence, policy: Policy, *, new_key: NewKey) -> KeySet:
    """What should be stored instead of `keys`, which is what is stored; equal when nothing is due."""
    keys = _succeeded(keys, now, evidence, policy)
    if keys.signing is None:
        keys = _enthroned(keys, now, new_key)
    if not keys.at(Phase.PENDING, Phase.PUBLISHED):
        keys = replace(keys, keys=(*keys.keys, new(new_key(), now)))
    steps = (_published(_retired(key, now, evidence, policy), keys, now, policy) for key in keys.keys)
    lengthened = (_lengthened(key, policy) for key in steps)
    return _tidied(replace(keys, keys=tuple(lengthened)), policy)


def rotate(keys: KeySet) -> KeySet:
    """The next key is to sign as soon as it can, at the cost of nobody."""
    return replace(keys, rotate=True)


def revoke(keys: KeySet, kid: str, now: datetime, policy: Policy, *, new_key: NewKey) -> KeySet:
    """Without that key from now on; the next one signs at once if it did. Raises LookupError when there is none."""
    if kid not in {key.kid for key in keys.keys}:
        raise LookupError(f"there is no key {kid}; there are {', '.join(key.kid for key in keys.keys) or 'none'}")
    left = tuple(_revoked(key, now) if key.kid == kid else key for key in keys.keys)
    return advance(replace(keys, keys=left), now, UNKNOWN, policy, new_key=new_key)


def trusted(keys: KeySet, evidence: Evidence, policy: Policy) -> tuple[Key, ...]:
    """What verifiers that are told of every change should trust now; ask again when `Policy.mercy` has passed."""
    return tuple(key for key in keys.keys if key.phase.trusted or _spared(key, evidence, policy))


def handing(keys: KeySet, evidence: Evidence, policy: Policy) -> Key | None:
    """The key whose tokens edges should get now. None: they keep what they have, for not all verifiers know it yet."""
    key = keys.signing
    return key if key and (evidence.known(key) or evidence.in_phase(key) >= policy.patience) else None


def _spared(key: Key, evidence: Evidence, policy: Policy) -> bool:
    witnessed = evidence.lasted.get((key.kid, Phase.REVOKED))
    return witnessed is not None and witnessed < policy.mercy


def _succeeded(keys: KeySet, now: datetime, evidence: Evidence, policy: Policy) -> KeySet:
    """The next key signs when it is time and everybody knows it."""
    old = keys.signing
    if old is None or not (keys.rotate or _due(old, policy.interval, now, policy)):
        return keys
    for key in keys.at(Phase.PUBLISHED):
        if evidence.known(key) and evidence.in_phase(key) >= policy.propagation:
            retiring = _replaced(keys, old, entered(old, Phase.RETIRING, now))
            return replace(_replaced(retiring, key, entered(key, Phase.SIGNING, now)), rotate=False)
    return keys


def _enthroned(keys: KeySet, now: datetime, new_key: NewKey) -> KeySet:
    """Some key signs, the best known first: there has never been one, or it is revoked."""
    heirs = (*keys.at(Phase.PUBLISHED), *keys.at(Phase.PENDING))
    if heirs:
        return replace(_replaced(keys, heirs[0], _signing(heirs[0], now)), rotate=False)
    return KeySet((*keys.keys, _signing(new(new_key(), now), now)))


def _published(key: Key, keys: KeySet, now: datetime, policy: Policy) -> Key:
    signing = keys.signing
    assert signing, "some key signs by now"
    ahead = max(policy.interval - policy.overlap, timedelta())
    due = keys.rotate or not ahead or _due(signing, ahead, now, policy)
    return entered(key, Phase.PUBLISHED, now) if key.phase is Phase.PENDING and due else key


def _retired(key: Key, now: datetime, evidence: Evidence, policy: Policy) -> Key:
    over = evidence.in_phase(key) >= key.life + policy.clock + policy.handover
    return entered(key, Phase.RETIRED, now) if key.phase is Phase.RETIRING and over else key


def _lengthened(key: Key, policy: Policy) -> Key:
    """Stored before such a token is signed, so that nobody has to remember the settings of the past."""
    return replace(key, life=policy.life) if key.phase is Phase.SIGNING and key.life < policy.life else key


def _tidied(keys: KeySet, policy: Policy) -> KeySet:
    """Those that are over come first, in the order in which that was, and not all of them for ever."""
    over = keys.at(Phase.RETIRED, Phase.REVOKED)
    rest = tuple(key for key in keys.keys if key.phase < Phase.RETIRED)
    return replace(keys, keys=(*over[max(len(over) - policy.remembered, 0) :], *rest))


def _due(key: Key, after: timedelta, now: datetime, policy: Policy) -> bool:
    """An instant in the future tells nothing, and another key is never wrong."""
    return not key.since - policy.clock <= now < key.since + after


def _signing(key: Key, now: datetime) -> Key:
    published = entered(key, Phase.PUBLISHED, now) if key.phase is Phase.PENDING else key
    return entered(published, Phase.SIGNING, now)


def _revoked(key: Key, now: datetime) -> Key:
    return key if key.phase is Phase.REVOKED else entered(key, Phase.REVOKED, now)


def _replaced(keys: KeySet, old: Key, by: Key) -> KeySet:
    return replace(keys, keys=tuple(by if key is old else key for key in keys.keys))
