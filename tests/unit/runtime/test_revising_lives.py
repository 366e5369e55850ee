"""Revisions, plans and acknowledgements in every order that can be found: no request is led to nobody."""

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgerun.translate.names import called
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import CLUSTER
from edgerun.translate.translator import translate
from edgerun.translate.world import World
from support.revising import CART, Shop

PHASES = st.sampled_from([OriginPhase.READY, OriginPhase.READY, OriginPhase.STARTING, OriginPhase.FAILED])
POLICIES = st.sampled_from([{}, {"duration": "60s"}, {"duration": "60s", "maxErrorPercent": 1}])
which = st.integers(0, 9)


class Lives(RuleBasedStateMachine):
    """`worlds` are those that were published and that the proxy may still serve, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        self.image, self.policy, self.traffic = "one", dict[str, object](), list[dict[str, object]]()
        self.were_ready: set[str] = set()
        self.worlds: list[tuple[int, World]] = []

    @initialize()
    def begin(self) -> None:
        self.write()

    def write(self) -> None:
        self.shop.has(self.image, rollout=self.policy, traffic=self.traffic)
        self.rebuild()

    def name(self, number: int) -> str:
        names = sorted(self.shop.there)
        return names[number % len(names)]

    @rule(image=st.sampled_from(["one", "two", "three"]))
    def edit_the_template(self, image: str) -> None:
        self.image = image
        self.write()

    @rule(policy=POLICIES)
    def edit_the_policy(self, policy: dict[str, object]) -> None:
        self.policy = policy
        self.write()

    @rule(number=which, percent=st.sampled_from([0, 10, 50, 100]))
    def edit_the_traffic(self, number: int, percent: int) -> None:
        pinned = {"revisionName": self.name(number), "percent": percent, "tag": "pinned"}
        self.traffic = [{"latestRevision": True, "percent": 100 - percent}, pinned]
        self.write()

    @rule(number=which, phase=PHASES)
    def pods_change(self, number: int, phase: OriginPhase) -> None:
        name = self.name(number)
        self.shop.runs(name, phase)
        if phase is OriginPhase.READY:
            self.were_ready.add(name)

    @rule(number=which, errors=st.sampled_from([0, 30]))
    def requests_end(self, number: int, errors: int) -> None:
        self.shop.answers(self.name(number), 100, errors)
        self.note()

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 400.0, 100_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.shop.now += timedelta(seconds=seconds)
        self.shop.revising.tick()

    @rule()
    def rebuild(self) -> None:
        self.shop.rebuilds()
        self.note()

    @rule(number=which)
    def the_proxy_acknowledges(self, number: int) -> None:
        if self.worlds:
            serial = self.worlds[number % len(self.worlds)][0]
            self.shop.acked = max(self.shop.acked, serial)
            self.worlds = [one for one in self.worlds if one[0] >= self.shop.acked]
            self.shop.revising.heard()

    @rule()
    def all_comes_to_rest(self) -> None:
        self.shop.rests()
        self.note()
        before, changes = self.shop.outcome, self.shop.changes
        self.shop.revising.tick()
        if self.shop.changes == changes:
            assert self.shop.rebuilds() is before or before.problems
            self.note()
            assert self.shop.changes == changes

    def note(self) -> None:
        """A plan was published, maybe more than one."""
        published = self.shop.controller.published
        assert published
        self.worlds = [one for one in self.worlds if one[0] >= self.shop.acked]
        if not self.worlds or self.worlds[-1][0] != published.serial:
            self.worlds.append((published.serial, published.world))

    @invariant()
    def nobody_gets_requests_that_was_never_ready(self) -> None:
        for _, world in self.worlds:
            assert world.revised[CART].assignment.revisions <= self.were_ready

    @invariant()
    def whoever_a_proxy_may_still_send_requests_to_is_there(self) -> None:
        """With a cluster, and with as many replicas as it had."""
        if not self.worlds:
            return
        newest = self.worlds[-1][1].revised[CART]
        may_be_called = {name for _, world in self.worlds for name in world.revised[CART].assignment.revisions}
        assert may_be_called <= newest.assignment.revisions | newest.draining
        needs = {need.revision_name: need for need in newest.needs}
        assert all(needs[name].least >= 1 for name in may_be_called)

    @invariant()
    def requests_are_led_to_clusters_that_are_there(self) -> None:
        if self.worlds:
            world = self.worlds[-1][1]
            plan = translate(world)
            there = {found.revision.name for name in plan.fleets["default"][CLUSTER] if (found := called(name))}
            assert world.revised[CART].assignment.revisions <= there


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
