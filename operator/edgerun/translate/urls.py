"""Where clients reach what a route leads to: its first host, and the hosts of tags."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from .origins import Targets
from .routes import RouteTable, TagOf
from .world import Edge

Tables = Mapping[str, tuple[Edge, RouteTable]]  # of each edge
TagUrls = Mapping[tuple[ObjectKey, str], str]  # of each tag of an OriginService


def route_url(route: EdgeRoute, edge: Edge) -> str:
    """Of its first hostname, which a client has to fill in if there are wildcards alone."""
    hostname = next((name for name in route.spec.hostnames if not name.startswith("*")), "")
    wildcard = next((name for name in route.spec.hostnames if name.startswith("*")), "localhost")
    return _url(hostname or wildcard, edge)


def tag_urls(routes: Iterable[EdgeRoute], targets: Targets, tables: Tables) -> TagUrls:
    """The first there is of each, by the name of the route."""
    found: dict[tuple[ObjectKey, str], str] = {}
    for route in sorted(routes, key=lambda route: route.key):
        if route.spec.edge in tables:
            edge, table = tables[route.spec.edge]
            for service, tag, host in _tag_hosts(route, targets, table):
                found.setdefault((service, tag), _url(host, edge))
    return found


def _tag_hosts(route: EdgeRoute, targets: Targets, table: RouteTable) -> Iterator[tuple[ObjectKey, str, str]]:
    for target in chain.from_iterable(targets[route.key]):
        for tag, _ in target.tags if target.service and target.weight else ():
            for hostname in route.spec.hostnames:
                host = table.tagged.get(TagOf(hostname, tag))
                if host and target.service:
                    yield target.service, tag, host


def _url(hostname: str, edge: Edge) -> str:
    port = "" if edge.called_port == 80 else f":{edge.called_port}"
    return f"http://{hostname}{port}"
