"""What an operator without revisions has left of an OriginService: one Deployment, without a revision's label.

Its pods are endpoints of the oldest revision, until that has as many of its own; then the Deployment goes, and its pods
leave as any pod does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ..api.originservice import OriginService
from ..api.pods import Deployment
from .labels import REVISION, origin_selector
from .observed import endpoints, present
from .phases import OriginPhase
from .world import OriginObservation

Object = Mapping[str, Any]


def inherited(
    observed: OriginObservation, service: OriginService, deployment: Object | None, pods: Sequence[Object]
) -> OriginObservation:
    """`observed` is the oldest revision's own. It begins with as many replicas as there were, and is ready: who serves
    must not be waited for."""
    mine = present(service, origin_selector(service.metadata.name), pods)
    found = endpoints(service, [pod for pod in mine if REVISION not in pod.metadata.labels])
    before = msgspec.convert(deployment, Deployment).spec.replicas if deployment else None
    made = replace(observed, replicas=before) if observed.replicas is None else observed
    if not found:
        return made
    ours = made.phase is OriginPhase.READY
    said = made.message if ours else f"replicas of the Deployment before revisions serve: {made.message}"
    every = tuple(sorted({*made.endpoints, *found}))
    return replace(made, phase=OriginPhase.READY, endpoints=every, reason="", message=said)
