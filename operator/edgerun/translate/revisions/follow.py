"""One look at an OriginService and its revisions: what follows for each. Read this first.

It depends on its arguments alone, and looking again before anything was written gives the same answer. Whoever calls it
writes the new revision, deletes the collectable ones, keeps the memory in the status, and comes back when something
changed or the time has come.

Trap: nothing may be looked at before all revisions are known. One that is not seen counts as deleted.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from ...api.originservice import Rollout, TrafficTarget
from ...api.problems import Problem
from . import traffic
from .collection import DEFAULT, Retention, collectable
from .creation import Current, Wanted, current, highest
from .judgement import Evidence, Order, awaited, judged, told
from .latest import latest_ready
from .memory import Memory
from .replicas import Duties, Need, needs
from .revision import Notice, Revision, Revisions, by_name
from .rollout import ALL_AT_ONCE, Look, advanced, aim, due, on_trial, pruned
from .traffic import Assignment
from .trial import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the OriginService says. Without targets all traffic is for the latest revision."""

    wanted: Wanted
    targets: tuple[TrafficTarget, ...] = ()
    duration: timedelta = ALL_AT_ONCE
    max_error_percent: float | None = None
    min_scale: int = 1
    order: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is. `acknowledged`: every proxy serves what followed from the last look; before that, `draining` are
    those that some proxy may still send requests to. To those that are `lingering` none does, but some are under way.
    `taken` are names of other OriginServices' revisions."""

    now: datetime
    revisions: tuple[Revision, ...] = ()
    acknowledged: bool = True
    draining: Collection[str] = ()
    lingering: Collection[str] = ()
    taken: Collection[str] = ()
    window: Window = ()
    retention: Retention = DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`made` is to be created, `collected` to be deleted, and `revisions` are those that are there, with what is to be
    remembered of each. To those that are `draining` requests may be under way that nobody leads there any more.
    `routed` says why the wished traffic is not in effect, `rolled_back` what was decided."""

    memory: Memory
    assignment: Assignment
    draining: frozenset[str] = frozenset()
    revisions: tuple[Revision, ...] = ()
    made: Revision | None = None
    collected: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    problems: tuple[Problem, ...] = ()
    routed: Notice | None = None
    rolled_back: Notice | None = None
    again: datetime | None = None

    @property
    def present(self) -> tuple[Revision, ...]:
        """All that are there as soon as what is to be made is: what has to run."""
        gone = frozenset(self.collected)
        there = tuple(one for one in self.revisions if one.name not in gone)
        return (*there, self.made) if self.made else there

    @property
    def newest(self) -> Revision | None:
        """The one of the template."""
        name = self.memory.latest_created_revision_name
        return next((one for one in self.present if one.name == name), None)


class _Route(NamedTuple):
    """Where the traffic is to go; `awaited` are revisions without which it cannot go where it is wished."""

    targets: tuple[TrafficTarget, ...]
    rollout: Rollout
    notice: Notice | None = None
    problems: tuple[Problem, ...] = ()
    awaited: frozenset[str] = frozenset()


def follow(wish: Wish, facts: Facts, memory: Memory) -> Outcome:
    """What follows from all that is known."""
    revisions = _proven(by_name(facts.revisions), memory)
    found = _current(wish, facts, memory, revisions)
    ready = latest_ready(revisions, created=found.revision, before=memory.latest_ready_revision_name)
    route = _route(wish, facts, revisions, ready, _before(wish, facts, memory, revisions, ready))
    assigned = traffic.assignment(route.targets, route.rollout)
    newest = found.revision.name if found.revision else ""
    forgotten = found.revision is None or found.revision.name not in _named(memory)
    duties = _duties(wish, facts, assigned, route, newest=newest, ready=ready)
    used = {*assigned.revisions, *duties.draining, *duties.lingering, *duties.reserve, *duties.awaited, newest, ready}
    return Outcome(
        memory=Memory(
            number=highest(wish.wanted.service, revisions, memory.number),
            latest_created_revision_name=newest,
            latest_ready_revision_name=ready,
            traffic=route.targets,
            rollout=route.rollout,
        ),
        assignment=assigned,
        draining=frozenset((*duties.draining, *duties.lingering)) & revisions.keys(),
        revisions=tuple(_dated(one, used, facts.now) for one in revisions.values()),
        made=found.revision if found.new and forgotten else None,
        collected=collectable(revisions, used=used, now=facts.now, rules=facts.retention),
        needs=needs(revisions, duties, min_scale=wish.min_scale),
        problems=(*found.problems, *route.problems),
        routed=route.notice,
        rolled_back=told(route.rollout, ready),
        again=due(route.rollout, facts.now) if forgotten or not found.new else facts.now,
    )


def _proven(revisions: Revisions, memory: Memory) -> Revisions:
    """What has traffic was ready, whether or not somebody came to write that down."""
    known = _named(memory)
    return {
        name: replace(one, proven=True) if not one.proven and (one.ready or name in known) else one
        for name, one in revisions.items()
    }


def _named(memory: Memory) -> frozenset[str]:
    """All that got something. One of them that was deleted is not made anew before that is written down: it would pass
    for the one that it replaces."""
    named = (one.revision_name for one in memory.traffic)
    shared = (one.revision_name for one in memory.rollout.shares)
    return frozenset((memory.latest_ready_revision_name, *named, *shared))


def _current(wish: Wish, facts: Facts, memory: Memory, revisions: Revisions) -> Current:
    return current(
        wish.wanted,
        revisions,
        before=memory.latest_created_revision_name,
        remembered=memory.number,
        taken=facts.taken,
        now=facts.now,
    )


def _before(wish: Wish, facts: Facts, memory: Memory, revisions: Revisions, ready: str) -> _Route:
    """What is in effect, as far as it has neither been deleted nor been judged."""
    heir = traffic.heir(memory.traffic, memory.rollout, revisions, ready)
    evidence = Evidence(now=facts.now, window=facts.window, limit_percent=wish.max_error_percent)
    state = pruned(memory.rollout, revisions, heir)
    return _Route(
        traffic.inherited(memory.traffic, revisions, heir),
        judged(state, wish.order, evidence, revisions, ready=ready),
    )


def _route(wish: Wish, facts: Facts, revisions: Revisions, ready: str, before: _Route) -> _Route:
    """As it is wished, or else as it was: then a rollout stands still, too."""
    targets = wish.targets or traffic.DEFAULT
    if problems := traffic.traffic_problems(targets):
        return before._replace(problems=problems)
    in_effect = traffic.assignment(before.targets, before.rollout)
    notice = traffic.unresolved(targets, revisions, service=wish.wanted.service, ready=ready, before=in_effect)
    if notice:
        named = frozenset(one.revision_name for one in targets if one.revision_name)
        return before._replace(notice=notice, awaited=named & revisions.keys())
    state, percent = before.rollout, traffic.latest_percent(targets)
    goal = revisions.get(aim(state, revisions, ready, percent=percent))
    if percent and not state.shares and goal is not None and not goal.ready:
        return before._replace(notice=traffic.not_ready([goal.name], revisions), awaited=frozenset({goal.name}))
    look = Look(now=facts.now, acknowledged=facts.acknowledged, ready=goal is not None and goal.ready)
    name = goal.name if goal else ""
    return _Route(targets, advanced(state, goal=name, percent=percent, duration=wish.duration, look=look))


def _duties(wish: Wish, facts: Facts, assigned: Assignment, route: _Route, *, newest: str, ready: str) -> Duties:
    tried = wish.max_error_percent is not None and on_trial(route.rollout, facts.now)
    return Duties(
        weighted=frozenset(one.revision_name for one in assigned.weights),
        tagged=frozenset(one.revision_name for one in assigned.tags),
        awaited=(route.awaited | {awaited(route.rollout, wish.order, ready=ready)}) - {""},
        draining=frozenset(facts.draining),
        lingering=frozenset(facts.lingering) - assigned.revisions,
        reserve=frozenset({route.rollout.previous} - {""} if tried else ()),
        newest=newest,
        returns=newest != ready,
    )


def _dated(one: Revision, used: Collection[str], now: datetime) -> Revision:
    """With when it was last of use: that is not over for those that are."""
    if one.name in used:
        return replace(one, last_active=None) if one.last_active else one
    return one if one.last_active else replace(one, last_active=now)
