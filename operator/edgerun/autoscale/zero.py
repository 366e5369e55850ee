"""When the last pod of a revision may go, and whether a revision is active.

Zero is reached in two steps. A revision that has been active for long enough is first called inactive, so that the edge
holds requests for it; its pod goes when the edge does, and has had time to.
Trap: a revision that is still activating is not taken down for want of load: its load waits for it.
"""

from dataclasses import dataclass
from enum import StrEnum

SECOND_NS = 1_000_000_000
ACTIVATION_SLACK_NS = 30 * SECOND_NS  # whoever tells why pods do not start is to speak first


class Activity(StrEnum):
    ACTIVATING = "Activating"
    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`retention_ns`: how long the last pod stays at least after the revision has become inactive."""

    enabled: bool = True
    stable_window_ns: int = 60 * SECOND_NS
    grace_ns: int = 30 * SECOND_NS
    retention_ns: int = 0
    progress_deadline_ns: int = 600 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`for_ns`: since when it is so. `holding_ns`: since when the edge holds its requests; None: it does not yet."""

    activity: Activity
    for_ns: int
    holding_ns: int | None = None
    reachable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How many pods are wanted: None is not known. Only what is `applied` changes their number.

    `again_ns`: ask again when that has passed, whether or not anything else changes.
    """

    wanted: int | None
    applied: bool
    again_ns: int | None = None


_GO = Verdict(wanted=0, applied=True)


def to_zero(rules: Rules, situation: Situation) -> Verdict:
    """What to do when no pod is desired, least and most considered."""
    if not rules.enabled:
        return Verdict(wanted=1, applied=True)
    match situation.activity:
        case Activity.ACTIVATING:
            return _while_activating(rules, situation)
        case Activity.ACTIVE:
            return _while_active(rules, situation)
        case Activity.INACTIVE:
            return _while_inactive(rules, situation)


def activity(before: Activity, *, wanted: int | None, ready: int, enough: int) -> Activity:
    """What a revision is when `enough` ready pods would make it active."""
    if wanted == 0 or enough == 0:
        return Activity.INACTIVE
    if wanted is None and before is Activity.INACTIVE:
        return Activity.INACTIVE
    return Activity.ACTIVE if ready >= enough else Activity.ACTIVATING


def _while_activating(rules: Rules, situation: Situation) -> Verdict:
    timeout_ns = rules.progress_deadline_ns + ACTIVATION_SLACK_NS
    return _GO if situation.for_ns > timeout_ns else Verdict(wanted=None, applied=False, again_ns=timeout_ns)


def _while_active(rules: Rules, situation: Situation) -> Verdict:
    """Inactive, but with its pod; or with one pod for the rest of the window."""
    remaining_ns = rules.stable_window_ns - situation.for_ns
    if remaining_ns <= 0:
        return Verdict(wanted=0, applied=False)
    return Verdict(wanted=1, applied=True, again_ns=remaining_ns)


def _while_inactive(rules: Rules, situation: Situation) -> Verdict:
    if situation.holding_ns is None:
        return Verdict(wanted=0, applied=False)
    retention_ns = rules.retention_ns if situation.reachable else 0
    if situation.for_ns >= max(rules.grace_ns, retention_ns):
        return _GO
    if situation.for_ns < retention_ns:
        return Verdict(wanted=0, applied=False, again_ns=retention_ns - situation.for_ns)
    remaining_ns = rules.grace_ns - situation.holding_ns
    return _GO if remaining_ns <= 0 else Verdict(wanted=0, applied=False, again_ns=remaining_ns)
