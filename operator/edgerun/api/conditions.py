"""Conditions: how an object says in which state it is, and since when (KEP-1623, Gateway API's types and reasons).

Positive polarity, but for two that are present only while it is so: Shadowed, when another route answers in this one's
place, and RolledBack, when another revision does.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from .meta import Condition
from .problems import Refusal

MAX_LISTED = 5
_KEPT = " (generation {} keeps serving)"
_KEPT_AGAIN = re.compile(r" \(generation \d+ keeps serving\)$")


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    SHADOWED = "Shadowed"
    PROGRAMMED = "Programmed"
    CONTAINER_HEALTHY = "ContainerHealthy"
    ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
    ROLLED_BACK = "RolledBack"
    READY = "Ready"


def true(type: ConditionType, reason: str, message: str = "") -> Condition:
    return Condition(type=type.value, status="True", reason=reason, message=message)


def false(type: ConditionType, reason: str, message: str) -> Condition:
    return Condition(type=type.value, status="False", reason=reason, message=message)


def unknown(type: ConditionType, reason: str, message: str) -> Condition:
    return Condition(type=type.value, status="Unknown", reason=reason, message=message)


def accepted(refusal: Refusal | None, serving: int | None) -> Condition:
    """Whether the newest version of an object is the one that serves; `serving` is the generation that does."""
    if refusal is None:
        return true(ConditionType.ACCEPTED, "Accepted")
    kept = _KEPT.format(serving) if serving is not None else ""
    return false(ConditionType.ACCEPTED, refusal.reason, refusal.message + kept)


def words_of_refusal(condition: Condition) -> str:
    """What `accepted` was told of the refusal."""
    return _KEPT_AGAIN.sub("", condition.message)


def folded(conditions: Iterable[Condition]) -> Condition:
    """Ready out of its parts: the first False one wins, then the first Unknown one, and Ready repeats its words."""
    parts = sorted(map(_positive, conditions), key=lambda part: ("False", "Unknown", "True").index(part.status))
    worst = parts[0]
    if worst.status == "True":
        return true(ConditionType.READY, "Ready")
    return msgspec.structs.replace(worst, type=ConditionType.READY.value)


def _positive(part: Condition) -> Condition:
    """That a revision was rolled back is good for its requests, and not what was wished."""
    return msgspec.structs.replace(part, status="False") if part.type == ConditionType.ROLLED_BACK else part


def settled(
    conditions: Iterable[Condition], before: Iterable[Condition], *, generation: int, now: str
) -> tuple[Condition, ...]:
    """`conditions` of `generation`, with the transition times of `before` where the status is still the same."""
    known: Mapping[str, Condition] = {condition.type: condition for condition in before}

    def since(condition: Condition) -> str:
        old = known.get(condition.type)
        return old.last_transition_time if old and old.status == condition.status else now

    return tuple(
        msgspec.structs.replace(part, observed_generation=generation, last_transition_time=since(part))
        for part in conditions
    )


def condition(conditions: Iterable[Condition], type: ConditionType) -> Condition | None:
    """The one of that type."""
    return next((part for part in conditions if part.type == type), None)


def listed(parts: Iterable[str]) -> str:
    """At most a handful, and how many more there are: a condition is read, not searched."""
    said = list(parts)
    more = f" and {len(said) - MAX_LISTED} more" if len(said) > MAX_LISTED else ""
    return "; ".join(said[:MAX_LISTED]) + more
