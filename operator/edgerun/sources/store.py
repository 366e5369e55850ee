"""Skeleton: the changes that a source feeds. The store itself follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.meta import ObjectKey


@dataclass(frozen=True, slots=True)
class Seen:
    """A source sees this version of an object now. `where` is for people: a file and line, "" for a cluster."""

    raw: Mapping[str, Any]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A source sees the object no longer."""

    key: ObjectKey


Change = Seen | Gone
Feed = Callable[[Change], None]
