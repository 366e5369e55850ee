"""What a rule does with a request: as the action half of an Envoy route.

Header values and paths are the user's literals. Envoy would read `%...%` in a header as a command operator and
a backslash in a substitution as a group, so both are escaped: a value can never read another header or a secret.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..api.durations import seconds
from ..api.edgeroute import HeaderChanges, PathMatchType, PathRewrite, Redirect, Respond, RouteMatch, Rule
from .holding import MISSING_ORIGIN_BODY, holding, of_nobody
from .matches import prefix
from .names import DEFAULT_PORTS, MISSING_CLUSTER
from .origins import Target
from .sessions import GIVEN, HASHED, has_sessions

_FORWARDED_HOST = "x-forwarded-host"
_ORIGINAL_HOST = "x-envoy-original-host"  # what the access log calls the authority


def envoy_action(
    rule: Rule, match: RouteMatch, targets: Sequence[Target], port: int, *, begins: bool = False
) -> dict[str, Any]:
    """The fields of a `config.route.v3.Route` beside its name and match. `port` is the one that clients call, and
    `begins` says that this request begins a session."""
    changes = _header_changes(rule)
    if begins:
        changes["response_headers_to_add"].append(GIVEN)
    return _answer(rule, match, targets, port) | changes


def _answer(rule: Rule, match: RouteMatch, targets: Sequence[Target], port: int) -> dict[str, Any]:
    if rule.respond:
        return {"direct_response": _direct_response(rule.respond)}
    if rule.redirect:
        return {"redirect": _redirect(rule.redirect, match, port)}
    if all(target.cluster is None for target in targets if target.weight):
        return {"direct_response": _direct_response(Respond(status=500, body=MISSING_ORIGIN_BODY))}
    return {"route": _forward(rule, match, targets)}


def _direct_response(respond: Respond) -> dict[str, Any]:
    body = {"body": {"inline_string": respond.body}} if respond.body else {}
    return {"status": respond.status} | body


def _redirect(redirect: Redirect, match: RouteMatch, port: int) -> dict[str, Any]:
    action: dict[str, Any] = {"response_code": _REDIRECT_CODES[redirect.status_code]}
    if redirect.hostname:
        action["host_redirect"] = redirect.hostname
    if redirect.scheme:
        action["scheme_redirect"] = redirect.scheme
    if said := _redirect_port(redirect, port):
        action["port_redirect"] = said
    if redirect.path and redirect.path.replace_full_path is not None:
        action["path_redirect"] = redirect.path.replace_full_path
    elif redirect.path:
        action |= _prefix_replacement(redirect.path.replace_prefix or "", match)
    return action


def _redirect_port(redirect: Redirect, port: int) -> int | None:
    """Gateway API's rule for the port of a Location: with a scheme the scheme's own, else the one that was called.

    Envoy keeps the port of the Host header when it is told none, and writes the one it is told even where the scheme
    implies it; so it is told one only where the Host header would be wrong.
    """
    if redirect.port:
        return redirect.port
    if redirect.scheme:
        return DEFAULT_PORTS[redirect.scheme] if port != 80 else None
    return port if redirect.hostname and port != 80 else None


_REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def _forward(rule: Rule, match: RouteMatch, targets: Sequence[Target]) -> dict[str, Any]:
    timeout = seconds(rule.timeouts.request) if rule.timeouts.request else 0.0
    hostname = rule.rewrite.hostname if rule.rewrite else None
    holds = any(target.sleeps for target in targets if target.weight)
    shares = [
        _share(target, hostname or target.authority) | (_waiting(target, timeout) if holds else {})
        for target in targets
        if target.weight
    ]
    hashed = has_sessions(targets)
    action = {
        "weighted_clusters": {"clusters": shares} | ({"use_hash_policy": {"value": True}} if hashed else {}),
        "hash_policy": HASHED if hashed else [],
        "cluster_not_found_response_code": "SERVICE_UNAVAILABLE" if holds else "INTERNAL_SERVER_ERROR",
        "timeout": _duration(timeout),  # 0 means none: a stream lives as long as it is not idle
    }
    if rule.rewrite and rule.rewrite.path:
        action |= _path_rewrite(rule.rewrite.path, match)
    return action


def _share(target: Target, hostname: str | None) -> dict[str, Any]:
    return {
        "name": target.cluster or MISSING_CLUSTER,
        "weight": {"value": target.weight},
    } | _host(hostname)


def _waiting(target: Target, timeout: float) -> dict[str, Any]:
    if target.sleeps:
        return holding(timeout)
    return {} if target.cluster else of_nobody()


def _host(hostname: str | None) -> dict[str, Any]:
    """The host that an origin is called by, and for whoever reads on the one that the client asked for.

    A client's own word about it is never passed on.
    """
    if not hostname:
        return {"request_headers_to_remove": [_FORWARDED_HOST]}
    asked = [
        {"header": {"key": name, "value": "%REQ(:AUTHORITY)%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name in (_FORWARDED_HOST, _ORIGINAL_HOST)
    ]
    return {"host_rewrite_literal": hostname, "request_headers_to_add": asked}


def _path_rewrite(rewrite: PathRewrite, match: RouteMatch) -> dict[str, Any]:
    if rewrite.replace_full_path is not None:
        return _substitution("^.*$", rewrite.replace_full_path)
    return _prefix_replacement(rewrite.replace_prefix or "", match)


def _prefix_replacement(replacement: str, match: RouteMatch) -> dict[str, Any]:
    """Gateway API's table of ReplacePrefixMatch: whole path elements, and never a double slash."""
    if match.path.type is not PathMatchType.PATH_PREFIX:  # the CRD's rules refuse this before
        return {}
    old, new = prefix(match.path.value), prefix(replacement)
    if old and new:
        return {"prefix_rewrite": new}
    if old:
        return _substitution(f"^{re.escape(old)}/*", "/")
    return _substitution("^/", f"{new}/")


def _substitution(pattern: str, replacement: str) -> dict[str, Any]:
    literal = replacement.replace("\\", "\\\\")
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": literal}}


def _header_changes(rule: Rule) -> dict[str, Any]:
    return {
        "request_headers_to_add": _added(rule.request_headers),
        "request_headers_to_remove": sorted(rule.request_headers.remove),
        "response_headers_to_add": _added(rule.response_headers),
        "response_headers_to_remove": sorted(rule.response_headers.remove),
    }


def _added(changes: HeaderChanges) -> list[dict[str, Any]]:
    return _options(changes.set, "OVERWRITE_IF_EXISTS_OR_ADD") + _options(changes.add, "APPEND_IF_EXISTS_OR_ADD")


def _options(values: Mapping[str, str], action: str) -> list[dict[str, Any]]:
    return [
        {"header": {"key": name, "value": value.replace("%", "%%")}, "append_action": action, "keep_empty_value": True}
        for name, value in sorted(values.items())
    ]


def _duration(value: float) -> dict[str, int]:
    whole = int(value)
    return {"seconds": whole, "nanos": round((value - whole) * 1e9)}
