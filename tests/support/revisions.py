"""Revisions for tests, of an OriginService `cart`, and what surrounds them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from edgerun.api.originservice import Share, TrafficTarget
from edgerun.api.templates import Template
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.creation import Wanted
from edgerun.translate.revisions.follow import Facts, Wish
from edgerun.translate.revisions.naming import number_of
from edgerun.translate.revisions.revision import Revision, Revisions, by_name

SERVICE = "cart"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
READY, FAILED, STARTING = OriginPhase.READY, OriginPhase.FAILED, OriginPhase.STARTING


def template(image: str = "one", **others: Any) -> Template:
    """A template; `others` are more fields of its container, and `labels` of its metadata."""
    metadata = {"labels": others.pop("labels", {})}
    return msgspec.convert({"metadata": metadata, "spec": {"containers": [{"image": image} | others]}}, Template)


def revision(name: str, **others: Any) -> Revision:
    """One whose number is in its name, or given; ready, and proven when it is ready."""
    given = number_of(SERVICE, name) is None
    number = others.pop("number", number_of(SERVICE, name) or 1)
    image, phase = others.pop("image", name), others.pop("phase", READY)
    described = {"template": template(image), "created": START, "given": given, "proven": phase is READY} | others
    return Revision(name=name, number=number, phase=phase, **described)


def revisions(*found: Revision | str) -> Revisions:
    return by_name(revision(one) if isinstance(one, str) else one for one in found)


def wish(image: str = "one", *, name: str = "", **others: Any) -> Wish:
    """An OriginService with that image."""
    return Wish(wanted=Wanted(service=SERVICE, template=template(image), name=name), **others)


def facts(*found: Revision | str, after: float = 0.0, **others: Any) -> Facts:
    """What there is `after` so many seconds."""
    there = tuple(revisions(*found).values())
    return Facts(now=START + timedelta(seconds=after), revisions=there, **others)


def latest(percent: int = 100, tag: str = "") -> TrafficTarget:
    return TrafficTarget(latest_revision=True, percent=percent, tag=tag)


def pinned(name: str, percent: int = 0, tag: str = "") -> TrafficTarget:
    return TrafficTarget(revision_name=name, percent=percent, tag=tag)


def shares(*written: str) -> tuple[Share, ...]:
    """Such as `cart-00001 99`."""
    parts = (one.split() for one in written)
    return tuple(Share(revision_name=name, percent=int(percent)) for name, percent in parts)


def written(found: tuple[Share, ...]) -> list[str]:
    return [f"{one.revision_name} {one.percent}" for one in found]
