"""What `edgerun rollout` orders: which revision is meant, and whether it can be.

Raises SettingsError with what there is, and the way out. Nothing here asks or writes anything.
"""

from ..api.originrevision import OriginRevision
from ..errors import SettingsError
from ..translate.revisions.judgement import Order, Verb, predecessor
from .rollouts import Seen, health, said

MAX_NAMED = 10


def undoing(seen: Seen) -> Order:
    """The newest revision, whether it has requests or is about to get them, is to get nothing."""
    if not seen.status.latest_ready_revision_name:
        raise SettingsError(f"no revision of {seen.name} was ever ready, so there is nothing to go back to")
    newest = _about_to_come(seen) or _newest_with_requests(seen)
    if not newest:
        raise SettingsError(
            f"spec.traffic of {seen.name} leads nothing to the latest revision, so there is no rollout to undo; choose "
            f"who gets all requests: --to {_example(seen)}"
        )
    return Order(Verb.UNDO, newest)


def heir(seen: Seen, name: str) -> str:
    """Who has, or takes back, what `name` gets."""
    if has := seen.serving(name):
        return has
    proven = {one.metadata.name: one.spec.number for one in seen.revisions if one.status.proven}
    if (before := predecessor(seen.rollout, name, proven)) in seen.names:
        return before
    raise SettingsError(
        f"{name} has all requests of {seen.name}, and there is no older revision to take them back; choose one: "
        f"--to {_example(seen, name)}"
    )


def target(seen: Seen, name: str) -> OriginRevision:
    """Who is to get all requests."""
    found = named(seen, name)
    condition = health(found)
    if condition.status == "False":
        raise SettingsError(f"{name} cannot get requests, for it has failed: {said(condition)}")
    return found


def promoting(seen: Seen, name: str = "") -> Order:
    """The one that is being rolled out; one that was rolled back only by its `name`."""
    ready = seen.status.latest_ready_revision_name
    wanted = named(seen, name).metadata.name if name else ready
    if wanted != ready or not ready:
        raise SettingsError(_why_not(seen, wanted or seen.status.latest_created_revision_name))
    if not seen.rollout.shares:
        raise SettingsError(
            f"spec.traffic of {seen.name} leads nothing to the latest revision, so {ready} cannot be promoted; let "
            "spec.traffic lead to latestRevision, or leave it away"
        )
    if not name and (rejection := seen.rejection(ready)):
        raise SettingsError(
            f"{ready} was rolled back: {rejection}; if it is to get all requests nevertheless, name it: "
            f"--revision {ready}"
        )
    return Order(Verb.PROMOTE, ready)


def promoted(seen: Seen, name: str) -> bool:
    """Whether nothing would follow from an order: it has all, and nobody judges it."""
    shares = [share.revision_name for share in seen.rollout.shares]
    judged = seen.rollout.settled is not None and seen.service.spec.rollout.max_error_percent is not None
    return shares == [name] and not judged


def named(seen: Seen, name: str) -> OriginRevision:
    found = seen.revision(name)
    if found is None:
        raise SettingsError(f"{seen.name} has no revision {name!r}; there are: {_listed(seen.names)}")
    return found


def _about_to_come(seen: Seen) -> str:
    """The revision of the template, when it has not been ready yet."""
    created = seen.status.latest_created_revision_name
    waits = created != seen.status.latest_ready_revision_name and not seen.rollout.rejects(created)
    return created if waits and seen.rollout.shares else ""


def _newest_with_requests(seen: Seen) -> str:
    return seen.rollout.shares[-1].revision_name if seen.rollout.shares else ""


def _why_not(seen: Seen, name: str) -> str:
    ready = seen.revision(seen.status.latest_ready_revision_name)
    revision = seen.revision(name)
    if revision is None:
        return f"{seen.name} has no revision yet"
    if ready and revision.spec.number < ready.spec.number:
        only = f"only the latest one that was ready can, {ready.metadata.name}"
        return f"{name} cannot be promoted: {only}. To lead all requests to an older one: undo --to {name}"
    condition = health(revision)
    state = "has failed" if condition.status == "False" else "is not ready yet"
    serves = seen.serving(name)
    keeps = f"; {serves} keeps its requests" if serves else ""
    return f"{name} cannot be promoted, for it {state}: {said(condition)}{keeps}"


def _example(seen: Seen, besides: str = "") -> str:
    proven = [one.metadata.name for one in seen.revisions if one.status.proven and one.metadata.name != besides]
    fit = [name for name in proven if not seen.rollout.rejects(name)] or proven
    return f"{fit[0]} (there are {_listed(fit)})" if fit else "REVISION (there is none that was ever ready)"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return (", ".join(names[:MAX_NAMED]) or "none") + more
