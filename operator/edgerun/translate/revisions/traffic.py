"""Who gets which part of the requests: `spec.traffic`, read, and put into effect as a whole or not at all.

What cannot be put into effect leaves the traffic as it was. A revision that is named and not ready yet is waited for;
one that has traffic already keeps it whatever becomes of it, for without that no other part could be changed either.
Trap: a revision that was never ready never gets anything, also when it is named.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...api.originservice import Rollout, Share, TrafficTarget
from ...api.problems import Problem
from .memory import Tagged
from .revision import Notice, Revisions

FIELD = "spec.traffic"
ALL = 100
DEFAULT = (TrafficTarget(latest_revision=True, percent=ALL),)
_TAG = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_MAX_TAG = 63
_MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Assignment:
    """`weights` sum to 100 or are none; they and `tags` are in a stable order."""

    weights: tuple[Share, ...] = ()
    tags: tuple[Tagged, ...] = ()

    @property
    def revisions(self) -> frozenset[str]:
        """All that can be reached."""
        weights = (one.revision_name for one in self.weights)
        return frozenset((*weights, *(one.revision_name for one in self.tags)))


def traffic_problems(targets: Sequence[TrafficTarget]) -> tuple[Problem, ...]:
    """All that is wrong with them, whatever revisions there are."""
    found = [problem for index, one in enumerate(targets) for problem in _problems(f"{FIELD}[{index}]", one)]
    found += _duplicates(targets)
    total = sum(one.percent or 0 for one in targets)
    if targets and total != ALL:
        found.append(Problem(FIELD, f"traffic targets sum to {total}, want {ALL}"))
    return tuple(found)


def unresolved(
    targets: Sequence[TrafficTarget], revisions: Revisions, *, service: str, ready: str, before: Assignment
) -> Notice | None:
    """Why they cannot be put into effect now; None when they can. `before` is what is in effect."""
    missing = [one.revision_name for one in targets if one.revision_name and one.revision_name not in revisions]
    if missing:
        there = f"there are {_listed(tuple(revisions))}" if revisions else "there is none"
        said = "; ".join(f'revision "{name}" referenced in traffic not found' for name in dict.fromkeys(missing))
        return Notice("RevisionMissing", f"{said} ({there}); the traffic stays as it was")
    awaited = [*dict.fromkeys(name for name in _named(targets) if not _usable(name, revisions, before))]
    if awaited:
        return not_ready(awaited, revisions)
    if not ready and any(one.latest for one in targets):
        return Notice("RevisionMissing", f'OriginService "{service}" has no ready revision', failed=False)
    return None


def not_ready(awaited: Sequence[str], revisions: Revisions) -> Notice:
    """What is said while these are waited for."""
    failed = [revisions[name] for name in awaited if revisions[name].failed]
    if failed:
        one = failed[0]
        said = f'revision "{one.name}" failed to become ready: {one.reason}: {one.message}'
        return Notice("RevisionFailed", f"{said}; the traffic stays as it was")
    said = " and ".join(f'"{name}"' for name in awaited)
    return Notice("RevisionNotReady", f"revision {said} is not ready yet; the traffic stays as it was", failed=False)


def assignment(targets: Sequence[TrafficTarget], rollout: Rollout) -> Assignment:
    """What they come to, as far as the rollout has come."""
    weights: dict[str, int] = {}
    named = (Share(revision_name=one.revision_name, percent=one.percent or 0) for one in targets if not one.latest)
    for share in (*named, *rollout.shares):
        weights[share.revision_name] = weights.get(share.revision_name, 0) + share.percent
    tags = ((one.tag, rollout.goal if one.latest else one.revision_name) for one in targets if one.tag)
    return Assignment(
        tuple(Share(revision_name=name, percent=weights[name]) for name in sorted(weights) if weights[name]),
        tuple(Tagged(tag=tag, revision_name=name) for tag, name in sorted(tags) if name),
    )


def inherited(targets: Sequence[TrafficTarget], revisions: Revisions, heir: str) -> tuple[TrafficTarget, ...]:
    """Without revisions that have been deleted: what they had is the heir's, but for their tags."""
    return tuple(
        one if one.latest or one.revision_name in revisions else TrafficTarget(revision_name=heir, percent=one.percent)
        for one in targets
        if one.latest or one.revision_name in revisions or (heir and one.percent)
    )


def heir(targets: Sequence[TrafficTarget], rollout: Rollout, revisions: Revisions, ready: str) -> str:
    """Who gets the part of a revision that has been deleted: the latest ready one, else the biggest that is left."""
    if ready in revisions:
        return ready
    shares = {one.revision_name: one.percent or 0 for one in targets if one.revision_name}
    shares |= {one.revision_name: one.percent for one in rollout.shares}
    left: Mapping[str, int] = {name: percent for name, percent in shares.items() if name in revisions and percent}
    return max(left, key=lambda name: (left[name], name), default="")


def latest_percent(targets: Sequence[TrafficTarget]) -> int:
    """How much is for the latest revision."""
    return sum(one.percent or 0 for one in targets if one.latest)


def _named(targets: Sequence[TrafficTarget]) -> Iterator[str]:
    return (one.revision_name for one in targets if one.revision_name)


def _usable(name: str, revisions: Revisions, before: Assignment) -> bool:
    return revisions[name].ready or (revisions[name].proven and name in before.revisions)


def _problems(field: str, target: TrafficTarget) -> Iterator[Problem]:
    percent, latest, name = target.percent, target.latest_revision, target.revision_name
    if percent is not None and not 0 <= percent <= ALL:
        yield Problem(f"{field}.percent", f"expected 0 <= {percent} <= {ALL}")
    if latest and name:
        yield Problem(f"{field}.latestRevision", f'may not set revisionName "{name}" when latestRevision is true')
    if latest is False and not name:
        yield Problem(field, "expected exactly one, got neither: latestRevision, revisionName")
    if target.tag and not (len(target.tag) <= _MAX_TAG and _TAG.fullmatch(target.tag)):
        wanted = f"at most {_MAX_TAG} characters a-z, 0-9 and -, the first a letter and the last none of -"
        yield Problem(f"{field}.tag", f'"{target.tag}" is not a DNS 1035 label: {wanted}')


def _duplicates(targets: Sequence[TrafficTarget]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, one in enumerate(targets):
        if one.tag and first.setdefault(one.tag, index) != index:
            yield Problem(
                f"{FIELD}[{index}].tag", f'multiple definitions for "{one.tag}": {FIELD}[{first[one.tag]}].tag'
            )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[-_MAX_LISTED:]) + more
