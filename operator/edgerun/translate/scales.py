"""How many replicas an origin is to have: as many as were decided, within its bounds.

Trap: where nothing has been decided yet, what runs goes on: a control plane that is started anew takes no replica away.
"""

from ..api.originservice import OriginService
from .world import World

LOCAL_MOST = 10  # processes of one origin, on a machine that has other things to do


def replicas(service: OriginService, world: World) -> int:
    """How many there should be now."""
    observed = world.observations.get(service.key)
    running = observed.replicas if observed else None
    before = service.spec.scaling.initial_scale if running is None else running
    return within(service, world.scales.get(service.key, before), local=world.installation is None)


def within(service: OriginService, wanted: int, *, local: bool) -> int:
    """`wanted`, but neither too few nor too many."""
    scaling = service.spec.scaling
    most = min(scaling.most, LOCAL_MOST) if local else scaling.most
    return min(max(wanted, scaling.min_scale), most)
