"""What goes out beside a plan, what does not go out without it, and what guards have to do with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.credentials.certificates import Pair
from edgerun.credentials.tokens import Token
from edgerun.runtime.controller import Controller, Published
from edgerun.runtime.handout import Handout, complete
from edgerun.translate.identities import AUTHORITIES_SECRET, WORKLOAD_SECRET, Claim, credential_secret, guard_fleet
from edgerun.translate.plan import CLUSTER, EXTENSION, LISTENER, SECRET, Plan, Resource, Resources
from edgerun.translate.world import Edge, Trust, World
from edgerun.xds.server import Proxy, Refused
from support.issuers import origin, route
from support.poll import eventually
from support.working import at_work
from support.xds import cluster, connected, names, resources

BORN = datetime(2026, 1, 1, tzinfo=UTC)
CART = ObjectKey("OriginService", "shop", "cart")
WEB = ObjectKey("EdgeRoute", "shop", "web")
GUARDS = guard_fleet(CART)
CLAIM, OTHER = Claim("a", "x"), Claim("b", "y")
PLAN = Plan(
    fleets={"default": resources(cluster("one")), GUARDS: resources(cluster("two")), "plain": resources()},
    claims={"default": frozenset({CLAIM, OTHER})},
    identities={"default": "spiffe://d/edge/default", GUARDS: "spiffe://d/ns/shop/origin/cart"},
)
PAIRS = {one: Pair(f"of {one}", "key") for one in PLAN.identities.values()}


def token(claim: Claim, value: str = "t") -> Token:
    return Token(claim, "kid", BORN, BORN, value)


def handed(*tokens: Token, pairs: Mapping[str, Pair] = PAIRS, bundle: str = "b") -> Mapping[str, Resources]:
    found = Handout().of(PLAN, {one.claim: one for one in tokens}, pairs, bundle)
    return complete(PLAN, found)


class TestAFleetIsSentAllOfItsSecretsOrNothing:
    def test_all_of_them(self) -> None:
        sent = handed(token(CLAIM), token(OTHER))
        both = {credential_secret(CLAIM), credential_secret(OTHER)}
        assert sent["default"][SECRET].keys() == both | {WORKLOAD_SECRET, AUTHORITIES_SECRET}
        assert sent[GUARDS][SECRET].keys() == {WORKLOAD_SECRET, AUTHORITIES_SECRET}
        assert SECRET not in sent["plain"]

    def test_without_a_token_the_others_are_sent(self) -> None:
        assert handed(token(CLAIM)).keys() == {GUARDS, "plain"}

    def test_without_a_certificate_or_its_authorities_who_needs_none(self) -> None:
        assert handed(token(CLAIM), token(OTHER), pairs={}).keys() == {"plain"}
        assert handed(token(CLAIM), token(OTHER), bundle="").keys() == {"plain"}

    def test_what_has_not_changed_is_not_made_anew(self) -> None:
        handout, tokens = Handout(), {one: token(one) for one in (CLAIM, OTHER)}
        first = handout.of(PLAN, tokens, PAIRS, "b")
        second = handout.of(PLAN, tokens | {CLAIM: token(CLAIM, "u")}, PAIRS, "b")
        unchanged = {name for name, one in first["default"].items() if second["default"][name] is one}
        assert unchanged == {credential_secret(OTHER), WORKLOAD_SECRET}
        assert first != second


class Keys:
    """Hands out what a test says."""

    def __init__(self) -> None:
        self.value, self.there = "t", True
        self.handout = Handout()
        self.sent: list[Published] = []

    def __call__(self, plan: Plan) -> Mapping[str, Mapping[str, Resource]]:
        if not self.there:
            return {}
        claims = frozenset[Claim]().union(*plan.claims.values())
        tokens = {claim: token(claim, self.value) for claim in claims}
        pairs = {one: Pair(f"of {one}", "key") for one in plan.identities.values()}
        return self.handout.of(plan, tokens, pairs, "b")


class House:
    def __init__(self) -> None:
        self.keys, self.told, self.heard = Keys(), list[ObjectKey](), list[Proxy]()
        self.controller = Controller(
            *(Edge(), lambda plan: None, self.told.extend, nobody),
            secrets=self.keys,
            sent=self.keys.sent.append,
            heard=self.heard.append,
        )
        self.controller.store.apply(origin("cart"))
        self.controller.store.apply(route("web", "cart"))

    def here(self, *proxies: Proxy) -> None:
        self.controller.server.proxies = lambda: proxies  # type: ignore[method-assign]

    def proven(self, key: ObjectKey) -> bool:
        return self.controller.store.entries[key].proven is not None

    @property
    def serial(self) -> int:
        assert self.controller.published
        return self.controller.published.serial


async def nobody(world: World, edge: str) -> str | None:
    return None


def proxy(fleet: str, serial: int = 0, name: str = "one") -> Proxy:
    return Proxy(name, fleet, BORN, serial)


class TestTheSamePlanOnceMore:
    async def test_it_has_another_serial_and_the_same_world(self) -> None:
        house = House()
        house.controller.rebuild()
        house.controller.republish()
        first, second = house.keys.sent
        assert second == replace(first, serial=2)
        assert second.plan is first.plan

    async def test_before_there_is_any_nothing_happens(self) -> None:
        house = House()
        house.controller.republish()
        assert house.keys.sent == []

    async def test_not_while_guards_have_yet_to_be_told_whom_to_trust(self) -> None:
        house = House()
        house.controller.rebuild()
        house.controller.store.trusting(Trust(issuer="https://another"))
        house.controller.republish()
        assert len(house.keys.sent) == 1
        house.controller.rebuild()
        assert house.keys.sent[-1].world.trust.issuer == "https://another"

    async def test_what_was_programmed_stays_so_and_nobody_is_told_anything(self) -> None:
        house = House()
        house.controller.rebuild()
        house.here(proxy("default", house.serial))
        house.controller.acknowledged(proxy("default", house.serial), house.serial)
        assert house.proven(WEB)
        house.told.clear()
        house.controller.republish()
        house.controller.acknowledged(proxy("default", house.serial), house.serial)
        assert house.told == []

    async def test_a_proxy_that_refuses_it_gets_the_same_objects_blamed(self) -> None:
        house = House()
        house.controller.rebuild()
        house.controller.republish()
        async with at_work(house.controller.run(), "controller"):
            who = proxy(GUARDS, house.serial)
            house.controller.refused(Refused(who, EXTENSION, ("invokers",), "no", house.serial))
            await eventually(lambda: house.controller.store.entries[CART].refusal)
        assert house.controller.store.entries[WEB].refusal is None


class TestGuards:
    async def test_a_stuck_one_keeps_nothing_of_others_from_being_proven(self) -> None:
        house = House()
        house.controller.store.apply(origin("pay"))
        house.controller.rebuild()
        house.here(proxy("default", 1), proxy(GUARDS, 0), proxy("guard/shop/pay", 1))
        house.controller.acknowledged(proxy("default", 1), 1)
        assert house.proven(WEB)
        assert house.proven(ObjectKey("OriginService", "shop", "pay"))
        assert not house.proven(CART), "its own guard may still refuse it"
        house.here(proxy("default", 1), proxy(GUARDS, 1), proxy("guard/shop/pay", 1))
        house.controller.acknowledged(proxy(GUARDS, 1), 1)
        assert house.proven(CART)

    async def test_without_an_edge_nothing_is_proven(self) -> None:
        house = House()
        house.controller.rebuild()
        house.here(proxy(GUARDS, 1))
        house.controller.acknowledged(proxy(GUARDS, 1), 1)
        assert not house.proven(CART)

    async def test_nobody_waits_for_them_to_catch_up(self) -> None:
        house = House()
        async with at_work(house.controller.run(), "controller"):
            house.here(proxy("default", 10), proxy(GUARDS, 0))
            async with asyncio.timeout(60):
                await house.controller.caught_up()

    async def test_an_edge_that_waits_for_its_secrets_is_waited_for(self) -> None:
        """It goes on calling whoever is to stop."""
        house = House()
        house.keys.there = False
        async with at_work(house.controller.run(), "controller"):
            house.here(proxy("default", 0))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await house.controller.caught_up()

    async def test_each_acknowledgement_is_passed_on(self) -> None:
        house = House()
        house.controller.acknowledged(proxy(GUARDS, 3), 3)
        assert house.heard == [proxy(GUARDS, 3)]


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[str]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        address = f"unix:{Path(directory)}/xds.sock"
        await house.controller.server.start(address)
        try:
            yield address
        finally:
            await house.controller.server.stop(grace_s=0.2)


class TestOverTheWire:
    async def test_a_new_token_is_sent_and_nothing_else_is(self) -> None:
        house = House()
        house.controller.rebuild()
        async with listening(house) as address, connected(address, fleet="default") as client:
            (cart,) = names(await client.ask(CLUSTER))
            assert names(await client.ask(LISTENER))
            secret = next(one for one in house.keys(house.keys.sent[-1].plan)["default"] if "credential" in one)
            assert names(await client.ask(SECRET, secret, WORKLOAD_SECRET)) == [secret, WORKLOAD_SECRET]
            house.controller.republish()  # of which nothing is heard, for nothing has changed
            house.keys.value = "u"
            house.controller.republish()
            assert names(await client.take()) == [secret]
            assert await client.quiet()
        assert cart.startswith("origin/shop/cart")

    async def test_who_begins_and_has_no_secrets_yet_takes_nothing_away(self) -> None:
        house = House()
        house.keys.there = False
        house.controller.rebuild()
        async with listening(house) as address, connected(address, fleet="default") as client:
            await client.subscribe(CLUSTER)
            await eventually(house.controller.server.proxies)
            assert await client.quiet()

    async def test_as_soon_as_it_has_them_everything_comes(self) -> None:
        house = House()
        house.keys.there = False
        house.controller.rebuild()
        async with listening(house) as address, connected(address, fleet="default") as client:
            await client.subscribe(CLUSTER)
            await eventually(house.controller.server.proxies)
            house.keys.there = True
            house.controller.republish()
            assert names(await client.take())
            assert names(await client.ask(SECRET, WORKLOAD_SECRET)) == [WORKLOAD_SECRET]

    @pytest.mark.parametrize("fleet", ["default", GUARDS])
    async def test_nobody_is_sent_what_is_anothers(self, fleet: str) -> None:
        house = House()
        house.controller.rebuild()
        others = {name for name, some in house.keys(house.keys.sent[-1].plan).items() if name != fleet for name in some}
        own = house.keys(house.keys.sent[-1].plan)[fleet].keys()
        async with listening(house) as address, connected(address, fleet=fleet) as client:
            wanted = sorted(others - own)
            if wanted:
                answer = await client.ask(SECRET, *wanted)
                assert list(answer.removed_resources) == wanted
            await client.ask(CLUSTER)
            assert names(await client.ask(LISTENER)) or fleet == GUARDS
