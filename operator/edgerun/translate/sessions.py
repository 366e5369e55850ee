"""Session affinity: a client that brings its cookie along goes where it went before, to the revision and the replica.

The cookie has the id of the request by which the client came first: made by the edge, by chance, and it says nothing of
pods. The hash of it picks a share of the rule and then a replica by consistent hashing. So nobody has to remember
sessions, all proxies agree, a changed split moves as many sessions as it says, and a replica that is gone, or comes,
moves those of its own part. The very first request is hashed by its id, which is what its cookie will say.

Trap: Envoy would make cookies itself (`ttl` of a hash policy), but only when the share has been chosen already, so the
first request and those that follow would go to different revisions.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..api.edgeroute import NamedMatch, StringMatchType
from .origins import Target

COOKIE = "edgerun-session"
_ID = "x-request-id"  # the edge's own: what a client says in it is overwritten
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BROUGHT = NamedMatch(name="cookie", value=f"(.*; *)?{COOKIE}={_UUID}(;.*)?", type=StringMatchType.REGULAR_EXPRESSION)
GIVEN: Mapping[str, Any] = {
    "header": {"key": "set-cookie", "value": f"{COOKIE}=%REQ({_ID})%; Path=/; HttpOnly; SameSite=Lax"},
    "append_action": "APPEND_IF_EXISTS_OR_ADD",
}
HASHED: list[dict[str, Any]] = [
    {"cookie": {"name": COOKIE}, "terminal": True},
    {"header": {"header_name": _ID}},
]


def has_sessions(targets: Iterable[Target]) -> bool:
    """Whether clients of a rule with these targets have a session."""
    return any(target.affine for target in targets if target.weight)
