"""Statuses: a verdict, plus what the proxies have acknowledged, plus what was said before.

Programmed and Ready are never promises: they follow the acknowledgement of every connected proxy.
"""

from dataclasses import dataclass

from ..api import conditions
from ..api.conditions import ConditionType
from ..api.edgeproxy import EdgeProxyStatus
from ..api.edgeroute import EdgeRouteStatus, EdgeStatus
from ..api.meta import Condition
from ..api.originrevision import OriginRevisionStatus
from ..api.originservice import OriginServiceStatus, Rollout, UsedVersion
from .plan import Verdict
from .revisions.memory import Memory
from .world import FleetObservation

_MISTAKES = ("EdgeNotFound", "NotAnInvoker", "NotServed", "OriginNotFound", "OriginRefused", "Shadowed")
_NEVER_TRIED = conditions.unknown(ConditionType.READY, "Pending", "it has not been tried")


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the `proxies` of the edge, `programmed` have acknowledged the version that holds this generation.

    `informed` have acknowledged a version in which all that it waits for was there: the endpoints of its origins, say.
    """

    edge: str
    proxies: int
    programmed: int
    informed: int


def route_status(verdict: Verdict, progress: Progress, before: EdgeRouteStatus, *, now: str) -> EdgeRouteStatus:
    """The status of an EdgeRoute. `now` is RFC 3339 and becomes the transition time of what changed."""
    programmed = _programmed(verdict, progress)
    needed = [part for part in verdict.conditions if part.type != ConditionType.SHADOWED]
    waiting = verdict.waits_for or _uninformed(progress)
    ready = conditions.folded([*needed, programmed, *([waiting] if waiting else [])])
    parts = conditions.settled(
        (*verdict.conditions, programmed, ready), before.conditions, generation=verdict.generation, now=now
    )
    edge = EdgeStatus(name=progress.edge, proxies=progress.proxies, programmed=progress.programmed)
    return EdgeRouteStatus(
        observed_generation=verdict.generation, serving=verdict.kept, url=verdict.url, conditions=parts, edges=(edge,)
    )


def fleet_status(verdict: Verdict, before: EdgeProxyStatus, *, now: str) -> EdgeProxyStatus:
    """The status of an EdgeProxy."""
    observed = verdict.fleet or FleetObservation()
    ready = conditions.folded([*verdict.conditions, *([verdict.waits_for] if verdict.waits_for else [])])
    return EdgeProxyStatus(
        observed_generation=verdict.generation,
        serving=verdict.kept,
        replicas=observed.replicas,
        ready_replicas=len(observed.ready),
        addresses=observed.addresses,
        conditions=conditions.settled(
            (*verdict.conditions, ready), before.conditions, generation=verdict.generation, now=now
        ),
    )


def origin_status(verdict: Verdict, before: OriginServiceStatus, *, now: str) -> OriginServiceStatus:
    """The status of an OriginService."""
    resolved = _resolved(verdict, before)
    said = (*verdict.conditions, *([resolved] if resolved else []))
    parts = (*said, conditions.folded(said))
    memory = verdict.memory or Memory()
    return OriginServiceStatus(
        latest_created_revision_name=memory.latest_created_revision_name,
        latest_ready_revision_name=memory.latest_ready_revision_name,
        traffic=verdict.traffic,
        revision_number=memory.number,
        applied_traffic=memory.traffic,
        rollout=memory.rollout if memory.rollout != Rollout() else None,
        observed_generation=verdict.generation,
        serving=verdict.kept,
        url=verdict.url,
        replicas=verdict.replicas,
        references=_references(verdict, before),
        conditions=conditions.settled(parts, before.conditions, generation=verdict.generation, now=now),
    )


def needs_edit(verdict: Verdict, progress: Progress) -> bool:
    """Whether it becomes ready by an edit alone, of it or of what it names, and has all that it gets without one."""
    accepted = conditions.condition(verdict.conditions, ConditionType.ACCEPTED)
    if accepted and accepted.status == "False":
        return True
    if verdict.waits_for:
        return verdict.waits_for.reason in _MISTAKES
    resolved = conditions.condition(verdict.conditions, ConditionType.RESOLVED_REFS)
    return resolved is not None and resolved.reason in _MISTAKES and progress.informed == progress.proxies


def revision_status(verdict: Verdict, before: OriginRevisionStatus, *, now: str) -> OriginRevisionStatus:
    """The status of an OriginRevision. One that was never ready, and is not tried any more, keeps its last words."""
    said = verdict.conditions or tuple(
        part for part in before.conditions if part.type == ConditionType.CONTAINER_HEALTHY
    )
    parts = (*said, conditions.folded(said or [_NEVER_TRIED]))
    remembered = verdict.revision or OriginRevisionStatus()
    return OriginRevisionStatus(
        replicas=verdict.replicas,
        proven=remembered.proven,
        last_active=remembered.last_active,
        conditions=conditions.settled(parts, before.conditions, generation=verdict.generation, now=now),
    )


def _resolved(verdict: Verdict, before: OriginServiceStatus) -> Condition | None:
    if verdict.rotation is None:
        return None
    return verdict.rotation.resolved or conditions.condition(before.conditions, ConditionType.RESOLVED_REFS)


def _references(verdict: Verdict, before: OriginServiceStatus) -> tuple[UsedVersion, ...]:
    """Old pods serve until the new ones are ready, and it is them that the status speaks of meanwhile."""
    if verdict.rotation is None:
        return ()
    versions = verdict.rotation.versions
    if versions is None:
        return before.references
    return tuple(UsedVersion(kind=kind, name=name, version=version) for kind, name, version in versions)


def _uninformed(progress: Progress) -> Condition | None:
    """An origin that is ready is of no use to a proxy that has not heard of it yet."""
    if progress.informed == progress.proxies:
        return None
    of = f"{progress.informed} of {progress.proxies} proxies of edge {progress.edge}"
    return conditions.false(ConditionType.READY, "Pending", f"{of} know where its origins are ready")


def _programmed(verdict: Verdict, progress: Progress) -> Condition:
    of = f"{progress.programmed} of {progress.proxies} proxies of edge {progress.edge}"
    said = f"{of} serve generation {verdict.generation}"
    accepted = conditions.condition(verdict.conditions, ConditionType.ACCEPTED)
    if accepted and accepted.status == "False":
        message = f"generation {verdict.generation} was not accepted"
        return conditions.false(ConditionType.PROGRAMMED, "NotAccepted", message)
    if not progress.proxies:
        return conditions.false(ConditionType.PROGRAMMED, "NoProxies", f"no proxy of edge {progress.edge} is connected")
    if progress.programmed < progress.proxies:
        return conditions.false(ConditionType.PROGRAMMED, "Pending", said)
    return conditions.true(ConditionType.PROGRAMMED, "Programmed", said)
