"""Keeps a set of authorities fresh, for as long as it runs.

They lie in one Secret. Only who may write changes it, and only the version that it has read; everybody acts on what is
stored, never on what they would like to store. What they sign is not stored, and is the affair of others: `Serving`
and `Workloads`.
Trap: a Secret that is deleted, or that holds authorities for other names, is made anew with another authority, at once:
that is how an administrator says that the key has leaked. Who trusts the old one alone can connect again when it has
the new bundle.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..complaint import Complaint
from ..errors import ApiError, ConflictError, NotFoundError
from .authority import POLICY, Authorities, NewAuthority, Policy, advance, bundle, decoded, encoded, fit, signer
from .certificates import ENTROPY, Entropy

PERIOD_S = 30.0
RETRY_S = 1.0  # as long as there is nothing to sign with
ATTEMPTS = 3  # at one change, against others who write
logger = logging.getLogger(__name__)


class Vault(Protocol):
    """One Secret."""

    async def read(self) -> tuple[Mapping[str, bytes], str] | None:
        """Its data and its version; None when there is none."""

    async def write(self, data: Mapping[str, bytes], version: str) -> None:
        """Replace that version, or create it when that is "". Raises ConflictError or NotFoundError when it cannot."""


class Rotated(Protocol):
    """Hears of every renewal, and of every one that should have been."""

    def __call__(self, *, succeeded: bool) -> None: ...


class Rotation:
    """Authorities that `new_authority` makes for these `names`; `title` is what people call them.

    `changed` is called with the bundle that everybody should be given, whenever that is another one, and `tended` with
    the authorities after each round, whether it could read the Secret or not; they must not wait. `elapsed` is a clock
    that never jumps.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        title: str,
        names: tuple[str, ...],
        new_authority: NewAuthority,
        may_write: Callable[[], bool],
        changed: Callable[[str], None] = lambda bundle: None,
        tended: Callable[[Authorities], None] = lambda authorities: None,
        rotated: Rotated = lambda *, succeeded: None,
        policy: Policy = POLICY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
        entropy: Entropy = ENTROPY,
    ) -> None:
        self._vault, self._title, self._may_write = vault, title, may_write
        self._names, self._new_authority = names, new_authority
        self._changed, self._tended, self._rotated = changed, tended, rotated
        self._policy, self._clock, self._elapsed, self._entropy = policy, clock, elapsed, entropy
        self._out_since = 0.0
        self._ready = asyncio.Event()
        self._complaint = Complaint(logger, f"the {title} authorities cannot be looked after")
        self.authorities: Authorities = ()
        self.bundle = ""

    async def run(self) -> None:
        """Until cancelled. It may run in every replica: one that may not write follows those that do."""
        while True:
            await self.tend()
            await asyncio.sleep(PERIOD_S if self._ready.is_set() else RETRY_S)

    async def ready(self) -> None:
        """Return when there is an authority to sign with."""
        await self._ready.wait()

    @property
    def expiries(self) -> Mapping[str, float]:
        """When the authority that signs ends, as Unix time."""
        authority = signer(self.authorities, self._clock())
        return {f"{self._title}-authority": authority.ends.timestamp()} if authority else {}

    async def tend(self) -> None:
        """Do what is due now."""
        try:
            await self._tend()
        except ApiError as error:
            self._complaint.say(str(error))
        else:
            self._complaint.end()
        if signer(self.authorities, self._clock()):
            self._ready.set()
        self._tended(self.authorities)

    async def _tend(self) -> None:
        if not self._may_write():
            self._out_since = self._elapsed()  # nobody has been given anything by us
        for _ in range(ATTEMPTS):
            stored, version = await self._look()
            wanted = self._wanted(stored)
            if wanted == stored or not self._may_write():
                break
            if await self._store(wanted, version):
                logger.info("%s", self._news(stored, wanted))
                stored = wanted
                break
        if stored:
            self._adopt(stored)

    async def _look(self) -> tuple[Authorities, str]:
        found = await self._vault.read()
        if found is None:
            return (), ""
        data, version = found
        try:
            stored = decoded(data)
        except ValueError as error:
            logger.error("the %s authorities are made anew, for the Secret cannot be read: %s", self._title, error)
            return (), version
        if fit(stored, self._names):
            return stored, version
        logger.warning("the %s authorities are made anew, for they are not for %s", self._title, self._names)
        return (), version

    def _wanted(self, stored: Authorities) -> Authorities:
        out_for = self._elapsed() - self._out_since if stored and bundle(stored) == self.bundle else 0.0
        return advance(
            stored,
            self._clock(),
            out_for=timedelta(seconds=out_for),
            names=self._names,
            new_authority=self._new_authority,
            policy=self._policy,
            entropy=self._entropy,
        )

    async def _store(self, wanted: Authorities, version: str) -> bool:
        try:
            await self._vault.write(encoded(wanted), version)
        except (ConflictError, NotFoundError):
            return False
        except ApiError:
            self._rotated(succeeded=False)
            raise
        self._rotated(succeeded=True)
        return True

    def _adopt(self, stored: Authorities) -> None:
        self.authorities = stored
        if bundle(stored) != self.bundle:
            self.bundle, self._out_since = bundle(stored), self._elapsed()
            self._changed(self.bundle)

    def _news(self, before: Authorities, after: Authorities) -> str:
        trusted, signing = len(after), sum(one.signs for one in after)
        return (
            f"{trusted} {self._title} authorities are trusted, {signing} may sign; before, {len(before)} were trusted"
        )
