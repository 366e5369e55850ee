"""Session affinity on real edges: who brings the cookie stays where it was, and splits hold all the same."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import Share
from edgerun.runtime.controller import Controller
from edgerun.sources.store import Seen
from edgerun.translate.names import revision_key
from edgerun.translate.revisions.follow import Outcome
from edgerun.translate.revisions.memory import Memory
from edgerun.translate.revisions.traffic import Assignment
from edgerun.translate.sessions import COOKIE
from edgerun.translate.world import Edge, Endpoint, OriginObservation, World
from support.fleet import Proxy, fleet
from support.handouts import secrets
from support.objects import READY
from support.origins import Origin, origin
from support.poll import eventually
from support.ports import free_port
from support.revisions import revision
from support.standalone import Answer, fetch

pytestmark = pytest.mark.envoy

CART = ObjectKey("OriginService", "shop", "cart")
ONE, TWO = "cart-00001", "cart-00002"
CLIENTS = 400


def seen(kind: str, **spec: object) -> Seen:
    metadata = {"name": "cart", "namespace": "shop"}
    return Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


def service(*, affinity: bool) -> Seen:
    template = {"spec": {"containers": [{"command": ["serve"]}]}}
    return seen("OriginService", guard="Disabled", sessionAffinity=affinity, template=template)


@dataclass
class Shop:
    """A control plane, two edges, and an origin of two revisions. `weights` are the percentages of both."""

    controller: Controller
    proxies: tuple[Proxy, ...] = ()
    weights: dict[str, int] = field(default_factory=lambda: {ONE: 100})

    def revised(self, world: World) -> World:
        shares = tuple(Share(revision_name=name, percent=percent) for name, percent in self.weights.items())
        revisions = tuple(map(revision, (ONE, TWO)))
        outcome = Outcome(memory=Memory(number=2), assignment=Assignment(shares), revisions=revisions)
        return dataclasses.replace(world, revised={CART: outcome})

    async def serves(self, name: str, *replicas: Origin) -> None:
        """These are the replicas of a revision from now on."""
        endpoints = tuple(Endpoint("127.0.0.1", one.port) for one in replicas)
        self.controller.store.observe(revision_key(CART, name), OriginObservation(READY, endpoints))
        await self.published()

    async def splits(self, **weights: int) -> None:
        """`one` and `two` are percentages."""
        self.weights = {name: percent for name, percent in ((ONE, weights["one"]), (TWO, weights["two"])) if percent}
        await self.published()

    async def published(self) -> None:
        self.controller.rebuild()
        assert self.controller.published
        assert await self.controller.server.acknowledged(self.controller.published.serial, timeout_s=60)

    async def ask(self, *, cookie: str = "", edge: int = 0) -> Answer:
        headers = [("cookie", cookie)] if cookie else []
        answer = await fetch(self.proxies[edge].port, "/", headers=headers)
        assert answer.status == 200, answer
        return answer

    async def newcomer(self) -> tuple[str, str]:
        """The cookie that one gets, and who answered."""
        answer = await self.ask()
        return session(answer), answer.header("x-origin") or ""

    async def whom(self, cookie: str, *, edge: int = 0) -> str:
        answer = await self.ask(cookie=cookie, edge=edge)
        assert answer.header("set-cookie") is None, "it has one already"
        return answer.header("x-origin") or ""


def session(answer: Answer) -> str:
    """What the client sends from now on."""
    return (answer.header("set-cookie") or "").partition(";")[0]


async def _nobody(world: World, edge: str) -> str | None:
    return None


@asynccontextmanager
async def shop(*, affinity: bool = True) -> AsyncIterator[Shop]:
    controller = Controller(Edge(port=free_port()), lambda plan: None, lambda keys: None, _nobody, secrets=secrets)
    here = Shop(controller)
    controller.revise = here.revised
    with TemporaryDirectory(prefix="edgerun-test-") as directory:  # short enough for sockets
        socket = Path(directory) / "xds.sock"
        await controller.server.start(f"unix:{socket}")
        controller.store.apply(service(affinity=affinity))
        controller.store.apply(seen("EdgeRoute", rules=[{"origins": [{"service": {"name": "cart"}}]}]))
        controller.rebuild()
        try:
            async with fleet(Path(directory), socket, ("east", "west")) as here.proxies:
                for proxy in here.proxies:
                    await proxy.listening()
                    await eventually(partial(proxy.counter, "http.edge.rds.edge.config_reload"))
                yield here
        finally:
            await controller.server.stop(grace_s=0.2)


@asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[tuple[Origin, ...]]:
    async with AsyncExitStack() as stack:
        yield tuple([await stack.enter_async_context(origin(name)) for name in names])


async def test_a_client_with_its_cookie_stays_with_one_of_three_replicas() -> None:
    async with shop() as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        cookie, first = await here.newcomer()
        assert {await here.whom(cookie) for _ in range(50)} == {first}
        assert {await here.whom(cookie, edge=1) for _ in range(50)} == {first}, "all edges agree"


async def test_clients_without_one_are_spread_and_so_are_sessions() -> None:
    async with shop() as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        sessions = dict([await here.newcomer() for _ in range(CLIENTS)])
        assert len(sessions) == CLIENTS, "each has another cookie"
        spread = Counter(sessions.values())
        assert min(spread["a"], spread["b"], spread["c"]) > CLIENTS / 3 * 0.7, spread
        assert [await here.whom(cookie) for cookie in sessions] == [*sessions.values()]


async def test_the_cookie_tells_nothing_and_lives_as_long_as_the_browser() -> None:
    async with shop() as here, replicas("a") as one:
        await here.serves(ONE, *one)
        answer = await here.ask()
        name, _, rest = (answer.header("set-cookie") or "").partition("=")
        value, *attributes = rest.split("; ")
        assert (name, attributes) == (COOKIE, ["Path=/", "HttpOnly", "SameSite=Lax"])
        assert value == answer.header("x-request-id")


@pytest.mark.parametrize("others", ["a=b; {}", "{}; a=b", "a=b;{};c=d", 'x="1"; {}'])
async def test_other_cookies_of_the_application_do_not_matter(others: str) -> None:
    async with shop() as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        for _ in range(10):
            cookie, first = await here.newcomer()
            assert await here.whom(others.format(cookie)) == first


@pytest.mark.parametrize("cookie", [f"{COOKIE}=", f"{COOKIE}=10.0.0.1:80", f"x{COOKIE}=1", "a=b"])
async def test_what_is_no_session_gets_one(cookie: str) -> None:
    async with shop() as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        assert session(await here.ask(cookie=cookie)).startswith(f"{COOKIE}=")


async def test_the_sessions_of_a_replica_that_is_gone_go_on_elsewhere_and_most_others_stay() -> None:
    async with shop() as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        sessions = dict([await here.newcomer() for _ in range(CLIENTS)])
        await here.serves(ONE, *three[:2])
        after = {cookie: await here.whom(cookie) for cookie in sessions}
        assert set(after.values()) == {"a", "b"}
        kept = [cookie for cookie, name in sessions.items() if name != "c"]
        assert sum(after[cookie] == sessions[cookie] for cookie in kept) > len(kept) * 0.9


async def test_a_replica_that_died_without_a_word_costs_its_sessions_no_request() -> None:
    async with shop() as here, replicas("a", "b") as two:
        async with origin("c") as dying:
            await here.serves(ONE, *two, dying)
            sessions = dict([await here.newcomer() for _ in range(60)])
        lost = [cookie for cookie, name in sessions.items() if name == "c"]
        assert lost
        assert {await here.whom(cookie) for cookie in lost} <= {"a", "b"}


async def test_a_session_stays_with_its_revision_and_the_split_holds() -> None:
    async with shop() as here, replicas("one-a", "one-b") as first, replicas("two-a", "two-b") as second:
        await here.serves(ONE, *first)
        await here.serves(TWO, *second)
        await here.splits(one=70, two=30)
        sessions = dict([await here.newcomer() for _ in range(CLIENTS)])
        assert [await here.whom(cookie) for cookie in sessions] == [*sessions.values()]
        assert [await here.whom(cookie, edge=1) for cookie in sessions] == [*sessions.values()]
        spread = Counter(name for name in sessions.values())
        assert 0.2 < (spread["two-a"] + spread["two-b"]) / CLIENTS < 0.4, spread
        assert min(spread.values()) > 20, "neither half of the replicas is left out"


async def test_a_changed_split_moves_as_many_sessions_as_it_says_and_nobody_back() -> None:
    async with shop() as here, replicas("one") as first, replicas("two") as second:
        await here.serves(ONE, *first)
        await here.serves(TWO, *second)
        sessions = [(await here.newcomer())[0] for _ in range(CLIENTS)]
        before = set[str]()
        for percent in (1, 10, 50, 100):
            await here.splits(one=100 - percent, two=percent)
            moved = {cookie for cookie in sessions if await here.whom(cookie) == "two"}
            assert before <= moved
            assert abs(len(moved) / CLIENTS * 100 - percent) < 10
            before = moved


async def test_without_affinity_there_is_no_cookie_and_one_that_is_brought_means_nothing() -> None:
    async with shop(affinity=False) as here, replicas("a", "b", "c") as three:
        await here.serves(ONE, *three)
        assert (await here.ask()).header("set-cookie") is None
        cookie = f"{COOKIE}=00000000-0000-4000-8000-000000000000"
        asked = await asyncio.gather(*(here.whom(cookie) for _ in range(60)))
        assert set(asked) == {"a", "b", "c"}
