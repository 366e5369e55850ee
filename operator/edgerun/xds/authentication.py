"""Who calls. Every method of the server, known or not, is for proxies that prove which fleet they belong to.

A proxy shows the token of its pod's ServiceAccount; `review` says whom it is for. An edge proxy's account is that of
its fleet. A guard's may be anybody's in its namespace, so it is the pod that tells whose guard it is. Nothing here ends
a stream later on: the server limits how long a connection lives, and the next one is asked again.
Traps: a token must not get into a log. What is logged comes from us or from the reviewer, and is searched for it. And a
pod may call before it is known here that there is one.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import grpc

from ..identity import Account, Reason, Review, Unproven

CACHED_S = 10.0  # a proxy that comes back at once is not asked about again; the API server remembers as long
MAX_CACHED = 4096
MAX_TOKEN_CHARS = 8192  # those of Kubernetes have about 1,200
MAX_REVIEWS = 16  # at once
MAX_WAITING = 2000  # calls; beyond that the proxies come back later
UNHEARD_S = 15.0  # in which a watch tells of a new pod, or there is none
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
    Reason.IDENTITY: "this account is no proxy's",
    Reason.UNAVAILABLE: "tokens cannot be reviewed now",
}
logger = logging.getLogger(__name__)

T = TypeVar("T")
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the caller has proven. `pod` is "" where its token is bound to no pod."""

    fleet: str
    pod: str = ""


Guards = Callable[[Account], str | None]
"""Of which fleet of guards the pod of this account is: "" when of none, None while the pod is not known (yet)."""


caller: ContextVar[Identity] = ContextVar("caller")
"""Whoever makes the call that is being served; not set where nobody has to prove anything."""


class Authenticator(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """The proxies of fleet F have the ServiceAccount `PREFIX-F` in `namespace`, those of `guards` any one. `refused`
    hears of every refusal."""

    def __init__(
        self,
        review: Review,
        *,
        namespace: str,
        prefix: str = "edge",
        guards: Guards = lambda account: "",
        refused: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._review = review
        self._account = f"system:serviceaccount:{namespace}:{prefix}-"
        self._guards, self._refused = guards, refused
        self._known: dict[bytes, tuple[float, Account]] = {}
        self._unheard: dict[bytes, float] = {}  # until when a pod may come to be known
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
        found = known if known and now < until else await self._reviewed(token)
        if isinstance(found, Unproven):
            return found
        identity = self._judged(found, digest, now)
        if isinstance(identity, Identity) and found is not known:
            _remember(self._known, digest, (now + CACHED_S, found))
        return identity

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

    def _judged(self, account: Account, digest: bytes, now: float) -> Identity | Unproven:
        """The pod is asked for anew each time: it may be gone while its token is remembered."""
        guards = self._guards(account) if account.pod else ""
        if guards is not None:
            self._unheard.pop(digest, None)
        fleet = guards or account.username.removeprefix(self._account)
        if fleet and fleet != account.username:
            return Identity(fleet, account.pod)
        if guards is None and now < self._until(digest, now):
            return Unproven(Reason.UNAVAILABLE, f"the pod {account.pod} of {account.username!r} is not known (yet)")
        return Unproven(Reason.IDENTITY, f"{account.username!r} is neither {self._account}FLEET nor a guard's")

    def _until(self, digest: bytes, now: float) -> float:
        if digest not in self._unheard:
            _remember(self._unheard, digest, now + UNHEARD_S)
        return self._unheard[digest]

    def _refusal(self, why: Unproven) -> grpc.RpcMethodHandler:
        """A handler for any kind of call: the refusal comes before the first message is read."""

        async def refuse(_: Any, context: Any) -> None:
            self._complaints.note(why, _host(context.peer()))
            await context.abort(_CODES.get(why.reason, grpc.StatusCode.UNAUTHENTICATED), _ANSWERS[why.reason])

        return grpc.stream_stream_rpc_method_handler(refuse)


def _remember(memory: dict[bytes, T], digest: bytes, value: T) -> None:
    memory.pop(digest, None)
    while len(memory) >= MAX_CACHED:
        del memory[next(iter(memory))]  # the oldest
    memory[digest] = value


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
