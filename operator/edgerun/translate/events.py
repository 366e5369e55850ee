"""What people should notice when an object's conditions change. How and whether it is told is nothing of this module.

Told are mistakes of the object (Accepted), what stands in the way of Ready, and that nothing does any more.

Trap: compare with what was so before it began to change. A state that passes by itself, such as Pending while a proxy
acknowledges, is nothing to tell, and neither is what follows it when that was so before: see `remembered`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..api.conditions import ConditionType
from ..api.meta import Condition

# Of Ready. Without proxies no route is ready: the EdgeProxy tells that once, and 500 routes need not repeat it.
TRANSIENT = frozenset({"Pending", "NoProxies"})

Conditions = Iterable[Condition]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """As Kubernetes' Events have it: `reason` and `action` are for machines, `note` is for people. Of one `topic` of an
    object the newest counts."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str
    topic: str = "state"


def occurrences(before: Conditions, after: Conditions) -> tuple[Occurrence, ...]:
    """What is worth telling; nothing when nothing changed, also after a restart."""
    old, new = _by_type(before), _by_type(after)
    accepted, ready = new.get(ConditionType.ACCEPTED), new.get(ConditionType.READY)
    if accepted and accepted.status == "False":  # Ready repeats its words
        return _warned(old.get(ConditionType.ACCEPTED), accepted, "Accepting")
    if ready is None or _passes(ready):
        return ()
    if ready.status == "False":
        return _warned(old.get(ConditionType.READY), ready, "Serving")
    was = old.get(ConditionType.READY)
    if ready.status == "True" and (was is None or was.status != "True"):
        return (Occurrence("Normal", ready.reason, "Serving", f"generation {ready.observed_generation} is ready"),)
    return ()


def scaled(note: str) -> Occurrence:
    """Another number of replicas was decided; `note` has the numbers."""
    return Occurrence("Normal", "Scaled", "Scaling", note, topic="scale")


def remembered(before: Conditions, after: Conditions) -> tuple[Condition, ...]:
    """What to compare the next change with: `after`, but for what passes by itself."""
    old = _by_type(before)
    kept = (old.get(part.type) if _passes(part) else part for part in after)
    return tuple(part for part in kept if part)


def _warned(was: Condition | None, now: Condition, action: str) -> tuple[Occurrence, ...]:
    """A new mistake of the same kind is told, other numbers in the same words are not: the generation decides."""
    if was and (was.status, was.reason, was.observed_generation) == (now.status, now.reason, now.observed_generation):
        return ()
    return (Occurrence("Warning", now.reason, action, now.message),)


def _passes(part: Condition) -> bool:
    return part.type == ConditionType.READY and (part.status == "Unknown" or part.reason in TRANSIENT)


def _by_type(conditions: Conditions) -> Mapping[str, Condition]:
    return {condition.type: condition for condition in conditions}
