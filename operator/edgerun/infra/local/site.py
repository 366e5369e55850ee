"""What the replicas of an instance share, and what each of them says of itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ...translate.phases import OriginPhase
from ...translate.world import Endpoint
from .guards import Guards
from .leash import Leash


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient we are, in seconds."""

    probe_period_s: float = 0.025  # of a process that takes its time; before, more often
    not_listening_s: float = 10.0
    first_pause_s: float = 0.25
    longest_pause_s: float = 10.0
    healthy_s: float = 10.0  # a replica that was ready for so long crashes as if for the first time
    drain_s: float = 30.0
    last_answers_s: float = 2.0  # a guard passes on what its process said at its end; longer only to who does not read
    blind_drain_s: float = 2.0  # where nobody tells how many connections are left
    grace_s: float = 5.0


PATIENT = Timing()


@dataclass(frozen=True, slots=True)
class Site:
    """What all replicas of an instance share."""

    leash: Leash
    guards: Guards
    root: Path
    say: Callable[[str, str], None]
    acknowledged: Callable[[], Awaitable[None]]
    environ: Mapping[str, str]
    timing: Timing
    claimed: set[int] = field(default_factory=set)  # ports given to processes that may not have bound them yet
    serials: "count[int]" = field(default_factory=count)


@dataclass(frozen=True, slots=True)
class State:
    """How a replica fares. `endpoints` is not empty exactly when it is ready."""

    phase: OriginPhase = OriginPhase.STARTING
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""
    message: str = ""
