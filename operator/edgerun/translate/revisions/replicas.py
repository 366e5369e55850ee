"""How many replicas each revision needs at least, for what it does now; how many more, its load decides.

Made before broken: whoever is to get traffic has its replicas first, and whoever lost it keeps them until no proxy
sends any more, then for what is still under way, and while it is who takes the traffic back. The newest revision that
cannot start keeps trying with one, so that it heals when what it lacks appears; of older ones that cannot, nothing is
left.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from .revision import Revision, Revisions


class Role(StrEnum):
    """Why a revision has replicas; the first that holds."""

    ROUTED = "Routed"
    STARTING = "Starting"
    DRAINING = "Draining"
    LINGERING = "Lingering"
    RESERVE = "Reserve"
    TAGGED = "Tagged"
    IDLE = "Idle"


@dataclass(frozen=True, slots=True)
class Need:
    """`reachable`: some request may lead to it, or is under way there."""

    revision_name: str
    role: Role
    least: int
    reachable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """Which revisions have weight, a tag, or traffic soon; which may still get requests of proxies that have not heard
    of the newest, and which get none any more but have not answered all; and which takes the traffic back. `newest` is
    that of the template, and `returns` as long as another one is the latest ready revision: it has to show again that
    it is ready."""

    weighted: Collection[str] = ()
    tagged: Collection[str] = ()
    awaited: Collection[str] = ()
    draining: Collection[str] = ()
    lingering: Collection[str] = ()
    reserve: Collection[str] = ()
    newest: str = ""
    returns: bool = False


def needs(revisions: Revisions, duties: Duties, *, min_scale: int) -> tuple[Need, ...]:
    """Of each, in the order of their numbers."""
    return tuple(_need(one, _role(one, duties), min_scale) for one in revisions.values())


def _role(one: Revision, duties: Duties) -> Role:
    if one.name in duties.weighted:
        return Role.ROUTED
    if one.name in duties.awaited:
        return Role.STARTING
    if one.name in duties.draining:
        return Role.DRAINING
    if one.name in duties.lingering:
        return Role.LINGERING
    if one.name in duties.reserve:
        return Role.RESERVE
    if one.name == duties.newest and (duties.returns or not one.proven):
        return Role.STARTING
    return Role.TAGGED if one.name in duties.tagged else Role.IDLE


def _need(one: Revision, role: Role, min_scale: int) -> Need:
    match role:
        case Role.ROUTED | Role.DRAINING | Role.LINGERING | Role.RESERVE:
            least = min_scale
        case Role.STARTING:
            least = 1 if one.failed else max(1, min_scale)
        case Role.TAGGED:
            least = min(1, min_scale)
        case Role.IDLE:
            least = 0
    return Need(one.name, role, least, role in (Role.ROUTED, Role.DRAINING, Role.LINGERING, Role.TAGGED))
