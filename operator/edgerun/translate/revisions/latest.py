"""Which revision `latestRevision` means: the newest one that was ever ready.

It never goes back: a revision that fails later stays the latest ready one, and a failed one never becomes it. Back it
goes only when it is deleted, or when the user asks for an older one by its name.
"""

from collections.abc import Iterable

from .revision import Revision, Revisions


def latest_ready(revisions: Revisions, *, created: Revision | None, before: str) -> str:
    """`created` is the revision of the template now, `before` what was the latest ready one; "" for none."""
    known = revisions.get(before)
    if known is None:
        return _newest(one for one in revisions.values() if one.ready) or _newest(
            one for one in revisions.values() if one.proven
        )
    if created is None:
        return before
    candidates = (one for one in revisions.values() if one.ready and known.number <= one.number <= created.number)
    return created.name if created.ready else _newest(candidates) or before


def _newest(revisions: Iterable[Revision]) -> str:
    found = max(revisions, key=lambda one: (one.number, one.name), default=None)
    return found.name if found else ""
