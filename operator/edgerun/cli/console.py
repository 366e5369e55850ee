"""What a person sees of a running instance: one line per thing that happens."""

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..api import conditions, originrevision
from ..api.conditions import ConditionType
from ..api.meta import Condition, ObjectKey
from ..api.originservice import OriginServiceStatus, Rejected
from ..runtime.board import Status
from ..sources.documents import FileProblem
from ..translate.names import revision_of
from .tables import coloured
from .tour import origin_name

logger = logging.getLogger(__name__)
REMEMBERED_REQUESTS = 10_000
# Details and flags of a guard's own answers: what it refused, what the program did not answer, and what did not fit in.
_OWN, _FULL = ("jwt_authn_access_denied", "rbac_access_denied", "upstream_reset_before_response_started"), "UO"
_BEGINNING = ("Starting", "OriginNotReady", "NoProxies")  # reasons that a moment's patience may do away with


class Console:
    """Prints, and remembers the newest requests so that a tour can look up who answered its own.

    While a tour is taken, `shows_requests` is off: its table shows them all. What is not ready only because all has
    just begun is withheld until `started`.
    """

    def __init__(self) -> None:
        self._said: dict[ObjectKey, tuple[str, str, str]] = {}
        self._revisions: dict[ObjectKey, OriginServiceStatus] = {}
        self._requests: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._withheld: dict[ObjectKey, str] | None = {}
        self.shows_requests = True

    def logged(self, request_id: str) -> Mapping[str, Any] | None:
        """The access log entry of a request, if it is still remembered."""
        return self._requests.get(request_id)

    def output(self, name: str, line: str) -> None:
        self._print(f"{coloured(name, 'cyan')} | {line}")

    def request(self, entry: Mapping[str, Any]) -> None:
        self._requests[entry.get("request_id") or ""] = entry
        while len(self._requests) > REMEMBERED_REQUESTS:
            self._requests.popitem(last=False)
        if self.shows_requests:
            self._print(_request_line(entry))

    def guarded(self, name: str, entry: Mapping[str, Any]) -> None:
        """The edge's line tells of each request; the guard has something to add when it was the one to answer."""
        logger.debug("guard of %s: %s", name, entry)
        if entry.get("flags") == _FULL or str(entry.get("details")).startswith(_OWN):
            self._print(_guard_line(name, entry))

    def status(self, key: ObjectKey, status: Status | None) -> None:
        if key.kind == originrevision.KIND:
            return  # the lines of its service say what has become of it
        ready = conditions.condition(status.conditions, ConditionType.READY) if status else None
        if ready is None:
            self._said.pop(key, None)
            self._revisions.pop(key, None)
            self._print(f"{key} is gone")
            return
        said = (ready.status, ready.reason, ready.message)
        if ready.reason != "Pending" and self._said.get(key) != said:
            self._said[key] = said
            self._tell(key, ready, _newest(status))
        if isinstance(status, OriginServiceStatus):
            before, self._revisions[key] = self._revisions.get(key), status
            for line in _revision_lines(key, before, status):
                self._print(line)

    def started(self) -> None:
        """All had its time to become ready: tell what has not."""
        withheld, self._withheld = self._withheld or {}, None
        for line in withheld.values():
            self._print(line)

    def _tell(self, key: ObjectKey, ready: Condition, revision: str) -> None:
        line = _status_line(key, ready, revision)
        if self._withheld is None:
            self._print(line)
        elif ready.reason in _BEGINNING:
            self._withheld[key] = line
        else:
            self._withheld.pop(key, None)
            self._print(line)

    def problems(self, problems: Sequence[FileProblem]) -> None:
        for problem in problems:
            self._print(coloured(f"! {problem.where}: {problem.message}", "red"))

    def _print(self, line: str) -> None:
        print(line, file=sys.stdout, flush=True)


def _status_line(key: ObjectKey, ready: Condition, revision: str) -> str:
    """`revision` is the one that it speaks of, "" where that is clear."""
    colour = {"True": "green", "False": "red"}.get(ready.status, "yellow")
    if ready.status == "True":
        return f"{coloured(str(key), colour)} Ready"
    who = " ".join(filter(None, (coloured(str(key), colour), revision, ready.reason)))
    return f"{who}: {ready.message}" if ready.message else who


def _newest(status: Status | None) -> str:
    """The revision that is not ready, where another one serves."""
    if not isinstance(status, OriginServiceStatus) or not status.latest_ready_revision_name:
        return ""
    created = status.latest_created_revision_name
    return created if created != status.latest_ready_revision_name else ""


def _revision_lines(key: ObjectKey, before: OriginServiceStatus | None, now: OriginServiceStatus) -> Iterator[str]:
    """What has become of its revisions. Of the first one there is nothing to be said: by it the service is ready."""
    if before is None or not before.latest_ready_revision_name:
        return
    name, ready = coloured(str(key), "green"), now.latest_ready_revision_name
    if ready != before.latest_ready_revision_name:
        yield f"{name} {ready} is ready"
    known = {one.revision_name for one in _rejected(before)}
    for one in _rejected(now):
        if one.revision_name not in known:
            yield f"{coloured(str(key), 'red')} {one.revision_name} is rolled back: {one.message}"
    if _shares(now).keys() != _shares(before).keys():
        yield f"{name} leads to {', '.join(f'{one} {percent} %' for one, percent in _shares(now).items())}"


def _rejected(status: OriginServiceStatus) -> tuple[Rejected, ...]:
    return status.rollout.rejected if status.rollout else ()


def _shares(status: OriginServiceStatus) -> Mapping[str, int]:
    return {one.revision_name: one.percent for one in status.traffic if one.percent}


def _request_line(entry: Mapping[str, Any]) -> str:
    """`GET shop.localhost/cart -> shop/web/cart -> shop/cart-00001 200 3 ms`, and why when it was not its answer."""
    status = int(entry.get("status") or 0)
    asked = f"{entry.get('method') or '?'} {entry.get('authority') or '?'}{entry.get('path') or ''}"
    where = " -> ".join(filter(None, (asked, entry.get("rule"), _revision_name(entry.get("cluster") or ""))))
    details = entry.get("details") or ""
    why = f" ({details})" if not 0 < status < 400 and details != "via_upstream" else ""
    colour = "green" if status < 400 else "yellow" if status < 500 else "red"
    return f"{coloured(where, 'grey')} {coloured(str(status), colour)} {entry.get('duration_ms')} ms{why}"


def _revision_name(cluster: str) -> str:
    """Who answered, by the name that is before the lines that it prints."""
    found = revision_of(cluster)
    return f"{found.namespace}/{found.name}" if found else origin_name(cluster)


def _guard_line(name: str, entry: Mapping[str, Any]) -> str:
    """`shop/cart-00001 guard | 403 to system:serviceaccount:blog:default for GET /cart (rbac_access_denied...)`."""
    caller, asked = entry.get("caller") or "a caller not known", f"{entry.get('method')} {entry.get('path')}"
    return (
        f"{coloured(f'{name} guard', 'cyan')} | {entry.get('status')} to {caller} for {asked} ({entry.get('details')})"
    )
