"""Keeps the authorities and the server's certificate fresh, for as long as it runs.

The authorities lie in one Secret. Only who may write changes it, and only the version that it has read; everybody acts
on what is stored, never on what they would like to store. The server's certificate is this process' own and is not
stored: with the API server away it is renewed all the same.
Trap: a Secret that is deleted is made anew with another authority, at once: that is how an administrator says that the
key has leaked. Pods can connect again when they have the new bundle.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..complaint import Complaint
from ..errors import ApiError, ConflictError, NotFoundError
from .authority import POLICY, Authorities, Policy, Server, advance, bundle, decoded, encoded, issue, signer, worn
from .certificates import ENTROPY, Entropy

PERIOD_S = 30.0
RETRY_S = 1.0  # as long as there is nothing to serve with
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


def server_names(service: str, namespace: str) -> tuple[str, ...]:
    """What a Service is called from within the cluster, the name that the edge asks for first."""
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")


class Rotation:
    """`names` are those of the server. `changed` is called with the bundle that every pod should be given, whenever
    that is another one; it must not wait. `elapsed` is a clock that never jumps."""

    def __init__(
        self,
        vault: Vault,
        *,
        names: tuple[str, ...],
        may_write: Callable[[], bool],
        changed: Callable[[str], None],
        rotated: Rotated = lambda *, succeeded: None,
        policy: Policy = POLICY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
        entropy: Entropy = ENTROPY,
    ) -> None:
        self._vault, self._names, self._may_write = vault, names, may_write
        self._changed, self._rotated = changed, rotated
        self._policy, self._clock, self._elapsed, self._entropy = policy, clock, elapsed, entropy
        self._authorities: Authorities = ()
        self._server: Server | None = None
        self._out_since = 0.0
        self._ready = asyncio.Event()
        self._complaint = Complaint(logger, "the authorities of the xDS server cannot be looked after")
        self.bundle = ""

    async def run(self) -> None:
        """Until cancelled. It may run in every replica: one that may not write follows those that do."""
        while True:
            await self.tend()
            await asyncio.sleep(PERIOD_S if self._ready.is_set() else RETRY_S)

    async def ready(self) -> None:
        """Return when there is a certificate to serve with."""
        await self._ready.wait()

    @property
    def server(self) -> Server:
        """What to serve with now; only when `ready`. May be read from any thread."""
        assert self._server, "asked for a certificate before there is one"
        return self._server

    @property
    def expiries(self) -> Mapping[str, float]:
        """When which credential ends, as Unix time."""
        ends = {"xds-server": self._server.ends} if self._server else {}
        authority = signer(self._authorities, self._clock())
        ends |= {"xds-authority": authority.ends} if authority else {}
        return {name: end.timestamp() for name, end in ends.items()}

    async def tend(self) -> None:
        """Do what is due now."""
        try:
            await self._tend_authorities()
        except ApiError as error:
            self._complaint.say(str(error))
        else:
            self._complaint.end()
        self._tend_server()

    async def _tend_authorities(self) -> None:
        if not self._may_write():
            self._out_since = self._elapsed()  # nobody has been given anything by us
        for _ in range(ATTEMPTS):
            stored, version = await self._look()
            wanted = self._wanted(stored)
            if wanted == stored or not self._may_write():
                break
            if await self._store(wanted, version):
                logger.info("%s", _news(stored, wanted))
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
            return decoded(data), version
        except ValueError as error:
            logger.error("the authorities are made anew, for the Secret cannot be read: %s", error)
            return (), version

    def _wanted(self, stored: Authorities) -> Authorities:
        out_for = self._elapsed() - self._out_since if stored and bundle(stored) == self.bundle else 0.0
        return advance(
            stored,
            self._clock(),
            out_for=timedelta(seconds=out_for),
            names=self._names,
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
        self._authorities = stored
        if bundle(stored) != self.bundle:
            self.bundle, self._out_since = bundle(stored), self._elapsed()
            self._changed(self.bundle)

    def _tend_server(self) -> None:
        now = self._clock()
        if self._server and not worn(self._server, self._authorities, now, self._policy):
            return
        authority = signer(self._authorities, now)
        if authority is None:
            return
        self._server = issue(authority, self._names, now, self._policy, self._entropy)
        self._ready.set()
        self._rotated(succeeded=True)
        logger.info("the xDS server has a new certificate, good until %s", self._server.ends.isoformat())


def _news(before: Authorities, after: Authorities) -> str:
    signing = sum(one.signs for one in after)
    return f"{len(after)} authorities are trusted, {signing} of them may sign; before, {len(before)} were trusted"
