"""What is to run: each revision that is there, as its own version of the OriginService, with so many replicas.

Trap: where nothing has been decided yet, what runs goes on: a control plane that is started anew takes no replica away.
"""

import dataclasses
from collections.abc import Iterator

from msgspec.structs import replace

from ..api.durations import seconds
from ..api.originservice import OriginService
from ..api.templates import Template
from .names import revision_key
from .plan import Running
from .revisions.follow import Outcome
from .revisions.replicas import Need, Role
from .revisions.revision import Revision
from .revisions.wishes import first_look
from .world import AWAKE, Epoch, OriginObservation, Sleep, World

LOCAL_MOST = 10  # processes of one revision, on a machine that has other things to do


def outcome(service: OriginService, world: World) -> Outcome:
    """What was decided of its revisions, or what is when nobody has looked yet."""
    return world.revised.get(service.key) or first_look(service)


def decided(world: World) -> World:
    """With an outcome for every OriginService."""
    missing = [service for service in world.origins if service.key not in world.revised]
    if not missing:
        return world
    return dataclasses.replace(world, revised={**world.revised, **{one.key: first_look(one) for one in missing}})


def running(service: OriginService, world: World) -> Iterator[Running]:
    """Its revisions, the oldest first."""
    looked = outcome(service, world)
    needs = {need.revision_name: need for need in looked.needs}
    for revision in looked.present:
        key = revision_key(service.key, revision.name)
        replicas = _replicas(service, revision, needs.get(revision.name), world)
        yield Running(key, as_revision(service, revision.template), replicas, *world.epochs.get(key, AWAKE).told)


def as_revision(service: OriginService, template: Template) -> OriginService:
    """`service` as it is with the template of one of its revisions: all else is never of a revision."""
    if service.spec.template == template:
        return service
    return replace(service, spec=replace(service.spec, template=template))


def within(service: OriginService, wanted: int, *, least: int, local: bool) -> int:
    """`wanted`, but neither too few nor too many."""
    most = service.spec.scaling.most
    return min(max(wanted, least), min(most, LOCAL_MOST) if local else most)


def _replicas(service: OriginService, revision: Revision, need: Need | None, world: World) -> int:
    """Whoever is about to be made has no need of its own yet, and is to start."""
    role, least = (need.role, need.least) if need else (Role.STARTING, max(1, service.spec.scaling.min_scale))
    if role is Role.IDLE or (role is Role.STARTING and revision.failed):
        return least
    key = revision_key(service.key, revision.name)
    epoch = world.epochs.get(key, AWAKE)
    observed = world.observations.get(key)
    rests = epoch.sleep is Sleep.ASLEEP or (not least and _falls_asleep(epoch, observed))
    if rests and role is not Role.STARTING:
        return 0
    before = observed.replicas if observed and observed.replicas else _first(service, world)
    least = max(least, (service.spec.scaling.activation_scale or 1) if epoch.sleep is Sleep.WAKING else 1)
    return within(service, world.scales.get(key, before), least=least, local=world.installation is None)


def _falls_asleep(epoch: Epoch, observed: OriginObservation | None) -> bool:
    """Whether nothing runs any more, and the name is being written that requests are to be held for."""
    return bool(epoch.sleep is Sleep.AWAKE and epoch.next and observed and observed.stopped)


def _first(service: OriginService, world: World) -> int:
    """How many replicas a revision begins with: where it takes over all requests at once, as many as have them now."""
    initial = service.spec.scaling.initial_scale
    if seconds(service.spec.rollout.duration):
        return initial
    weights = outcome(service, world).assignment.weights
    keys = [revision_key(service.key, share.revision_name) for share in weights]
    awake = (key for key in keys if not world.epochs.get(key, AWAKE).cold)
    return max((initial, *(world.scales.get(key, initial) for key in awake)))
