"""The certificate of the xDS server, the authorities behind it, and both as gRPC wants them.

The certificate is this process' own and is not stored: with the API server away it is renewed all the same. gRPC looks
it up anew for each connection, so that none has to end for a new one.
Trap: gRPC asks from a thread of its own.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc

from .authority import POLICY, Authorities, Leaf, Policy, issue, signer, worn
from .certificates import ENTROPY, Entropy, new_authority, new_server
from .rotation import Rotated, Rotation, Vault

logger = logging.getLogger(__name__)


def server_names(service: str, namespace: str) -> tuple[str, ...]:
    """What a Service is called from within the cluster, the name that the edge asks for first."""
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")


class Serving:
    """What the xDS server proves by who it is: the authorities for these `names`, and its certificate by one of them.

    The arguments are those of `Rotation`.
    """

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
        self._names, self._rotated = names, rotated
        self._policy, self._clock, self._entropy = policy, clock, entropy
        self._server: Leaf | None = None
        self._ready = asyncio.Event()
        self._rotation = Rotation(
            vault,
            title="xds",
            names=names,
            new_authority=new_authority,
            may_write=may_write,
            changed=changed,
            tended=self._renew,
            rotated=rotated,
            policy=policy,
            clock=clock,
            elapsed=elapsed,
            entropy=entropy,
        )

    async def run(self) -> None:
        """Until cancelled. It may run in every replica: one that may not write follows those that do."""
        await self._rotation.run()

    async def tend(self) -> None:
        """Do what is due now."""
        await self._rotation.tend()

    async def ready(self) -> None:
        """Return when there is a certificate to serve with."""
        await self._ready.wait()

    @property
    def bundle(self) -> str:
        return self._rotation.bundle

    @property
    def server(self) -> Leaf:
        """What to serve with now; only when `ready`. May be read from any thread."""
        assert self._server, "asked for a certificate before there is one"
        return self._server

    @property
    def expiries(self) -> Mapping[str, float]:
        """When which credential ends, as Unix time."""
        own = {"xds-server": self._server.ends.timestamp()} if self._server else {}
        return {**own, **self._rotation.expiries}

    def _renew(self, authorities: Authorities) -> None:
        now = self._clock()
        if self._server and not worn(self._server, authorities, now, self._policy):
            return
        authority = signer(authorities, now)
        if authority is None:
            return
        self._server = issue(authority, partial(new_server, self._names), now, self._policy, self._entropy)
        self._ready.set()
        self._rotated(succeeded=True)
        logger.info("the xDS server has a new certificate, good until %s", self._server.ends.isoformat())


def server_credentials(current: Callable[[], Leaf]) -> grpc.ServerCredentials:
    """Serve with whatever `current` returns at the time when somebody connects."""
    shown = current()

    def changed() -> Any:
        nonlocal shown
        now = current()
        if now is shown:
            return None  # go on with the same
        shown = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(shown), changed)


def _configuration(server: Leaf) -> Any:
    pair = server.pair.key.encode(), server.pair.certificate.encode()
    return grpc.ssl_server_certificate_configuration([pair])
