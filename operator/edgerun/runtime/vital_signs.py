"""Takes the vital signs of a replica: what `/metrics` shows and `/readyz` decides upon."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..api import conditions
from ..api.conditions import ConditionType
from ..translate.identities import is_guard
from ..translate.plan import Plan
from ..vitals import Vitals

if TYPE_CHECKING:
    from .cluster import ClusterRuntime

GUARDS = "guard/*"  # no EdgeProxy can have such a name


def vital_signs(runtime: "ClusterRuntime", uptime_s: float) -> Vitals:
    """How it is now."""
    sources, controller, leading = runtime.sources, runtime.controller, runtime.leading
    ages = [source.sweep_age_s for source in sources]
    entries = controller.store.entries
    proxies, keys = controller.server.proxies(), runtime.issuing.holder.keys
    published = controller.published
    newest = published.serial if published else 0
    plan = published.plan if published and leading.now else Plan()
    fleets = {_label(fleet) for fleet in plan.fleets}  # those without a proxy are worth knowing
    return Vitals(
        uptime_s=uptime_s,
        leading=leading.now,
        synced=all(source.synced for source in sources),
        sweep_age_s=None if None in ages else max(age for age in ages if age is not None),
        sweep_period_s=runtime.pace.sweep_s,
        tried_age_s=max(source.tried_age_s for source in sources),
        watching=all(source.alive for source in sources),
        watch_restarts=sum(source.restarts for source in sources),
        ghosts=sum(source.corrections.ghosts for source in sources),
        missed=sum(source.corrections.missed for source in sources),
        listening=leading.listening,
        objects=Counter(key.kind for key in entries),
        refused=Counter(key.kind for key, entry in entries.items() if entry.refusal),
        ready=Counter(_readiness(runtime)),
        proxies=dict.fromkeys(fleets, 0) | Counter(_label(proxy.fleet) for proxy in proxies),
        behind=dict.fromkeys(fleets, 0) | Counter(_label(one.fleet) for one in proxies if one.acked_serial < newest),
        expiries={**runtime.rotation.expiries, **runtime.wire.expiries},
        scales={f"{key.namespace}/{key.name}": one for key, one in runtime.origins.scaling.scales().items()},
        clock_skew_s=runtime.clock.skew_s,
        keys=Counter(key.phase.name.lower() for key in keys.keys),
        signing_key_age_s=(runtime.clock() - keys.signing.since).total_seconds() if keys.signing else None,
        blocked=len(runtime.issuing.blocked()),
    )


def _label(fleet: str) -> str:
    """There are as many fleets of guards as there are origins, and no series for each."""
    return GUARDS if is_guard(fleet) else fleet


def _readiness(runtime: "ClusterRuntime") -> Iterable[tuple[str, str]]:
    for key, line in runtime.controller.board.lines.items():
        part = conditions.condition(line.status.conditions, ConditionType.READY)
        yield key.kind, part.status if part else "Unknown"
