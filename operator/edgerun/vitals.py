"""What is true of a control plane in a cluster at one moment: what `/metrics` shows and `/readyz` decides upon.

Taken anew each time somebody asks, so nothing has to be kept up to date. Ages are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scale:
    """How an origin is scaled. `load` is the average over its window, in its metric; None when it is not known."""

    desired: int
    ready: int
    load: float | None
    panics: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    uptime_s: float
    """Since the process began to work."""

    leading: bool = False
    """Whether this replica writes and serves proxies."""

    synced: bool = False
    """Whether everything has been listed once. Nothing is published before."""

    sweep_age_s: float | None = None
    """Since all objects were listed last; None before the first time."""

    sweep_period_s: float = 60.0
    """How old that should become at most."""

    tried_age_s: float = 0.0
    """Since that last succeeded or failed."""

    watching: bool = True
    """Whether the thread of the watches lives. It starts them anew by itself."""

    watch_restarts: int = 0
    ghosts: int = 0
    missed: int = 0
    """What a sweep found that the watches had not told: deletions, and changes."""

    listening: bool = False
    """Whether the xDS server accepts proxies."""

    objects: Mapping[str, int] = field(default_factory=dict)
    """How many are known of each kind."""

    refused: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind have a newest version that may not serve."""

    ready: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many of each kind have Ready at which status. Only who leads can know."""

    proxies: Mapping[str, int] = field(default_factory=dict)
    """How many of each fleet are connected."""

    behind: Mapping[str, int] = field(default_factory=dict)
    """How many of them have not acknowledged what was published last."""

    expiries: Mapping[str, float] = field(default_factory=dict)
    """When each of the control plane's own credentials ends to be valid, as Unix time."""

    clock_skew_s: float | None = None
    """How far the clock of this machine is ahead of the API server's; None when that is not known."""

    scales: Mapping[str, Scale] = field(default_factory=dict)
    """Of each origin, by its namespace and name, as far as who leads knows."""

    keys: Mapping[str, int] = field(default_factory=dict)
    """How many signing keys there are in each phase."""

    signing_key_age_s: float | None = None
    """How long the one that signs has done so; None before it is known."""

    blocked: int = 0
    """How many guards have long been told of a key and do not trust it, as far as who leads knows."""
