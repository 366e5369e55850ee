"""Virtual hosts: which rules answer on which host, in which order.

Gateway API gives precedence to the rules of the more specific hostname; what they do not match falls through to the
next wildcard that covers the host. Envoy picks one virtual host and stops, so every virtual host carries the
rules of the wildcards above it behind its own. Routes without hostnames are the edge's default site: they answer
only for hosts that no other route names.

The tag of an origin has a host of its own beside each that leads to it: with the same rules, but where they lead to an
origin that has the tag, all is for that one revision. A route that names such a host takes it away from the tag.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from ..api.edgeroute import EdgeRoute, NamedMatch, Rule
from ..api.meta import ObjectKey
from .actions import envoy_action
from .matches import Precedence, envoy_match, identity, precedence
from .messages import packed
from .names import ROUTES_NAME, rule_name
from .origins import Target, Targets, tagged, tags
from .revisions.tags import HEADER, tag_hostname
from .sessions import BROUGHT, has_sessions

ANY_HOST = "*"
MAX_BODY_BYTES = 65_536  # of a direct response: what 16,384 characters of `respond.body` need at most in UTF-8

# What Envoy tells the client of itself. Suppressing all of its headers would also cost logs the path before a rewrite.
OWN_RESPONSE_HEADERS = ("x-envoy-upstream-service-time", "x-envoy-overloaded", "x-envoy-decorator-operation")

_PREVIOUS = packed(previous_hosts_pb2.PreviousHostsPredicate())
# Retries that can never repeat work: the request has not reached the origin.
# A pod that was lost without a word, with its node, still has an endpoint: another one is asked.
RETRY_POLICY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": {"value": 2},
    "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": _PREVIOUS}],
    "host_selection_retry_max_attempts": 20,  # each by chance: of two, 3 would often be the lost one again
}


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One match of one rule: sorted by `order`, told apart by `identity`. An unchanged route keeps its very entries.

    `messages` are tried in this order: those for requests that name a tag or a session, and then that for all others.
    """

    order: tuple[Precedence, str, str, str, int, int]
    identity: tuple[Any, ...]
    route: ObjectKey
    field: str
    messages: tuple[Any, ...]  # config.route.v3.Route


@dataclass(frozen=True, slots=True, order=True)
class Shadow:
    """A match that never answers on `hostname`, since an equal match of the object `winner` comes before it."""

    field: str
    hostname: str
    winner: ObjectKey


@dataclass(frozen=True, slots=True)
class RouteTable:
    """`shadows` tells of each route the matches that lost; `answering` has the routes with one that answers. `tagged`
    are the hosts of tags."""

    body: bytes  # a config.route.v3.RouteConfiguration
    shadows: Mapping[ObjectKey, tuple[Shadow, ...]]
    answering: frozenset[ObjectKey]
    tagged: Mapping["TagOf", str]


class TagOf(NamedTuple):
    """A tag on a host that leads to the origin which has it."""

    hostname: str
    tag: str


def route_table(routes: Sequence[EdgeRoute], targets: Targets, port: int) -> RouteTable:
    """The whole RouteConfiguration of an edge that clients call on `port`."""
    by_host = _by_host(routes)
    shadows: dict[ObjectKey, list[Shadow]] = {}
    winners = {
        hostname: _winners(hostname, _all_entries(named, targets, port), shadows) for hostname, named in by_host.items()
    }
    tag_hosts = _tag_hosts(by_host, targets)
    answers = winners | {
        made: _tag_winners(made, of.tag, by_host[of.hostname], targets, port) for made, of in tag_hosts.items()
    }
    hosts = [_virtual_host(hostname, _reachable(hostname, answers)) for hostname in sorted(answers)]
    return RouteTable(
        b"".join((_head(), *hosts)),
        {key: tuple(sorted(lost)) for key, lost in shadows.items()},
        frozenset(entry.route for entries in winners.values() for entry in entries),
        {of: made for made, of in tag_hosts.items()},
    )


def _by_host(routes: Sequence[EdgeRoute]) -> Mapping[str, Sequence[EdgeRoute]]:
    """The routes that name each host, in the order of hosts."""
    found: dict[str, list[EdgeRoute]] = {}
    for route in routes:
        for hostname in route.spec.hostnames or (ANY_HOST,):
            found.setdefault(hostname, []).append(route)
    return dict(sorted(found.items()))


def _tag_hosts(by_host: Mapping[str, Sequence[EdgeRoute]], targets: Targets) -> Mapping[str, TagOf]:
    """The hosts of tags, and what they are for. When two tags have the same, it is the first one's."""
    found: dict[str, TagOf] = {}
    for hostname, routes in by_host.items():
        for tag in sorted({tag for route in routes for tag in tags(targets[route.key])}):
            made = tag_hostname(tag, hostname)
            if made and made not in by_host:
                found.setdefault(made, TagOf(hostname, tag))
    return found


def _tag_winners(
    hostname: str, tag: str, routes: Sequence[EdgeRoute], targets: Targets, port: int
) -> tuple[Entry, ...]:
    """Who loses here has lost where the tag has its host from, and has been told."""
    of_tag = {route.key: tagged(targets[route.key], tag) for route in routes}
    return _winners(hostname, _all_entries(routes, of_tag, port), {})


def _all_entries(routes: Iterable[EdgeRoute], targets: Targets, port: int) -> Iterator[Entry]:
    return chain.from_iterable(_entries(route, targets[route.key], port) for route in routes)


# Most of a rebuild is here, and most routes are as they were.
@lru_cache(maxsize=16_384)
def _entries(route: EdgeRoute, targets: tuple[tuple[Target, ...], ...], port: int) -> tuple[Entry, ...]:
    rules = enumerate(route.spec.rules)
    return tuple(chain.from_iterable(_rule_entries(route, rule, index, targets[index], port) for index, rule in rules))


def _rule_entries(route: EdgeRoute, rule: Rule, index: int, targets: Sequence[Target], port: int) -> Iterator[Entry]:
    meta = route.metadata
    name, choices = rule_name(route, rule, index), tuple(_choices(route, targets))
    for number, match in enumerate(rule.matches):
        yield Entry(
            order=(precedence(match), meta.creation_timestamp, meta.namespace, meta.name, index, number),
            identity=identity(match),
            route=route.key,
            field=f"spec.rules[{index}].matches[{number}]",
            messages=tuple(
                route_components_pb2.Route(
                    name=name,
                    match=envoy_match(match, *one.named),
                    **envoy_action(rule, match, one.targets, port, begins=one.begins),
                )
                for one in choices
            ),
        )


class _Choice(NamedTuple):
    """Where requests are led that are `named` by headers beside those of the match. `begins`: a session does."""

    named: tuple[NamedMatch, ...]
    targets: Sequence[Target]
    begins: bool = False


def _choices(route: EdgeRoute, targets: Sequence[Target]) -> Iterator[_Choice]:
    for tag in sorted(tags([targets])) if route.spec.tag_header else ():
        (led_to,) = tagged([targets], tag)
        yield from _with_sessions(_Choice((NamedMatch(name=HEADER, value=tag),), led_to))
    yield from _with_sessions(_Choice((), targets))


def _with_sessions(choice: _Choice) -> Iterator[_Choice]:
    affine = has_sessions(choice.targets)
    if affine:
        yield choice._replace(named=(*choice.named, BROUGHT))
    yield choice._replace(begins=affine)


def _winners(hostname: str, entries: Iterable[Entry], shadows: dict[ObjectKey, list[Shadow]]) -> tuple[Entry, ...]:
    """The entries of one hostname in order, each identity once; who loses is written into `shadows`."""
    first: dict[tuple[Any, ...], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        winner = first.setdefault(entry.identity, entry)
        if winner is not entry:
            shadows.setdefault(entry.route, []).append(Shadow(entry.field, hostname, winner.route))
    return tuple(first.values())


def _reachable(hostname: str, winners: Mapping[str, Sequence[Entry]]) -> tuple[Entry, ...]:
    """The entries of a hostname and behind them those of the wildcards above it, each identity once."""
    above = [winners[name] for name in _wildcards_above(hostname) if name in winners]
    if not above:
        return tuple(winners[hostname])
    entries: dict[tuple[Any, ...], Entry] = {}
    for entry in chain(winners[hostname], *above):
        entries.setdefault(entry.identity, entry)
    return tuple(entries.values())


# Serialised messages merge when they are joined, so a host that did not change is not even copied.
@lru_cache(maxsize=16_384)
def _virtual_host(hostname: str, entries: tuple[Entry, ...]) -> bytes:
    host = route_components_pb2.VirtualHost(
        name=hostname,
        domains=[hostname],
        routes=[message for entry in entries for message in entry.messages],
        retry_policy=RETRY_POLICY,
    )
    return bytes(route_pb2.RouteConfiguration(virtual_hosts=[host]).SerializeToString(deterministic=True))


def _head() -> bytes:
    """All of a RouteConfiguration but its hosts."""
    head = route_pb2.RouteConfiguration(
        name=ROUTES_NAME,
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes={"value": MAX_BODY_BYTES},
        response_headers_to_remove=OWN_RESPONSE_HEADERS,
    )
    return bytes(head.SerializeToString(deterministic=True))


def _wildcards_above(hostname: str) -> Iterator[str]:
    """`*.b.c`, then `*.c`, for `a.b.c`: the wildcards that cover a hostname, longest first."""
    labels = hostname.split(".")
    for start in range(1, len(labels)):
        wildcard = ".".join(("*", *labels[start:]))
        if wildcard != hostname:
            yield wildcard
