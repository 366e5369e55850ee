"""Who calls. Every method of the server, known or not, is for proxies that prove which fleet they belong to.

A proxy shows the token of its pod's ServiceAccount; `review` says whom it is for. Nothing here ends a stream later on:
the server limits how long a connection lives, and the next one is asked again.
Trap: a token must not get into a log. What is logged comes from us or from the reviewer, and is searched for it.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import grpc

from ..identity import Account, Reason, Review, Unproven

CACHED_S = 10.0  # a proxy that comes back at once is not asked about again; the API server remembers as long
MAX_CACHED = 4096
MAX_TOKEN_CHARS = 8192  # those of Kubernetes have about 1,200
MAX_REVIEWS = 16  # at once
MAX_WAITING = 2000  # calls; beyond that the proxies come back later
MAX_MESSAGE_CHARS = 400  # of the reviewer's words
LOG_WINDOW_S = 60.0
LOG_LINES = 20  # in that time
_HEADER = "authorization"
_CREDENTIALS = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750
_CODES = {Reason.IDENTITY: grpc.StatusCode.PERMISSION_DENIED, Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE}
_ANSWERS = {
    Reason.MISSING: "a bearer token is needed",
    Reason.MALFORMED: "exactly one bearer token is needed",
    Reason.REJECTED: "the token is not valid",
    Reason.AUDIENCE: "the token is for another audience",
    Reason.IDENTITY: "this account is no edge proxy's",
    Reason.UNAVAILABLE: "tokens cannot be reviewed now",
}
logger = logging.getLogger(__name__)

_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the caller has proven. `pod` is "" where its token is bound to no pod."""

    fleet: str
    pod: str = ""


caller: ContextVar[Identity] = ContextVar("caller")
"""Whoever makes the call that is being served; not set where nobody has to prove anything."""


class Authenticator(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """The proxies of fleet F have the ServiceAccount `PREFIX-F` in `namespace`. `refused` hears of every refusal."""

    def __init__(
        self,
        review: Review,
        *,
        namespace: str,
        prefix: str = "edge",
        refused: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._review = review
        self._account = f"system:serviceaccount:{namespace}:{prefix}-"
        self._refused = refused
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self._reviews = asyncio.Semaphore(MAX_REVIEWS)
        self._waiting = 0
        self._complaints = _Complaints()

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        found = await self._identify(handler_call_details.invocation_metadata or ())
        if isinstance(found, Unproven):
            self._refused(found.reason)
            return self._refusal(found)
        caller.set(found)  # one task serves a call from here to its end
        return await continuation(handler_call_details)

    async def _identify(self, metadata: Any) -> Identity | Unproven:
        token = _token([value for key, value in metadata if key == _HEADER])
        if isinstance(token, Unproven):
            return token
        digest, now = sha256(token.encode()).digest(), asyncio.get_running_loop().time()
        until, known = self._known.get(digest, (0.0, None))
        if known and now < until:
            return known
        found = self._judged(await self._reviewed(token))
        if isinstance(found, Identity):
            self._remember(digest, now + CACHED_S, found)
        return found

    async def _reviewed(self, token: str) -> Account | Unproven:
        if self._waiting >= MAX_WAITING:
            return Unproven(Reason.UNAVAILABLE, f"{MAX_WAITING} calls wait for a review already")
        self._waiting += 1
        try:
            async with self._reviews:
                found = await self._review(token)
        finally:
            self._waiting -= 1
        if isinstance(found, Unproven):
            line = " ".join(found.message.replace(token, "…").split())
            return Unproven(found.reason, line[:MAX_MESSAGE_CHARS])
        return found

    def _judged(self, found: Account | Unproven) -> Identity | Unproven:
        if isinstance(found, Unproven):
            return found
        fleet = found.username.removeprefix(self._account)
        if not fleet or fleet == found.username:
            return Unproven(Reason.IDENTITY, f"{found.username!r} is not {self._account}FLEET")
        return Identity(fleet, found.pod)

    def _remember(self, digest: bytes, until: float, identity: Identity) -> None:
        self._known.pop(digest, None)
        while len(self._known) >= MAX_CACHED:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[digest] = until, identity

    def _refusal(self, why: Unproven) -> grpc.RpcMethodHandler:
        """A handler for any kind of call: the refusal comes before the first message is read."""

        async def refuse(_: Any, context: Any) -> None:
            self._complaints.note(why, _host(context.peer()))
            await context.abort(_CODES.get(why.reason, grpc.StatusCode.UNAUTHENTICATED), _ANSWERS[why.reason])

        return grpc.stream_stream_rpc_method_handler(refuse)


class _Complaints:
    """The log of refusals: once for each peer and reason within the window, and so many lines at most."""

    def __init__(self) -> None:
        self._ends_at = 0.0
        self._noted: set[tuple[Reason, str]] = set()

    def note(self, why: Unproven, host: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._ends_at:
            self._ends_at = now + LOG_WINDOW_S
            self._noted.clear()
        if len(self._noted) < LOG_LINES and (why.reason, host) not in self._noted:
            self._noted.add((why.reason, host))
            logger.warning("a call from %s was refused (%s): %s", host, why.reason, why.message)


def _token(values: list[Any]) -> str | Unproven:
    if not values:
        return Unproven(Reason.MISSING, "it has no authorization")
    found = _CREDENTIALS.fullmatch(values[0]) if len(values) == 1 and isinstance(values[0], str) else None
    if found is None or len(found[1]) > MAX_TOKEN_CHARS:
        return Unproven(Reason.MALFORMED, f"its authorization is not one bearer token of {MAX_TOKEN_CHARS} characters")
    return found[1]


def _host(peer: str) -> str:
    """Without the port, which is another one for each connection."""
    return peer.rpartition(":")[0] if peer.startswith("ipv") else peer
