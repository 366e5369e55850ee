"""OriginRevision: a template of an OriginService, frozen, and how it fares.

The operator writes it and people read it. Which OriginService it belongs to is told by its label and its owner.
"""

import copy
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .meta import Condition, Frozen, ObjectKey, ObjectMeta
from .originservice import Replicas
from .templates import Template

KIND = "OriginRevision"

_WHERE = re.compile(r"at `\$\.spec\.template\.spec\.([^`]+)`")
_STEP = re.compile(r"\w+|\.\.\.")


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
    return msgspec.convert({**raw, "status": _readable(raw.get("status") or {})}, OriginRevision)


def read_in_part(raw: Mapping[str, Any]) -> OriginRevision | None:
    """Without what another version wrote into its pods in another way. None when that is where they take requests."""
    left = copy.deepcopy(dict(raw))
    while True:
        try:
            found = read(left)
        except msgspec.ValidationError as error:
            where = _WHERE.search(str(error))
            steps = _STEP.findall(where[1]) if where else []
            if not steps or (steps[0] == "containers" and (len(steps) < 3 or steps[2] == "ports")):
                return None
            _drop(left["spec"]["template"]["spec"], steps)
        else:
            return found


def _drop(within: Any, path: list[str]) -> None:
    """What is there; "..." is any part of what is around it, which goes then."""
    *around, last = path[: path.index("...")] if "..." in path else path
    for step in around:
        within = within[int(step) if isinstance(within, list) else step]
    del within[int(last) if isinstance(within, list) else last]


def _readable(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in status.items() if _fits({name: value})}


def _fits(status: Mapping[str, Any]) -> bool:
    try:
        msgspec.convert(status, OriginRevisionStatus)
    except msgspec.ValidationError:
        return False
    return True
