"""What `edgerun rollout` says: the table of revisions, how far a rollout is and what it waits for."""

from collections.abc import Callable, Collection
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from ..api import conditions
from ..api.conditions import ConditionType
from ..api.originrevision import OriginRevision
from ..translate.revisions.judgement import Verb
from ..translate.revisions.rollout import TRIAL
from ..translate.revisions.shares import stepped
from . import rollout_orders
from .rollouts import Seen, health, said
from .tables import age, coloured, table

HEADER = ("REVISION", "PERCENT", "TAG", "REPLICAS", "AGE", "STATE")
MAX_STATE = 100  # characters of a table; all of it stands below
_MINUTE_S = 60
_LATE_S = 3  # a step that is due is taken by who looks once a second, and told a moment later
_AT_REST = ("Asleep", "Idle")  # reasons of those without replicas that are as they should be
_MOVES = "RolloutInProgress"  # of which there is more to be said


class Stage(StrEnum):
    DONE = "green"
    UNDER_WAY = "yellow"
    FAILED = "red"


class Standing(NamedTuple):
    """How far a rollout is. `left` says how long until something happens; it is another one each time."""

    stage: Stage
    said: str
    left: str = ""

    def __str__(self) -> str:
        return self.said + self.left


def overview(seen: Seen, now: datetime) -> str:
    """A table, and below it how far the rollout is."""
    rows = [_row(seen, one, now) for one in seen.revisions]
    shown = [table(HEADER, rows), ""] if rows else []
    unread = [coloured(f"! {one}", Stage.FAILED.value) for one in seen.unread]
    return "\n".join([*shown, *unread, marked(standing(seen, now))])


def marked(found: Standing) -> str:
    """As a line."""
    return coloured(f"! {found}" if found.stage is Stage.FAILED else f"{found}", found.stage.value)


def standing(seen: Seen, now: datetime) -> Standing:
    """The first thing that is in the way, or else that it is done."""
    looks: tuple[Callable[[Seen, datetime], Standing | None], ...] = (
        _looked_at,
        _ordered,
        _newest,
        _routed,
        _moving,
        _on_trial,
    )
    found = next(filter(None, (look(seen, now) for look in looks)), None)
    return found or Standing(Stage.DONE, _done(seen))


def ordered(seen: Seen, verb: Verb, name: str) -> str:
    """What follows from an order that was just given, and what it waits for."""
    if verb is Verb.PROMOTE:
        when = _when(seen, name) or " now"
        return f"{name} is to get all requests of {seen.name} that are for the latest revision{when}"
    heir, has = rollout_orders.heir(seen, name), name in _sharing(seen)
    later = f"; the next revision of {seen.name} is rolled out as ever"
    if not has:
        return f"{name} is to get no requests, also when it becomes ready; {heir} keeps them{later}"
    return f"{name} is to get no requests any more; {heir} takes them back{_when(seen, heir)}{later}"


def led(seen: Seen, name: str, before: Collection[str] = ()) -> str:
    """What follows from `spec.traffic` having been written anew, which these had written `before`."""
    namespace, service = seen.service.metadata.namespace, seen.service.metadata.name
    undo = f'kubectl -n {namespace} patch originservice {service} --type merge -p \'{{"spec":{{"traffic":null}}}}\''
    return (
        f"spec.traffic of {seen.name} leads all requests to {name}{_when(seen, name) or ' now'}\n"
        f"new revisions get none before it leads to the latest one again: {undo}\n{_applied_again(before)}"
    )


def _applied_again(before: Collection[str]) -> str:
    """Only a file that has a spec.traffic takes it back."""
    if not before:
        return "if its YAML is kept elsewhere and has a spec.traffic, write the same there: its next apply undoes this"
    return (
        f"! spec.traffic was that of {' and '.join(before)}: if it comes from a file, write the same there, for its "
        'next apply undoes this or, when it is a server-side one, fails by a conflict with "edgerun-rollout"'
    )


def has_all(seen: Seen, name: str) -> str:
    return f"{name} has all requests of {seen.name} that are for the latest revision already; nothing is to be done"


def _row(seen: Seen, revision: OriginRevision, now: datetime) -> tuple[str, ...]:
    name, replicas = revision.metadata.name, revision.status.replicas
    percent = seen.percent(name)
    told, colour = _state(seen, revision, now)
    return (
        name,
        f"{percent} %" if percent else "-",
        ",".join(seen.tags(name)) or "-",
        f"{replicas.ready}/{replicas.desired}" if replicas else "-",
        age(revision.metadata.creation_timestamp, now),
        coloured(told if len(told) <= MAX_STATE else told[: MAX_STATE - 1] + "…", colour),
    )


def _state(seen: Seen, revision: OriginRevision, now: datetime) -> tuple[str, str]:
    """In words and in a colour; what is not as it should be comes first."""
    name, condition = revision.metadata.name, health(revision)
    reached = bool(seen.percent(name) or seen.tags(name))
    if rejection := seen.rejection(name):
        return f"rolled back: {rejection}", "red"
    if condition.status == "False":
        return f"failed: {said(condition)}", "red"
    if seen.rollout.rolling and name == seen.rollout.shares[-1].revision_name:
        return f"rolling{_step(seen, now)}", "yellow"
    if condition.reason in _AT_REST:
        return condition.reason.lower(), "grey"
    if condition.status == "Unknown":
        return said(condition), "yellow"
    return ("serving" if reached else "ready"), "green"


def _step(seen: Seen, now: datetime) -> str:
    """What comes next of a rollout that moves."""
    rollout = seen.rollout
    if rollout.next_step is None:
        return ", until every proxy serves that"
    following = stepped(rollout.shares, rollout.step_percent)[-1].percent
    return f" -> {following} % {_in(rollout.next_step, now)}"


def _looked_at(seen: Seen, now: datetime) -> Standing | None:
    accepted = conditions.condition(seen.status.conditions, ConditionType.ACCEPTED)
    if seen.status.observed_generation < seen.service.metadata.generation:
        return Standing(Stage.UNDER_WAY, f"waits for the operator to look at {seen.name}")
    if accepted and accepted.status == "False":
        return Standing(Stage.FAILED, f"the newest version of {seen.name} is refused: {said(accepted)}")
    return None


def _ordered(seen: Seen, now: datetime) -> Standing | None:
    """What was ordered, and is not so yet."""
    order, sharing = seen.order, _sharing(seen)
    if order is None or not sharing:
        return None
    name, previous = order.revision_name, seen.rollout.previous
    if order.verb is Verb.PROMOTE and name == seen.status.latest_ready_revision_name and name not in sharing:
        return Standing(Stage.UNDER_WAY, f"{name} gets all requests as soon as it is ready{_replicas(seen, name)}")
    if order.verb is Verb.UNDO and sharing == [name] and previous in seen.names and not seen.rollout.rejects(name):
        takes = f"{previous} takes back what {name} has as soon as it is ready"
        return Standing(Stage.UNDER_WAY, takes + _replicas(seen, previous))
    return None


def _newest(seen: Seen, now: datetime) -> Standing | None:
    """The revision of the template is ready, and was not rolled back from."""
    created, ready = seen.status.latest_created_revision_name, seen.status.latest_ready_revision_name
    revision = seen.revision(created)
    if revision is None:
        return Standing(Stage.UNDER_WAY, f"waits for the first revision of {seen.name}")
    serves = seen.serving(created)
    if rejection := seen.rejection(created):
        instead = f"; {serves} serves instead" if serves else ""
        return Standing(Stage.FAILED, f"{created} was rolled back: {rejection}{instead}")
    keeps = f"; {serves} keeps its requests" if serves else ""
    condition = health(revision)
    if created == ready:
        return None
    if condition.status == "False":
        return Standing(Stage.FAILED, f"{created} failed: {said(condition)}{keeps}")
    return Standing(Stage.UNDER_WAY, f"waits for {created} to be ready: {said(condition)}{keeps}")


def _routed(seen: Seen, now: datetime) -> Standing | None:
    found = conditions.condition(seen.status.conditions, ConditionType.ALL_TRAFFIC_ASSIGNED)
    if found is None or found.status == "True" or found.reason == _MOVES:
        return None
    return Standing(Stage.FAILED if found.status == "False" else Stage.UNDER_WAY, said(found))


def _moving(seen: Seen, now: datetime) -> Standing | None:
    rollout, ready = seen.rollout, seen.status.latest_ready_revision_name
    if rollout.rolling:
        newest = rollout.shares[-1]
        has = f"{newest.revision_name} has {newest.percent} of {rollout.percent} %"
        return Standing(Stage.UNDER_WAY, has, _step(seen, now).replace(" -> ", ", "))
    if rollout.shares and rollout.shares[0].revision_name != ready:
        return Standing(Stage.UNDER_WAY, f"waits for {ready} to be ready{_replicas(seen, ready)}")
    return None


def _on_trial(seen: Seen, now: datetime) -> Standing | None:
    """Who asks for it to be judged wants to know how it was judged."""
    rollout, limit = seen.rollout, seen.service.spec.rollout.max_error_percent
    if limit is None or not rollout.previous or rollout.settled is None or now >= rollout.settled + TRIAL:
        return None
    has = f"{rollout.shares[0].revision_name} has all requests, and goes back if more than {limit:g} % of them fail"
    return Standing(Stage.UNDER_WAY, has, f"; that is over {_in(rollout.settled + TRIAL, now)}")


def _done(seen: Seen) -> str:
    newest, percent = seen.status.latest_ready_revision_name, seen.rollout.percent
    if not percent:
        has = ", ".join(f"{one.revision_name} {one.percent} %" for one in seen.status.traffic if one.percent)
        if seen.percent(newest):
            return f"spec.traffic leads to {has}"
        return f"{newest} is ready and gets nothing, for spec.traffic leads elsewhere: {has}"
    return f"{newest} has all requests" if percent == 100 else f"{newest} has its {percent} % of all requests"


def _when(seen: Seen, name: str) -> str:
    """What a revision waits for that is to get requests."""
    revision = seen.revision(name)
    condition = health(revision) if revision else None
    gets = seen.percent(name) or (condition and condition.status == "True" and condition.reason != "Idle")
    return "" if gets else f" as soon as it is ready{_replicas(seen, name)}"


def _replicas(seen: Seen, name: str) -> str:
    revision = seen.revision(name)
    replicas = revision.status.replicas if revision else None
    return f" ({replicas.ready} of {replicas.desired} replicas)" if replicas and replicas.desired else ""


def _sharing(seen: Seen) -> list[str]:
    """Who has requests that are for the latest revision."""
    return [share.revision_name for share in seen.rollout.shares]


def _in(moment: datetime, now: datetime) -> str:
    seconds = round((moment - now).total_seconds())
    if seconds <= 0:
        return "as soon as it is ready" if seconds < -_LATE_S else "now"
    return f"in {seconds} s" if seconds < 2 * _MINUTE_S else f"in {seconds // _MINUTE_S} min"
