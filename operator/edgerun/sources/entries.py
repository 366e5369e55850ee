"""What is known of one object, and whether its newest version may serve.

A bad version never replaces a good one. Three versions of an object matter: the newest seen; the newest that was
accepted (well formed, and Envoy could run it), which serves; and the newest that every proxy has acknowledged,
which comes back when Envoy refuses the accepted one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..api import API_VERSION
from ..api.admission import Served, admit
from ..api.meta import ObjectKey
from ..api.problems import Problem, Refusal, summary
from ..api.resources import RESOURCES
from ..api.schema import kinds
from ..api.unsupported import unsupported
from .remembering import remembered

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one object. `serving` is the accepted version, `proven` the one that proxies acknowledged."""

    raw: Mapping[str, Any]
    where: str
    generation: int
    created: str
    serving: Served | None = None
    proven: Served | None = None
    refusal: Refusal | None = None


def key_of(raw: Mapping[str, Any]) -> ObjectKey | None:
    """The key of an object as its author wrote it, if it has one."""
    metadata = raw.get("metadata")
    kind = raw.get("kind")
    if not isinstance(metadata, Mapping) or not isinstance(kind, str) or kind not in kinds():
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    if not RESOURCES[kind].namespaced:
        namespace = ""
    if raw.get("apiVersion") != API_VERSION or not isinstance(name, str) or not isinstance(namespace, str):
        return None
    return ObjectKey(kind, namespace, name)


def first(key: ObjectKey, raw: Mapping[str, Any], where: str, *, now: str, trusts_status: bool) -> Entry:
    """Of an object that was not known. What served before this process began is in its status, if that is to be
    trusted."""
    metadata = raw["metadata"]
    generation = _given(metadata, "generation", int) or 1
    entry = Entry(raw, where, generation, _given(metadata, "creationTimestamp", str) or now)
    return _judged(key, _recalled(key, entry) if trusts_status else entry)


def following(key: ObjectKey, raw: Mapping[str, Any], where: str, before: Entry) -> Entry:
    """Of a newer version of an object that is known."""
    generation = _given(raw["metadata"], "generation", int) or before.generation + 1
    return _judged(key, Entry(raw, where, generation, before.created, before.serving, before.proven))


def same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two versions are equal but for what the control plane itself writes."""
    return {k: v for k, v in old.items() if k != "status"} == {k: v for k, v in new.items() if k != "status"}


def _judged(key: ObjectKey, entry: Entry) -> Entry:
    """With the newest version serving, or with the reason why it does not."""
    if entry.refusal:
        return entry
    verdict = _accepted(entry.raw, entry.generation, entry.created)
    if not isinstance(verdict, _Rejected):
        return replace(entry, serving=verdict)
    return replace(entry, refusal=Refusal(key, entry.generation, verdict.reason, summary(verdict.problems)))


class _Rejected(NamedTuple):
    """Why a version may not serve."""

    reason: str
    problems: tuple[Problem, ...]


def _recalled(key: ObjectKey, entry: Entry) -> Entry:
    """With the version that served before this process began, and with what proxies said to the newest one since."""
    told = remembered(key, entry.raw)
    if told is None:
        return entry
    kept = _accepted({**entry.raw, "spec": told.serving.spec}, told.serving.generation, entry.created)
    serving = None if isinstance(kept, _Rejected) else kept
    refusal = told.refusal if told.refusal and told.refusal.generation == entry.generation else None
    return replace(entry, serving=serving, proven=serving, refusal=refusal)


def _given(metadata: Mapping[str, Any], field: str, kind: type[T]) -> T | None:
    """A field of metadata that nobody has checked yet."""
    value = metadata.get(field)
    return value if isinstance(value, kind) else None


def _accepted(raw: Mapping[str, Any], generation: int, created: str) -> Served | _Rejected:
    """The object, if it may serve."""
    admission = admit(raw)
    found = admission.object
    if found is None:
        return _Rejected("Invalid", admission.problems)
    problems = unsupported(found)
    if problems:
        return _Rejected("UnsupportedValue", problems)
    meta = msgspec.structs.replace(found.metadata, generation=generation, creation_timestamp=created)
    return msgspec.structs.replace(found, metadata=meta)
