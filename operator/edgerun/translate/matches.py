"""Matches: as Envoy's words, and in the order of Gateway API.

The order is the whole difference between two gateways that both "support" a match, so it follows the
specification of HTTPRouteRule.matches to the letter: a method outranks any number of headers.
"""

from typing import Any, NamedTuple

from ..api.edgeroute import NamedMatch, PathMatch, PathMatchType, RouteMatch, StringMatchType

# Gateway API leaves regular expressions to the implementation; Envoy Gateway has them between the other two.
_PATH_RANK = {PathMatchType.EXACT: 0, PathMatchType.REGULAR_EXPRESSION: 1, PathMatchType.PATH_PREFIX: 2}


class Precedence(NamedTuple):
    """Sorts most specific first (Gateway API v1, HTTPRouteRule.matches)."""

    path_rank: int
    path_length: int
    method: int
    headers: int
    query_params: int


def precedence(match: RouteMatch) -> Precedence:
    return Precedence(
        path_rank=_PATH_RANK[match.path.type],
        path_length=-len(prefix(match.path.value)),
        method=0 if match.method else 1,
        headers=-len(match.headers),
        query_params=-len(match.query_params),
    )


def prefix(value: str) -> str:
    """A path prefix without its trailing slash, which has no meaning: `/a/` matches what `/a` does; "" is all."""
    return value.rstrip("/")


def identity(match: RouteMatch) -> tuple[Any, ...]:
    """Equal for two matches that hold for exactly the same requests by their words."""
    path = match.path
    value = prefix(path.value) if path.type is PathMatchType.PATH_PREFIX else path.value
    headers = frozenset((header.name.lower(), header.type, header.value) for header in match.headers)
    query = frozenset((param.name, param.type, param.value) for param in match.query_params)
    return path.type, value, match.method, headers, query


def envoy_match(match: RouteMatch, *also: NamedMatch) -> dict[str, Any]:
    """A `config.route.v3.RouteMatch`, of requests that carry these headers as well."""
    headers = [_header(header) for header in (*match.headers, *also)]
    if match.method:
        headers.insert(0, {"name": ":method", "string_match": {"exact": match.method}})
    query = [{"name": param.name, "string_match": _string(param)} for param in match.query_params]
    return _path(match.path) | {"headers": headers, "query_parameters": query}


def _path(path: PathMatch) -> dict[str, Any]:
    match path.type:
        case PathMatchType.EXACT:
            return {"path": path.value}
        case PathMatchType.REGULAR_EXPRESSION:
            return {"safe_regex": {"regex": path.value}}
        case PathMatchType.PATH_PREFIX:
            # Envoy's own prefix match would let /cart match /cartwheel.
            value = prefix(path.value)
            return {"path_separated_prefix": value} if value else {"prefix": "/"}


def _header(header: NamedMatch) -> dict[str, Any]:
    return {"name": header.name.lower(), "string_match": _string(header)}


def _string(match: NamedMatch) -> dict[str, Any]:
    if match.type is StringMatchType.REGULAR_EXPRESSION:
        return {"safe_regex": {"regex": match.value}}
    return {"exact": match.value}
