"""Who is told which key, who gets which token, and when: in hours that pass in no time."""

from datetime import timedelta
from itertools import pairwise

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.credentials.keyring import Policy, revoke, rotate
from edgerun.credentials.keys import Phase
from edgerun.credentials.keystore import Change, changed
from edgerun.errors import UnavailableError
from edgerun.runtime.issuing import BLOCKED
from edgerun.sources.store import Gone
from support.authorities import Safe
from support.issuers import GUARDS, House, after, issuing, origin, route

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
HOUR_S, DAY_S = 3600.0, 86_400.0


async def change(house: House, how: Change) -> None:
    """As the command line does it."""
    await changed(house.safe, how)
    house.told()


async def revoked(house: House, kid: str) -> None:
    await change(house, lambda keys: revoke(keys, kid, house.now(), house.policy, new_key=house.new_key))


def never_ahead_of_guards(house: House) -> None:
    """No edge was ever given a token by a key that guards were not told of before, or in the same breath."""
    told, known = frozenset[str](), set[str]()
    for letter in house.letters:
        told = letter.trusted or told
        fresh = {kid for token, kid in letter.kids.items() if token not in known}
        assert fresh <= told, letter
        known |= letter.kids.keys()


def signed_by(house: House) -> set[str]:
    """The keys of the tokens that edges were given last."""
    return set(house.last.kids.values())


class TestItBegins:
    async def test_everybody_is_told_and_edges_get_their_tokens_once_the_guards_have_taken_it(self) -> None:
        async with issuing(House()) as house:
            await after()
            assert house.letters[0].fleets == {GUARDS}, "guards first"
            assert house.last.fleets == {GUARDS, "default"}
            assert signed_by(house) == {house.signing}
            assert house.last.trusted >= signed_by(house)
            assert house.last.at_s < 0.1
            assert house.minted == 1
            never_ahead_of_guards(house)

    async def test_a_guard_that_takes_nothing_holds_edges_back_for_the_time_of_patience(self) -> None:
        async with issuing(House(eager=False)) as house:
            await after(0.9)
            assert [one for one in house.letters if "default" in one.fleets] == []
            house.acknowledge(1)
            await after(0.05)
            assert [one for one in house.letters if "default" in one.fleets] == []
            await after(0.2)
            assert 1.0 <= house.last.at_s <= 1.1

    async def test_as_soon_as_the_last_guard_has_taken_it_edges_get_theirs(self) -> None:
        async with issuing(House(eager=False)) as house:
            await after(0.2)
            house.acknowledge()
            await after(0.1)
            assert 0.2 <= house.last.at_s <= 0.25

    async def test_nothing_is_told_while_the_keys_cannot_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        house = House()
        house.safe.fails = _unavailable
        async with issuing(house):
            await after(10)
            assert house.letters == []
            house.safe.fails = lambda: None
            await after(2)
            assert signed_by(house) == {house.signing}
        assert len([line for line in caplog.messages if "cannot be looked after" in line]) == 1, "once, not ten times"

    async def test_a_new_route_gets_its_token_together_with_its_clusters(self) -> None:
        async with issuing(House()) as house:
            await after()
            before = len(house.letters)
            house.controller.store.apply(origin("pay"))
            house.controller.store.apply(route("pay", "pay"))
            await after(0.1)
            (letter,) = house.letters[before:]
            assert len(letter.tokens) == 2
            assert house.minted == 2, "the other one was not made anew"

    async def test_what_nobody_calls_any_more_has_no_token(self) -> None:
        async with issuing(House()) as house:
            await after()
            house.controller.store.apply(Gone(ObjectKey("EdgeRoute", "shop", "web")))
            await after(0.1)
            assert house.last.tokens == {}


class TestTimeGoesOn:
    async def test_keys_rotate_day_by_day_and_nobody_is_asked_for_what_he_does_not_know(self) -> None:
        async with issuing(House()) as house:
            await after(3.5 * DAY_S)
            assert house.events == ["rotated"] * 3
            never_ahead_of_guards(house)
            assert {phase: len(house.issuing.holder.keys.at(phase)) for phase in (Phase.SIGNING, Phase.PUBLISHED)} == {
                Phase.SIGNING: 1,
                Phase.PUBLISHED: 1,
            }
            assert house.last.at_s > 3.4 * DAY_S, "tokens are replaced all the time"

    async def test_tokens_are_replaced_at_half_of_their_life(self) -> None:
        async with issuing(House()) as house:
            await after(10 * HOUR_S)
            times = [one.at_s for one in house.letters if "default" in one.fleets]
            pauses = [later - one for one, later in pairwise(times)]
            assert all(0.39 * HOUR_S < one < 0.52 * HOUR_S for one in pauses), pauses

    async def test_many_that_are_due_are_replaced_in_few_rounds(self) -> None:
        async with issuing(House()) as house:
            for number in range(50):
                house.controller.store.apply(origin(f"o{number}"))
                house.controller.store.apply(route(f"r{number}", f"o{number}"))
            await after()
            before = len(house.letters)
            await after(0.6 * HOUR_S)
            assert house.minted == 2 * 51
            assert 3 < len(house.letters) - before < 20

    async def test_a_guard_that_never_takes_the_next_key_keeps_the_old_one_signing_and_is_named_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with issuing(House(period_s=60)) as house:
            await after()
            house.eager = False
            await after(1.5 * DAY_S)
            second = house.signing  # which was told with the first one
            await after(DAY_S)
            assert house.signing == second
            house.acknowledge(1)
            await after(BLOCKED.total_seconds())
            assert house.issuing.blocked() == ((GUARDS, "cart-1"),)
            assert house.last.at_s > 2.4 * DAY_S, "it has tokens all the same"
            house.acknowledge()
            await after(60)
            assert house.signing != second
            assert house.issuing.blocked() == ()
        assert [line for line in caplog.messages if "cart-1 of guard/shop/cart" in line], caplog.messages

    async def test_a_pod_that_is_gone_is_waited_for_no_more(self) -> None:
        async with issuing(House(guards=3)) as house:
            await after()
            house.eager, first = False, house.signing
            await after(DAY_S + HOUR_S)
            house.guards = 2
            del house.post.here["cart-2"]
            house.acknowledge()
            await after(60)
            assert house.signing != first

    async def test_a_guard_that_lost_its_connection_is_believed_to_know_what_it_knew(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            first = house.signing
            house.post.here.clear()
            house.eager = False
            await after(DAY_S)
            assert house.signing != first, "the next key was known to it long before"

    async def test_before_the_guards_had_time_to_come_no_key_takes_over(self) -> None:
        async with issuing(House(reunited=False)) as house:
            await after(2 * DAY_S)
            assert house.events == []
            assert signed_by(house) == {house.signing}, "edges have their tokens, for patience ends"

    @pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=30), timedelta(days=-30)])
    async def test_a_clock_that_jumps_costs_nothing(self, jump: timedelta) -> None:
        async with issuing(House(period_s=30)) as house:
            await after(HOUR_S)
            house.offset = jump
            await after(61)
            token = next(iter(house.issuing._wallet.tokens.values()))
            assert token.issued <= house.now() < token.expires
            never_ahead_of_guards(house)
            await after(HOUR_S)
            house.offset = timedelta()
            await after(61)
            token = next(iter(house.issuing._wallet.tokens.values()))
            assert token.issued <= house.now() < token.expires
            never_ahead_of_guards(house)


class TestTheApiServerIsAway:
    async def test_who_may_write_renews_tokens_all_the_same(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            house.safe.fails = _unavailable
            await after(HOUR_S)
            assert house.last.at_s > 1.4 * HOUR_S
            assert signed_by(house) == {house.signing}

    async def test_who_may_not_mints_nothing_and_edges_keep_what_they_have(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            house.leads = False
            minted, letters = house.minted, len(house.letters)
            await after(5 * HOUR_S)
            assert house.minted == minted
            assert [one for one in house.letters[letters:] if one.fleets] == []


class TestAKeyIsRevoked:
    async def test_guards_first_then_edges_then_the_key_is_gone_within_a_second(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            old, began = house.signing, HOUR_S
            await revoked(house, old)
            await after(1)
            new = house.signing
            assert new != old
            others = next(one for one in house.letters if set(one.kids.values()) == {new})
            gone = next(one for one in house.letters if one.at_s >= began and one.trusted and old not in one.trusted)
            assert others.serial < gone.serial, "edges have other tokens before guards refuse the old ones"
            assert old in others.trusted
            assert gone.at_s - began < 0.5
            never_ahead_of_guards(house)
            assert house.events == ["revoked"]

    async def test_it_never_comes_back(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            old = house.signing
            await revoked(house, old)
            await after(DAY_S)
            gone = next(i for i, one in enumerate(house.letters) if one.at_s >= HOUR_S and old not in one.trusted)
            assert not [one for one in house.letters[gone:] if old in one.trusted]

    async def test_a_stuck_guard_delays_it_for_no_more_than_the_time_of_patience(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            for _ in range(2):  # of the second one the guards know no successor
                house.eager = False
                old, began = house.signing, house.issuing.holder.elapsed()
                await revoked(house, old)
                await after(1.2)
                assert signed_by(house) == {house.signing} != {old}
                assert not [one for one in house.letters if one.at_s > began + 0.5 and old in one.trusted]
            never_ahead_of_guards(house)

    async def test_a_new_claim_in_the_meantime_is_not_signed_by_it(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            house.eager = False
            for name in ("pay", "ship"):
                old, before, given = house.signing, len(house.letters), set(house.last.tokens.values())
                await revoked(house, old)
                house.controller.store.apply(origin(name))
                house.controller.store.apply(route(name, name))
                await after(1.1)
                later = {token for one in house.letters[before:] for token, kid in one.kids.items() if kid == old}
                assert later <= given
            assert len(house.last.tokens) == 3
            assert signed_by(house) == {house.signing}

    async def test_a_secret_that_is_deleted_means_another_key_at_once(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            old, house.safe.data = house.signing, None
            house.told()
            await after(1.5)
            assert house.signing != old
            assert signed_by(house) == {house.signing}
            assert old not in house.last.trusted

    async def test_who_asks_for_another_key_gets_it_as_soon_as_it_costs_nobody_anything(self) -> None:
        async with issuing(House(policy=Policy(propagation=timedelta(minutes=10)))) as house:
            await after(HOUR_S)
            old = house.signing
            await change(house, rotate)
            await after(1)
            assert house.signing != old, "the next one has been known for long"
            assert house.phase(old) is Phase.RETIRING
            await change(house, rotate)
            await after(300)
            assert house.phase(house.signing) is Phase.SIGNING
            never_ahead_of_guards(house)


class TestWhoLeads:
    async def test_a_follower_knows_the_keys_and_hands_out_nothing(self) -> None:
        safe = Safe()
        async with issuing(House(safe)) as leader, issuing(House(safe, leads=False)) as follower:
            await after(120)
            assert follower.signing == leader.signing
            assert follower.minted == 0
            assert not [one for one in follower.letters if one.fleets]
            document = follower.issuing.document("/openid/v1/jwks")
            assert document is not None
            assert leader.signing in document.body.decode()
            assert follower.safe.writes == leader.safe.writes

    async def test_a_follower_waits_until_there_are_keys(self) -> None:
        async with issuing(House(leads=False)) as follower:
            await after(300)
            assert follower.issuing.document("/openid/v1/jwks") is None
            assert follower.letters == []

    async def test_who_begins_to_lead_looks_at_the_keys_before_it_tells_anybody_of_them(self) -> None:
        safe = Safe()
        async with issuing(House(safe)) as leader, issuing(House(safe, leads=False)) as follower:
            await after(100)
            old = leader.signing
            await revoked(leader, old)  # the other one's watch is cut off
            await after(0.5)
            assert follower.signing == old
            leader.lose()
            follower.gain()
            await after(2)
            assert signed_by(follower) == {leader.signing}
            assert not [one for one in follower.letters if old in one.trusted]

    async def test_while_it_cannot_read_them_it_tells_nobody_anything(self) -> None:
        safe = Safe()
        async with issuing(House(safe)) as leader, issuing(House(safe, leads=False)) as follower:
            await after(100)
            leader.lose()
            safe.fails = _unavailable
            follower.gain()
            await after(60)
            assert not [one for one in follower.letters if one.fleets]
            safe.fails = lambda: None
            await after(3)
            assert signed_by(follower) == {follower.signing}

    async def test_who_leads_no_longer_takes_nothing_away_and_hands_out_nothing(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            house.lose()
            minted = house.minted
            await after(2 * HOUR_S)
            assert house.minted == minted
            assert [one.fleets for one in house.letters if one.at_s >= HOUR_S] == [frozenset()]

    async def test_who_leads_again_hands_out_tokens_of_its_own_making_alone(self) -> None:
        async with issuing(House()) as house:
            await after(HOUR_S)
            before = house.last.tokens
            house.lose()
            await after(60)
            house.gain()
            await after(2)
            assert house.last.at_s > HOUR_S + 60
            assert house.last.tokens != before

    @pytest.mark.parametrize("at", list(range(12)))
    async def test_one_that_dies_at_any_point_of_a_rotation_is_followed_by_one_that_goes_on(self, at: int) -> None:
        """Every successor has nothing but the Secret, and lives for a while that ends anywhere."""
        quick = Policy(
            interval=timedelta(seconds=40),
            overlap=timedelta(seconds=30),
            life=timedelta(seconds=20),
            clock=timedelta(seconds=5),
            handover=timedelta(seconds=5),
            propagation=timedelta(seconds=5),
        )
        safe, trusted = Safe(), frozenset[str]()
        seen = set[str]()
        first = House()
        for life in range(20):
            house = House(safe, policy=quick, new_key=first.new_key, period_s=1.0)
            house.terms = first.terms
            async with issuing(house):
                await after(13 + at / 3 + life % 3)
                if life == 10:
                    await revoked(house, house.signing)
                    await after(0.01 * at)
                assert house.letters
                never_ahead_of_guards(house)
                for letter in house.letters:
                    trusted = letter.trusted or trusted
                    seen |= set(letter.kids.values())
        assert len(seen) > 4, "it goes on rotating"


def _unavailable() -> None:
    raise UnavailableError("the API server does not answer")
