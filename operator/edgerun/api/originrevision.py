"""OriginRevision: a template of an OriginService, frozen, and how it fares.

The operator writes it and people read it. Which OriginService it belongs to is told by its label and its owner.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .meta import Condition, Frozen, ObjectKey, ObjectMeta
from .originservice import Replicas
from .problems import Path
from .reading import Partly, partly
from .templates import Template

KIND = "OriginRevision"

_PODS = ("spec", "template", "spec")


class OriginRevisionSpec(Frozen, frozen=True):
    """`given` tells that the user named it. Nothing of this ever changes."""

    template: Template
    number: int
    given: bool = False


class OriginRevisionStatus(Frozen, frozen=True):
    """`proven`: it was ready once. `last_active`: since when nobody has had any use for it."""

    replicas: Replicas | None = None
    proven: bool = False
    last_active: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class OriginRevision(Frozen, frozen=True):
    metadata: ObjectMeta
    spec: OriginRevisionSpec
    status: OriginRevisionStatus = OriginRevisionStatus()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(KIND, self.metadata.namespace, self.metadata.name)


def read(raw: Mapping[str, Any]) -> OriginRevision:
    """As it is stored. What another version wrote into its status in another way is left aside: what the revision is
    does not depend on that. Raises msgspec.ValidationError."""
    return partly(raw, OriginRevision, _tells).value


def read_in_part(raw: Mapping[str, Any]) -> Partly[OriginRevision]:
    """Also without what another version wrote into its pods in another way. Raises msgspec.ValidationError when that is
    where they take requests."""
    return partly(raw, OriginRevision, lambda path: _tells(path) or _runs(path))


def _tells(path: Path) -> bool:
    return path[:1] == ("status",)


def _runs(path: Path) -> bool:
    """Whether it is of the pods, and not who takes requests, and where."""
    if path[:3] != _PODS or len(path) <= len(_PODS):
        return False
    field, *further = path[len(_PODS) :]
    return field != "containers" or (len(further) > 1 and further[1] != "ports")
