"""What the status of an object tells of the time before this process: which version serves, and what proxies refused.

Only where nobody but the control plane writes a status. In a folder of files it is as good as anybody's word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..api import conditions
from ..api.conditions import ConditionType
from ..api.meta import Condition, Kept, ObjectKey
from ..api.problems import REJECTED_BY_PROXY, Refusal


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    serving: Kept | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """`refusal` is there when a proxy has refused the newest version that was seen."""

    serving: Kept
    refusal: Refusal | None


def remembered(key: ObjectKey, raw: Mapping[str, Any]) -> Remembered | None:
    """None when the newest version served, or nothing can be read."""
    try:
        status = msgspec.convert(raw.get("status") or {}, _Status)
    except msgspec.ValidationError:  # written by another version
        return None
    if status.serving is None:
        return None
    accepted = conditions.condition(status.conditions, ConditionType.ACCEPTED)
    refused = accepted is not None and accepted.reason == REJECTED_BY_PROXY
    return Remembered(status.serving, _refusal(key, accepted) if accepted and refused else None)


def _refusal(key: ObjectKey, accepted: Condition) -> Refusal:
    words = conditions.words_of_refusal(accepted)
    return Refusal(key, accepted.observed_generation, accepted.reason, words)
