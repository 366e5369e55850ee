"""A rollout as `edgerun rollout` sees it, be it in a cluster or in an `edgerun local`: an OriginService and its
revisions, as documents of the API.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from ..api import conditions, originrevision
from ..api.conditions import ConditionType
from ..api.meta import Condition, object_key
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService, OriginServiceStatus, Rollout
from ..translate.revisions import wishes
from ..translate.revisions.judgement import Order

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """`revisions` are in the order of their numbers, the newest first. `unread` tells of those that are left out."""

    service: OriginService
    status: OriginServiceStatus
    revisions: tuple[OriginRevision, ...]
    unread: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.service.metadata.namespace}/{self.service.metadata.name}"

    @property
    def rollout(self) -> Rollout:
        return self.status.rollout or Rollout()

    @property
    def order(self) -> Order | None:
        return wishes.order(self.service.metadata.annotations.get(wishes.ORDER, ""))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.metadata.name for one in self.revisions)

    def revision(self, name: str) -> OriginRevision | None:
        return next((one for one in self.revisions if one.metadata.name == name), None)

    def percent(self, name: str) -> int:
        """How much of all requests it gets."""
        return sum(one.percent or 0 for one in self.status.traffic if one.revision_name == name)

    def tags(self, name: str) -> tuple[str, ...]:
        return tuple(one.tag for one in self.status.traffic if one.revision_name == name and one.tag)

    def rejection(self, name: str) -> str:
        """Why it was rolled back from; "" when it was not."""
        messages = (one.message for one in self.rollout.rejected if one.revision_name == name)
        return next(("it " + message.removeprefix(f'revision "{name}" ') for message in messages), "")

    def serving(self, besides: str) -> str:
        """Who has the requests that are for the latest revision; "" for nobody."""
        return next((one.revision_name for one in self.rollout.shares[::-1] if one.revision_name != besides), "")


class Rollouts(Protocol):
    """The rollouts of one OriginService. All of it raises EdgerunError with the way out."""

    async def seen(self) -> Seen: ...

    async def order(self, order: Order) -> None: ...

    async def lead_to(self, revision: str) -> tuple[str, ...]:
        """All requests, whatever `spec.traffic` says: it is written anew. Who had written it, for they may again."""


def seen(service: Mapping[str, Any], revisions: Iterable[Mapping[str, Any]]) -> Seen:
    """What these documents tell."""
    found: list[OriginRevision] = []
    unread: list[str] = []
    for one in revisions:
        try:
            found.append(originrevision.read(one))
        except msgspec.ValidationError as error:  # written by another version
            unread.append(f"{object_key(one)} cannot be read by this edgerun, and is left out: {error}")
    return Seen(
        msgspec.convert(service, OriginService),
        msgspec.convert(service.get("status") or {}, OriginServiceStatus),
        tuple(sorted(found, key=lambda one: (one.spec.number, one.metadata.name), reverse=True)),
        tuple(unread),
    )


def health(revision: OriginRevision) -> Condition:
    """Its Ready condition; what nobody has looked at yet is Unknown."""
    found = conditions.condition(revision.status.conditions, ConditionType.READY)
    return found or Condition("Ready", "Unknown", "Pending")


def said(condition: Condition) -> str:
    """Its reason and its message, on one line."""
    return " ".join(": ".join(filter(None, (condition.reason, condition.message))).split())
