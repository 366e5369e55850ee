"""A rollout as `edgerun rollout` sees it, be it in a cluster or in an `edgerun local`: an OriginService and its
revisions, as documents of the API.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from ..api import conditions, originrevision, originservice
from ..api.conditions import ConditionType
from ..api.meta import Condition, object_key
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService, OriginServiceStatus, Rollout
from ..api.problems import field_path
from ..api.reading import partly
from ..errors import SettingsError
from ..translate.revisions import wishes
from ..translate.revisions.judgement import Order

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """`revisions` are in the order of their numbers, the newest first. `unread` tells of what is left out."""

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
    """What these documents tell, as far as they can be read. Raises SettingsError when it cannot be read what the
    OriginService is."""
    read = _service(service)
    status, lost = partly(service.get("status") or {}, OriginServiceStatus)
    found: list[OriginRevision] = []
    unread = [_unread(f"{field_path(('status', *one.path))} of {read.key}", one.why) for one in lost]
    for one in revisions:
        try:
            revision, missing = originrevision.read_in_part(one)
        except msgspec.ValidationError as error:  # written by another version
            unread.append(_unread(str(object_key(one)), str(error)))
            continue
        found.append(revision)
        unread += [_unread(f"{field_path(part.path)} of {revision.key}", part.why) for part in missing]
    return Seen(
        read,
        status,
        tuple(sorted(found, key=lambda one: (one.spec.number, one.metadata.name), reverse=True)),
        tuple(unread),
    )


def _service(raw: Mapping[str, Any]) -> OriginService:
    try:
        return msgspec.convert(raw, OriginService)
    except msgspec.ValidationError as error:
        name = "{namespace}/{name}".format(**raw["metadata"])
        said = f"{originservice.KIND} {name} cannot be read by this edgerun: {error}; take the one that runs there"
        raise SettingsError(said) from error


def _unread(what: str, why: str) -> str:
    return f"{what} cannot be read by this edgerun, and is left out: {why}"


def health(revision: OriginRevision) -> Condition:
    """Its Ready condition; what nobody has looked at yet is Unknown."""
    found = conditions.condition(revision.status.conditions, ConditionType.READY)
    return found or Condition("Ready", "Unknown", "Pending")


def said(condition: Condition) -> str:
    """Its reason and its message, on one line."""
    return " ".join(": ".join(filter(None, (condition.reason, condition.message))).split())
