"""Whether an object in the cluster is as it should be, and what has to be sent when it is not. Pure.

What is applied bears a stamp, a hash of itself, so that a change of ours is seen even where it only takes something
away. What others add, and defaults that the server fills in, are no difference: an object is looked at through the
shape of what was applied.

Trap: the server writes some values in its own way, 0.5 CPU as 500m. So an object is compared with what the server
answered to our last apply, and with what we would send only as long as there was none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...api import GROUP, originrevision

STAMP = f"{GROUP}/applied"
FIELD_MANAGER = "edgerun"
WRITTEN_ONCE = (originrevision.KIND,)  # an operator of another version may write the same in another way

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """A manifest, and how the server showed it when it had been applied."""

    manifest: Object
    shown: Any


def stamped(manifest: Object) -> dict[str, Any]:
    """The manifest with its own hash among its annotations."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), STAMP: digest}}}


def view(shape: Any, value: Any) -> Any:
    """Of `value`, what `shape` has something to say about."""
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        return {key: view(part, value[key]) for key, part in shape.items() if key in value}
    if isinstance(shape, list | tuple) and isinstance(value, list | tuple) and len(shape) == len(value):
        return [view(part, item) for part, item in zip(shape, value, strict=True)]
    return value


def unscaled(manifest: Object) -> bool:
    """Whether how many replicas there are is somebody else's to say."""
    return bool(manifest["kind"] == "Deployment" and "replicas" not in manifest["spec"])


def left_behind(manifest: Object, there: Object, manager: str) -> Object | None:
    """Of an unscaled Deployment the number that `manager` has given it and would take away, None if it has not.

    A server-side apply takes away what it no longer holds: a fleet of ten would be one of one until it is scaled.
    """
    ours = [one.get("fieldsV1", {}) for one in there["metadata"].get("managedFields", ()) if one["manager"] == manager]
    if not any("f:replicas" in fields.get("f:spec", {}) for fields in ours):
        return None
    metadata = {name: there["metadata"][name] for name in ("name", "namespace")}
    spec = {"replicas": there["spec"]["replicas"]}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata, "spec": spec}


def differs(manifest: Object, there: Object | None, before: Applied | None) -> bool:
    """Whether a stamped manifest has to be applied, when that is there now and this was applied last."""
    if there is None or manifest["kind"] in WRITTEN_ONCE:
        return there is None
    if before and before.manifest == manifest:
        return bool(view(manifest, there) != before.shown)
    return bool(view(manifest, there) != manifest)
