"""The signing keys as they are stored, looked at again and again, and changed by who may.

Everybody acts on what is stored, and `keyring` says what should be. Here it is known when to look, and since when
things have been as they are.
Trap: who begins to lead may have read the keys long ago. It is not `fresh`, and tells nobody anything, before it has
read them once more.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from ..complaint import Complaint
from ..credentials.keyring import POLICY, Evidence, Policy, Watch, advance, handing, trusted
from ..credentials.keys import Key, KeySet, NewKey, Phase, new_private
from ..credentials.keystore import changed
from ..credentials.rotation import Vault
from ..elapsed import elapsed_s
from ..errors import ApiError

PERIOD_S = 30.0  # between two looks, whatever is told of changes; half of what a `handover` may take
RETRY_S = 1.0
ASAP = -1.0
Event = Literal["rotated", "revoked"]
logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Keyholder:
    """`verifiers` are the kids that each of them trusts, None while it is not known who there is. `told` hears what
    became of keys. `elapsed` is a clock that never jumps."""

    vault: Vault
    may_write: Callable[[], bool]
    verifiers: Callable[[], Iterable[frozenset[str]] | None]
    policy: Policy = POLICY
    told: Callable[[Event], None] = lambda event: None
    clock: Callable[[], datetime] = _now
    elapsed: Callable[[], float] = elapsed_s
    new_key: NewKey = new_private
    period_s: float = PERIOD_S
    keys: KeySet = field(default_factory=KeySet)
    fresh: bool = False
    _watch: Watch = field(default_factory=Watch)
    _term: int = 0
    _look_at: float = ASAP
    _try_at: float = ASAP
    _complaint: Complaint = field(default_factory=lambda: Complaint(logger, "the signing keys cannot be looked after"))

    def gained(self) -> None:
        """This control plane leads, and has told nobody anything."""
        self._term, self.fresh, self._watch = self._term + 1, False, Watch()
        self.look()

    def look(self) -> None:
        """Others may have changed the keys."""
        self._look_at = self._try_at = ASAP

    def trusted(self) -> tuple[Key, ...]:
        """Whom verifiers should trust now."""
        return trusted(self.keys, self._seen(), self.policy)

    def handing(self) -> Key | None:
        """The key whose tokens edges should get now; None: they keep what they have."""
        return handing(self.keys, self._evidence(), self.policy)

    def seen_for(self, key: Key) -> timedelta:
        """How long everybody has been told that this key is in its phase."""
        return self._seen().in_phase(key)

    async def tend(self) -> None:
        """Look at the keys if it is time, and write what is due if this is who may."""
        now = self.elapsed()
        if now < self._try_at or (now < self._look_at and self._advanced(self.keys) == self.keys):
            return
        self._try_at = self._look_at = now + RETRY_S
        term = self._term
        try:
            found = await changed(self.vault, self._advanced)
        except ApiError as error:
            self._complaint.say(str(error))
            return
        self._complaint.end()
        self._try_at = ASAP
        if found.keys and term == self._term:
            if self._look_at != ASAP:  # nobody has asked for another look meanwhile
                self._look_at = now + self.period_s
            self._adopt(found)

    def pause_s(self) -> float:
        """Until something is due, whatever happens; at most that long."""
        evidence, now = self._seen(), self.elapsed()
        ends = [max(self._look_at, self._try_at) - now]
        for key in self.keys.at(Phase.SIGNING, Phase.REVOKED):
            limit = self.policy.patience if key.phase is Phase.SIGNING else self.policy.mercy
            if (key.kid, key.phase) in evidence.lasted and evidence.in_phase(key) < limit:
                ends.append((limit - evidence.in_phase(key)).total_seconds())
        return max(min(ends), 0.0)

    def _advanced(self, keys: KeySet) -> KeySet:
        """Asked right before each write whether that is still allowed."""
        if not self.may_write():
            return keys
        return advance(keys, self.clock(), self._evidence(), self.policy, new_key=self.new_key)

    def _evidence(self) -> Evidence:
        found = self.verifiers()
        return replace(self._seen(), verifiers=None if found is None else tuple(found))

    def _seen(self) -> Evidence:
        """That part of it which is only a matter of time."""
        return Evidence(lasted=self._watch.lasted(self.elapsed()))

    def _adopt(self, found: KeySet) -> None:
        before, self.keys = self.keys, found
        self._watch = self._watch.seen(found, self.elapsed())
        self.fresh = True
        if before.keys:
            self._tell(before, found)

    def _tell(self, before: KeySet, after: KeySet) -> None:
        gone = {key.kid for key in after.at(Phase.REVOKED)} - {key.kid for key in before.at(Phase.REVOKED)}
        for kid in sorted(gone):
            logger.warning("the signing key %s is revoked", kid)
            self.told("revoked")
        old, new = before.signing, after.signing
        if old and new and old.kid != new.kid:
            logger.info("the key %s signs from now on, in place of %s", new.kid, old.kid)
            if old.kid not in gone:
                self.told("rotated")
