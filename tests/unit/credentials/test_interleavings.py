"""Keys and tokens through every order of time, odd clocks, crashes, partitions and slow receivers that can be found."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgerun.credentials.keyring import Policy, trusted
from edgerun.credentials.keys import KeySet, Phase
from edgerun.credentials.tokens import Wallet
from edgerun.errors import UnavailableError
from support.authorities import Clocks, Safe
from support.keyrings import new_keys
from support.rings import Edge, Plane, Verifier, attach, claims, phase, restart, stored, successor, valid

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
SOME = 2
EVEN = Policy(interval=2 * HOUR, life=HOUR, clock=HOUR, handover=HOUR, propagation=SECOND)
"""Everything takes an hour, so that ends meet."""

spans = st.sampled_from([SECOND / 10, SECOND, HOUR / 2, HOUR - SECOND, HOUR, 2 * HOUR])
some = st.integers(0, SOME - 1)


class Interleavings(RuleBasedStateMachine):
    """`plane` leads. `old` does not know yet that it does no longer, and tells whoever still listens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks, self.safe = Clocks(), Safe()
        self.plane = Plane(self.safe, self.clocks, EVEN, new_keys(), [])
        self.verifiers = [Verifier(self.plane) for _ in range(SOME)]
        self.edges = [Edge(self.plane, claim) for claim in claims(SOME)]
        self.plane.expected = list(self.verifiers)
        for one in (*self.verifiers, *self.edges):
            attach(self.plane, one)
        self.old: Plane | None = None
        self.old_until_s = 0.0
        self.before = KeySet()
        self.revoked: set[str] = set()
        self.dropped: set[str] = set()
        self.in_a_hurry: dict[str, float] = {}

    @initialize()
    def begin(self) -> None:
        self.tick()
        self.everybody_hears()

    @rule(span=spans, ticks=st.booleans())
    def go(self, span: timedelta, ticks: bool) -> None:
        self.clocks.go(span)
        if self.old and self.clocks.elapsed_s > self.old_until_s:
            self.everybody_leaves_the_old_one()
        if ticks:
            self.tick()

    @rule(offset=st.sampled_from([-HOUR, timedelta(), HOUR]))
    def clock(self, offset: timedelta) -> None:
        self.clocks.offset = offset

    @rule()
    def tick(self) -> None:
        self.plane.tick()
        told = {key.kid for key in trusted(self.plane.keys, self.plane.evidence(), self.plane.policy)}
        revoked = {key.kid for key in self.plane.keys.at(Phase.REVOKED)}
        lasted = self.plane.evidence().lasted
        spared = {kid for kid in revoked if lasted.get((kid, Phase.REVOKED), EVEN.mercy) < EVEN.mercy}
        assert not told & revoked - spared, "a revoked key is trusted"
        assert not told & self.dropped, "what was not trusted any more is trusted again"
        self.dropped |= revoked - told

    @rule(which=some)
    def a_verifier_hears(self, which: int) -> None:
        self.verifiers[which].deliver()

    @rule(which=some)
    def an_edge_hears(self, which: int) -> None:
        self.edges[which].deliver()

    @rule()
    def everybody_hears(self) -> None:
        self.tick()
        while any(one.told for one in (*self.verifiers, *self.edges)):
            for one in (*self.verifiers, *self.edges):
                one.deliver()
            self.tick()

    @rule(which=some)
    def a_verifier_restarts(self, which: int) -> None:
        restart(self.verifiers[which])

    @rule()
    def rotate(self) -> None:
        self.plane.rotate()

    @rule()
    def rotate_now(self) -> None:
        self.everybody_hears()
        self.plane.rotate()
        for _ in range(2):
            self.everybody_hears()
            self.clocks.go(EVEN.propagation)
        self.tick()

    @rule(which=st.integers(0, 5), promptly=st.booleans())
    def revoke(self, which: int, promptly: bool) -> None:
        alive = [key for key in stored(self.safe).keys if key.phase < Phase.REVOKED]
        kid = alive[-1 - which % len(alive)].kid
        assert self.plane.revoke(kid)
        assert phase(stored(self.safe), kid) is Phase.REVOKED
        if promptly:
            self.tick()

    @rule(life=st.sampled_from([HOUR / 2, HOUR, 2 * HOUR]))
    def another_life(self, life: timedelta) -> None:
        self.plane.policy = replace(self.plane.policy, life=life)

    @rule(when=st.sampled_from(["before a write", "after a write", "after a round"]), work=st.sampled_from("-rx"))
    def crash(self, when: str, work: str) -> None:
        def unavailable() -> None:
            raise UnavailableError("the end")

        self.safe.before_write = unavailable if when == "before a write" else lambda: None
        self.safe.after_write = unavailable if when == "after a write" else lambda: None
        match work:
            case "r":
                self.plane.rotate()
            case "x" if self.before.signing:
                self.plane.revoke(self.before.signing.kid)
            case _:
                self.plane.change(self.plane._advanced)
        self.safe.before_write = self.safe.after_write = lambda: None
        self.take_over()
        self.everybody_leaves_the_old_one()

    @rule()
    def take_over(self) -> None:
        """Another plane leads; the old one is alive, and finds out within an hour."""
        if self.old:
            self.everybody_leaves_the_old_one()
        self.old, self.old_until_s = self.plane, self.clocks.elapsed_s + EVEN.handover.total_seconds()
        self.plane = successor(self.old)
        self.tick()

    @rule(reads=st.booleans())
    def the_old_one_goes_on(self, reads: bool) -> None:
        if self.old:
            self.old.tick(leads=reads)

    @rule()
    def the_old_one_signs_as_late_and_as_long_as_can_be(self) -> None:
        """Another one has rotated meanwhile, and the old one's clock is ahead."""
        self.take_over()
        for one in self.verifiers:
            attach(self.plane, one)
        self.rotate_now()
        assert self.old
        self.clocks.elapsed_s, self.clocks.offset = self.old_until_s, HOUR
        self.old.wallet = Wallet()
        self.old.hand()
        self.clocks.offset = timedelta()

    @rule(which=some)
    def a_verifier_leaves_the_old_one(self, which: int) -> None:
        attach(self.plane, self.verifiers[which])
        self.tick()

    @rule(which=some)
    def an_edge_leaves_the_old_one(self, which: int) -> None:
        attach(self.plane, self.edges[which])

    def everybody_leaves_the_old_one(self) -> None:
        self.old = None
        for one in (*self.verifiers, *self.edges):
            if one.plane is not self.plane:
                attach(self.plane, one)

    @invariant()
    def all_is_well(self) -> None:
        self.one_key_signs_and_none_goes_back()
        self.every_valid_token_is_by_a_key_that_is_trusted()
        self.no_valid_caller_is_refused()
        self.no_revoked_key_is_accepted_for_long()

    def one_key_signs_and_none_goes_back(self) -> None:
        keys = stored(self.safe)
        assert not keys.keys or len(keys.at(Phase.SIGNING)) == 1
        for key in self.before.keys:
            after = phase(keys, key.kid)
            assert after >= key.phase if after else key.phase >= Phase.RETIRING, "more may retire than are remembered"
        old, new = self.before.signing, keys.signing
        revoked = old and new and old.kid != new.kid and phase(keys, old.kid) is Phase.REVOKED
        if new and revoked and any(new.kid not in one.trusts for one in self.verifiers):
            self.in_a_hurry[new.kid] = self.clocks.elapsed_s
        self.revoked |= {key.kid for key in keys.at(Phase.REVOKED)}
        self.before = keys

    def every_valid_token_is_by_a_key_that_is_trusted(self) -> None:
        kept = [token for token in self.plane.minted if valid(token, self.clocks)]
        self.plane.minted[:] = kept
        for token in kept:
            found = phase(self.before, token.kid)
            assert token.kid in self.revoked or (found and found.trusted), f"{token} by a key that is {found}"

    def no_valid_caller_is_refused(self) -> None:
        for token in (edge.token for edge in self.edges if edge.token):
            if token.kid in self.revoked or not valid(token, self.clocks):
                continue
            for verifier in self.verifiers:
                accepted = token.kid in verifier.trusts or not verifier.ready
                assert accepted or self.patience_was_over(token.kid), f"{token} is refused"

    def no_revoked_key_is_accepted_for_long(self) -> None:
        lasted = self.plane.evidence().lasted
        for kid in self.revoked:
            spared = lasted.get((kid, Phase.REVOKED), EVEN.mercy) < EVEN.mercy
            for verifier in self.verifiers:
                settled = verifier.ready and verifier.plane is self.plane and not verifier.told
                up_to_date = kid not in self.plane.told.get(verifier, frozenset({kid}))
                assert not (settled and up_to_date and kid in verifier.trusts and not spared)

    def patience_was_over(self, kid: str) -> bool:
        """Its tokens did not wait for all verifiers, for the key before was revoked when not all knew this one."""
        since = self.in_a_hurry.get(kid, self.clocks.elapsed_s)
        return self.clocks.elapsed_s - since >= EVEN.patience.total_seconds()


Interleavings.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestInterleavings = Interleavings.TestCase
