"""Asks Envoy itself what it thinks of a world that no proxy serves."""

from ..infra import envoy
from ..translate.bootstrap import layered_runtime
from ..translate.rendering import static_config
from ..translate.translator import translate
from ..translate.world import World


async def refusal(world: World, edge: str) -> str | None:
    """Why Envoy would refuse what `edge` is to have in `world`, or None."""
    return await envoy.refusal(static_config(translate(world), edge) | {"layered_runtime": layered_runtime()})
