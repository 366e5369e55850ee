"""Who may call an origin: how a guard knows a caller, and which of those it knows it lets through.

Three filters, each a `TypedExtensionConfig` that travels by ECDS, because only so do keys and policies change on
connections that are open already. `verification` proves the signature; `hygiene` refuses what Envoy's verification lets
pass and the names of its policies are what the log says; `invokers` allows callers by their verified subject.

Trap: Envoy takes `https://a/` and `a` for the same audience, and a DENY whose CEL fails does not deny. So exact values
are matched, on what the token says, without CEL; and CEL is there only for what nothing else can ask.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.config.rbac.v3 import rbac_pb2 as rules_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from .messages import packed
from .plan import Resource, resource

POLICIES = VERIFICATION, HYGIENE, INVOKERS = "verification", "hygiene", "invokers"
JWT_FILTER = "envoy.filters.http.jwt_authn"
CREDENTIAL_HEADER = "x-edgerun-authorization"
UNCONFIGURED = "unconfigured"  # nothing has come yet: the guard's fault, not the caller's
_PAYLOAD, _HEADER = "payload", "header"
# A signature of ES256 has 64 bytes, and the last of its letters four bits that say nothing. Envoy reads the first 64 of
# a longer one, and any bits: other tokens, and the same signature.
_CREDENTIAL = r"Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]"
_YEAR_2100 = 4_102_444_800
# From when on it is valid, `nbf` tells, which is a little before that. This is for the issuer whose clock is wrong.
AHEAD_S = 60
# Each would have to be understood to be ignored safely; the issuer's own headers are alg, kid and typ.
_FOREIGN = ("b64", "crit", "cty", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip")
_KEPT_CREDENTIALS = 100  # verified ones that are not verified again; a push of keys forgets them


@dataclass(frozen=True, slots=True)
class Invokers:
    """Who may call: ServiceAccounts as `NAMESPACE/NAME`, all of some namespaces, other subjects as tokens have them."""

    accounts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A credential is one that a key of `jwks` (a JSON Web Key Set) signed, in the name of `issuer`, for exactly this
    `audience`, for no longer than `max_life_s`; clocks may differ by `leeway_s`. Whoever shows one has to be of the
    `invokers`, too."""

    audience: str
    issuer: str
    jwks: str
    invokers: Invokers
    leeway_s: int = 5
    max_life_s: int = 86_400

    def __post_init__(self) -> None:
        if not (self.issuer and self.audience):
            raise ValueError("an admission needs an issuer and an audience; Envoy takes none for any")


def policies(admission: Admission) -> tuple[Resource, ...]:
    """What the guards of an origin are told while they live; equal admissions give equal bytes."""
    return (
        verification(
            issuer=admission.issuer,
            audience=admission.audience,
            jwks=admission.jwks,
            leeway_s=admission.leeway_s,
            max_life_s=admission.max_life_s,
        ),
        hygiene(admission.audience),
        invokers(admission.invokers),
    )


@lru_cache(maxsize=4_096)
def verification(*, issuer: str, audience: str, jwks: str, leeway_s: int, max_life_s: int) -> Resource:
    """Proves the credential. Without any key nobody is let in, which Envoy has no word for."""
    keys = signing_keys(jwks)
    if not keys:
        return _extension(VERIFICATION, denial("no-keys"))
    provider = {
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"inline_string": json.dumps({"keys": keys}, separators=(",", ":"))},
        "from_headers": [{"name": CREDENTIAL_HEADER, "value_prefix": "Bearer "}],
        "forward": True,  # `hygiene` looks at it once more; what strips it is the listener's
        "payload_in_metadata": _PAYLOAD,
        "header_in_metadata": _HEADER,
        "require_expiration": True,
        "max_lifetime": {"seconds": max_life_s},
        "clock_skew_seconds": leeway_s,
        "jwt_cache_config": {"jwt_cache_size": _KEPT_CREDENTIALS},
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "edgerun"}}
    return _extension(VERIFICATION, jwt_authn_pb2.JwtAuthentication(providers={"edgerun": provider}, rules=[rule]))


def signing_keys(jwks: str) -> list[Mapping[str, str]]:
    """The keys of a JWKS that may prove a credential: ES256 with a name, and nothing in them but what is public."""
    found = json.loads(jwks)["keys"]
    fit = (key for key in found if (key.get("kty"), key.get("crv"), bool(key.get("kid"))) == ("EC", "P-256", True))
    public = ({name: key[name] for name in ("kty", "crv", "kid", "x", "y")} for key in fit)
    return [{**key, "alg": "ES256", "use": "sig"} for key in sorted(public, key=lambda key: (key["kid"], key["x"]))]


@lru_cache(maxsize=4_096)
def hygiene(audience: str) -> Resource:
    """Refuses, by the name of a policy each, what is signed and still no credential of ours for this origin."""
    policies = {
        "credential-form": _unless(_header_is(CREDENTIAL_HEADER, _CREDENTIAL)),
        "several-credentials": _when(_comma_in(CREDENTIAL_HEADER)),
        "token-headers": {**_ANY_REQUEST, "principals": [_is_present(_HEADER, name) for name in _FOREIGN]},
        "token-alg": _unless(_is(_HEADER, "alg", {"exact": "ES256"})),
        "token-typ": _unless({"or_ids": {"ids": [_is(_HEADER, "typ", {"exact": one}) for one in ("JWT", "at+jwt")]}}),
        "token-kid": _unless(_is(_HEADER, "kid", _regex(".+"))),
        "token-aud": _unless(_is(_PAYLOAD, "aud", {"exact": audience})),
        "token-sub": _unless(_is(_PAYLOAD, "sub", _regex("[!-~]+"))),  # it becomes the value of a header
        "token-exp": _unless(_is_time("exp")),
        "token-iat": _unless(_is_time("iat")),
        "token-of-the-future": _when(_is_later("iat")),
    }
    return _extension(HYGIENE, _rbac("DENY", policies))


@lru_cache(maxsize=4_096)
def invokers(allowed: Invokers) -> Resource:
    """Lets through who may call; where nobody may, nobody passes."""
    exact = [f"system:serviceaccount:{one.replace('/', ':')}" for one in allowed.accounts] + [*allowed.subjects]
    within = [rf"system:serviceaccount:{re.escape(one)}:[a-z0-9.-]+" for one in allowed.namespaces]
    matchers = [*({"exact": one} for one in sorted(exact)), *(_regex(one) for one in sorted(within))]
    callers = [_is(_PAYLOAD, "sub", matcher) for matcher in matchers]
    return _extension(
        INVOKERS, _rbac("ALLOW", {"invokers": {**_ANY_REQUEST, "principals": callers}} if callers else {})
    )


def denial(policy: str) -> Any:
    """The filter that refuses everybody, and says `policy` in the log."""
    return _rbac("DENY", {policy: {**_ANY_REQUEST, "principals": [{"any": True}]}})


def _extension(name: str, message: Any) -> Resource:
    return resource(name, extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(message)))


def _rbac(action: str, policies: Mapping[str, Any]) -> Any:
    return rbac_pb2.RBAC(rules=rules_pb2.RBAC(action=action, policies=policies))


_ANY_REQUEST: Mapping[str, Any] = {"permissions": [{"any": True}]}


def _unless(principal: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_ANY_REQUEST, "principals": [{"not_id": principal}]}


def _when(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_ANY_REQUEST, "principals": [{"any": True}], "condition": condition}


def _header_is(name: str, regex: str) -> Mapping[str, Any]:
    return {"header": {"name": name, "string_match": _regex(regex)}}


def _regex(regex: str) -> Mapping[str, Any]:
    return {"safe_regex": {"regex": regex}}


def _is(part: str, name: str, matcher: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whether `name` is a string in this part of the verified token, and matches; a list never does."""
    return _has(part, name, {"string_match": matcher})


def _is_present(part: str, name: str) -> Mapping[str, Any]:
    return _has(part, name, {"present_match": True})


def _is_time(name: str) -> Mapping[str, Any]:
    return _has(_PAYLOAD, name, {"double_match": {"range": {"start": 1, "end": _YEAR_2100}}})


def _has(part: str, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    path = [{"key": part}, {"key": name}]
    return {"sourced_metadata": {"metadata_matcher": {"filter": JWT_FILTER, "path": path, "value": value}}}


# CEL, as the tree that its text would be parsed into: Envoy takes no text here.


def _comma_in(header: str) -> Mapping[str, Any]:
    """`request.headers[header].contains(",")`: several headers of a name are one to CEL, and only to CEL."""
    value = _call("_[_]", _select(_name("request"), "headers"), _string(header))
    return {"call_expr": {"function": "contains", "target": value, "args": [_string(",")]}}


def _is_later(claim: str) -> Mapping[str, Any]:
    """`timestamp(int(payload[claim])) > request.time + duration("60s")`."""
    value = _select(_name("metadata"), "filter_metadata")
    for key in (JWT_FILTER, _PAYLOAD, claim):
        value = _call("_[_]", value, _string(key))
    limit = _call("_+_", _select(_name("request"), "time"), _call("duration", _string(f"{AHEAD_S}s")))
    return _call("_>_", _call("timestamp", _call("int", value)), limit)


def _call(function: str, *arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"call_expr": {"function": function, "args": arguments}}


def _select(operand: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    return {"select_expr": {"operand": operand, "field": field}}


def _name(name: str) -> Mapping[str, Any]:
    return {"ident_expr": {"name": name}}


def _string(value: str) -> Mapping[str, Any]:
    return {"const_expr": {"string_value": value}}
