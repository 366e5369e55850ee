"""Asking the API server whom a token is for. It knows what no signature tells: whether account and pod still exist."""

from collections.abc import Mapping
from typing import Any, Protocol

from ...errors import ApiError
from ...identity import Account, Reason, Unproven
from ...translate.channel import AUDIENCE

TIMEOUT_S = 5.0  # a proxy comes back by itself; what it must not do is hold a place for long
_POD_NAME = "authentication.kubernetes.io/pod-name"
_OTHER_AUDIENCE = "invalid for the target audiences"  # how an API server says it; the count of refusals depends on it

Object = Mapping[str, Any]


class Reviewing(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def create(self, manifest: Object, *, timeout_s: float) -> Object: ...


class Reviews:
    """One call is one review, for tokens of `audience` only."""

    def __init__(self, client: Reviewing, audience: str = AUDIENCE) -> None:
        self._client, self._audience = client, audience

    async def __call__(self, token: str) -> Account | Unproven:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._client.create(review, timeout_s=TIMEOUT_S)
        except ApiError as error:  # also when this operator may not ask: that is no fault of the token's
            return Unproven(Reason.UNAVAILABLE, str(error))
        return self._verdict(answer.get("status") or {})

    def _verdict(self, status: Object) -> Account | Unproven:
        if not status.get("authenticated"):
            error = str(status.get("error") or "the API server does not know the token")
            return Unproven(Reason.AUDIENCE if _OTHER_AUDIENCE in error else Reason.REJECTED, error)
        if self._audience not in (status.get("audiences") or ()):  # an authenticator that knows no audiences
            return Unproven(Reason.AUDIENCE, f"nobody vouches for the audience {self._audience}")
        user = status.get("user") or {}
        (pod, *_) = (user.get("extra") or {}).get(_POD_NAME) or [""]
        return Account(str(user.get("username") or ""), str(pod))
