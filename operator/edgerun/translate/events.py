"""What people should notice when an object's conditions change. How and whether it is told is nothing of this module.

Told are mistakes of the object (Accepted), what stands in the way of Ready, and that nothing does any more; and of an
OriginService that it has another revision, that this is ready, and how its requests move there.

Trap: compare with what was so before it began to change. A state that passes by itself, such as Pending while a proxy
acknowledges, is nothing to tell, and neither is what follows it when that was so before: see `remembered`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..api.conditions import ConditionType
from ..api.meta import Condition
from ..api.originservice import OriginServiceStatus, Rollout

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


def revised(before: OriginServiceStatus, after: OriginServiceStatus) -> Iterator[Occurrence]:
    """What has become of the revisions of an OriginService. That one fails, or is rolled back, is told by Ready."""
    created, ready = after.latest_created_revision_name, after.latest_ready_revision_name
    if created and created != before.latest_created_revision_name:
        yield Occurrence("Normal", "RevisionCreated", "Revising", f'revision "{created}" is there', topic="created")
    if ready and ready != before.latest_ready_revision_name:
        yield Occurrence("Normal", "RevisionReady", "Revising", f'revision "{ready}" is ready', topic="revision")
    was, now = before.rollout or Rollout(), after.rollout or Rollout()
    if now.rolling and (not was.rolling or now.shares[-1].revision_name != was.shares[-1].revision_name):
        *others, goal = (f'"{share.revision_name}"' for share in now.shares)
        moves = f"requests move from revision {' and '.join(others)} to {goal}"
        yield Occurrence("Normal", "RolloutStarted", "RollingOut", moves, topic="rollout")
    elif was.rolling and [share.revision_name for share in now.shares] == [was.shares[-1].revision_name]:
        has = f'revision "{was.shares[-1].revision_name}" has all requests for the latest one'
        yield Occurrence("Normal", "RolloutFinished", "RollingOut", has, topic="rollout")


def scaled_by_hand(revision: str, before: int, after: int) -> Occurrence:
    """Somebody else has said how many replicas there are."""
    note = f"somebody scaled Deployment {revision} from {before} to {after}; its load and its bounds decide from there"
    return Occurrence("Normal", "ScaledByHand", "Scaling", note, topic="scale by hand")


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
