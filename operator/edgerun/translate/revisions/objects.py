"""A revision as an object that is there, and as this package looks at it."""

from dataclasses import replace
from datetime import UTC, datetime

from ...api import GROUP
from ...api.meta import ObjectMeta
from ...api.originrevision import OriginRevision, OriginRevisionSpec, OriginRevisionStatus
from ...api.originservice import OriginService
from ..labels import ORIGIN_SERVICE, origin_labels
from ..phases import OriginPhase
from ..world import AWAKE, Epoch, OriginObservation, Sleep
from .revision import Revision

KEEP = f"{GROUP}/keep"  # an annotation of an OriginRevision: "true" for one that is never collected

_NOTHING = OriginObservation(OriginPhase.PENDING)


def owner_name(one: OriginRevision) -> str:
    """The OriginService that it belongs to, "" when it does not say."""
    return one.metadata.labels.get(ORIGIN_SERVICE, "")


def as_object(service: OriginService, revision: Revision) -> OriginRevision:
    """What is created for a revision that is to be made."""
    metadata = ObjectMeta(
        name=revision.name,
        namespace=service.metadata.namespace,
        creation_timestamp=revision.created.isoformat(),
        labels=origin_labels(service.metadata.name),
    )
    spec = OriginRevisionSpec(template=revision.template, number=revision.number, given=revision.given)
    return OriginRevision(metadata=metadata, spec=spec)


def looked_at(
    one: OriginRevision,
    status: OriginRevisionStatus,
    observed: OriginObservation | None,
    epoch: Epoch = AWAKE,
    *,
    takes_over: bool = False,
) -> Revision:
    """As it is now. `status` is what is remembered of it, which what is in `one` may not be any more. Who takes over
    from others is ready with all of its replicas, or those that come to something."""
    seen = observed or _NOTHING
    if takes_over and _grows(seen):
        seen = replace(seen, phase=OriginPhase.STARTING)
    asleep = epoch.cold and status.proven and not (epoch.sleep is Sleep.WAKING and seen.phase is OriginPhase.FAILED)
    return Revision(
        name=one.metadata.name,
        number=one.spec.number,
        template=one.spec.template,
        created=_time(one.metadata.creation_timestamp),
        given=one.spec.given,
        phase=OriginPhase.READY if asleep else seen.phase,
        reason="" if asleep else seen.reason,
        message="" if asleep else seen.message,
        proven=status.proven,
        last_active=status.last_active,
        kept=one.metadata.annotations.get(KEEP) == "true",
    )


def _grows(seen: OriginObservation) -> bool:
    """Whether more replicas are on their way, and nothing is known to be wrong with them."""
    return seen.phase is OriginPhase.READY and len(seen.endpoints) < (seen.replicas or 0) and not seen.reason


def _time(written: str) -> datetime:
    """Whoever has no age is as old as can be."""
    return datetime.fromisoformat(written) if written else datetime(1970, 1, 1, tzinfo=UTC)
