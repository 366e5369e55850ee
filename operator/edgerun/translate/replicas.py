"""Where the replicas of an OriginService are, by revision; and which of them requests lead to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from .names import revision_cluster, revision_key
from .phases import OriginPhase
from .revisions.follow import Outcome
from .revisions.traffic import ALL
from .running import outcome
from .world import AWAKE, Endpoint, Epoch, OriginObservation, World


@dataclass(frozen=True, slots=True)
class Replicas:
    """`shares` are revisions and the percentage that each gets, and sum to 100. `used` are all that can be reached, or
    were until a proxy hears otherwise. `sleeps` is whether they may be without replicas. `tags` are the revisions that
    have one, `http2` those that speak it."""

    shares: tuple[tuple[str, int], ...] = (("", ALL),)
    used: tuple[str, ...] = ("",)
    sleeps: bool = False
    epochs: Mapping[str, Epoch] = field(default_factory=dict)
    observations: Mapping[str, OriginObservation] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    http2: frozenset[str] = frozenset()

    @classmethod
    def of(cls, service: OriginService, world: World) -> "Replicas":
        decided = outcome(service, world)
        keys = {one.name: revision_key(service.key, one.name) for one in decided.present}
        return cls(
            _shares(decided),
            tuple(sorted(decided.assignment.revisions | decided.draining | {name for name, _ in _shares(decided)})),
            _sleeps(service, keys.values(), world),
            {name: world.epochs[key] for name, key in keys.items() if key in world.epochs},
            {name: world.observations[key] for name, key in keys.items() if key in world.observations},
            {one.tag: one.revision_name for one in decided.assignment.tags},
            frozenset(one.name for one in decided.present if one.template.spec.containers[0].http2),
        )

    def with_tag(self, tag: str) -> "Replicas":
        """The same, but the revision that has this tag gets everything."""
        return replace(self, shares=((self.tags[tag], ALL),))

    @property
    def phase(self) -> OriginPhase:
        """Whether requests find anybody, or somebody who can be woken."""
        observed = [self.observations.get(name) for name, percent in self.shares if percent]
        if any(self.endpoints(name) or self.epoch(name).cold for name, percent in self.shares if percent):
            return OriginPhase.READY
        return next((one.phase for one in observed if one), OriginPhase.PENDING)

    @property
    def ready(self) -> int:
        """How many take requests, of all revisions."""
        return sum(len(one.endpoints) for one in self.observations.values())

    def epoch(self, revision: str) -> Epoch:
        return self.epochs.get(revision, AWAKE)

    def endpoints(self, revision: str) -> tuple[Endpoint, ...]:
        """Those of its replicas that take requests."""
        observed = self.observations.get(revision)
        return observed.endpoints if observed else ()

    def clusters(self, service: ObjectKey) -> Iterator["There"]:
        """Those that are there."""
        for name in self.used:
            epoch, http2 = self.epoch(name), name in self.http2
            if not epoch.cold:
                yield There(revision_cluster(service, name, epoch.number), self.endpoints(name), http2)
            if epoch.before is not None:
                yield There(revision_cluster(service, name, epoch.before), self.endpoints(name), http2)

    def cold(self, service: ObjectKey) -> Iterator[str]:
        """Those that routes lead to, and that are not there: requests are held for them."""
        return (revision_cluster(service, one, self.epoch(one).number) for one in self.used if self.epoch(one).cold)


class There(NamedTuple):
    """A cluster, nobody's by name, what answers in it, and whether that speaks HTTP/2."""

    name: str
    endpoints: tuple[Endpoint, ...]
    http2: bool


NOBODY = Replicas()


def _sleeps(service: OriginService, revisions: Iterable[ObjectKey], world: World) -> bool:
    """Also while one still sleeps that may not any more."""
    return service.spec.scaling.min_scale == 0 or any(world.epochs.get(key, AWAKE).cold for key in revisions)


def _shares(decided: Outcome) -> tuple[tuple[str, int], ...]:
    """Before any revision was ever ready requests lead to the newest, and find nobody."""
    weights = tuple((share.revision_name, share.percent) for share in decided.assignment.weights)
    return weights or ((decided.newest.name if decided.newest else "", ALL),)
