"""The board follows plans and acknowledgements, and says only what changed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from edgerun.api.conditions import folded
from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.meta import ObjectKey
from edgerun.api.problems import Refusal
from edgerun.runtime.board import Board
from edgerun.translate.plan import Plan
from edgerun.translate.translator import translate
from support.objects import edge_route, origin_service, ready, world

WEB, API = ObjectKey("EdgeRoute", "shop", "web"), ObjectKey("EdgeRoute", "shop", "api")


@dataclass
class Proxies:
    """What connected proxies have acknowledged."""

    acked: list[int] = field(default_factory=list)

    def __call__(self) -> tuple[int, ...]:
        return tuple(self.acked)


def plan(*names: str, generation: int = 1) -> Plan:
    routes = (edge_route(name, hostnames=[f"{name}.test"], rules=[{"respond": {}}]) for name in names)
    return translate(world(*(at(route, generation) for route in routes)))


def at(route: EdgeRoute, generation: int) -> EdgeRoute:
    metadata = msgspec.structs.replace(route.metadata, generation=generation)
    return msgspec.structs.replace(route, metadata=metadata)


def board(proxies: Proxies) -> Board:
    return Board(lambda edge: proxies(), lambda: datetime(2026, 1, 1, tzinfo=UTC))


def programmed(here: Board, key: ObjectKey) -> str:
    return next(part.status for part in here.lines[key].status.conditions if part.type == "Programmed")


def test_a_generation_is_programmed_once_the_first_plan_that_held_it_is_acknowledged() -> None:
    proxies = Proxies([0])
    here = board(proxies)
    here.publish(plan("web"), 5)
    assert here.refresh() == (WEB,)
    assert programmed(here, WEB) == "False"
    here.publish(plan("web", "api"), 6)
    proxies.acked = [5]
    assert here.refresh() == (API, WEB)
    assert (programmed(here, WEB), programmed(here, API)) == ("True", "False")


def test_a_new_generation_must_be_acknowledged_anew() -> None:
    proxies = Proxies([5])
    here = board(proxies)
    here.publish(plan("web"), 5)
    here.refresh()
    here.publish(plan("web", generation=2), 6)
    here.refresh()
    assert programmed(here, WEB) == "False"
    proxies.acked = [6]
    assert here.refresh() == (WEB,)
    assert here.settled


def test_what_is_refused_is_not_waited_for() -> None:
    here, refusals = board(Proxies([5])), {WEB: Refusal(WEB, 2, "Invalid", "it is wrong")}
    here.publish(translate(world(at(edge_route("web", rules=[{"respond": {}}]), 1), refusals=refusals)), 5)
    here.refresh()
    assert (programmed(here, WEB), here.settled) == ("False", True)


def test_what_only_an_edit_makes_ready_is_not_waited_for() -> None:
    here = board(Proxies([5]))
    cart, lost = ObjectKey("OriginService", "shop", "cart"), ObjectKey("EdgeRoute", "shop", "lost")
    web = edge_route("web", hostnames=["web.test"], rules=[{"origins": [{"service": {"name": "cart"}}]}])
    other = edge_route("lost", hostnames=["lost.test"], rules=[{"origins": [{"service": {"name": "card"}}]}])
    here.publish(translate(world(web, other, refusals={cart: Refusal(cart, 1, "Invalid", "it is wrong")})), 5)
    here.refresh()
    said = {key: folded(line.status.conditions) for key, line in here.lines.items()}
    assert (said[WEB].reason, said[lost].reason, here.settled) == ("OriginRefused", "OriginNotFound", True)
    assert 'did you mean "cart"?' in said[lost].message


def test_nothing_is_said_when_nothing_changed() -> None:
    here = board(Proxies([5]))
    here.publish(plan("web"), 5)
    here.refresh()
    here.publish(plan("web"), 6)
    assert here.refresh() == ()


def test_a_proxy_that_joins_must_acknowledge_too() -> None:
    proxies = Proxies([5])
    here = board(proxies)
    here.publish(plan("web"), 5)
    here.refresh()
    proxies.acked = [5, 0]
    here.refresh()
    assert programmed(here, WEB) == "False"
    assert here.lines[WEB].status.edges[0].proxies == 2


def test_a_route_is_ready_once_the_plan_in_which_its_origin_was_ready_is_acknowledged() -> None:
    proxies = Proxies([5])
    here = board(proxies)
    cart = origin_service("cart")
    web = edge_route("web", rules=[{"origins": [{"service": {"name": "cart"}}]}])
    here.publish(translate(world(web, cart)), 5)
    here.refresh()
    assert (programmed(here, WEB), here.settled) == ("True", False)
    here.publish(translate(world(web, cart, observations={cart.key: ready()})), 6)
    here.refresh()
    assert not here.settled, "no proxy has heard of the endpoint yet"
    proxies.acked = [6]
    here.refresh()
    assert here.settled


def test_an_object_that_is_gone_is_said_once() -> None:
    here = board(Proxies([5]))
    here.publish(plan("web"), 5)
    here.refresh()
    here.publish(plan(), 6)
    assert here.refresh() == (WEB,)
    assert here.refresh() == ()
    assert here.lines == {}


def test_an_object_that_was_made_anew_is_another_one_although_its_generation_is_the_same() -> None:
    proxies = Proxies([5])
    here = board(proxies)
    here.publish(plan("web"), 5)
    here.refresh()
    assert programmed(here, WEB) == "True"
    here.forget(WEB)
    assert here.refresh() == (), "nothing can be said before it is in a plan"
    here.publish(plan("web"), 6)
    here.refresh()
    assert programmed(here, WEB) == "False"
    proxies.acked = [6]
    here.refresh()
    assert programmed(here, WEB) == "True"
