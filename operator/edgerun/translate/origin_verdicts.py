"""What is to be said of an OriginService and of each of its revisions.

Of the service is said how the newest revision fares, for that is what was wished last, whoever serves in its place; and
whether the requests are where they were wished to be.

Trap: a revision that nobody has any use for is told to have no replica. That is no mistake of its own, so what was said
of it before still holds.
"""

from collections.abc import Iterator

from ..api import conditions
from ..api.conditions import ConditionType, listed
from ..api.meta import Condition, ObjectKey
from ..api.originrevision import OriginRevisionStatus
from ..api.originservice import LiveTraffic, OriginService, Replicas
from .keeping import kept
from .names import revision_key
from .phases import OriginPhase
from .plan import Rotation, Running, Verdict
from .references import found, resolved, rolls, told
from .replicas import Replicas as Found
from .revisions.follow import Outcome
from .revisions.revision import Revision
from .running import outcome, running
from .urls import TagUrls
from .world import AWAKE, OriginObservation, Sleep, World

_NOBODY = "it has no replica, for no request leads to it"
_NOT_STARTED = conditions.unknown(ConditionType.CONTAINER_HEALTHY, "Pending", "nothing has been started yet")
_SLEEPS = {
    Sleep.CLOSING: "it has no replica until a request comes",
    Sleep.ASLEEP: "it has no replica until a request comes",
    Sleep.WAKING: "a request waits for its first replica",
}


def origin_verdicts(service: OriginService, world: World, urls: TagUrls) -> Iterator[Verdict]:
    """The service's own, and one for each of its revisions."""
    decided = outcome(service, world)
    runs = {run.key.name: run for run in running(service, world)}
    yield _origin_verdict(service, decided, runs, world, urls)
    for one in decided.present:
        yield _revision_verdict(one, runs[one.name], world)


def _origin_verdict(
    service: OriginService, decided: Outcome, runs: dict[str, Running], world: World, urls: TagUrls
) -> Verdict:
    refusal, replicas = world.refusals.get(service.key), Found.of(service, world)
    newest = decided.newest
    observed = world.observations.get(revision_key(service.key, newest.name)) if newest else None
    endpoints = [one for name, _ in replicas.shares for one in replicas.endpoints(name) if not one.guarded]
    parts = (
        conditions.accepted(refusal, service.metadata.generation),
        _newest_healthy(decided, runs, world),
        _assigned(service, decided),
        _rolled_back(decided),
    )
    return Verdict(
        key=service.key,
        generation=refusal.generation if refusal else service.metadata.generation,
        conditions=tuple(part for part in parts if part),
        url=f"http://{endpoints[0].address}:{endpoints[0].port}" if endpoints else "",
        kept=kept(service, refusal),
        rotation=_rotation(service, observed, world),
        replicas=Replicas(desired=sum(run.replicas for run in runs.values()), ready=replicas.ready),
        memory=decided.memory,
        traffic=_traffic(service.key, decided, urls),
    )


def _revision_verdict(one: Revision, run: Running, world: World) -> Verdict:
    observed, there = world.observations.get(run.key), world.revisions.get(run.key)
    healthy = _healthy(one, run, world)
    return Verdict(
        key=run.key,
        generation=there.metadata.generation if there else 1,
        conditions=(healthy,) if healthy else (),
        replicas=Replicas(desired=run.replicas, ready=len(observed.endpoints) if observed else 0),
        revision=OriginRevisionStatus(proven=one.proven, last_active=one.last_active),
    )


def _traffic(key: ObjectKey, decided: Outcome, urls: TagUrls) -> tuple[LiveTraffic, ...]:
    weights = (LiveTraffic(revision_name=one.revision_name, percent=one.percent) for one in decided.assignment.weights)
    tags = (
        LiveTraffic(revision_name=one.revision_name, tag=one.tag, url=urls.get((key, one.tag), ""))
        for one in decided.assignment.tags
    )
    return (*weights, *tags)


def _rotation(service: OriginService, observed: OriginObservation | None, world: World) -> Rotation | None:
    if world.installation is None or not rolls(service):
        return None
    serves = observed is not None and observed.phase is OriginPhase.READY
    return Rotation(
        resolved(service, found(service, world.referred), world.installation),
        told(observed.rolled.versions) if observed and serves else None,
    )


def _newest_healthy(decided: Outcome, runs: dict[str, Running], world: World) -> Condition:
    """How the newest revision fares, and whether another one serves in its place."""
    newest = decided.newest
    if newest is None:
        return conditions.unknown(ConditionType.CONTAINER_HEALTHY, "Pending", "there is no revision")
    healthy = _healthy(newest, runs[newest.name], world) or _NOT_STARTED
    if healthy.status == "True":
        return healthy
    make = conditions.false if healthy.status == "False" else conditions.unknown
    said = "; ".join(filter(None, (healthy.message, _others(decided))))
    return make(ConditionType.CONTAINER_HEALTHY, healthy.reason, said)


def _healthy(one: Revision, run: Running, world: World) -> Condition | None:
    """None when nothing is known but what was known before it was told to have no replica."""
    observed, epoch = world.observations.get(run.key), world.epochs.get(run.key, AWAKE)
    failed = observed is not None and observed.phase is OriginPhase.FAILED
    if one.proven and epoch.cold and not (failed and epoch.sleep is Sleep.WAKING):
        return conditions.true(ConditionType.CONTAINER_HEALTHY, "Asleep", _SLEEPS[epoch.sleep])
    if not run.replicas:
        return conditions.true(ConditionType.CONTAINER_HEALTHY, "Idle", _NOBODY) if one.proven else None
    if observed is None:
        return _NOT_STARTED
    if observed.phase is OriginPhase.READY:
        return conditions.true(ConditionType.CONTAINER_HEALTHY, "Ready", observed.message)
    make = conditions.false if failed else conditions.unknown
    return make(ConditionType.CONTAINER_HEALTHY, observed.reason or observed.phase.value, observed.message)


def _others(decided: Outcome) -> str:
    created, shares = decided.memory.latest_created_revision_name, decided.memory.rollout.shares
    others = [share.revision_name for share in shares if share.revision_name != created]
    return f'revision "{others[-1]}" keeps its traffic' if others else ""


def _assigned(service: OriginService, decided: Outcome) -> Condition | None:
    """Whether the requests are where they were wished to be; None where they always are, with the latest revision."""
    if decided.problems:
        said = listed(f"{problem.field}: {problem.message}" for problem in decided.problems)
        return conditions.false(ConditionType.ALL_TRAFFIC_ASSIGNED, "Invalid", said)
    notice, rollout = decided.routed, decided.memory.rollout
    if notice and (service.spec.traffic or decided.assignment.weights):
        make = conditions.false if notice.failed else conditions.unknown
        return make(ConditionType.ALL_TRAFFIC_ASSIGNED, notice.reason, notice.message)
    if rollout.rolling:
        *before, goal = (f'"{share.revision_name}"' for share in rollout.shares)
        message = f"requests move from revision {' and '.join(before)} to {goal}; status.traffic tells how far they are"
        return conditions.unknown(ConditionType.ALL_TRAFFIC_ASSIGNED, "RolloutInProgress", message)
    if not service.spec.traffic or notice:
        return None
    return conditions.true(ConditionType.ALL_TRAFFIC_ASSIGNED, "AllTrafficAssigned")


def _rolled_back(decided: Outcome) -> Condition | None:
    notice = decided.rolled_back
    return conditions.true(ConditionType.ROLLED_BACK, notice.reason, notice.message) if notice else None
