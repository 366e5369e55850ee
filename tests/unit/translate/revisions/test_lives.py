"""Revisions through every order of edits, failures, deletions, crashes, clocks and second leaders that can be found."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerun.api.originservice import TrafficTarget
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.collection import Retention
from edgerun.translate.revisions.follow import Facts, Outcome, Wish, follow
from edgerun.translate.revisions.judgement import Order, Verb
from edgerun.translate.revisions.memory import Memory
from edgerun.translate.revisions.naming import number_of
from edgerun.translate.revisions.revision import Revision, same
from edgerun.translate.revisions.trial import Tally, Window, counted
from support.revisions import SERVICE, START, latest, pinned, template, wish

PHASES = st.sampled_from([OriginPhase.READY, OriginPhase.READY, OriginPhase.STARTING, OriginPhase.FAILED])
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 5.0, 61.0, 3_600.0, 100_000.0])
FEW = Retention(least=2, since_created=timedelta(hours=2), since_active=timedelta(hours=1), most=6)
which = st.integers(0, 9)


class Lives(RuleBasedStateMachine):
    """`there` and `stored` are what the API server has; every look may end after any of its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: Wish = wish("one")
        self.there: dict[str, Revision] = {}
        self.stored = Memory()
        self.seconds = 0.0
        self.window: Window = ()
        self.were_ready: dict[str, Revision] = {}  # by name, the very one that was
        self.numbered: set[str] = set()
        self.stale: tuple[Wish, Facts, Memory] | None = None

    def facts(self, *, acknowledged: bool = True, draining: frozenset[str] = frozenset()) -> Facts:
        return Facts(
            now=START + timedelta(seconds=self.seconds),
            revisions=tuple(self.there.values()),
            acknowledged=acknowledged,
            draining=draining,
            window=self.window,
            retention=FEW,
        )

    def name(self, number: int) -> str:
        names = sorted(self.there)
        return names[number % len(names)] if names else "cart-00001"

    # What users do.

    @rule(image=st.sampled_from(["one", "two", "three"]), name=st.sampled_from(["", "", "", "cart-blue", "cart-green"]))
    def edit_the_template(self, image: str, name: str) -> None:
        self.wanted = replace(self.wanted, wanted=replace(self.wanted.wanted, template=template(image), name=name))

    @rule(kind=st.integers(0, 7), number=which, percent=st.integers(0, 100))
    def edit_the_traffic(self, kind: int, number: int, percent: int) -> None:
        one, other = self.name(number), self.name(number + 1)
        choices: tuple[tuple[TrafficTarget, ...], ...] = (
            (),
            (latest(),),
            (pinned(one, 100),),
            (latest(100 - percent), pinned(one, percent, "stable")),
            (latest(0, "next"), pinned(one, percent), pinned(other, 100 - percent)),
            (latest(100, "now"), pinned(one, 0, "old")),
            (pinned("cart-99999", percent), latest(100 - percent)),
            (latest(percent),),
        )
        self.wanted = replace(self.wanted, targets=choices[kind])

    @rule(seconds=st.sampled_from([0, 0, 30, 300]), limit=st.sampled_from([None, 0.0, 1.0, 50.0]))
    def edit_the_rollout(self, seconds: int, limit: float | None) -> None:
        self.wanted = replace(self.wanted, duration=timedelta(seconds=seconds), max_error_percent=limit)

    @rule(verb=st.sampled_from([None, *Verb]), number=which)
    def order(self, verb: Verb | None, number: int) -> None:
        self.wanted = replace(self.wanted, order=Order(verb, self.name(number)) if verb else None)

    @rule(number=which, keeps=st.booleans())
    def keep(self, number: int, keeps: bool) -> None:
        if self.there:
            name = self.name(number)
            self.there[name] = replace(self.there[name], kept=keeps)

    @rule(number=which)
    def delete(self, number: int) -> None:
        """One that a status tells of: what is deleted before anybody could write that is lost without a trace."""
        name = self.name(number)
        if name in self.there and self.there[name].number <= self.stored.number:
            del self.there[name]

    # What the world does.

    @rule(number=which, phase=PHASES)
    def fare(self, number: int, phase: OriginPhase) -> None:
        if self.there:
            name = self.name(number)
            self.there[name] = replace(self.there[name], phase=phase)

    @rule()
    def everything_is_ready(self) -> None:
        self.there = {name: replace(one, phase=OriginPhase.READY) for name, one in self.there.items()}

    @rule(number=which, errors=st.integers(0, 50))
    def answer(self, number: int, errors: int) -> None:
        tallies = {self.name(number): Tally(50, errors)}
        self.window = counted(self.window, START + timedelta(seconds=self.seconds), tallies)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    @rule()
    def the_clock_goes_back(self) -> None:
        self.seconds -= 3_600

    # What leaders do.

    @rule(after=SECONDS, acknowledged=st.booleans(), writes=st.sampled_from([4, 4, 4, 0, 1, 2, 3]))
    def look(self, after: float, acknowledged: bool, writes: int) -> None:
        self.seconds += after
        before, facts = self.stored, self.facts(acknowledged=acknowledged)
        found = follow(self.wanted, facts, before)
        assert follow(self.wanted, facts, before) == found
        self.stale = self.wanted, facts, before
        self.check(found, facts, before)
        self.write(found, writes)

    @rule(image=st.sampled_from("abcdefgh"), times=st.integers(0, 3), seconds=st.sampled_from([60, 300]))
    def deploy(self, image: str, times: int, seconds: int) -> None:
        """A new revision that works, on its way to all of the traffic."""
        self.wanted = wish(image, duration=timedelta(seconds=seconds), max_error_percent=1.0)
        self.look(1.0, True, 4)
        self.everything_is_ready()
        self.roll(times + 1)

    @rule(times=st.integers(1, 40))
    def roll(self, times: int) -> None:
        for _ in range(times):
            self.look(3.0, True, 4)

    @rule(days=st.integers(1, 3))
    def nobody_looks_for_days(self, days: int) -> None:
        self.seconds += days * 86_400.0
        self.look(1.0, True, 4)

    @rule()
    def somebody_looks_who_leads_no_more(self) -> None:
        """With what was there long ago. Of what it wants, only a revision can be made, and none be written over."""
        if self.stale:
            self.make(follow(*self.stale).made)

    def write(self, found: Outcome, writes: int) -> None:
        if writes > 0:
            self.make(found.made)
        if writes > 1:
            self.stored = found.memory
        if writes > 2:
            self.there |= {one.name: one for one in found.revisions if one.name in self.there}
        if writes > 3:
            for name in found.collected:
                del self.there[name]

    def make(self, made: Revision | None) -> None:
        if made is None or made.name in self.there:
            return
        number = number_of(SERVICE, made.name)
        assert number is None or number > self.stored.number, "a number that is known to be used is given out again"
        assert number is None or made.name not in self.numbered or number > self.stored.number
        self.numbered |= {made.name} if number else set()
        self.were_ready.pop(made.name, None)
        self.there[made.name] = made

    # What holds.

    def check(self, found: Outcome, facts: Facts, before: Memory) -> None:
        there: Mapping[str, Revision] = {one.name: one for one in facts.revisions}
        self.were_ready |= {name: one for name, one in there.items() if one.ready}
        reached = found.assignment.revisions
        assert reached <= there.keys(), "traffic for what is not there"
        assert reached <= self.were_ready.keys(), "traffic for what was never ready"
        total = sum(one.percent for one in found.assignment.weights)
        assert total in (0, 100)
        assert total or not any(one.ready for one in there.values()) or found.routed or found.problems
        if before.traffic and before.rollout.shares and before.rollout.shares[-1].revision_name in there:
            assert total == 100, "traffic is lost"
        self.check_latest(found, there, before)
        self.check_use(found, there)
        self.check_progress(found, before)
        self.check_repeated(found, facts)

    def check_latest(self, found: Outcome, there: Mapping[str, Revision], before: Memory) -> None:
        old, new = before.latest_ready_revision_name, found.memory.latest_ready_revision_name
        if old in there:
            assert there[new].number >= there[old].number or new == self.wanted.wanted.name, "it goes back"
        created = found.memory.latest_created_revision_name
        if not found.problems:
            current = found.made or there.get(created)
            assert current or found.again is not None, "nobody will make it"
            assert current is None or same(current.template, self.wanted.wanted.template)
        assert found.memory.number >= before.number

    def check_use(self, found: Outcome, there: Mapping[str, Revision]) -> None:
        memory = found.memory
        used = {memory.latest_ready_revision_name, memory.latest_created_revision_name, *found.assignment.revisions}
        assert not used & set(found.collected), "what is in use is collected"
        assert not any(there[name].kept for name in found.collected)
        least = {one.revision_name: one.least for one in found.needs}
        assert least.keys() == there.keys()
        assert all(least[one.revision_name] >= self.wanted.min_scale for one in found.assignment.weights)

    def check_progress(self, found: Outcome, before: Memory) -> None:
        old, new = before.rollout, found.memory.rollout
        assert all(share.percent > 0 for share in new.shares)
        assert len({share.revision_name for share in new.shares}) == len(new.shares)
        assert not any(new.rejects(share.revision_name) for share in new.shares[1:])
        if old.shares and new.shares and old.goal == new.goal and old.percent == new.percent:
            undone = len(new.rejected) != len(old.rejected)
            share = {one.revision_name: one.percent for one in old.shares}.get(new.goal, 0)
            assert undone or new.shares[-1].percent >= share, "a rollout goes back by itself"

    def check_repeated(self, found: Outcome, facts: Facts) -> None:
        """Whoever looks again at the same moment, before a proxy has answered, decides nothing new."""
        again = follow(self.wanted, replace(facts, acknowledged=False, window=()), found.memory)
        assert again.assignment == found.assignment
        assert again.memory == found.memory or self.wanted.order

    @invariant()
    def what_is_remembered_can_be_read(self) -> None:
        assert self.stored.rollout.percent in range(101)

    def teardown(self) -> None:
        """When all is well for long enough, everybody gets the template that is wanted."""
        self.wanted = replace(self.wanted, targets=(), order=None, wanted=replace(self.wanted.wanted, name=""))
        self.window, found = (), None
        for _ in range(400):
            self.everything_is_ready()
            self.look(5.0, True, 4)
        found = follow(self.wanted, self.facts(), self.stored)
        goal = found.memory.latest_ready_revision_name
        assert goal == found.memory.latest_created_revision_name
        if not found.memory.rollout.rejects(goal):
            assert [(one.revision_name, one.percent) for one in found.assignment.weights] == [(goal, 100)]
        assert len(self.there) <= FEW.least + 8


def configured(machine: Any) -> Any:
    machine.TestCase.settings = settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return machine.TestCase


TestLives = configured(Lives)
