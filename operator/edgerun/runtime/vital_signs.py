"""Takes the vital signs of a replica: what `/metrics` shows and `/readyz` decides upon."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..api import conditions
from ..api.conditions import ConditionType
from ..vitals import Vitals

if TYPE_CHECKING:
    from .cluster import ClusterRuntime


def vital_signs(runtime: "ClusterRuntime", uptime_s: float) -> Vitals:
    """How it is now."""
    source, controller, leading = runtime.source, runtime.controller, runtime.leading
    entries = controller.store.entries
    proxies = controller.server.proxies()
    newest = controller.published.serial if controller.published else 0
    return Vitals(
        uptime_s=uptime_s,
        leading=leading.now,
        synced=source.synced,
        sweep_age_s=source.sweep_age_s,
        sweep_period_s=runtime.pace.sweep_s,
        tried_age_s=source.tried_age_s,
        watching=source.alive,
        watch_restarts=source.restarts,
        ghosts=source.corrections.ghosts,
        missed=source.corrections.missed,
        listening=leading.listening,
        objects=Counter(key.kind for key in entries),
        refused=Counter(key.kind for key, entry in entries.items() if entry.refusal),
        ready=Counter(_readiness(runtime)),
        proxies=Counter(proxy.fleet for proxy in proxies),
        behind=Counter(proxy.fleet for proxy in proxies if proxy.acked_serial < newest),
        expiries=runtime.rotation.expiries,
    )


def _readiness(runtime: "ClusterRuntime") -> Iterable[tuple[str, str]]:
    for key, line in runtime.controller.board.lines.items():
        part = conditions.condition(line.status.conditions, ConditionType.READY)
        yield key.kind, part.status if part else "Unknown"
