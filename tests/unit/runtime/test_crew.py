"""Who serves an edge: the pods that take requests, and the last word of each."""

from datetime import UTC, datetime

from edgerun.runtime.crew import PATIENCE_S, Crew
from edgerun.xds.server import Proxy

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Fleet:
    def __init__(self, *pods: str) -> None:
        self.connected: list[Proxy] = []
        self.pods: tuple[str, ...] | None = pods
        self.time = 100.0
        self.crew = Crew(lambda: self.connected, lambda edge: self.pods, lambda: self.time)

    def connect(self, name: str, serial: int = 0, fleet: str = "default") -> Proxy:
        proxy = Proxy(name, fleet, NOW, serial)
        self.connected.append(proxy)
        return proxy

    def part(self, proxy: Proxy) -> None:
        self.connected.remove(proxy)
        self.crew.parted(proxy)


def test_where_there_are_no_pods_those_count_that_are_connected() -> None:
    fleet = Fleet()
    fleet.pods = None
    fleet.connect("a", 3)
    fleet.connect("b", 4, fleet="other")
    assert fleet.crew("default") == (3,)


def test_a_pod_that_takes_requests_counts_although_it_was_never_heard_of() -> None:
    fleet = Fleet("a", "b")
    fleet.connect("a", 3)
    assert fleet.crew("default") == (3, 0)


def test_a_proxy_that_is_not_ready_does_not_count() -> None:
    fleet = Fleet("a")
    fleet.connect("a", 3)
    fleet.connect("starting", 0)
    assert fleet.crew("default") == (3,)


def test_a_proxy_that_comes_back_is_as_far_as_it_was() -> None:
    fleet = Fleet("a")
    fleet.part(fleet.connect("a", 7))
    assert fleet.crew("default") == (7,)
    back = fleet.connect("a", 0)
    assert fleet.crew("default") == (7,)
    fleet.connected[fleet.connected.index(back)] = Proxy("a", "default", NOW, 8)
    assert fleet.crew("default") == (8,)


def test_a_proxy_that_stays_away_is_not_heard_of_any_more() -> None:
    fleet = Fleet("a")
    fleet.part(fleet.connect("a", 7))
    fleet.time += PATIENCE_S + 0.1
    assert fleet.crew("default") == (0,)


def test_pods_of_one_name_in_two_fleets_are_two() -> None:
    fleet = Fleet("a")
    fleet.part(fleet.connect("a", 7, fleet="other"))
    fleet.connect("a", 5, fleet="other")
    assert fleet.crew("default") == (0,)


def test_a_crew_is_complete_when_all_who_take_requests_are_connected_whatever_they_said_before_they_parted() -> None:
    fleet = Fleet("a")
    assert not fleet.crew.complete("default")
    fleet.part(fleet.connect("a", 7))
    assert fleet.crew("default") == (7,)
    assert not fleet.crew.complete("default"), "it may stay away, and is forgotten then"
    back = fleet.connect("a", 0)
    assert not fleet.crew.complete("default")
    fleet.connected[fleet.connected.index(back)] = Proxy("a", "default", NOW, 8)
    assert fleet.crew.complete("default")
