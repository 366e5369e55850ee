"""Whom to blame when Envoy refuses a resource that many objects share.

A RouteConfiguration is refused whole. The object at fault is found without trying things out on the serving proxies:
by `envoy --mode validate` on ever smaller halves of what is new. Only it goes into quarantine; its last proven version
serves.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ..api.admission import Served
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..translate.plan import Contribution, Plan
from ..translate.world import World


class Refuses(Protocol):
    """Asks Envoy, not a proxy that serves."""

    def __call__(self, world: World, edge: str) -> Awaitable[str | None]:
        """Why Envoy would refuse what `edge` is to have in this world, or None."""


def suspects(
    plan: Plan, world: World, names: Iterable[Contribution], proven: Mapping[ObjectKey, Served]
) -> tuple[Served, ...]:
    """Of the objects that shaped the refused resources, those whose version no proxy has ever acknowledged."""
    shaped = frozenset().union(*(plan.contributors.get(name, frozenset()) for name in names))
    served: tuple[Served, ...] = (*world.proxies, *world.routes, *world.origins)
    return tuple(found for found in served if found.key in shaped and proven.get(found.key) != found)


async def culprits(world: World, edge: str, among: Sequence[Served], refuses: Refuses) -> dict[ObjectKey, str]:
    """Of `among`, the objects that Envoy refuses, with its words. Empty when it takes each of them alone."""
    words = await refuses(_with(world, among), edge) if among else None
    if words is None:
        return {}
    if len(among) == 1:
        return {among[0].key: words}
    half = len(among) // 2
    left = await culprits(world, edge, among[:half], refuses)
    return left | await culprits(world, edge, among[half:], refuses)


def _with(world: World, among: Sequence[Served]) -> World:
    """A world of nothing but these routes; origins stay, for routes refer to them."""
    return replace(world, routes=tuple(found for found in among if isinstance(found, EdgeRoute)))
