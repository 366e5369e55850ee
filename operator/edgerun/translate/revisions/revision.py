"""A revision: a template of an OriginService, frozen, and how it fares.

Trap: templates are compared field by field, never by a stored hash. A newer operator knows more fields, and writes the
same template in another way; a field that is not given equals its default.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ...api.problems import field_path
from ...api.templates import Template
from ..phases import OriginPhase

MAX_NAMED = 5  # fields of a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """`given` tells that the user named it. `proven`: it was ready once. `last_active`: since when it has been of no
    use to anybody, None while it is, or nobody has looked. A revision that is `kept` is never collected."""

    name: str
    number: int
    template: Template
    created: datetime
    given: bool = False
    phase: OriginPhase = OriginPhase.PENDING
    reason: str = ""
    message: str = ""
    proven: bool = False
    last_active: datetime | None = None
    kept: bool = False

    @property
    def ready(self) -> bool:
        """Whether it takes requests; one that sleeps and can be woken does."""
        return self.phase is OriginPhase.READY

    @property
    def failed(self) -> bool:
        return self.phase is OriginPhase.FAILED


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said in a condition. What has not `failed` may come right by itself."""

    reason: str
    message: str
    failed: bool = True


Revisions = Mapping[str, Revision]


def by_name(revisions: Iterable[Revision]) -> Revisions:
    """In the order of their numbers."""
    return {one.name: one for one in sorted(revisions, key=lambda one: (one.number, one.name))}


def newest(revisions: Revisions) -> Revision | None:
    """The one with the highest number."""
    return max(revisions.values(), key=lambda one: (one.number, one.name), default=None)


def same(one: Template, other: Template) -> bool:
    """Whether they are one revision. Labels and annotations count, their order does not."""
    return one == other and not _retyped(_written(one), _written(other))


def changed_fields(old: Template, new: Template) -> tuple[str, ...]:
    """Where they differ. Values are left out: people put into variables what is better not repeated in a status."""
    found = _differences(_written(old), _written(new))
    return tuple(sorted({field_path(("spec", "template", *path)) for path in found}))


def _written(template: Template) -> Any:
    return msgspec.json.decode(msgspec.json.encode(template))


def _retyped(old: Any, new: Any) -> bool:
    """Whether a truth has become a number, or the other way: to Python they are equal, to an API server only one of
    them is right."""
    if isinstance(old, dict) and isinstance(new, dict):
        return any(_retyped(value, new[key]) for key, value in old.items() if key in new)
    if isinstance(old, list) and isinstance(new, list):
        return any(_retyped(before, after) for before, after in zip(old, new, strict=True))
    return isinstance(old, bool) != isinstance(new, bool)


def _differences(old: Any, new: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, (*path, index))
    elif old != new:
        yield path
