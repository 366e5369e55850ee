"""Which revision `latestRevision` means: the newest one that was ever ready.

It never goes back: a revision that fails later stays the latest ready one, and a failed one never becomes it. Back it
goes only when it is deleted, or when the user asks for an older one by its name.
"""

from collections.abc import Iterable

from .revision import Notice, Revision, Revisions


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


def explained(created: Revision | None, ready: str) -> Notice | None:
    """Why the newest revision does not serve; None when it does."""
    if created is None or (created.name == ready and not created.failed):
        return None
    others = f'; revision "{ready}" keeps its traffic' if ready not in ("", created.name) else ""
    if created.failed:
        why = f"{created.reason}: {created.message}" if created.reason else created.message
        return Notice("RevisionFailed", f'revision "{created.name}" failed: {why}{others}')
    waits = f": {created.message}" if created.message else ""
    return Notice("Deploying", f'revision "{created.name}" is not ready yet{waits}{others}', failed=False)


def _newest(revisions: Iterable[Revision]) -> str:
    found = max(revisions, key=lambda one: (one.number, one.name), default=None)
    return found.name if found else ""
