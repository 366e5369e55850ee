"""What the Envoy of a guard is told, as people review it."""

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_pb2
from google.protobuf import json_format

from edgerun.translate.bootstrap import guard_bootstrap
from edgerun.translate.channel import Channel
from edgerun.translate.guard import Guard, guard_resources
from edgerun.translate.guard_policy import Invokers, signing_keys
from edgerun.translate.plan import Resource
from support.golden import check
from support.tokens import Key, jwks

from .bad_credentials import BAD
from .guarded import guard

GOLDEN = Path(__file__).parents[1] / "golden" / "guard"
_KINDS = (cluster_pb2.Cluster, extension_pb2.TypedExtensionConfig, listener_pb2.Listener)
_PUBLIC = {"kty": "EC", "crv": "P-256", "kid": "k1", "x": "eA", "y": "eQ"}
CALLERS = Invokers(accounts=("till/clerk",), namespaces=("shop",), subjects=("spiffe://example.test/ci/deploy",))
CASES: dict[str, Guard] = {
    "everything": guard(
        Key("k1"), jwks=jwks(_PUBLIC), invokers=CALLERS, probes_port=9901, listen_port=8008, concurrency=3, queue=10
    ),
    "nobody-may-and-no-keys": guard(Key("k1"), jwks=jwks(), invokers=Invokers(), listen_port=8008),
}


def decoded(resources: tuple[Resource, ...]) -> list[Any]:
    kinds = {f"type.googleapis.com/{kind.DESCRIPTOR.full_name}": kind for kind in _KINDS}
    messages = (kinds[one.type_url].FromString(one.body) for one in resources)
    return [
        json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True, sort_keys=True))
        for message in messages
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_resources_are_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    check(GOLDEN / f"{case}.yaml", decoded(guard_resources(CASES[case])), update=update_golden)


def test_equal_guards_give_equal_bytes_in_any_order_of_their_callers_and_keys() -> None:
    one, other = Key("k1"), Key("k2")
    first = guard(one, jwks=jwks(one, other), invokers=Invokers(namespaces=("a", "b"), subjects=("x", "y")))
    second = guard(one, jwks=jwks(other, one), invokers=Invokers(namespaces=("b", "a"), subjects=("y", "x")))
    assert guard_resources(first) == guard_resources(second)


def test_what_changes_while_a_pod_lives_leaves_its_listener_and_its_cluster_alone() -> None:
    one = guard(Key("k1"))
    other = guard(Key("k2"), audience="https://else.test", issuer="https://else.test", invokers=CALLERS, leeway_s=9)
    changed = {new.name for old, new in zip(guard_resources(one), guard_resources(other), strict=True) if old != new}
    assert changed == {"verification", "hygiene", "invokers"}


def test_only_the_public_half_of_keys_for_es256_with_a_name_is_passed_on() -> None:
    key = Key("k1")
    private = key.jwk(d="the private half")
    others = [
        {"kty": "oct", "kid": "k2", "k": "eA"},
        {"kty": "RSA", "kid": "k3"},
        key.jwk(crv="P-384"),
        key.jwk(kid=""),
    ]
    assert signing_keys(jwks(private, *others)) == [key.jwk()]
    assert "private" not in str([one.body for one in guard_resources(guard(key, jwks=jwks(private)))])


@pytest.mark.parametrize("field", ["issuer", "audience"])
def test_a_guard_that_would_take_any_issuer_or_audience_cannot_be_made(field: str) -> None:
    with pytest.raises(ValueError, match="needs an issuer and an audience"):
        guard(Key("k1"), **{field: ""})


def test_a_namespace_is_never_read_as_a_pattern() -> None:
    (_, _, _, rules, *_) = decoded(guard_resources(guard(Key("k1"), invokers=Invokers(namespaces=("a.b",)))))
    assert r"system:serviceaccount:a\\.b:" in json.dumps(rules)


def test_a_guard_starts_with_less_memory_than_an_edge_and_asks_for_all_the_rest() -> None:
    config = guard_bootstrap(guard="guard/shop/cart", channel=Channel("xds", 1), admin_socket=Path("/run/admin.sock"))
    assert config["node"] == {"cluster": "guard/shop/cart"}
    assert config["overload_manager"]["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"] == 128 << 20
    assert {one["name"] for one in config["static_resources"]["clusters"]} == {"xds", "admin"}


def test_there_are_many_bad_credentials_and_each_has_a_name() -> None:
    assert len({case.name for case in BAD}) == len(BAD) >= 160
