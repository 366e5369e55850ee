"""What every object has: its key, its metadata, its conditions (Kubernetes API conventions)."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec


class ObjectKey(NamedTuple):
    """Names one object, everywhere in the control plane. Sorts by kind, then namespace, then name.

    `namespace` is "" for kinds that belong to the cluster as a whole.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def object_key(raw: Mapping[str, Any]) -> ObjectKey:
    """The key of an object as an API server has it, or as it is sent there; a review has no name."""
    metadata = raw.get("metadata", {})
    return ObjectKey(raw["kind"], metadata.get("namespace", ""), metadata.get("name", ""))


class Frozen(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The base of every API shape: immutable, camelCase in YAML, lenient to fields of a newer CRD."""


class ObjectMeta(Frozen, frozen=True):
    """The metadata that the control plane reads. `creation_timestamp` is RFC 3339 and orders objects by age."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    creation_timestamp: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Condition(Frozen, frozen=True, omit_defaults=False):
    """One aspect of an object's state, as KEP-1623 has it. `last_transition_time` moves only when `status` does."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""


class Kept(Frozen, frozen=True):
    """A version that serves in the place of a newer one that was refused."""

    generation: int
    spec: Mapping[str, Any]
