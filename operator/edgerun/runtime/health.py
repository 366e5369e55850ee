"""Whether this process works, and whether it may be relied upon: decided by ages and facts, not by being asked.

Two questions with two answers. One that is not healthy is killed and started anew, so only what a start would mend
counts: an API server that does not answer is no reason. One that is not ready is waited for, by rollouts and people.
"""

from dataclasses import dataclass
from typing import NamedTuple

from ..vitals import Vitals

STUCK_S = 600.0  # a sweep ends within seconds, well or not, and the next one begins a minute later
PERIODS = 3  # one sweep may fail, and the one after it too


class Check(NamedTuple):
    name: str
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Health:
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        """One line for each check, as Kubernetes' own components write it."""
        lines = (f"[{'+' if check.ok else '-'}] {check.name}: {check.says}\n" for check in self.checks)
        return "".join(lines) + ("ok\n" if self.ok else "failed\n")


def alive(vitals: Vitals) -> Health:
    """Whether a new start would be no better."""
    age_s = vitals.tried_age_s
    lives = "its thread lives" if vitals.watching else "its thread ended"
    return Health(
        (
            Check("loop", True, f"answers, for {_shown(vitals.uptime_s)}"),
            Check("sweep", age_s < STUCK_S, f"last tried {_shown(age_s)} ago, at most {_shown(STUCK_S)}"),
            Check("watch", vitals.watching, f"{lives}, restarts: {vitals.watch_restarts}"),
        )
    )


def ready(vitals: Vitals) -> Health:
    """Whether this replica knows all there is, and does what is its part."""
    return Health((_synced(vitals), _fresh(vitals), _xds(vitals)))


def _synced(vitals: Vitals) -> Check:
    return Check("synced", vitals.synced, "everything was listed" if vitals.synced else "not everything was listed yet")


def _fresh(vitals: Vitals) -> Check:
    limit_s = PERIODS * vitals.sweep_period_s
    if vitals.sweep_age_s is None:
        return Check("sweep", False, f"none yet, after {_shown(vitals.uptime_s)}")
    said = f"last succeeded {_shown(vitals.sweep_age_s)} ago, at most {_shown(limit_s)}"
    return Check("sweep", vitals.sweep_age_s < limit_s, said)


def _xds(vitals: Vitals) -> Check:
    if not vitals.leading:
        return Check("xds", True, "does not lead, stands by")
    streams = sum(vitals.proxies.values())
    said = f"leads and listens, proxies: {streams}" if vitals.listening else "leads and does not listen"
    return Check("xds", vitals.listening, said)


def _shown(seconds: float) -> str:
    return f"{seconds:.0f} s"
